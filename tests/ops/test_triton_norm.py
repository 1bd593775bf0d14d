"""The kernels of RMSNorm, plain and gated, against the formula in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnahnet_cli.ops.norm import gated_rms_norm, reference, rms_norm
from tests.ops.kernels import DTYPES, GPU, TOLERANCE, assert_near, gradients

SHAPES = [(1, 1), (7, 5), (2, 17, 48), (3, 130)]
LARGE = [pytest.param((4, 1029, 384), marks=GPU), pytest.param((3, 1536), marks=GPU)]
EPS = 1e-5

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def make_inputs(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, a gate that is part of wider rows, and a weight. One row of x is 0, as padding may be."""
    random = torch.Generator().manual_seed(sum(shape))
    x = torch.randn(shape, generator=random) * 3
    x.view(-1, shape[-1])[-1] = 0
    gate = torch.randn(*shape[:-1], shape[-1] + 2, generator=random)[..., :-2]
    weight = torch.randn(shape[-1], generator=random)
    return x.to(device, dtype), gate.to(device, dtype), weight.to(device)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
@pytest.mark.parametrize("shape", [*SHAPES, *LARGE])
def test_values_and_gradients_equal_the_formula(
    shape: tuple[int, ...], gated: bool, dtype: torch.dtype, triton_kernels: str
) -> None:
    x, gate, weight = make_inputs(shape, dtype, triton_kernels)
    fast = [t.detach().requires_grad_() for t in ((x, gate, weight) if gated else (x, weight))]
    slow = [t.detach().cpu().double().requires_grad_() for t in fast]
    kernel, formula = (gated_rms_norm, reference.gated_rms_norm) if gated else (rms_norm, reference.rms_norm)
    y, expected = kernel(*fast, EPS), formula(*slow, EPS)
    assert y.dtype == torch.float32
    assert_near(y, expected, TOLERANCE[torch.float32])
    dy = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for actual, other in zip(gradients(y, dy, fast), gradients(expected, dy, slow), strict=True):
        # The gradient of a zero vector is 1 / sqrt(eps) times as large as the others.
        tolerance = TOLERANCE[dtype if actual.shape == x.shape else torch.float32]
        assert_near(actual, other, tolerance)
