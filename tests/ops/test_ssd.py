"""The chunked recurrence, and its gradient, against the recurrence itself, one position at a time in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ssd import reference, ssd
from dnahnet_cli.ops.ssd.explicit import ssd_from_start
from tests.ops.places import everywhere

BATCH, HEADS, CHANNELS, STATES = 2, 3, 4, 5
LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 130]


@dataclass(frozen=True)
class Inputs:
    x_BLHP: Tensor
    log_decay_BLH: Tensor
    b_BLN: Tensor
    c_BLN: Tensor
    state_BHNP: Tensor | None

    @property
    def tensors(self) -> list[Tensor]:
        tensors = [self.x_BLHP, self.log_decay_BLH, self.b_BLN, self.c_BLN]
        return tensors if self.state_BHNP is None else [*tensors, self.state_BHNP]

    def part(self, start: int, end: int, state: Tensor | None) -> Inputs:
        return Inputs(*(t[:, start:end] for t in self.tensors[:4]), state)

    def leaves(self, dtype: torch.dtype) -> Inputs:
        """Return copies of the tensors in `dtype` that collect gradients."""
        state = None if self.state_BHNP is None else self.state_BHNP.to(dtype).clone().requires_grad_()
        return Inputs(*(t.to(dtype).clone().requires_grad_() for t in self.tensors[:4]), state)


def make_inputs(length: int, with_state: bool, seed: int = 0) -> Inputs:
    """Return random inputs whose heads forget slowly, middling and fast."""
    random = torch.Generator().manual_seed(seed)
    speed_H = torch.tensor([0.02, 0.5, 4.0])
    return Inputs(
        torch.randn(BATCH, length, HEADS, CHANNELS, generator=random),
        -torch.rand(BATCH, length, HEADS, generator=random) * speed_H,
        torch.randn(BATCH, length, STATES, generator=random),
        torch.randn(BATCH, length, STATES, generator=random),
        torch.randn(BATCH, HEADS, STATES, CHANNELS, generator=random) if with_state else None,
    )


def run(inputs: Inputs, capture: Capture, chunk: int = 64) -> tuple[Tensor, Tensor]:
    return ssd(inputs.x_BLHP, inputs.log_decay_BLH, inputs.b_BLN, inputs.c_BLN, inputs.state_BHNP, capture, chunk=chunk)


def naive(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Return y (B, L, H, P) and the states before and after every position, (B, L+1, H, N, P)."""
    x, log_decay, b, c = (t.double() for t in inputs.tensors[:4])
    if inputs.state_BHNP is None:
        state = torch.zeros(len(x), x.shape[2], b.shape[2], x.shape[3], dtype=torch.float64)
    else:
        state = inputs.state_BHNP.double()
    states, outputs = [state], []
    for t in range(x.shape[1]):
        decay = torch.exp(log_decay[:, t])[:, :, None, None]
        state = decay * state + torch.einsum("bn,bhp->bhnp", b[:, t], x[:, t])
        outputs.append(torch.einsum("bhnp,bn->bhp", state, c[:, t]))
        states.append(state)
    return torch.stack(outputs, dim=1), torch.stack(states, dim=1)


