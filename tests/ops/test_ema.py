"""Smoothing against its recurrence, one chunk at a time in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ema import ema
from tests.ops.places import everywhere

BATCH, WIDTH = 2, 6
# Over 16 chunks log(1 - w) sums to -147 at the lowest, which float32 resolves to 1.5e-5.
TOLERANCE = 1e-4
LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 130]
# How the weights are spread: evenly; as boundaries have them; nearly all at the clip on both sides; exactly 0 and 1.
SPREADS = {
    "even": lambda u: u,
    "boundaries": lambda u: 0.5 + u / 2,
    "extreme": lambda u: torch.where(u < 0.5, u * 1e-6, 1 - (1 - u) * 1e-6),
    "binary": lambda u: (u > 0.5).float(),
    "never": torch.zeros_like,
    "always": torch.ones_like,
}


def make_inputs(length: int, spread: str, with_previous: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    random = torch.Generator().manual_seed(length)
    z = torch.randn(BATCH, length, WIDTH, generator=random)
    weight = SPREADS[spread](torch.rand(BATCH, length, generator=random))
    previous = torch.randn(BATCH, WIDTH, generator=random)
    return z, weight, previous if with_previous else None


def naive(z: Tensor, weight: Tensor, previous: Tensor | None) -> Tensor:
    """Return the smoother's value before and after every chunk, (B, M+1, D)."""
    value = torch.zeros(len(z), z.shape[2], dtype=torch.float64) if previous is None else previous.double()
    values = [value]
    for k in range(z.shape[1]):
        w = weight[:, k].double().clamp(1e-4, 1 - 1e-4).unsqueeze(1)
        value = w * z[:, k].double() + (1 - w) * value
        values.append(value)
    return torch.stack(values, dim=1)


@pytest.mark.parametrize("with_previous", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_recurrence(length: int, spread: str, with_previous: bool) -> None:
    inputs = make_inputs(length, spread, with_previous)
    capture = everywhere(BATCH, length)
    smooth, states = ema(*inputs, capture)
    expected = naive(*inputs)
    assert smooth.dtype == states.dtype == torch.float32
    torch.testing.assert_close(smooth.double(), expected[:, 1:], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(states.double(), expected[capture.rows, capture.positions], rtol=0, atol=TOLERANCE)


def test_confident_boundaries_before_unconfident_ones_cost_no_digits() -> None:
    """After 2,000 weights of 1 the summed log-decay is -18,000; blending must still be exact."""
    z, weight, _ = make_inputs(2500, "always", False)
    weight[:, 2000:] = 0.002
    smooth, _ = ema(z, weight, None, Capture.nowhere())
    torch.testing.assert_close(smooth.double(), naive(z, weight, None)[:, 1:], rtol=0, atol=TOLERANCE)


def test_no_capture_takes_no_state() -> None:
    _, states = ema(*make_inputs(9, "even", True), Capture.nowhere())
    assert states.shape == (0, WIDTH)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))),
    st.sampled_from(sorted(SPREADS)),
    st.booleans(),
)
def test_two_calls_equal_one(length_and_cut: tuple[int, int], spread: str, with_previous: bool) -> None:
    length, cut = length_and_cut
    z, weight, previous = make_inputs(length, spread, with_previous)
    whole, end = ema(z, weight, previous, Capture.at_ends(torch.full((BATCH,), length)))
    first, middle = ema(z[:, :cut], weight[:, :cut], previous, Capture.at_ends(torch.full((BATCH,), cut)))
    at_end = Capture.at_ends(torch.full((BATCH,), length - cut))
    second, last = ema(z[:, cut:], weight[:, cut:], middle, at_end)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(last, end, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("spread", ["even", "boundaries"])
def test_gradients_equal_the_recurrence(spread: str) -> None:
    inputs = make_inputs(33, spread, True)
    assert inputs[2] is not None
    capture = everywhere(BATCH, 33)
    random = torch.Generator().manual_seed(1)
    smooth_weight = torch.randn(BATCH, 33, WIDTH, generator=random)
    state_weight = torch.randn(len(capture.rows), WIDTH, generator=random)

    fast = [t.clone().requires_grad_() for t in inputs if t is not None]
    smooth, states = ema(*fast, capture)
    gradients = torch.autograd.grad((smooth * smooth_weight).sum() + (states * state_weight).sum(), fast)
    slow = [t.double().requires_grad_() for t in inputs if t is not None]
    values = naive(*slow)
    loss = (values[:, 1:] * smooth_weight).sum() + (values[capture.rows, capture.positions] * state_weight).sum()
    for actual, expected in zip(gradients, torch.autograd.grad(loss, slow), strict=True):
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-4 * scale)


def test_what_follows_changes_nothing_before_it() -> None:
    z, weight, previous = make_inputs(40, "boundaries", True)
    capture = everywhere(BATCH, 19)
    smooth, states = ema(z, weight, previous, capture)
    expected, expected_states = ema(z[:, :19], weight[:, :19], previous, capture)
    torch.testing.assert_close(smooth[:, :19], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(states, expected_states, rtol=0, atol=1e-5)


def test_bfloat16_chunks_are_smoothed_in_float32() -> None:
    z, weight, _ = make_inputs(40, "even", False)
    smooth, _ = ema(z.bfloat16(), weight, None, Capture.nowhere())
    assert smooth.dtype == torch.float32
    torch.testing.assert_close(smooth.double(), naive(z.bfloat16(), weight, None)[:, 1:], rtol=0, atol=TOLERANCE)
