"""Smoothing of chunk vectors, spreading to positions and the residual: two kernels forward, two backward.

The smoother walks along the chunks, CHUNKS at a time: within them it is a product with a matrix of decays, exact for
any weights because each entry is a sum of its own logarithms, not a difference of two. Spreading is a gather that
adds the residual on the way; its gradient is a sum over the positions of each chunk.

Shapes: B batch, L positions, M chunks, D width, K captures.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ema.reference import MIN_WEIGHT
from dnahnet_cli.ops.routing import Cuts
from dnahnet_cli.ops.triton import dense_rows, product, tile

CHUNKS, WIDTH = 32, 64
STEPS = 32
LOWEST, HIGHEST = tl.constexpr(MIN_WEIGHT), tl.constexpr(1 - MIN_WEIGHT)


def smooth_and_spread(
    z_BMD: Tensor,
    p_BL: Tensor,
    cuts: Cuts,
    previous_BD: Tensor | None,
    residual_BLD: Tensor,
    capture: Capture,
) -> tuple[Tensor, Tensor]:
    """Return `residual` plus each position's smoothed chunk, and s at each capture, as `reference` specifies.

    Differentiable only without a previous value and captures.
    """
    z_BMD, residual_BLD, p_BL = dense_rows(z_BMD), dense_rows(residual_BLD), p_BL.contiguous()
    cuts = Cuts(cuts.mask_BL.contiguous(), cuts.count_BL.contiguous(), cuts.position_BM.contiguous())
    if previous_BD is None and len(capture.rows) == 0:
        y_BLD: Tensor = _SmoothAndSpread.apply(z_BMD, p_BL, residual_BLD, cuts)
        return y_BLD, z_BMD.new_zeros(0, z_BMD.shape[2], dtype=torch.float32)
    if previous_BD is not None:
        previous_BD = previous_BD.float().contiguous()
    smooth_BMD = _smooth(z_BMD, p_BL, cuts, previous_BD)
    y_BLD = _spread(smooth_BMD, cuts, previous_BD, residual_BLD)
    states_KD = smooth_BMD[capture.rows, (capture.positions - 1).clamp(min=0)]
    before_KD = torch.zeros_like(states_KD) if previous_BD is None else previous_BD[capture.rows]
    return y_BLD, torch.where((capture.positions > 0).unsqueeze(1), states_KD, before_KD)


class _SmoothAndSpread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z_BMD: Tensor, p_BL: Tensor, residual_BLD: Tensor, cuts: Cuts) -> Tensor:
        smooth_BMD = _smooth(z_BMD, p_BL, cuts, None)
        ctx.save_for_backward(z_BMD, p_BL, smooth_BMD, cuts.mask_BL, cuts.count_BL, cuts.position_BM)
        return _spread(smooth_BMD, cuts, None, residual_BLD)

    @staticmethod
    def backward(ctx: Any, dy_BLD: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        z_BMD, p_BL, smooth_BMD, mask_BL, count_BL, position_BM = ctx.saved_tensors
        (batch, chunks, width), length = z_BMD.shape, p_BL.shape[1]
        rows = dense_rows(dy_BLD)
        dsmooth_BMD, dz_BMD = torch.empty_like(smooth_BMD), torch.empty_like(smooth_BMD)
        dp_BL = torch.zeros_like(p_BL)
        _spread_backward[(batch * chunks,)](
            rows,
            smooth_BMD,
            mask_BL,
            count_BL,
            position_BM,
            dsmooth_BMD,
            dp_BL,
            length,
            chunks,
            width,
            rows.stride(0),
            rows.stride(1),
            WIDTH=tile(width, 1 << 16),
        )
        channels = tile(width, WIDTH)
        blocks = triton.cdiv(width, channels)
        dweight_XBM = torch.empty(blocks, batch, chunks, dtype=torch.float32, device=p_BL.device)
        _smooth_backward[(batch, blocks)](
            z_BMD,
            p_BL,
            position_BM,
            smooth_BMD,
            dsmooth_BMD,
            dz_BMD,
            dweight_XBM,
            batch,
            length,
            chunks,
            width,
            z_BMD.stride(0),
            z_BMD.stride(1),
            CHUNKS=tile(chunks, CHUNKS),
            WIDTH=channels,
        )
        # Entries past a row's own chunks are 0, and so harmless where they point.
        dp_BL.scatter_add_(1, position_BM, dweight_XBM.sum(0))
        return dz_BMD.to(z_BMD.dtype), dp_BL, dy_BLD, None


def _smooth(z_BMD: Tensor, p_BL: Tensor, cuts: Cuts, previous_BD: Tensor | None) -> Tensor:
    """Return s_k = w_k z_k + (1 - w_k) s_{k-1} for every chunk, w being p where it begins, (B, M, D) float32."""
    batch, chunks, width = z_BMD.shape
    smooth_BMD = torch.empty(batch, chunks, width, dtype=torch.float32, device=z_BMD.device)
    channels = tile(width, WIDTH)
    _smooth_forward[(batch, triton.cdiv(width, channels))](
        z_BMD,
        p_BL,
        cuts.position_BM,
        smooth_BMD if previous_BD is None else previous_BD,
        smooth_BMD,
        p_BL.shape[1],
        chunks,
        width,
        z_BMD.stride(0),
        z_BMD.stride(1),
        HAS_PREVIOUS=previous_BD is not None,
        CHUNKS=tile(chunks, CHUNKS),
        WIDTH=channels,
    )
    return smooth_BMD


def _spread(smooth_BMD: Tensor, cuts: Cuts, previous_BD: Tensor | None, residual_BLD: Tensor) -> Tensor:
    """Return `residual` plus the smoothed vector of each position's chunk, (B, L, D) float32."""
    batch, length, width = residual_BLD.shape
    y_BLD = torch.empty(batch, length, width, dtype=torch.float32, device=residual_BLD.device)
    steps, channels = tile(length, STEPS, 1), tile(width, WIDTH)
    blocks = triton.cdiv(length, steps)
    _spread_forward[(batch * blocks, triton.cdiv(width, channels))](
        smooth_BMD,
        cuts.count_BL,
        smooth_BMD if previous_BD is None else previous_BD,
        residual_BLD,
        y_BLD,
        length,
        smooth_BMD.shape[1],
        width,
        blocks,
        residual_BLD.stride(0),
        residual_BLD.stride(1),
        HAS_PREVIOUS=previous_BD is not None,
        STEPS=steps,
        WIDTH=channels,
    )
    return y_BLD