def assert_near(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Compare relative to the largest expected value, which is what float32 sums are exact to."""
    assert actual.shape == expected.shape
    scale = max(1.0, float(expected.abs().max()) if expected.numel() else 1.0)
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("with_state", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize("chunk", [1, 7, 16, 64])
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_recurrence(length: int, chunk: int, with_state: bool) -> None:
    inputs = make_inputs(length, with_state, seed=length)
    capture = everywhere(BATCH, length)
    y_BLHP, states_KHNP = run(inputs, capture, chunk)
    expected_y, expected_states = naive(inputs)
    assert y_BLHP.dtype == states_KHNP.dtype == torch.float32
    assert_near(y_BLHP, expected_y)
    assert_near(states_KHNP, expected_states[capture.rows, capture.positions])


def test_no_capture_takes_no_state() -> None:
    inputs = make_inputs(17, True)
    y_BLHP, states_KHNP = run(inputs, Capture.nowhere())
    assert states_KHNP.shape == (0, HEADS, STATES, CHANNELS)
    torch.testing.assert_close(y_BLHP, run(inputs, everywhere(BATCH, 17))[0], rtol=0, atol=0)


@pytest.mark.parametrize("with_state", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize(("length", "chunk"), [(1, 16), (15, 16), (33, 16), (65, 64)])
def test_gradients_equal_the_recurrence(length: int, chunk: int, with_state: bool) -> None:
    inputs = make_inputs(length, with_state, seed=length)
    capture = everywhere(BATCH, length)
    random = torch.Generator().manual_seed(1)
    y_weight = torch.randn(BATCH, length, HEADS, CHANNELS, generator=random)
    state_weight = torch.randn(len(capture.rows), HEADS, STATES, CHANNELS, generator=random)

    fast = inputs.leaves(torch.float32)
    y, states = run(fast, capture, chunk)
    gradients = torch.autograd.grad((y * y_weight).sum() + (states * state_weight).sum(), fast.tensors)

    slow = inputs.leaves(torch.float64)
    y, states = naive(slow)
    loss = (y * y_weight).sum() + (states[capture.rows, capture.positions] * state_weight).sum()
    for actual, expected in zip(gradients, torch.autograd.grad(loss, slow.tensors), strict=True):
        assert_near(actual, expected, 1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 100).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))), st.sampled_from([4, 16, 64])
)
def test_two_calls_equal_one(length_and_cut: tuple[int, int], chunk: int) -> None:
    length, cut = length_and_cut
    inputs = make_inputs(length, True, seed=cut)
    whole, end = run(inputs, Capture.at_ends(torch.full((BATCH,), length)), chunk)
    first, middle = run(inputs.part(0, cut, inputs.state_BHNP), Capture.at_ends(torch.full((BATCH,), cut)), chunk)
    rest = Capture.at_ends(torch.full((BATCH,), length - cut))
    second, last = run(inputs.part(cut, length, middle), rest, chunk)
    assert_near(torch.cat([first, second], dim=1), whole)
    assert_near(last, end)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 64])
def test_what_follows_changes_nothing_before_it(length: int) -> None:
    inputs = make_inputs(length + 20, True)
    padded = inputs.part(0, length + 20, inputs.state_BHNP)
    for tensor in padded.tensors[:4]:
        tensor[:, length:] = -1000.0
    capture = everywhere(BATCH, length)
    y, states = run(padded, capture, 16)
    expected_y, expected_states = run(make_inputs(length + 20, True).part(0, length, inputs.state_BHNP), capture, 16)
    assert_near(y[:, :length], expected_y)
    assert_near(states, expected_states)


def test_rows_do_not_see_each_other() -> None:
    inputs = make_inputs(40, True)
    y, _ = run(inputs, Capture.nowhere(), 16)
    for row in range(BATCH):
        alone = Inputs(*(t[row : row + 1] for t in inputs.tensors))
        assert_near(run(alone, Capture.nowhere(), 16)[0][0], y[row])


def test_forgetting_at_once_and_never() -> None:
    """Decays of 0 and of e^-60: nothing overflows, and a forgotten state leaves no trace."""
    inputs = make_inputs(50, True)
    inputs.log_decay_BLH[:, :, 0] = 0.0
    inputs.log_decay_BLH[:, :, 1] = -60.0
    inputs.log_decay_BLH[:, :, 2] = 0.0
    inputs.log_decay_BLH[:, 30, 2] = -1e4
    capture = everywhere(BATCH, 50)
    y, states = run(inputs, capture, 16)
    expected_y, expected_states = naive(inputs)
    assert_near(y, expected_y)
    assert_near(states, expected_states[capture.rows, capture.positions])


def test_a_long_past_of_strong_decay_costs_no_digits_later() -> None:
    """The sum of log-decays over a tile reaches -10,000, where float32 resolves 0.001: too coarse for a decay."""
    length = 2048
    inputs = make_inputs(length, False)
    inputs.log_decay_BLH.mul_(0.01)
    inputs.log_decay_BLH[:, : length // 2] -= 10.0
    capture = Capture.at_ends(torch.full((BATCH,), length))
    y, states = run(inputs, capture)
    expected_y, expected_states = naive(inputs)
    assert_near(y, expected_y)
    assert_near(states, expected_states[:, -1])


@pytest.mark.parametrize("with_state", [False, True], ids=["fresh", "continued"])
def test_bfloat16_products_keep_float32_states(with_state: bool) -> None:
    inputs = make_inputs(65, with_state)
    rounded = Inputs(
        inputs.x_BLHP.bfloat16(), inputs.log_decay_BLH, inputs.b_BLN.bfloat16(), inputs.c_BLN.bfloat16(),
        inputs.state_BHNP,
    )  # fmt: skip
    capture = everywhere(BATCH, 65)
    y, states = run(rounded, capture, 16)
    expected_y, expected_states = naive(rounded)
    assert y.dtype == torch.bfloat16 and states.dtype == torch.float32
    assert_near(y, expected_y, 0.02)
    assert_near(states, expected_states[capture.rows, capture.positions], 0.02)


def test_inputs_are_left_alone() -> None:
    inputs = make_inputs(30, True)
    copies = [t.clone() for t in inputs.tensors]
    run(inputs, everywhere(BATCH, 30), 16)
    for tensor, copy in zip(inputs.tensors, copies, strict=True):
        assert torch.equal(tensor, copy)


# --- with the gradient written out ---


def outcome(function: Callable[..., Tensor], tensors: list[Tensor], weight: Tensor) -> list[Tensor]:
    """Return the function's y, and the gradients of sum(weight * y) for all tensors."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    y_BLHP = function(*leaves)
    return [y_BLHP.detach(), *torch.autograd.grad((y_BLHP * weight).sum(), leaves)]


def y_of_naive(*tensors: Tensor) -> Tensor:
    return naive(Inputs(*tensors, None))[0]


def weight_for(inputs: Inputs) -> Tensor:
    random = torch.Generator().manual_seed(9)
    return torch.randn(inputs.x_BLHP.shape, generator=random, dtype=inputs.x_BLHP.dtype)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 70) | st.sampled_from([127, 128, 129, 150]),
    chunk=st.sampled_from([1, 2, 7, 16, 64]),
    heads=st.integers(1, HEADS),
    seed=st.integers(0, 100),
)
def test_explicit_equals_the_recurrence_to_the_last_digits(length: int, chunk: int, heads: int, seed: int) -> None:
    inputs = make_inputs(length, False, seed)
    x, log_decay, b, c = (tensor.double() for tensor in inputs.tensors)
    tensors = [x[:, :, :heads], log_decay[:, :, :heads], b, c]
    weight = weight_for(inputs).double()[:, :, :heads]
    expected = outcome(y_of_naive, tensors, weight)
    actual = outcome(lambda *leaves: ssd_from_start(*leaves, chunk), tensors, weight)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == torch.float64
        assert_near(one, other, 1e-12)


