"""The recurrence's kernels against the recurrence itself, one position at a time in float64."""

from __future__ import annotations

import pytest
import torch

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ssd import ssd
from tests.ops.kernels import DTYPES, GPU, TOLERANCE, assert_near, gradients, places
from tests.ops.test_ssd import Inputs, naive

# Batch, length, heads, channels of a head, state size, chunk.
SHAPES = [
    (2, 1, 2, 16, 16, 64),
    (1, 15, 1, 5, 3, 16),
    (2, 32, 1, 16, 16, 16),
    (1, 17, 3, 20, 17, 16),
    (1, 67, 1, 130, 32, 64),
    (2, 33, 2, 16, 16, 16),
]
LARGE = [
    pytest.param(2, 1029, 3, 128, 64, 64, marks=GPU),
    pytest.param(1, 8192, 1, 128, 32, 64, marks=GPU),
    pytest.param(64, 129, 4, 64, 64, 64, marks=GPU),
]
NAMES = ("batch", "length", "heads", "channels", "states", "chunk")

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def make_inputs(
    batch: int, length: int, heads: int, channels: int, states: int, with_state: bool, dtype: torch.dtype, device: str
) -> Inputs:
    """Return random inputs whose heads forget slowly, middling and fast; b and c are parts of wider rows."""
    random = torch.Generator().manual_seed(length)
    speed_H = torch.tensor([0.02, 0.5, 4.0, 0.1])[:heads]
    b, c = torch.randn(batch, length, 2 * states, generator=random).to(device, dtype).split(states, dim=-1)
    state = torch.randn(batch, heads, states, channels, generator=random)
    return Inputs(
        torch.randn(batch, length, heads, channels, generator=random).to(device, dtype),
        (-torch.rand(batch, length, heads, generator=random) * speed_H).to(device),
        b,
        c,
        state.to(device) if with_state else None,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("with_state", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize(NAMES, [*SHAPES, *LARGE])
def test_equals_the_recurrence(
    batch: int,
    length: int,
    heads: int,
    channels: int,
    states: int,
    chunk: int,
    with_state: bool,
    dtype: torch.dtype,
    triton_kernels: str,
) -> None:
    inputs = make_inputs(batch, length, heads, channels, states, with_state, dtype, triton_kernels)
    capture = places(batch, length, triton_kernels)
    with torch.no_grad():
        y, captured = ssd(*inputs.tensors[:4], inputs.state_BHNP, capture, chunk)
    assert y.dtype == dtype and captured.dtype == torch.float32
    expected_y, expected_states = naive(Inputs(*(t.cpu() for t in inputs.tensors[:4]), _cpu(inputs.state_BHNP)))
    assert_near(y, expected_y, TOLERANCE[dtype])
    expected = expected_states[capture.rows.cpu(), capture.positions.cpu()]
    assert_near(captured, expected, TOLERANCE[dtype])
    at_start = capture.positions == 0
    if inputs.state_BHNP is not None:
        assert torch.equal(captured[at_start], inputs.state_BHNP[capture.rows[at_start]])  # untouched, also in bfloat16


def _cpu(state: torch.Tensor | None) -> torch.Tensor | None:
    return None if state is None else state.cpu()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(NAMES, [*SHAPES, *LARGE])
def test_gradients_equal_the_recurrence(
    batch: int,
    length: int,
    heads: int,
    channels: int,
    states: int,
    chunk: int,
    dtype: torch.dtype,
    triton_kernels: str,
) -> None:
    inputs = make_inputs(batch, length, heads, channels, states, False, dtype, triton_kernels)
    fast = [t.detach().clone().requires_grad_() for t in inputs.tensors]
    y, none = ssd(*fast, None, Capture.nowhere(triton_kernels), chunk)
    assert none.shape == (0, heads, states, channels)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(triton_kernels, dtype)
    slow = [t.detach().cpu().double().requires_grad_() for t in fast]
    expected_y, _ = naive(Inputs(*slow, None))
    assert_near(y, expected_y, TOLERANCE[dtype])
    expected = gradients(expected_y, dy.cpu().double(), slow)
    for actual, other in zip(gradients(y, dy, fast), expected, strict=True):
        assert_near(actual, other, 2 * TOLERANCE[dtype])


def test_a_ragged_batch_equals_its_rows_one_by_one(triton_kernels: str) -> None:
    lengths = [33, 1, 18]
    inputs = make_inputs(3, 33, 2, 16, 16, True, torch.float32, triton_kernels)
    assert inputs.state_BHNP is not None
    ends = Capture.at_ends(torch.tensor(lengths, device=triton_kernels))
    with torch.no_grad():
        y, captured = ssd(*inputs.tensors[:4], inputs.state_BHNP, ends, 16)
        for row, length in enumerate(lengths):
            own = [t[row : row + 1, :length] for t in inputs.tensors[:4]]
            state = inputs.state_BHNP[row : row + 1]
            end = Capture.at_ends(torch.tensor([length], device=triton_kernels))
            own_y, own_captured = ssd(*own, state, end, 16)
            assert_near(y[row : row + 1, :length], own_y, 1e-6)
            assert_near(captured[row : row + 1], own_captured, 1e-6)


def test_what_follows_never_reaches_back(triton_kernels: str) -> None:
    """Not even what is not a number, as padding may be."""
    inputs = make_inputs(1, 40, 2, 16, 16, True, torch.float32, triton_kernels)
    positions = torch.tensor([0, 16, 19], device=triton_kernels)
    capture = Capture(torch.zeros_like(positions), positions)
    with torch.no_grad():
        y, captured = ssd(*(t[:, :32] for t in inputs.tensors[:4]), inputs.state_BHNP, capture, 16)
        spoiled = [t.clone() for t in inputs.tensors[:4]]
        for tensor in spoiled:
            tensor[:, 32:] = torch.nan
        other_y, other_captured = ssd(*spoiled, inputs.state_BHNP, capture, 16)
    assert torch.equal(y, other_y[:, :32]) and torch.equal(captured, other_captured)