@triton.jit
def _weights(p_ptr, position_ptr, batch, index, length, chunks):
    """Return the clipped weights of chunks `index` and the logarithms of what they leave; 0 and 0 past the last."""
    inside = index < chunks
    position = tl.load(position_ptr + batch * chunks + index, mask=inside, other=0)
    p = tl.load(p_ptr + batch * length + position, mask=inside, other=0.0)
    weight = tl.where(inside, tl.minimum(tl.maximum(p, LOWEST), HIGHEST), 0.0)
    return weight, tl.log(1 - weight)


@triton.jit
def _decays(log_decay, CHUNKS: tl.constexpr):
    """Return exp(sum of log-decays after j up to i) for j <= i, else 0, as (i, j)."""
    k = tl.arange(0, CHUNKS)
    later = k[:, None] > k[None, :]
    between = tl.cumsum(tl.where(later, log_decay[:, None], 0.0), 0)
    return tl.where(k[:, None] >= k[None, :], tl.exp(between), 0.0)


@triton.jit
def _smooth_forward(
    z_ptr, p_ptr, position_ptr, previous_ptr, smooth_ptr, length, chunks, width, z_batch, z_step,
    HAS_PREVIOUS: tl.constexpr, CHUNKS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    known = d < width
    carry = tl.zeros((WIDTH,), tl.float32)
    if HAS_PREVIOUS:
        carry += tl.load(previous_ptr + batch * width + d, mask=known, other=0.0)
    last = (tl.arange(0, CHUNKS) == CHUNKS - 1)[:, None]
    for start in range(0, chunks, CHUNKS):
        index = start + tl.arange(0, CHUNKS)
        weight, log_decay = _weights(p_ptr, position_ptr, batch, index, length, chunks)
        inside = (index < chunks)[:, None] & known[None, :]
        z = tl.load(z_ptr + batch * z_batch + index[:, None] * z_step + d[None, :], mask=inside, other=0.0)
        smooth = product(_decays(log_decay, CHUNKS), weight[:, None] * z.to(tl.float32), tl.float32)
        smooth += tl.exp(tl.cumsum(log_decay, 0))[:, None] * carry[None, :]
        tl.store(smooth_ptr + (batch * chunks + index)[:, None] * width + d[None, :], smooth, mask=inside)
        carry = tl.sum(tl.where(last, smooth, 0.0), 0)


@triton.jit
def _spread_forward(
    smooth_ptr, count_ptr, previous_ptr, residual_ptr, y_ptr, length, chunks, width, blocks, batch_stride, step_stride,
    HAS_PREVIOUS: tl.constexpr, STEPS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    batch = (program // blocks).to(tl.int64)
    t = (program % blocks) * STEPS + tl.arange(0, STEPS)
    d = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (t < length)[:, None] & (d < width)[None, :]
    count = tl.load(count_ptr + batch * length + t, mask=t < length, other=0)
    has_chunk = (count > 0)[:, None]
    rows = (batch * chunks + count - 1)[:, None] * width + d[None, :]
    y = tl.load(smooth_ptr + rows, mask=inside & has_chunk, other=0.0)
    if HAS_PREVIOUS:
        previous = tl.load(previous_ptr + batch * width + d, mask=d < width, other=0.0)
        y = tl.where(has_chunk, y, previous[None, :])
    at = batch * batch_stride + t[:, None] * step_stride + d[None, :]
    y += tl.load(residual_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y_ptr + (batch * length + t)[:, None] * width + d[None, :], y, mask=inside)


@triton.jit
def _spread_backward(
    dy_ptr, smooth_ptr, mask_ptr, count_ptr, position_ptr, dsmooth_ptr, dp_ptr,
    length, chunks, width, dy_batch, dy_step, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum dy over the positions of one chunk; the confidence of each has the gradient dy . s, signed."""
    program = tl.program_id(0).to(tl.int64)
    batch, index = program // chunks, program % chunks
    d = tl.arange(0, WIDTH)
    known = d < width
    count = tl.load(count_ptr + batch * length + length - 1)  # the row's chunks
    smooth = tl.load(smooth_ptr + program * width + d, mask=known, other=0.0)
    start = tl.load(position_ptr + program)
    following = index + 1 < count
    end = tl.load(position_ptr + program + 1, mask=following, other=0)
    end = tl.where(following, end, length)
    end = tl.where(index < count, end, start)  # an entry past the row's own has no positions
    total = tl.zeros((WIDTH,), tl.float32)
    for t in range(start, end):
        dy = tl.load(dy_ptr + batch * dy_batch + t * dy_step + d, mask=known, other=0.0).to(tl.float32)
        total += dy
        boundary = tl.load(mask_ptr + batch * length + t)
        dconfidence = tl.sum(dy * smooth, 0)
        tl.store(dp_ptr + batch * length + t, tl.where(boundary, dconfidence, -dconfidence))
    tl.store(dsmooth_ptr + program * width + d, total, mask=known)


@triton.jit
def _smooth_backward(
    z_ptr, p_ptr, position_ptr, smooth_ptr, dsmooth_ptr, dz_ptr, dweight_ptr,
    num_rows, length, chunks, width, z_batch, z_step, CHUNKS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Run g_k = ds_k + (1 - w_{k+1}) g_{k+1} from the last chunk. dz = w g; unclipped, dw = g . (z_k - s_{k-1})."""
    batch = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    d = block * WIDTH + tl.arange(0, WIDTH)
    known = d < width
    k = tl.arange(0, CHUNKS)
    carry = tl.zeros((WIDTH,), tl.float32)  # what the chunks behind send to the one before them
    blocks = tl.cdiv(chunks, CHUNKS)
    for step in range(blocks):
        start = (blocks - 1 - step) * CHUNKS
        index = start + k
        weight, log_decay = _weights(p_ptr, position_ptr, batch, index, length, chunks)
        inside = (index < chunks)[:, None] & known[None, :]
        at = (batch * chunks + index)[:, None] * width + d[None, :]
        dsmooth = tl.load(dsmooth_ptr + at, mask=inside, other=0.0)
        z = tl.load(z_ptr + batch * z_batch + index[:, None] * z_step + d[None, :], mask=inside, other=0.0)
        before = tl.load(smooth_ptr + at - width, mask=inside & (index > 0)[:, None], other=0.0)
        # From the end of the block back to each chunk: the sum of the log-decays behind it.
        behind = tl.sum(tl.where(k[None, :] > k[:, None], log_decay[None, :], 0.0), 1)
        gradient = product(tl.trans(_decays(log_decay, CHUNKS)), dsmooth, tl.float32)
        gradient += tl.exp(behind)[:, None] * carry[None, :]
        tl.store(dz_ptr + at, weight[:, None] * gradient, mask=inside)
        position = tl.load(position_ptr + batch * chunks + index, mask=index < chunks, other=0)
        p = tl.load(p_ptr + batch * length + position, mask=index < chunks, other=0.0)
        dweight = tl.sum(gradient * (z.to(tl.float32) - before), 1)
        dweight = tl.where((p >= LOWEST) & (p <= HIGHEST), dweight, 0.0)
        tl.store(dweight_ptr + (block * num_rows + batch) * chunks + index, dweight, mask=index < chunks)
        decayed = tl.exp(log_decay)[:, None] * gradient
        carry = tl.sum(tl.where((k == 0)[:, None], decayed, 0.0), 0)
