"""The causal convolution against a loop over positions and taps in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import causal_conv_silu
from tests.ops.places import everywhere

BATCH, CHANNELS = 2, 5
LENGTHS = [1, 2, 3, 4, 15, 16, 17, 63, 64, 65, 130]


def make_inputs(length: int, taps: int, with_tail: bool, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, length, CHANNELS, generator=random)
    weight = torch.randn(CHANNELS, taps, generator=random)
    bias = torch.randn(CHANNELS, generator=random)
    tail = torch.randn(BATCH, taps - 1, CHANNELS, generator=random)
    return x, weight, bias, tail if with_tail else None


def naive(x: Tensor, weight: Tensor, bias: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the output and the W-1 inputs before and after every position, (B, L+1, W-1, C)."""
    taps = weight.shape[1]
    before = torch.zeros(len(x), taps - 1, x.shape[2]) if tail is None else tail
    inputs = [*before.double().unbind(1), *x.double().unbind(1)]
    outputs, tails = [], []
    for t in range(x.shape[1]):
        total = bias.double()
        for tap in range(taps):
            total = total + weight[:, tap].double() * inputs[t + tap]
        outputs.append(total / (1 + torch.exp(-total)))
    for t in range(x.shape[1] + 1):
        tails.append(torch.stack(inputs[t : t + taps - 1], dim=1))
    return torch.stack(outputs, dim=1), torch.stack(tails, dim=1)


@pytest.mark.parametrize("with_tail", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize("taps", [2, 4])
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_loop(length: int, taps: int, with_tail: bool) -> None:
    inputs = make_inputs(length, taps, with_tail, seed=length)
    capture = everywhere(BATCH, length)
    y, tails = causal_conv_silu(*inputs, capture)
    expected_y, expected_tails = naive(*inputs)
    torch.testing.assert_close(y, expected_y.float(), rtol=1e-5, atol=1e-5)
    assert torch.equal(tails, expected_tails[capture.rows, capture.positions].float())  # copies, not sums


def test_no_capture_takes_no_state() -> None:
    inputs = make_inputs(9, 4, True)
    y, tails = causal_conv_silu(*inputs, Capture.nowhere())
    assert tails.shape == (0, 3, CHANNELS)
    assert torch.equal(y, causal_conv_silu(*inputs, everywhere(BATCH, 9))[0])


@pytest.mark.parametrize("length", [1, 2, 17])
def test_gradients_equal_the_loop(length: int) -> None:
    inputs = make_inputs(length, 4, True)
    assert inputs[3] is not None
    capture = everywhere(BATCH, length)
    random = torch.Generator().manual_seed(1)
    y_weight = torch.randn(BATCH, length, CHANNELS, generator=random)
    tail_weight = torch.randn(len(capture.rows), 3, CHANNELS, generator=random)
    results = []
    for function in (lambda *a: causal_conv_silu(*a, capture), naive):
        x, weight, bias, tail = (t.clone().requires_grad_() for t in inputs if t is not None)
        y, tails = function(x, weight, bias, tail)
        if function is naive:
            tails = tails[capture.rows, capture.positions]
        loss = (y * y_weight).sum() + (tails * tail_weight).sum()
        results.append(torch.autograd.grad(loss, (x, weight, bias, tail)))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))), st.booleans())
def test_two_calls_equal_one(length_and_cut: tuple[int, int], with_tail: bool) -> None:
    length, cut = length_and_cut
    x, weight, bias, tail = make_inputs(length, 4, with_tail, seed=cut)
    whole, end = causal_conv_silu(x, weight, bias, tail, Capture.at_ends(torch.full((BATCH,), length)))
    at_cut = Capture.at_ends(torch.full((BATCH,), cut))
    first, middle = causal_conv_silu(x[:, :cut], weight, bias, tail, at_cut)
    at_end = Capture.at_ends(torch.full((BATCH,), length - cut))
    second, last = causal_conv_silu(x[:, cut:], weight, bias, middle, at_end)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-6, atol=1e-6)
    assert torch.equal(last, end)


@pytest.mark.parametrize("length", [1, 3, 16])
def test_what_follows_changes_nothing_before_it(length: int) -> None:
    x, weight, bias, tail = make_inputs(length, 4, True)
    padded = torch.cat([x, torch.full((BATCH, 6, CHANNELS), torch.nan)], dim=1)
    capture = everywhere(BATCH, length)
    y, tails = causal_conv_silu(padded, weight, bias, tail, capture)
    expected_y, expected_tails = causal_conv_silu(x, weight, bias, tail, capture)
    torch.testing.assert_close(y[:, :length], expected_y, rtol=1e-6, atol=1e-6)
    assert torch.equal(tails, expected_tails)


def test_computes_in_the_dtype_of_its_input() -> None:
    x, weight, bias, tail = make_inputs(20, 4, True)
    y, tails = causal_conv_silu(x.bfloat16(), weight, bias, tail, everywhere(BATCH, 20))
    assert y.dtype == tails.dtype == torch.bfloat16
    expected, _ = naive(x, weight, bias, tail)
    torch.testing.assert_close(y.double(), expected, rtol=0.05, atol=0.1)
