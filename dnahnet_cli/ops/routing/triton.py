"""Boundary probability and the bookkeeping of chunks, one kernel each.

Shapes: B batch, L length, M chunks, D width.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dnahnet_cli.ops.routing.reference import Cuts
from dnahnet_cli.ops.triton import dense_rows, tile

EPS = 1e-8  # the least norm of a vector that is divided by
TILE = 2048  # numbers of a tile
STEPS = 1024  # positions that one step of the running count takes


def boundary_probability(q_BLD: Tensor, k_BLD: Tensor) -> Tensor:
    """Return p = clamp((1 - cos(q, k)) / 2, 0, 1) for each position, (B, L) float32."""
    p_BL: Tensor = _Probability.apply(q_BLD, k_BLD)
    return p_BL


class _Probability(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BLD: Tensor, k_BLD: Tensor) -> Tensor:
        q_RD, k_RD = (dense_rows(x.reshape(-1, x.shape[-1])) for x in (q_BLD, k_BLD))
        p_R = torch.empty(len(q_RD), dtype=torch.float32, device=q_BLD.device)
        rows, width = _sizes(q_RD)
        _forward[(triton.cdiv(len(q_RD), rows),)](
            q_RD, k_RD, p_R, len(q_RD), q_RD.shape[1], q_RD.stride(0), k_RD.stride(0), EPS, ROWS=rows, WIDTH=width
        )
        ctx.save_for_backward(q_RD, k_RD)
        ctx.shape = q_BLD.shape
        return p_R.view(q_BLD.shape[:-1])

    @staticmethod
    def backward(ctx: Any, dp_BL: Tensor) -> tuple[Tensor, Tensor]:
        q_RD, k_RD = ctx.saved_tensors
        dq_RD, dk_RD = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q_RD, k_RD))
        rows, width = _sizes(q_RD)
        _backward[(triton.cdiv(len(q_RD), rows),)](
            q_RD,
            k_RD,
            dp_BL.reshape(-1).contiguous(),
            dq_RD,
            dk_RD,
            len(q_RD),
            q_RD.shape[1],
            q_RD.stride(0),
            k_RD.stride(0),
            EPS,
            ROWS=rows,
            WIDTH=width,
        )
        return dq_RD.view(ctx.shape), dk_RD.view(ctx.shape)


def _sizes(x_RD: Tensor) -> tuple[int, int]:
    width = triton.next_power_of_2(x_RD.shape[1])
    return tile(TILE // width, 16, 1), width


def cut(p_BL: Tensor, length_B: Tensor, capacity: int) -> Cuts:
    """Cut each row where p > 0.5 before its `length_B`, as `reference.cut` specifies; mask, counts and places at once.

    There is room for `capacity` boundaries of a row, so that the host need not know how many there are.
    """
    batch, length = p_BL.shape
    p_BL, length_B = p_BL.detach().contiguous(), length_B.contiguous()
    mask_BL = torch.empty(batch, length, dtype=torch.bool, device=p_BL.device)
    count_BL = torch.empty(batch, length, dtype=torch.int64, device=p_BL.device)
    position_BM = torch.zeros(batch, capacity, dtype=torch.int64, device=p_BL.device)
    total_B = torch.empty(batch, dtype=torch.int64, device=p_BL.device)
    _cut[(batch,)](p_BL, length_B, mask_BL, count_BL, position_BM, total_B, length, capacity, STEPS=tile(length, STEPS))
    return Cuts(mask_BL, count_BL, position_BM, (total_B > capacity).any())


@triton.jit
def _vectors(ptr, row, column, stride, rows, width):
    inside = (row < rows)[:, None] & (column < width)[None, :]
    return tl.load(ptr + row.to(tl.int64)[:, None] * stride + column[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _forward(q_ptr, k_ptr, p_ptr, rows, width, q_stride, k_stride, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    q = _vectors(q_ptr, row, column, q_stride, rows, width)
    k = _vectors(k_ptr, row, column, k_stride, rows, width)
    q /= tl.maximum(tl.sqrt(tl.sum(q * q, 1)), eps)[:, None]
    k /= tl.maximum(tl.sqrt(tl.sum(k * k, 1)), eps)[:, None]
    p = (1 - tl.sum(q * k, 1)) / 2
    tl.store(p_ptr + row, tl.minimum(tl.maximum(p, 0.0), 1.0), mask=row < rows)


@triton.jit
def _backward(
    q_ptr, k_ptr, dp_ptr, dq_ptr, dk_ptr, rows, width, q_stride, k_stride, eps,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    q = _vectors(q_ptr, row, column, q_stride, rows, width)
    k = _vectors(k_ptr, row, column, k_stride, rows, width)
    q_norm = tl.maximum(tl.sqrt(tl.sum(q * q, 1)), eps)[:, None]
    k_norm = tl.maximum(tl.sqrt(tl.sum(k * k, 1)), eps)[:, None]
    q, k = q / q_norm, k / k_norm
    cosine = tl.sum(q * k, 1)
    dp = tl.load(dp_ptr + row, mask=row < rows, other=0.0)
    clamped = (cosine > 1) | (cosine < -1)
    dcosine = tl.where(clamped, 0.0, -dp / 2)[:, None]
    inside = (row < rows)[:, None] & (column < width)[None, :]
    out = row.to(tl.int64)[:, None] * width + column[None, :]
    tl.store(dq_ptr + out, dcosine * (k - cosine[:, None] * q) / q_norm, mask=inside)
    tl.store(dk_ptr + out, dcosine * (q - cosine[:, None] * k) / k_norm, mask=inside)


@triton.jit
def _cut(p_ptr, length_ptr, mask_ptr, count_ptr, position_ptr, total_ptr, length, capacity, STEPS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    end = tl.load(length_ptr + row)
    total = tl.zeros((), tl.int64)
    for start in range(0, length, STEPS):
        t = start + tl.arange(0, STEPS)
        p = tl.load(p_ptr + row * length + t, mask=t < length, other=0.0)
        boundary = (p > 0.5) & (t < end)
        count = total + tl.cumsum(boundary.to(tl.int64), 0)
        tl.store(mask_ptr + row * length + t, boundary, mask=t < length)
        tl.store(count_ptr + row * length + t, tl.minimum(count, capacity), mask=t < length)
        tl.store(position_ptr + row * capacity + count - 1, t.to(tl.int64), mask=boundary & (count <= capacity))
        total += tl.sum(boundary.to(tl.int64), 0)
    tl.store(total_ptr + row, total)
