"""RMSNorm, plain and gated, in one pass over memory forward and one backward.

Shapes: R rows, W width. A program takes ROWS rows as a whole; arithmetic is float32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dnahnet_cli.ops.triton import dense_rows, tile

TILE = 2048  # numbers of a tile


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return weight x / sqrt(mean(x^2) + eps) over the last dimension, float32."""
    y: Tensor = _RMSNorm.apply(x, None, weight, eps)
    return y


def gated_rms_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return `rms_norm` of x silu(gate), float32."""
    y: Tensor = _RMSNorm.apply(x, gate, weight, eps)
    return y


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        x_RW = _rows(x)
        gate_RW = None if gate is None else _rows(gate)
        num_rows, width = x_RW.shape
        y_RW = torch.empty(num_rows, width, dtype=torch.float32, device=x.device)
        block, rows, warps = _sizes(width)
        _forward[(triton.cdiv(num_rows, rows),)](
            x_RW,
            x_RW if gate_RW is None else gate_RW,
            weight,
            y_RW,
            num_rows,
            width,
            x_RW.stride(0),
            0 if gate_RW is None else gate_RW.stride(0),
            eps,
            GATED=gate is not None,
            ROWS=rows,
            WIDTH=block,
            num_warps=warps,
        )
        ctx.save_for_backward(x_RW, gate_RW, weight)
        ctx.shape, ctx.eps = x.shape, eps
        return y_RW.view(x.shape)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        x_RW, gate_RW, weight = ctx.saved_tensors
        num_rows, width = x_RW.shape
        dy_RW = _rows(dy)
        dx_RW = torch.empty(num_rows, width, dtype=x_RW.dtype, device=dy.device)
        dgate_RW = None if gate_RW is None else torch.empty(num_rows, width, dtype=gate_RW.dtype, device=dy.device)
        block, rows, warps = _sizes(width)
        programs = triton.cdiv(num_rows, rows)
        dweight_PW = torch.empty(programs, width, dtype=torch.float32, device=dy.device)
        _backward[(programs,)](
            x_RW,
            x_RW if gate_RW is None else gate_RW,
            weight,
            dy_RW,
            dx_RW,
            dx_RW if dgate_RW is None else dgate_RW,
            dweight_PW,
            num_rows,
            width,
            x_RW.stride(0),
            0 if gate_RW is None else gate_RW.stride(0),
            dy_RW.stride(0),
            ctx.eps,
            GATED=gate_RW is not None,
            ROWS=rows,
            WIDTH=block,
            num_warps=warps,
        )
        dgate = None if dgate_RW is None else dgate_RW.view(ctx.shape)
        return dx_RW.view(ctx.shape), dgate, dweight_PW.sum(0), None


def _rows(x: Tensor) -> Tensor:
    """Return x as (R, W), a view wherever rows are equally far apart."""
    return dense_rows(x.reshape(-1, x.shape[-1]))


def _sizes(width: int) -> tuple[int, int, int]:
    """Return the width of a tile, its rows and its warps."""
    block = triton.next_power_of_2(width)
    return block, tile(TILE // block, 16, 1), 4 if block <= TILE else 8


@triton.jit
def _load(ptr, row, column, stride, num_rows, width):
    inside = (row < num_rows)[:, None] & (column < width)[None, :]
    return tl.load(ptr + row.to(tl.int64)[:, None] * stride + column[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _forward(
    x_ptr, gate_ptr, weight_ptr, y_ptr,
    num_rows, width, x_stride, gate_stride, eps,
    GATED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    x = _load(x_ptr, row, column, x_stride, num_rows, width)
    if GATED:
        gate = _load(gate_ptr, row, column, gate_stride, num_rows, width)
        x = x * gate * tl.sigmoid(gate)
    scale = tl.rsqrt(tl.sum(x * x, 1) / width + eps)
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    inside = (row < num_rows)[:, None] & (column < width)[None, :]
    tl.store(y_ptr + row.to(tl.int64)[:, None] * width + column[None, :], x * scale[:, None] * weight, mask=inside)


@triton.jit
def _backward(
    x_ptr, gate_ptr, weight_ptr, dy_ptr, dx_ptr, dgate_ptr, dweight_ptr,
    num_rows, width, x_stride, gate_stride, dy_stride, eps,
    GATED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    row = program * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < num_rows)[:, None] & (column < width)[None, :]
    out = row.to(tl.int64)[:, None] * width + column[None, :]
    x = _load(x_ptr, row, column, x_stride, num_rows, width)
    dy = _load(dy_ptr, row, column, dy_stride, num_rows, width)
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    u = x
    if GATED:
        gate = _load(gate_ptr, row, column, gate_stride, num_rows, width)
        sigmoid = tl.sigmoid(gate)
        u = x * gate * sigmoid
    scale = tl.rsqrt(tl.sum(u * u, 1) / width + eps)[:, None]
    unit = u * scale
    dunit = dy * weight
    du = (dunit - unit * (tl.sum(dunit * unit, 1) / width)[:, None]) * scale
    if GATED:
        tl.store(dx_ptr + out, du * gate * sigmoid, mask=inside)
        tl.store(dgate_ptr + out, du * x * sigmoid * (1 + gate * (1 - sigmoid)), mask=inside)
    else:
        tl.store(dx_ptr + out, du, mask=inside)
    tl.store(dweight_ptr + program.to(tl.int64) * width + column, tl.sum(dy * unit, 0), mask=column < width)
