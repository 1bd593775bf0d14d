"""Causal convolution and SiLU in one pass over memory forward, and one backward.

Shapes: B batch, L length, C channels, W taps, K captures. A program takes STEPS positions of CHANNELS channels;
arithmetic is float32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.triton import dense_rows, tile

STEPS, CHANNELS = 16, 64


def causal_conv_silu(
    x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Return silu(bias + sum_w weight[w] x[t - W + 1 + w]) and the W-1 last inputs at each capture.

    Differentiable only without a tail and captures.
    """
    x_BLC = dense_rows(x_BLC)
    if tail_BWC is None and len(capture.rows) == 0:
        no_tails = x_BLC.new_zeros(0, weight_CW.shape[1] - 1, x_BLC.shape[2])
        return _CausalConvSilu.apply(x_BLC, weight_CW, bias_C), no_tails
    if tail_BWC is not None:
        tail_BWC = tail_BWC.to(x_BLC.dtype).contiguous()
    return _run(x_BLC, weight_CW, bias_C, tail_BWC), _tails(x_BLC, tail_BWC, weight_CW.shape[1], capture)


class _CausalConvSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor) -> Tensor:
        ctx.save_for_backward(x_BLC, weight_CW, bias_C)
        return _run(x_BLC, weight_CW, bias_C, None)

    @staticmethod
    def backward(ctx: Any, dy_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x_BLC, weight_CW, bias_C = ctx.saved_tensors
        batch, length, channels = x_BLC.shape
        taps = weight_CW.shape[1]
        dy_BLC = dense_rows(dy_BLC)
        dx_BLC = torch.empty(batch, length, channels, dtype=x_BLC.dtype, device=x_BLC.device)
        steps, width = _sizes(length, channels)
        blocks = triton.cdiv(length, steps)
        sums_PXC = torch.empty(batch * blocks, taps + 1, channels, dtype=torch.float32, device=x_BLC.device)
        _backward[(batch * blocks, triton.cdiv(channels, width))](
            x_BLC,
            weight_CW.contiguous(),
            bias_C,
            dy_BLC,
            dx_BLC,
            sums_PXC,
            length,
            channels,
            blocks,
            x_BLC.stride(0),
            x_BLC.stride(1),
            dy_BLC.stride(0),
            dy_BLC.stride(1),
            TAPS=taps,
            STEPS=steps,
            CHANNELS=width,
        )
        sums_XC = sums_PXC.sum(0)
        return dx_BLC, sums_XC[:taps].t().to(weight_CW.dtype), sums_XC[taps].to(bias_C.dtype)


def _sizes(length: int, channels: int) -> tuple[int, int]:
    return tile(length, STEPS, 1), tile(channels, CHANNELS)


def _run(x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None) -> Tensor:
    batch, length, channels = x_BLC.shape
    y_BLC = torch.empty(batch, length, channels, dtype=x_BLC.dtype, device=x_BLC.device)
    steps, width = _sizes(length, channels)
    blocks = triton.cdiv(length, steps)
    _forward[(batch * blocks, triton.cdiv(channels, width))](
        x_BLC,
        x_BLC if tail_BWC is None else tail_BWC,
        weight_CW.contiguous(),
        bias_C,
        y_BLC,
        length,
        channels,
        blocks,
        x_BLC.stride(0),
        x_BLC.stride(1),
        HAS_TAIL=tail_BWC is not None,
        TAPS=weight_CW.shape[1],
        STEPS=steps,
        CHANNELS=width,
    )
    return y_BLC


def _tails(x_BLC: Tensor, tail_BWC: Tensor | None, taps: int, capture: Capture) -> Tensor:
    """Return the W-1 inputs before each captured position, (K, W - 1, C)."""
    num_captures, channels = len(capture.rows), x_BLC.shape[2]
    tails_KWC = torch.empty(num_captures, taps - 1, channels, dtype=x_BLC.dtype, device=x_BLC.device)
    if num_captures:
        width = tile(channels, 256)
        _capture[(num_captures, triton.cdiv(channels, width))](
            x_BLC,
            x_BLC if tail_BWC is None else tail_BWC,
            capture.rows.contiguous(),
            capture.positions.contiguous(),
            tails_KWC,
            x_BLC.shape[1],
            channels,
            x_BLC.stride(0),
            x_BLC.stride(1),
            HAS_TAIL=tail_BWC is not None,
            TAPS=taps,
            CHANNELS=width,
        )
    return tails_KWC


@triton.jit
def _inputs(
    x_ptr, tail_ptr, batch, t, channel, length, channels, x_batch, x_step, HAS_TAIL: tl.constexpr, TAPS: tl.constexpr
):
    """Load the inputs at positions t: from the tail before the sequence, or 0; 0 behind it."""
    known = (channel < channels)[None, :]
    inside = ((t >= 0) & (t < length))[:, None] & known
    x = tl.load(x_ptr + batch * x_batch + t[:, None] * x_step + channel[None, :], mask=inside, other=0.0)
    if HAS_TAIL:
        before = ((t < 0) & (t >= 1 - TAPS))[:, None] & known
        slot = batch * (TAPS - 1) + t + TAPS - 1
        tail = tl.load(tail_ptr + slot[:, None] * channels + channel[None, :], mask=before, other=0.0)
        x = tl.where(before, tail, x)
    return x.to(tl.float32)


@triton.jit
def _before_silu(
    x_ptr, tail_ptr, weight_ptr, bias_ptr, batch, t, channel, length, channels, x_batch, x_step,
    HAS_TAIL: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """Return bias + sum_w weight[w] x[t - W + 1 + w]."""
    known = channel < channels
    bias = tl.load(bias_ptr + channel, mask=known, other=0.0).to(tl.float32)
    total = tl.zeros((t.shape[0], channel.shape[0]), tl.float32) + bias[None, :]
    for tap in tl.static_range(TAPS):
        x = _inputs(
            x_ptr, tail_ptr, batch, t + (tap + 1 - TAPS), channel, length, channels, x_batch, x_step, HAS_TAIL, TAPS
        )
        weight = tl.load(weight_ptr + channel * TAPS + tap, mask=known, other=0.0).to(tl.float32)
        total += x * weight[None, :]
    return total


@triton.jit
def _forward(
    x_ptr, tail_ptr, weight_ptr, bias_ptr, y_ptr, length, channels, blocks, x_batch, x_step,
    HAS_TAIL: tl.constexpr, TAPS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    batch = (program // blocks).to(tl.int64)
    t = (program % blocks) * STEPS + tl.arange(0, STEPS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = _before_silu(
        x_ptr, tail_ptr, weight_ptr, bias_ptr, batch, t, channel, length, channels, x_batch, x_step, HAS_TAIL, TAPS
    )
    inside = (t < length)[:, None] & (channel < channels)[None, :]
    out = (batch * length + t)[:, None] * channels + channel[None, :]
    tl.store(y_ptr + out, total * tl.sigmoid(total), mask=inside)


@triton.jit
def _capture(
    x_ptr, tail_ptr, row_ptr, position_ptr, out_ptr, length, channels, x_batch, x_step,
    HAS_TAIL: tl.constexpr, TAPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0)
    row = tl.load(row_ptr + place).to(tl.int64)
    position = tl.load(position_ptr + place).to(tl.int32)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    for tap in tl.static_range(TAPS - 1):
        t = position + (tap + 1 - TAPS) + tl.arange(0, 1)
        x = _inputs(x_ptr, tail_ptr, row, t, channel, length, channels, x_batch, x_step, HAS_TAIL, TAPS)
        slot = place.to(tl.int64) * (TAPS - 1) + tap + tl.arange(0, 1)
        tl.store(out_ptr + slot[:, None] * channels + channel[None, :], x, mask=(channel < channels)[None, :])


@triton.jit
def _backward(
    x_ptr, weight_ptr, bias_ptr, dy_ptr, dx_ptr, sums_ptr, length, channels, blocks, x_batch, x_step, dy_batch, dy_step,
    TAPS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write dx, and this block's sums over positions for each tap of the filter and the bias.

    What a position owes to the W - 1 behind it is computed again here: their gradients are not kept anywhere.
    """
    program = tl.program_id(0)
    batch = (program // blocks).to(tl.int64)
    t = (program % blocks) * STEPS + tl.arange(0, STEPS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = channel < channels
    dx = tl.zeros((STEPS, CHANNELS), tl.float32)
    for later in tl.static_range(TAPS):
        at = t + later
        inside = (at < length)[:, None] & known[None, :]
        dy = tl.load(dy_ptr + batch * dy_batch + at[:, None] * dy_step + channel[None, :], mask=inside, other=0.0)
        total = _before_silu(
            x_ptr, x_ptr, weight_ptr, bias_ptr, batch, at, channel, length, channels, x_batch, x_step, False, TAPS
        )
        sigmoid = tl.sigmoid(total)
        gradient = dy.to(tl.float32) * sigmoid * (1 + total * (1 - sigmoid))
        weight = tl.load(weight_ptr + channel * TAPS + (TAPS - 1 - later), mask=known, other=0.0).to(tl.float32)
        dx += gradient * weight[None, :]
        if later == 0:
            out = program.to(tl.int64) * (TAPS + 1) * channels + channel
            tl.store(sums_ptr + out + TAPS * channels, tl.sum(gradient, 0), mask=known)
            for tap in tl.static_range(TAPS):
                x = _inputs(
                    x_ptr, x_ptr, batch, t + (tap + 1 - TAPS), channel, length, channels, x_batch, x_step, False, TAPS
                )
                tl.store(sums_ptr + out + tap * channels, tl.sum(gradient * x, 0), mask=known)
    inside = (t < length)[:, None] & known[None, :]
    tl.store(dx_ptr + (batch * length + t)[:, None] * channels + channel[None, :], dx, mask=inside)
