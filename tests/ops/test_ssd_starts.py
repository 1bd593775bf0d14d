"""The states between chunks: step by step and as one product are the same numbers."""

from __future__ import annotations

import pytest
import torch

from dnahnet_cli.ops.ssd.explicit import starts_by_product, starts_by_steps


@pytest.mark.parametrize("num_chunks", [1, 2, 7, 33])
@pytest.mark.parametrize("speed", [0.0, 0.1, 5.0, 2000.0])  # 2000: everything is forgotten, exp underflows to 0
def test_product_equals_steps(num_chunks: int, speed: float) -> None:
    random = torch.Generator().manual_seed(num_chunks)
    batch, states, heads, channels = 2, 3, 2, 4
    added = torch.randn(batch, num_chunks, states, heads * channels, generator=random, dtype=torch.float64)
    total = torch.exp(-speed * torch.rand(batch, num_chunks, heads, generator=random, dtype=torch.float64))
    torch.testing.assert_close(starts_by_product(added, total), starts_by_steps(added, total), rtol=1e-10, atol=1e-10)


def test_each_chunk_starts_from_what_the_ones_before_left() -> None:
    added = torch.tensor([[[[1.0]], [[10.0]], [[100.0]]]])
    total = torch.tensor([[[0.5], [0.1], [0.9]]])
    expected = torch.tensor([[[[0.0]], [[1.0]], [[10.1]]]])
    for starts in (starts_by_steps, starts_by_product):
        torch.testing.assert_close(starts(added, total), expected)
