"""Attention in each of its forms against one softmax per query in float64, windows narrower and wider than a block."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dnahnet_cli.model import attention
from dnahnet_cli.model.attention import BLOCK, ROTARY_BASE, Attention
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.ops.capture import Capture

BATCH, WIDTH, HEAD = 2, 16, 8
CONFIG = ModelConfig(["t1", ["t1"], "t1"], (WIDTH, WIDTH), (3.0,), (None, None), attention_head_size=HEAD)
WINDOWS = [1, 2, 5, BLOCK - 1, BLOCK, BLOCK + 1, 100, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, None]
LENGTHS = [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 150, 3 * BLOCK + 1, 260]

windows = st.sampled_from(WINDOWS) | st.integers(1, 4 * BLOCK)
lengths = st.sampled_from(LENGTHS) | st.integers(1, 260)


def layer(window: int | None) -> Attention:
    torch.manual_seed(0)
    module = Attention(CONFIG, WIDTH, window)
    for linear in (module.in_proj, module.out_proj):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    return module.requires_grad_(False)


def draw(length: int, seed: int = 0) -> Tensor:
    return torch.randn(BATCH, length, WIDTH, generator=torch.Generator().manual_seed(seed))


def naive(module: Attention, x_BLD: Tensor) -> Tensor:
    """Return what the layer should: rotation as a product of complex numbers, and one softmax per query."""
    length = x_BLD.shape[1]
    q, k, v = (x_BLD.double() @ module.in_proj.weight.double().T).unflatten(-1, (3, -1, HEAD)).unbind(2)
    angle = torch.arange(length).unsqueeze(1) * ROTARY_BASE ** (-torch.arange(HEAD // 4).double() / (HEAD // 4))
    turn = torch.polar(torch.ones_like(angle), angle).unsqueeze(1)

    def rotated(y_BLHP: Tensor) -> Tensor:
        first, second, rest = y_BLHP.split([HEAD // 4, HEAD // 4, HEAD // 2], dim=-1)
        turned = torch.complex(first, second) * turn
        return torch.cat([turned.real, turned.imag, rest], dim=-1)

    q, k = rotated(q), rotated(k)
    rows = []
    for i in range(length):
        seen = slice(0 if module.window is None else max(0, i - module.window + 1), i + 1)
        scores = torch.einsum("bhp,bshp->bhs", q[:, i], k[:, seen]) / HEAD**0.5
        rows.append(torch.einsum("bhs,bshp->bhp", scores.softmax(-1), v[:, seen]))
    return torch.stack(rows, dim=1).flatten(2) @ module.out_proj.weight.double().T


def near(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(windows, lengths)
def test_equals_one_softmax_per_query(window: int | None, length: int) -> None:
    module, x = layer(window), draw(length)
    near(module(x, None, Capture.nowhere())[0], naive(module, x))


@settings(max_examples=30, deadline=None)
@given(windows, st.lists(st.integers(0, 150), min_size=2, max_size=2), st.integers(1, 150))
def test_continues_rows_that_have_seen_different_numbers_of_tokens(
    window: int | None, seen: list[int], length: int
) -> None:
    module, x = layer(window), draw(max(seen) + length)
    expected = naive(module, x)
    if max(seen) == 0:
        return
    capture = Capture(torch.tensor([1, 0]), torch.tensor(seen))
    _, state = module(x[:, : max(seen)], None, capture)
    rest = torch.stack([x[row, start : start + length] for row, start in zip([1, 0], seen, strict=True)])
    y, _ = module(rest, state, Capture.nowhere())
    for k, (row, start) in enumerate(zip([1, 0], seen, strict=True)):
        near(y[k], expected[row, start : start + length])


@pytest.mark.parametrize("window", [1, 5, BLOCK, 100, 2 * BLOCK, None])
@pytest.mark.parametrize("length", [1, BLOCK + 1, 150])
def test_gradients_equal_those_of_one_softmax_per_query(window: int | None, length: int) -> None:
    module = layer(window)
    weight = draw(length, seed=1)
    gradients = []
    for function in (lambda x: module(x, None, Capture.nowhere())[0], lambda x: naive(module, x)):
        x = draw(length).requires_grad_()
        gradients.append(torch.autograd.grad((function(x) * weight).sum(), x)[0])
    near(gradients[0], gradients[1].double())


@pytest.mark.parametrize("window", [5, 100, None])
def test_long_sequences_take_the_fused_form_and_agree(window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAX_SCORES", 0)
    module, x = layer(window), draw(90)
    expected = naive(module, x)
    first, state = module(x[:, :60], None, Capture.at_ends(torch.tensor([60, 60])))
    second, _ = module(x[:, 60:], state, Capture.nowhere())
    near(torch.cat([first, second], dim=1), expected)


@pytest.mark.parametrize("window", [5, 100, None])
def test_bfloat16_is_close(window: int | None) -> None:
    module, x = layer(window), draw(150)
    expected = naive(module, x)
    set_compute_dtype(module, torch.bfloat16)
    y, _ = module(x, None, Capture.nowhere())
    assert y.dtype == torch.bfloat16
    near(y, expected, 0.05 * float(expected.abs().max()))


@pytest.mark.parametrize("window", [5, BLOCK, None])
@pytest.mark.parametrize("block", [32, 256])
@pytest.mark.parametrize("seen", [(150, 150), (70, 150)], ids=["alike", "padded"])
@torch.no_grad()
def test_inference_equals_one_softmax_per_query(
    window: int | None, block: int, seen: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start, from states of like and unlike age with more to be captured, and to the end."""
    monkeypatch.setattr(attention, "CAUSAL_BLOCK", block)
    module, x = layer(window), draw(330)
    expected = naive(module, x)
    first, state = module(x[:, :150], None, Capture(torch.tensor([0, 1]), torch.tensor(seen)))
    near(first, expected[:, :150])
    second = torch.stack([x[row, seen[row] : seen[row] + 90] for row in range(2)])
    y, state = module(second, state, Capture(torch.tensor([1, 0]), torch.tensor([90, 90])))
    third = torch.stack([x[row, seen[row] + 90 : seen[row] + 170] for row in (1, 0)])
    z, none = module(third, state, Capture.nowhere())
    assert len(none.num_seen_B) == 0
    for row in range(2):
        near(y[row], expected[row, seen[row] : seen[row] + 90])
        near(z[1 - row], expected[row, seen[row] + 90 : seen[row] + 170])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 100)), min_size=1, max_size=7), st.integers(1, 60))
@torch.no_grad()
def test_rows_that_go_on_along_one_sequence_share_its_keys(places: list[tuple[int, int]], length: int) -> None:
    module, x = layer(None), draw(160)
    expected = naive(module, x)
    rows, at = (torch.tensor(values) for values in zip(*places, strict=True))
    _, state = module(x[:, :100], None, Capture(rows, at))
    y, _ = module(torch.stack([x[row, start : start + length] for row, start in places]), state, Capture.nowhere())
    for k, (row, start) in enumerate(places):
        near(y[k], expected[row, start : start + length])
