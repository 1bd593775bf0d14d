"""Boundary probability against its formula, chunk bookkeeping against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.ops.routing import boundary_probability, chunk_index


def probability_of(q: list[float], k: list[float]) -> float:
    dot = sum(a * b for a, b in zip(q, k, strict=True))
    cosine = dot / (math.hypot(*q) * math.hypot(*k))
    return min(max((1 - cosine) / 2, 0.0), 1.0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_probability_is_half_of_one_minus_the_cosine(scale: float) -> None:
    random = torch.Generator().manual_seed(0)
    q = torch.randn(3, 17, 8, generator=random) * scale
    k = torch.randn(3, 17, 8, generator=random)
    p = boundary_probability(q, k)
    assert p.shape == (3, 17) and p.dtype == torch.float32
    for row in range(3):
        for t in range(17):
            assert float(p[row, t]) == pytest.approx(probability_of(q[row, t].tolist(), k[row, t].tolist()), abs=1e-6)


def test_probability_of_equal_opposite_orthogonal_and_empty_vectors() -> None:
    x = torch.randn(1, 50, 16, generator=torch.Generator().manual_seed(1))
    assert float(boundary_probability(x, 3 * x).max()) < 1e-6
    assert float(boundary_probability(x, -x).min()) > 1 - 1e-6
    both = torch.cat([boundary_probability(x, x), boundary_probability(x, -x)])
    assert float(both.min()) >= 0 and float(both.max()) <= 1  # rounding must not leave the interval
    one, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 2.0]]])
    assert float(boundary_probability(one, other)) == 0.5
    assert float(boundary_probability(torch.zeros(1, 1, 2), one)) == 0.5


def test_probability_is_float32_whatever_comes_in() -> None:
    x = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(2)).bfloat16()
    p = boundary_probability(x, x.roll(1, dims=1))
    assert p.dtype == torch.float32
    assert torch.equal(p, boundary_probability(x.float(), x.float().roll(1, dims=1)))


def test_probability_has_the_gradient_of_its_formula() -> None:
    random = torch.Generator().manual_seed(3)
    q = torch.randn(2, 3, 4, generator=random, requires_grad=True)
    k = torch.randn(2, 3, 4, generator=random, requires_grad=True)
    actual = torch.autograd.grad(boundary_probability(q, k).sum(), (q, k))
    direct = (1 - (q * k).sum(-1) / (q.norm(dim=-1) * k.norm(dim=-1))) / 2
    for one, other in zip(actual, torch.autograd.grad(direct.sum(), (q, k)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def loop(mask: Tensor) -> tuple[list[list[int]], list[list[int]]]:
    """Return the running counts and the boundary positions of every row."""
    counts, positions = [], []
    for row in mask.tolist():
        counts.append([])
        positions.append([])
        for t, is_boundary in enumerate(row):
            if is_boundary:
                positions[-1].append(t)
            counts[-1].append(len(positions[-1]))
    return counts, positions


masks = st.tuples(st.integers(1, 4), st.integers(1, 33)).flatmap(
    lambda shape: st.lists(
        st.lists(st.booleans(), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)


@given(masks)
def test_chunk_index_equals_the_loop(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    count_BL, position_BM = chunk_index(mask)
    counts, positions = loop(mask)
    assert count_BL.tolist() == counts
    num_chunks = max(1, max(len(row) for row in positions))
    assert position_BM.tolist() == [row + [0] * (num_chunks - len(row)) for row in positions]
    assert count_BL.dtype == position_BM.dtype == torch.int64


@pytest.mark.parametrize("length", [1, 2, 16, 17, 130])
@pytest.mark.parametrize("value", [False, True])
def test_chunk_index_of_no_and_of_only_boundaries(length: int, value: bool) -> None:
    count_BL, position_BM = chunk_index(torch.full((2, length), value))
    assert count_BL.tolist() == [list(range(1, length + 1)) if value else [0] * length] * 2
    assert position_BM.tolist() == [list(range(length)) if value else [0]] * 2
