"""Where a sequence is cut: plain PyTorch or Triton kernels."""

from __future__ import annotations

from torch import Tensor

from dnahnet_cli.ops.backend import use_triton
from dnahnet_cli.ops.routing import reference
from dnahnet_cli.ops.routing.reference import Cuts as Cuts
from dnahnet_cli.ops.routing.reference import chunk_index as chunk_index
from dnahnet_cli.ops.routing.reference import select_rows as select_rows


def boundary_probability(q_BLD: Tensor, k_BLD: Tensor) -> Tensor:
    """Return p = clamp((1 - cos(q, k)) / 2, 0, 1) for each position, (B, L) float32."""
    if use_triton(q_BLD):
        from dnahnet_cli.ops.routing import triton

        return triton.boundary_probability(q_BLD, k_BLD)
    return reference.boundary_probability(q_BLD, k_BLD)


def cut(p_BL: Tensor, length_B: Tensor, capacity: int | None = None) -> Cuts:
    """Cut each row where p > 0.5 before its `length_B`, as `reference.cut` specifies."""
    if capacity is not None and use_triton(p_BL):
        from dnahnet_cli.ops.routing import triton

        return triton.cut(p_BL, length_B, capacity)
    return reference.cut(p_BL, length_B, capacity)