@pytest.mark.parametrize("length", LENGTHS)
def test_explicit_equals_the_reference(length: int) -> None:
    inputs = make_inputs(length, False, seed=length)
    weight = weight_for(inputs)
    expected = outcome(lambda *t: reference.ssd(*t, None, Capture.nowhere(), 16)[0], inputs.tensors, weight)
    actual = outcome(lambda *t: ssd_from_start(*t, 16), inputs.tensors, weight)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert_near(one, other, 5e-6)


@pytest.mark.parametrize("captures", [False, True], ids=["no captures", "captures"])
@pytest.mark.parametrize("with_state", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_every_way_to_call_gives_what_the_reference_gives(grad: bool, with_state: bool, captures: bool) -> None:
    inputs = make_inputs(37, with_state).leaves(torch.float32)
    capture = everywhere(BATCH, 37) if captures else Capture.nowhere()
    with torch.set_grad_enabled(grad):
        y, states = run(inputs, capture, 16)
        expected_y, expected_states = reference.ssd(*inputs.tensors[:4], inputs.state_BHNP, capture, 16)
    assert states.dtype == torch.float32
    assert y.requires_grad == grad
    assert_near(y.detach(), expected_y.detach(), 1e-6)
    assert_near(states.detach(), expected_states.detach(), 1e-6)


def test_explicit_in_bfloat16_is_as_close_as_the_reference() -> None:
    inputs = make_inputs(150, False)
    x, log_decay, b, c = inputs.tensors
    rounded = [x.bfloat16(), log_decay, b.bfloat16(), c.bfloat16()]
    weight = weight_for(inputs).bfloat16()
    exact = outcome(y_of_naive, [tensor.double() for tensor in rounded], weight.double())
    actual = outcome(lambda *t: ssd_from_start(*t, 64), rounded, weight)
    for tensor, one, other in zip([x.bfloat16(), *rounded], actual, exact, strict=True):
        assert one.dtype == tensor.dtype
        assert_near(one, other, 0.02)


def test_explicit_takes_what_the_network_gives_it() -> None:
    """Views of wider tensors, positions or heads first; a gradient that is one number seen everywhere."""
    length = 37
    inputs = make_inputs(length, False)
    x, log_decay, b, c = inputs.tensors
    _, b_view, c_view = torch.cat([b, b, c], dim=-1).split([STATES, STATES, STATES], dim=-1)
    views = [x.transpose(1, 2).contiguous().transpose(1, 2), log_decay.mT.contiguous().mT, b_view, c_view]
    assert not any(view.is_contiguous() for view in views)
    weights = [torch.ones(()), weight_for(inputs).permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)]
    for weight in weights:
        expected = outcome(y_of_naive, inputs.tensors, weight)
        for one, other in zip(outcome(lambda *t: ssd_from_start(*t, 16), views, weight), expected, strict=True):
            assert_near(one, other)


