"""Long convolutions against their definitions, term by term in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.hyena import explicit_conv, long_conv
from dnahnet_cli.ops.hyena.explicit import FEW_TAPS
from dnahnet_cli.ops.hyena.lengths import quick_length

NOWHERE = Capture.nowhere()
BATCH, CHANNELS, POLES = 2, 3, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_sums(x_BLC: Tensor, filter_CT: Tensor) -> Tensor:
    """Convolve as the definition says."""
    x_BLC, filter_CT = x_BLC.double(), filter_CT.double()
    y_BLC = torch.zeros_like(x_BLC)
    for t in range(x_BLC.shape[1]):
        for lag in range(min(t + 1, filter_CT.shape[1])):
            y_BLC[:, t] += filter_CT[:, lag] * x_BLC[:, t - lag]
    return y_BLC


def by_recurrence(
    x_BLC: Tensor, residue_CN: Tensor, log_pole_CN: Tensor, state_BCN: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return outputs, and the states before the first and after every position, (B, L + 1, C, N)."""
    x_BLC, pole_CN = x_BLC.double(), log_pole_CN.double().exp()
    s_BCN = torch.zeros(len(x_BLC), *pole_CN.shape, dtype=torch.double) if state_BCN is None else state_BCN.double()
    states, outputs = [s_BCN], [torch.zeros(len(x_BLC), 0, x_BLC.shape[2], dtype=torch.double)]
    for t in range(x_BLC.shape[1]):
        states.append(pole_CN * states[-1] + x_BLC[:, t].unsqueeze(-1))
        outputs.append((residue_CN.double() * states[-1]).sum(-1).unsqueeze(1))
    return torch.cat(outputs, dim=1), torch.stack(states, dim=1)


def near(actual: Tensor, expected: Tensor) -> None:
    """Compare to 1e-5 of the largest value."""
    scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=1e-5 * scale)


def poles(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return residues, and poles that forget within 1 to 1000 positions."""
    log_pole_CN = -torch.logspace(0, -3, CHANNELS * POLES).view(CHANNELS, POLES)
    return random(CHANNELS, POLES, seed=seed), log_pole_CN


@pytest.mark.parametrize(
    ("taps", "length"),
    [(3, 1), (3, 40), (7, 5), (7, 40), (FEW_TAPS, 40), (FEW_TAPS + 1, 1), (FEW_TAPS + 1, 40), (128, 1), (128, 150)],
)
def test_explicit_convolution_and_its_gradient_are_the_sums(taps: int, length: int) -> None:
    x, h = random(BATCH, length, CHANNELS).requires_grad_(), random(CHANNELS, taps, seed=1).requires_grad_()
    weight = random(BATCH, length, CHANNELS, seed=2)
    y, tails = explicit_conv(x, h, None, NOWHERE)
    expected = by_sums(x, h)
    near(y, expected)
    assert tails.shape == (0, taps - 1, CHANNELS)
    for actual, other in zip(
        torch.autograd.grad((y * weight).sum(), (x, h)),
        torch.autograd.grad((expected * weight).sum(), (x, h)),
        strict=True,
    ):
        near(actual, other)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200), st.integers(0, 199), st.sampled_from([3, 7, 20, 128]))
def test_explicit_convolution_in_two_calls_is_one(length: int, at: int, taps: int) -> None:
    at = min(at, length - 1)
    x, h = random(BATCH, length, CHANNELS), random(CHANNELS, taps, seed=1)
    whole, _ = explicit_conv(x, h, None, NOWHERE)
    places = Capture(torch.tensor([1, 0]), torch.tensor([at, at]))
    first, tails = explicit_conv(x, h, None, places)
    near(first, whole)
    second, _ = explicit_conv(x[[1, 0], at:], h, tails, NOWHERE)
    near(second, whole[[1, 0], at:])


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200, 500])
@pytest.mark.parametrize("with_state", [False, True])
def test_long_convolution_is_the_recurrence_of_its_poles(length: int, with_state: bool) -> None:
    x, (residue, log_pole) = random(BATCH, length, CHANNELS), poles()
    state = random(BATCH, CHANNELS, POLES, seed=3) if with_state else None
    positions = torch.arange(length + 1)
    capture = Capture(torch.arange(BATCH).repeat_interleave(length + 1), positions.repeat(BATCH))
    y, states = long_conv(x, residue, log_pole, state, capture)
    expected, expected_states = by_recurrence(x, residue, log_pole, state)
    near(y, expected)
    near(states, expected_states.flatten(0, 1))


def test_long_convolution_is_the_sum_over_its_filter() -> None:
    x, (residue, log_pole) = random(BATCH, 150, CHANNELS), poles()
    steps = torch.arange(150).double()
    filter_CL = (residue.double().unsqueeze(-1) * torch.exp(log_pole.double().unsqueeze(-1) * steps)).sum(1)
    near(long_conv(x, residue, log_pole, None, NOWHERE)[0], by_sums(x, filter_CL))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.integers(0, 299))
def test_long_convolution_in_two_calls_is_one(length: int, at: int) -> None:
    at = min(at, length - 1)
    x, (residue, log_pole) = random(BATCH, length, CHANNELS), poles()
    whole, ends = long_conv(x, residue, log_pole, None, Capture.at_ends(torch.full((BATCH,), length)))
    _, middle = long_conv(x, residue, log_pole, None, Capture(torch.tensor([1, 0, 1]), torch.full((3,), at)))
    rest, rest_ends = long_conv(
        x[[1, 0, 1], at:], residue, log_pole, middle, Capture.at_ends(torch.full((3,), length - at))
    )
    near(rest, whole[[1, 0, 1], at:])
    near(rest_ends, ends[[1, 0, 1]])


def test_long_convolution_has_the_gradient_of_the_recurrence() -> None:
    x, (residue, log_pole) = random(BATCH, 100, CHANNELS), poles()
    inputs = [tensor.requires_grad_() for tensor in (x, residue, log_pole)]
    weight = random(BATCH, 100, CHANNELS, seed=4)
    actual = torch.autograd.grad((long_conv(*inputs, None, NOWHERE)[0] * weight).sum(), inputs)
    expected = torch.autograd.grad((by_recurrence(*inputs)[0] * weight).sum(), inputs)
    for one, other in zip(actual, expected, strict=True):
        near(one, other)


def test_bfloat16_stays_bfloat16_in_the_explicit_and_float32_in_the_long_one() -> None:
    x, (residue, log_pole) = random(BATCH, 40, CHANNELS).bfloat16(), poles()
    y, tails = explicit_conv(x, random(CHANNELS, 7), None, Capture.at_ends(torch.full((BATCH,), 40)))
    assert y.dtype == tails.dtype == torch.bfloat16
    y, states = long_conv(x, residue, log_pole, None, Capture.at_ends(torch.full((BATCH,), 40)))
    assert y.dtype == states.dtype == torch.float32


@given(st.integers(1, 40_000))
def test_a_quick_length_is_even_has_small_factors_and_is_near(at_least: int) -> None:
    found = quick_length(at_least)
    assert found % 2 == 0 and at_least <= found <= max(4, at_least * 1.25)
    for factor in (2, 3, 5):
        while found % factor == 0:
            found //= factor
    assert found == 1
