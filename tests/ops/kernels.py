"""What the tests of the Triton kernels share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture

GPU = pytest.mark.gpu
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
DTYPES = [pytest.param(torch.float32, id="float32"), pytest.param(torch.bfloat16, id="bfloat16")]


def assert_near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare with a float64 result; the tolerance is relative to its root mean square, at least 1e-3."""
    assert actual.shape == expected.shape
    assert bool(actual.isfinite().all())
    scale = max(1e-3, float(expected.detach().double().square().mean().sqrt())) if expected.numel() else 1.0
    torch.testing.assert_close(
        actual.detach().cpu().double(), expected.detach().cpu().double(), rtol=tolerance, atol=4 * tolerance * scale
    )


def places(batch: int, length: int, device: str) -> Capture:
    """Return odd places out of order: the very beginning and end, both sides of a chunk's edge, one of them twice."""
    positions = [length, 0, length // 2, length, min(16, length), max(length - 1, 0), min(17, length), 0]
    rows = [index % batch for index in range(len(positions))]
    return Capture(torch.tensor(rows, device=device), torch.tensor(positions, device=device))


def gradients(y: Tensor, dy: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, leaves, dy.to(y))
