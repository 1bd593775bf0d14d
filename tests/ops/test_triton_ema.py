"""The kernels of smoothing and spreading against the recurrence, one position at a time in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ema import smooth_and_spread
from dnahnet_cli.ops.routing import Cuts
from dnahnet_cli.ops.routing.reference import cut
from tests.ops.kernels import GPU, TOLERANCE, assert_near, gradients, places

# Batch, length, width.
SHAPES = [(1, 1, 3), (3, 17, 5), (2, 70, 70), (1, 100, 16)]
LARGE = [pytest.param(3, 1029, 192, marks=GPU), pytest.param(64, 129, 64, marks=GPU)]
NAMES = ("batch", "length", "width")
FLOAT = TOLERANCE[torch.float32]

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def make_inputs(
    batch: int, length: int, width: int, device: str, *, begins: bool, spare: int = 0
) -> tuple[Tensor, Tensor, Cuts, Tensor, Tensor]:
    """Return chunk vectors in wider rows, p, the cuts of ragged rows, a previous value and a residual."""
    random = torch.Generator().manual_seed(length)
    p = torch.rand(batch, length, generator=random)
    p = torch.where(torch.rand(batch, length, generator=random) < 0.3, p.round(), p)  # exactly 0 and 1 are clipped
    if begins:
        p[:, 0] = 1
    length_B = (length - torch.arange(batch) * 5).clamp(min=1)
    cuts = cut(p, length_B)
    needed = cuts.position_BM.shape[1]
    cuts = cut(p, length_B, needed + spare)
    cuts = Cuts(*(t.to(device) for t in (cuts.mask_BL, cuts.count_BL, cuts.position_BM)))
    z = torch.randn(batch, needed + spare, width + 2, generator=random).to(device)[..., :width]
    previous = torch.randn(batch, width, generator=random).to(device)
    residual = torch.randn(batch, length, width, generator=random).to(device)
    return z, p.to(device), cuts, previous, residual


def naive(z: Tensor, p: Tensor, cuts: Cuts, previous: Tensor | None, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Return y (B, L, D) and the smoother's value before and after every chunk of the longest row, (B, M+1, D)."""
    batch, length, width = residual.shape
    value = torch.zeros(batch, width, dtype=z.dtype) if previous is None else previous
    values = [value]
    for chunk in range(z.shape[1]):
        position = cuts.position_BM[:, chunk : chunk + 1].cpu()
        w = p.gather(1, position).clamp(1e-4, 1 - 1e-4)
        value = w * z[:, chunk] + (1 - w) * value
        values.append(value)
    rows, mask = torch.arange(batch), cuts.mask_BL.cpu()
    all_values = torch.stack(values, dim=1)
    y = []
    for t in range(length):
        confidence = torch.where(mask[:, t], p[:, t], 1 - p[:, t])
        confidence = 1 + confidence - confidence.detach()
        y.append(all_values[rows, cuts.count_BL[:, t].cpu()] * confidence.unsqueeze(1) + residual[:, t])
    return torch.stack(y, dim=1), all_values


@pytest.mark.parametrize("with_previous", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize(NAMES, [*SHAPES, *LARGE])
def test_equals_the_recurrence(batch: int, length: int, width: int, with_previous: bool, triton_kernels: str) -> None:
    z, p, cuts, previous, residual = make_inputs(batch, length, width, triton_kernels, begins=False)
    capture = places(batch, z.shape[1], triton_kernels)
    before = previous if with_previous else None
    with torch.no_grad():
        y, states = smooth_and_spread(z, p, cuts, before, residual, capture)
    slow = [t.cpu().double() for t in (z, p, residual)]
    expected, values = naive(slow[0], slow[1], cuts, None if before is None else before.cpu().double(), slow[2])
    assert y.dtype == states.dtype == torch.float32
    assert_near(y, expected, FLOAT)
    assert_near(states, values[capture.rows.cpu(), capture.positions.cpu()], FLOAT)


@pytest.mark.parametrize("spare", [0, 3])
@pytest.mark.parametrize("begins", [False, True], ids=["late", "begun"])
@pytest.mark.parametrize(NAMES, [*SHAPES, *LARGE])
def test_gradients_equal_the_recurrence(
    batch: int, length: int, width: int, begins: bool, spare: int, triton_kernels: str
) -> None:
    z, p, cuts, _, residual = make_inputs(batch, length, width, triton_kernels, begins=begins, spare=spare)
    fast = [t.detach().clone().requires_grad_() for t in (z, p, residual)]
    slow = [t.detach().cpu().double().requires_grad_() for t in fast]
    y, none = smooth_and_spread(fast[0], fast[1], cuts, None, fast[2], Capture.nowhere(triton_kernels))
    assert none.shape == (0, width)
    expected, _ = naive(slow[0], slow[1], cuts, None, slow[2])
    assert_near(y, expected, FLOAT)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(triton_kernels)
    expected_gradients = gradients(expected, dy.cpu().double(), slow)
    for actual, other in zip(gradients(y, dy, fast), expected_gradients, strict=True):
        assert_near(actual, other, 5 * FLOAT)