def test_explicit_forgets_at_once_and_never() -> None:
    """Above the diagonal the decays overflow; neither they nor a factor of 0 may leave a NaN."""
    inputs = make_inputs(50, False)
    inputs.log_decay_BLH[:, :, 0] = 0.0
    inputs.log_decay_BLH[:, :, 1] = -60.0
    inputs.log_decay_BLH[:, :, 2] = 0.0
    inputs.log_decay_BLH[:, 30, 2] = -1e4
    weight = weight_for(inputs)
    expected = outcome(y_of_naive, inputs.tensors, weight)
    for one, other in zip(outcome(lambda *t: ssd_from_start(*t, 16), inputs.tensors, weight), expected, strict=True):
        assert_near(one, other)


def test_explicit_keeps_its_digits_after_a_long_past_of_strong_decay() -> None:
    length = 1024
    inputs = make_inputs(length, False)
    inputs.log_decay_BLH.mul_(0.01)
    inputs.log_decay_BLH[:, : length // 2] -= 10.0
    weight = weight_for(inputs)
    expected = outcome(y_of_naive, inputs.tensors, weight)
    for one, other in zip(outcome(ssd_from_start, inputs.tensors, weight), expected, strict=True):
        assert_near(one, other)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("length", [1, 16, 33])
def test_explicit_reads_no_memory_that_was_not_written(length: int) -> None:
    inputs = make_inputs(length, False)
    weight = weight_for(inputs)
    expected = outcome(y_of_naive, inputs.tensors, weight)
    for one, other in zip(outcome(lambda *t: ssd_from_start(*t, 16), inputs.tensors, weight), expected, strict=True):
        assert_near(one, other)


def test_explicit_leaves_inputs_and_gradients_alone() -> None:
    inputs = make_inputs(32, False).leaves(torch.float32)
    weight = weight_for(inputs)
    tensors = [*inputs.tensors, weight]
    copies = [tensor.detach().clone() for tensor in tensors]
    ssd_from_start(*inputs.tensors, 16).backward(weight)
    for tensor, copy in zip(tensors, copies, strict=True):
        assert torch.equal(tensor, copy)
