"""The routing kernels: the probability against its formula in float64, the bookkeeping against the reference."""

from __future__ import annotations

import pytest
import torch

from dnahnet_cli.ops.routing import boundary_probability, cut, reference
from tests.ops.kernels import DTYPES, GPU, TOLERANCE, assert_near, gradients

SHAPES = [(1, 1, 1), (2, 17, 5), (3, 33, 64), (1, 40, 130)]
LARGE = [pytest.param((3, 1029, 192), marks=GPU), pytest.param((64, 128, 256), marks=GPU)]

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, *LARGE])
def test_probability_and_gradients_equal_the_formula(
    shape: tuple[int, int, int], dtype: torch.dtype, triton_kernels: str
) -> None:
    random = torch.Generator().manual_seed(shape[1])
    fast = [torch.randn(shape, generator=random).to(triton_kernels, dtype).requires_grad_() for _ in "qk"]
    slow = [x.detach().cpu().double().requires_grad_() for x in fast]
    p = boundary_probability(*fast)
    expected = (1 - torch.nn.functional.cosine_similarity(*slow, dim=-1)) / 2
    assert p.dtype == torch.float32 and p.shape == shape[:2]
    assert_near(p, expected, TOLERANCE[torch.float32])
    if shape[2] == 1:
        return  # the cosine is 1 or -1, without a gradient
    dp = torch.randn(shape[:2], generator=random)
    for actual, other in zip(gradients(p, dp, fast), gradients(expected, dp, slow), strict=True):
        assert_near(actual, other, TOLERANCE[dtype])


def test_equal_opposite_and_empty_vectors(triton_kernels: str) -> None:
    x = torch.randn(1, 50, 16, generator=torch.Generator().manual_seed(1)).to(triton_kernels)
    assert float(boundary_probability(x, 3 * x).max()) < 1e-6
    assert float(boundary_probability(x, -x).min()) > 1 - 1e-6
    both = torch.cat([boundary_probability(x, x), boundary_probability(x, -x)])
    assert float(both.min()) >= 0 and float(both.max()) <= 1
    q, k = torch.zeros_like(x).requires_grad_(), x.clone().requires_grad_()
    p = boundary_probability(q, k)
    assert bool((p == 0.5).all())
    assert all(bool(gradient.isfinite().all()) for gradient in gradients(p, torch.ones_like(p), [q, k]))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 17), (2, 1300), pytest.param(64, 8192, marks=GPU)])
def test_cuts_equal_the_reference(batch: int, length: int, share: float, triton_kernels: str) -> None:
    random = torch.Generator().manual_seed(length)
    p = (torch.rand(batch, length, generator=random) - 0.5 + share).clamp(0, 1).to(triton_kernels)
    length_B = (torch.arange(batch, device=triton_kernels) * 7 + length) % (length + 1)
    length_B = torch.stack([length_B, length_B + 1], dim=1)[:, 0]  # numbers that lie apart
    exact = reference.cut(p, length_B)
    needed = exact.position_BM.shape[1]
    for capacity in (needed, needed + 5):
        cuts = cut(p, length_B, capacity)
        assert torch.equal(cuts.mask_BL, exact.mask_BL) and torch.equal(cuts.count_BL, exact.count_BL)
        assert torch.equal(cuts.position_BM[:, :needed], exact.position_BM)
        assert not cuts.position_BM[:, needed:].any()
        assert cuts.overflow is not None and not bool(cuts.overflow)
        assert cuts.count_BL.dtype == cuts.position_BM.dtype == torch.int64


def test_too_many_boundaries_are_noticed_and_never_written_out_of_bounds(triton_kernels: str) -> None:
    p = torch.tensor([[1.0, 0.0, 1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], device=triton_kernels)
    length_B = torch.tensor([6, 6], device=triton_kernels)
    for implementation in (cut, reference.cut):
        cuts = implementation(p, length_B, 2)
        assert cuts.overflow is not None and bool(cuts.overflow)
        assert cuts.count_BL.tolist() == [[1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1]]
        assert cuts.position_BM.tolist() == [[0, 2], [0, 0]]  # the next row has room of its own
        fits = implementation(p[1:], length_B[1:], 2)
        assert fits.overflow is not None and not bool(fits.overflow)
