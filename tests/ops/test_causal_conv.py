"""The causal convolution, and its gradient, against a loop over positions and taps in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import causal_conv_silu, reference
from dnahnet_cli.ops.causal_conv.explicit import causal_conv_silu_from_start
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


# --- with the gradient written out ---


def outcome(function: Callable[..., Tensor], tensors: list[Tensor], y_weight: Tensor) -> list[Tensor]:
    """Return the function's y, and the gradients of sum(y_weight * y) for x, weight and bias."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    y_BLC = function(*leaves)
    return [y_BLC.detach(), *torch.autograd.grad((y_BLC * y_weight).sum(), leaves)]


def y_of_naive(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return naive(x, weight, bias, None)[0]


def inputs_and_weight(length: int, taps: int, seed: int, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    x, weight, bias, _ = make_inputs(length, taps, False, seed)
    y_weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    return [x.to(dtype), weight.to(dtype), bias.to(dtype)], y_weight.to(dtype)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 40), taps=st.integers(2, 6), seed=st.integers(0, 100))
def test_explicit_equals_the_loop_to_the_last_digits(length: int, taps: int, seed: int) -> None:
    tensors, y_weight = inputs_and_weight(length, taps, seed, torch.float64)
    actual = outcome(causal_conv_silu_from_start, tensors, y_weight)
    for one, other in zip(actual, outcome(y_of_naive, tensors, y_weight), strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
def test_explicit_equals_the_reference(length: int) -> None:
    def y_of_reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return reference.causal_conv_silu(x, weight, bias, None, Capture.nowhere())[0]

    tensors, y_weight = inputs_and_weight(length, 4, length, torch.float32)
    actual = outcome(causal_conv_silu_from_start, tensors, y_weight)
    for one, other in zip(actual, outcome(y_of_reference, tensors, y_weight), strict=True):
        assert one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("captures", [False, True], ids=["no captures", "captures"])
@pytest.mark.parametrize("with_tail", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_every_way_to_call_gives_what_the_reference_gives(grad: bool, with_tail: bool, captures: bool) -> None:
    x, weight, bias, tail = make_inputs(19, 4, with_tail)
    x.requires_grad_()
    capture = everywhere(BATCH, 19) if captures else Capture.nowhere()
    with torch.set_grad_enabled(grad):
        y, tails = causal_conv_silu(x, weight, bias, tail, capture)
        expected_y, expected_tails = reference.causal_conv_silu(x, weight, bias, tail, capture)
    assert y.requires_grad == grad
    torch.testing.assert_close(y, expected_y, rtol=1e-6, atol=1e-6)
    assert torch.equal(tails, expected_tails)


def test_explicit_in_bfloat16_keeps_the_gradients_of_its_parameters_in_float32() -> None:
    (x, weight, bias), y_weight = inputs_and_weight(150, 4, 0, torch.float32)
    x, y_weight = x.bfloat16(), y_weight.bfloat16()
    exact = outcome(y_of_naive, [x.double(), weight.double(), bias.double()], y_weight.double())
    actual = outcome(causal_conv_silu_from_start, [x, weight, bias], y_weight)
    assert [tensor.dtype for tensor in actual] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]
    for one, other in zip(actual, exact, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one.double(), other, rtol=0, atol=0.02 * scale)


@pytest.mark.usefixtures("poisoned_memory")
def test_explicit_takes_views_and_a_gradient_that_is_one_number() -> None:
    (x, weight, bias), _ = inputs_and_weight(17, 4, 0, torch.float64)
    _, view = torch.cat([x, x], dim=-1).split([CHANNELS, CHANNELS], dim=-1)
    turned = weight.t().contiguous().t()
    assert not view.is_contiguous() and not turned.is_contiguous()
    one = torch.ones((), dtype=torch.float64)
    actual = outcome(causal_conv_silu_from_start, [view, turned, bias], one)
    for actual_tensor, expected in zip(actual, outcome(y_of_naive, [x, weight, bias], one), strict=True):
        torch.testing.assert_close(actual_tensor, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [1, 3, 16])
def test_explicit_sees_nothing_of_what_follows(length: int) -> None:
    (x, weight, bias), _ = inputs_and_weight(length, 4, 0, torch.float32)
    padded = torch.cat([x, torch.full((BATCH, 6, CHANNELS), torch.nan)], dim=1)
    y = causal_conv_silu_from_start(padded, weight, bias)
    torch.testing.assert_close(y[:, :length], causal_conv_silu_from_start(x, weight, bias), rtol=1e-6, atol=1e-6)


def test_explicit_leaves_inputs_and_gradients_alone() -> None:
    tensors, y_weight = inputs_and_weight(20, 4, 0, torch.float32)
    copies = [tensor.clone() for tensor in (*tensors, y_weight)]
    leaves = [tensor.requires_grad_() for tensor in tensors]
    causal_conv_silu_from_start(*leaves).backward(y_weight)
    for tensor, copy in zip((*leaves, y_weight), copies, strict=True):
        assert torch.equal(tensor, copy)
