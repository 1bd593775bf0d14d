"""The Mamba-2 recurrence as Triton kernels; the maths stands in this folder's README.

Forward in two kernels: one walks along the chunks with the state in registers and leaves the state before each chunk,
the other computes all chunks' outputs at once. A third takes the states at captured places. Backward in three: one
walks from the last chunk to the first with the gradient of the state, the others do all chunks at once, dx for each
head by itself, and what the heads share summed over them.

Shapes: B batch, L length, H heads, P channels of a head, N state size, G chunks of a sequence, Q positions of a chunk,
K captured places. In the kernels, CHUNK, STATES and CHANNELS are Q, N and a part of P as powers of two.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.triton import dense_rows, product, tile

LONGEST_CHUNK = {torch.bfloat16: 64, torch.float32: 32}  # a chunk's decays are a matrix in registers


def ssd(
    x_BLHP: Tensor,
    log_decay_BLH: Tensor,
    b_BLN: Tensor,
    c_BLN: Tensor,
    state_BHNP: Tensor | None,
    capture: Capture,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """Run S_t = exp(log_decay_t) S_{t-1} + b_t x_t^T and read out y_t = S_t^T c_t, as `reference.ssd` specifies.

    Differentiable only without a state and captures.
    """
    sizes = _Sizes(x_BLHP, b_BLN, chunk)
    x_BLHP, log_decay_BLH = dense_rows(x_BLHP, 2), log_decay_BLH.float().contiguous()
    b_BLN, c_BLN = dense_rows(b_BLN), dense_rows(c_BLN)
    if state_BHNP is None and len(capture.rows) == 0:
        no_states = x_BLHP.new_zeros(0, sizes.heads, sizes.states, sizes.channels, dtype=torch.float32)
        return _Ssd.apply(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk), no_states
    # Captured states are float32; nobody else needs the states before the chunks so precisely.
    dtype = torch.float32 if len(capture.rows) else x_BLHP.dtype
    starts_BGHNP = _starts(sizes, x_BLHP, log_decay_BLH, b_BLN, state_BHNP, dtype)
    y_BLHP = _outputs(sizes, x_BLHP, log_decay_BLH, b_BLN, c_BLN, starts_BGHNP)
    return y_BLHP, _states(sizes, x_BLHP, log_decay_BLH, b_BLN, starts_BGHNP, capture)


class _Sizes:
    """The sizes of a call, and of its tiles."""

    def __init__(self, x_BLHP: Tensor, b_BLN: Tensor, chunk: int) -> None:
        self.batch, self.length, self.heads, self.channels = x_BLHP.shape
        self.states = b_BLN.shape[-1]
        self.chunk = tile(min(chunk, self.length), LONGEST_CHUNK[x_BLHP.dtype])
        self.chunks = triton.cdiv(self.length, self.chunk)
        self.padded_states = tile(self.states, self.states * 2)
        self.few_channels = tile(self.channels, 64)  # of a tile that a state of all N is carried for
        self.many_channels = tile(self.channels, 128 if x_BLHP.dtype == torch.bfloat16 else 64)

    def blocks(self, width: int) -> int:
        """Return how many tiles of `width` channels a head takes."""
        return int(triton.cdiv(self.channels, width))


class _Ssd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int) -> Tensor:
        sizes = _Sizes(x_BLHP, b_BLN, chunk)
        starts_BGHNP = _starts(sizes, x_BLHP, log_decay_BLH, b_BLN, None, x_BLHP.dtype)
        ctx.save_for_backward(x_BLHP, log_decay_BLH, b_BLN, c_BLN, starts_BGHNP)
        ctx.sizes = sizes
        return _outputs(sizes, x_BLHP, log_decay_BLH, b_BLN, c_BLN, starts_BGHNP)

    @staticmethod
    def backward(ctx: Any, dy_BLHP: Tensor) -> tuple[Tensor | None, ...]:
        x_BLHP, log_decay_BLH, b_BLN, c_BLN, starts_BGHNP = ctx.saved_tensors
        sizes: _Sizes = ctx.sizes
        dy_BLHP = dense_rows(dy_BLHP, 2)
        dends_BGHNP = torch.empty_like(starts_BGHNP)
        _end_gradients[(sizes.batch * sizes.heads, sizes.blocks(sizes.few_channels))](
            dy_BLHP,
            log_decay_BLH,
            c_BLN,
            dends_BGHNP,
            sizes.length,
            sizes.heads,
            sizes.channels,
            sizes.states,
            sizes.chunks,
            dy_BLHP.stride(0),
            dy_BLHP.stride(1),
            c_BLN.stride(0),
            c_BLN.stride(1),
            CHUNK=sizes.chunk,
            STATES=sizes.padded_states,
            CHANNELS=sizes.few_channels,
        )
        batch, length, states = sizes.batch, sizes.length, sizes.states
        dx_BLHP = torch.empty(x_BLHP.shape, dtype=x_BLHP.dtype, device=x_BLHP.device)
        dlog_decay_BLH = torch.empty_like(log_decay_BLH)
        db_BLN = torch.empty(batch, length, states, dtype=b_BLN.dtype, device=b_BLN.device)
        dc_BLN = torch.empty(batch, length, states, dtype=c_BLN.dtype, device=c_BLN.device)
        _input_gradients[(sizes.chunks * sizes.blocks(sizes.many_channels), batch * sizes.heads)](
            log_decay_BLH,
            b_BLN,
            c_BLN,
            dy_BLHP,
            dends_BGHNP,
            dx_BLHP,
            length,
            sizes.heads,
            sizes.channels,
            states,
            sizes.chunks,
            b_BLN.stride(0),
            b_BLN.stride(1),
            c_BLN.stride(0),
            c_BLN.stride(1),
            dy_BLHP.stride(0),
            dy_BLHP.stride(1),
            CHUNK=sizes.chunk,
            STATES=sizes.padded_states,
            CHANNELS=sizes.many_channels,
        )
        _shared_gradients[(sizes.chunks, batch)](
            x_BLHP,
            log_decay_BLH,
            b_BLN,
            c_BLN,
            dy_BLHP,
            starts_BGHNP,
            dends_BGHNP,
            dlog_decay_BLH,
            db_BLN,
            dc_BLN,
            length,
            sizes.heads,
            sizes.channels,
            states,
            sizes.chunks,
            x_BLHP.stride(0),
            x_BLHP.stride(1),
            b_BLN.stride(0),
            b_BLN.stride(1),
            c_BLN.stride(0),
            c_BLN.stride(1),
            dy_BLHP.stride(0),
            dy_BLHP.stride(1),
            CHUNK=sizes.chunk,
            STATES=sizes.padded_states,
            CHANNELS=tile(sizes.channels, 32),  # as much as the registers hold beside the sums over heads
            num_warps=8,
            num_stages=1,
        )
        return dx_BLHP, dlog_decay_BLH, db_BLN, dc_BLN, None


def _starts(
    sizes: _Sizes,
    x_BLHP: Tensor,
    log_decay_BLH: Tensor,
    b_BLN: Tensor,
    state_BHNP: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """Return the states before each chunk, (B, G, H, N, P) in `dtype`."""
    shape = (sizes.batch, sizes.chunks, sizes.heads, sizes.states, sizes.channels)
    starts_BGHNP = torch.empty(shape, dtype=dtype, device=x_BLHP.device)
    _chunk_starts[(sizes.batch * sizes.heads, sizes.blocks(sizes.few_channels))](
        x_BLHP,
        log_decay_BLH,
        b_BLN,
        starts_BGHNP if state_BHNP is None else state_BHNP.contiguous(),
        starts_BGHNP,
        sizes.length,
        sizes.heads,
        sizes.channels,
        sizes.states,
        sizes.chunks,
        x_BLHP.stride(0),
        x_BLHP.stride(1),
        b_BLN.stride(0),
        b_BLN.stride(1),
        HAS_STATE=state_BHNP is not None,
        CHUNK=sizes.chunk,
        STATES=sizes.padded_states,
        CHANNELS=sizes.few_channels,
    )
    return starts_BGHNP


def _outputs(
    sizes: _Sizes, x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, starts_BGHNP: Tensor
) -> Tensor:
    """Return y_BLHP of all chunks."""
    y_BLHP = torch.empty(x_BLHP.shape, dtype=x_BLHP.dtype, device=x_BLHP.device)
    _chunk_outputs[(sizes.chunks * sizes.blocks(sizes.many_channels), sizes.batch * sizes.heads)](
        x_BLHP,
        log_decay_BLH,
        b_BLN,
        c_BLN,
        starts_BGHNP,
        y_BLHP,
        sizes.length,
        sizes.heads,
        sizes.channels,
        sizes.states,
        sizes.chunks,
        x_BLHP.stride(0),
        x_BLHP.stride(1),
        b_BLN.stride(0),
        b_BLN.stride(1),
        c_BLN.stride(0),
        c_BLN.stride(1),
        CHUNK=sizes.chunk,
        STATES=sizes.padded_states,
        CHANNELS=sizes.many_channels,
    )
    return y_BLHP


def _states(
    sizes: _Sizes, x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, starts_BGHNP: Tensor, capture: Capture
) -> Tensor:
    """Return the states at the captured places, (K, H, N, P) float32."""
    num_captures = len(capture.rows)
    shape = (num_captures, sizes.heads, sizes.states, sizes.channels)
    states_KHNP = torch.empty(shape, dtype=torch.float32, device=x_BLHP.device)
    if num_captures:
        _captured_states[(num_captures, sizes.heads, sizes.blocks(sizes.few_channels))](
            x_BLHP,
            log_decay_BLH,
            b_BLN,
            starts_BGHNP,
            capture.rows.contiguous(),
            capture.positions.contiguous(),
            states_KHNP,
            sizes.length,
            sizes.heads,
            sizes.channels,
            sizes.states,
            sizes.chunks,
            x_BLHP.stride(0),
            x_BLHP.stride(1),
            b_BLN.stride(0),
            b_BLN.stride(1),
            CHUNK=sizes.chunk,
            STATES=sizes.padded_states,
            CHANNELS=sizes.few_channels,
        )
    return states_KHNP


@triton.jit
def _load(ptr, row, column, stride, rows, columns):
    """Load a tile of a matrix whose rows are `stride` apart; 0 beyond its `rows` and `columns`."""
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    return tl.load(ptr + row[:, None] * stride + column[None, :], mask=inside, other=0.0)


@triton.jit
def _cumulative_decay(log_decay_ptr, t, end, heads, CHUNK: tl.constexpr):
    """Return the log-decays of positions t before `end`, summed along the chunk, and their total."""
    log_decay = tl.load(log_decay_ptr + t * heads, mask=t < end, other=0.0)
    cumulative = tl.cumsum(log_decay, 0)
    last = tl.arange(0, CHUNK) == CHUNK - 1
    return cumulative, tl.sum(tl.where(last, cumulative, 0.0), 0)


@triton.jit
def _decay_between(cumulative, CHUNK: tl.constexpr):
    """Return exp(sum of log-decays after j up to i) for j <= i, else 0, as (i, j)."""
    step = tl.arange(0, CHUNK)
    difference = cumulative[:, None] - cumulative[None, :]
    return tl.exp(tl.where(step[:, None] >= step[None, :], difference, float("-inf")))


@triton.jit
def _chunk_starts(
    x_ptr, log_decay_ptr, b_ptr, state_ptr, starts_ptr,
    length, heads, channels, states, chunks, x_batch, x_step, b_batch, b_step,
    HAS_STATE: tl.constexpr, CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the state before each chunk of one head: S_{c+1} = exp(A_Q) S_c + sum_j exp(A_Q - A_j) b_j x_j^T."""
    row = tl.program_id(0).to(tl.int64)
    batch, head = row // heads, row % heads
    step, n = tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    dtype = x_ptr.dtype.element_ty
    x_ptr += batch * x_batch + head * channels
    b_ptr += batch * b_batch
    log_decay_ptr += batch * length * heads + head
    state = tl.zeros((STATES, CHANNELS), tl.float32)
    if HAS_STATE:
        state += _load(state_ptr + row * states * channels, n, p, channels, states, channels).to(tl.float32)
    inside = (n < states)[:, None] & (p < channels)[None, :]
    for chunk in range(chunks):
        out = ((batch * chunks + chunk) * heads + head) * states * channels + n[:, None] * channels + p[None, :]
        tl.store(starts_ptr + out, state.to(starts_ptr.dtype.element_ty), mask=inside)
        t = chunk * CHUNK + step
        cumulative, total = _cumulative_decay(log_decay_ptr, t, length, heads, CHUNK)
        x = _load(x_ptr, t, p, x_step, length, channels).to(tl.float32)
        b = _load(b_ptr, t, n, b_step, length, states)
        decayed = x * tl.exp(total - cumulative)[:, None]
        state = state * tl.exp(total) + product(tl.trans(b), decayed, dtype)


@triton.jit
def _chunk_outputs(
    x_ptr, log_decay_ptr, b_ptr, c_ptr, starts_ptr, y_ptr,
    length, heads, channels, states, chunks, x_batch, x_step, b_batch, b_step, c_batch, c_step,
    CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write y_i = sum_{j <= i} (c_i . b_j) exp(A_i - A_j) x_j + exp(A_i) S^T c_i for one chunk of one head."""
    chunk, block = tl.program_id(0) % chunks, tl.program_id(0) // chunks
    row = tl.program_id(1).to(tl.int64)
    batch, head = row // heads, row % heads
    t, n = chunk * CHUNK + tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = block * CHANNELS + tl.arange(0, CHANNELS)
    dtype = x_ptr.dtype.element_ty
    cumulative, _ = _cumulative_decay(log_decay_ptr + batch * length * heads + head, t, length, heads, CHUNK)
    x = _load(x_ptr + batch * x_batch + head * channels, t, p, x_step, length, channels)
    b = _load(b_ptr + batch * b_batch, t, n, b_step, length, states)
    c = _load(c_ptr + batch * c_batch, t, n, c_step, length, states)
    start_ptr = starts_ptr + ((batch * chunks + chunk) * heads + head) * states * channels
    start = _load(start_ptr, n, p, channels, states, channels)
    y = product(c, start, dtype) * tl.exp(cumulative)[:, None]
    y += product(product(c, tl.trans(b), dtype) * _decay_between(cumulative, CHUNK), x, dtype)
    out = ((batch * length + t)[:, None] * heads + head) * channels + p[None, :]
    tl.store(y_ptr + out, y.to(dtype), mask=(t < length)[:, None] & (p < channels)[None, :])


@triton.jit
def _captured_states(
    x_ptr, log_decay_ptr, b_ptr, starts_ptr, row_ptr, position_ptr, states_ptr,
    length, heads, channels, states, chunks, x_batch, x_step, b_batch, b_step,
    CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the state after `position` tokens: that before their last one's chunk, decayed, and the part since."""
    place, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    batch = tl.load(row_ptr + place).to(tl.int64)
    position = tl.load(position_ptr + place).to(tl.int32)
    chunk = tl.maximum(position - 1, 0) // CHUNK
    t, n = chunk * CHUNK + tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    log_decay_ptr += batch * length * heads + head
    cumulative, total = _cumulative_decay(log_decay_ptr, t, position, heads, CHUNK)
    x = _load(x_ptr + batch * x_batch + head * channels, t, p, x_step, position, channels).to(tl.float32)
    b = _load(b_ptr + batch * b_batch, t, n, b_step, position, states)
    start_ptr = starts_ptr + ((batch * chunks + chunk) * heads + head) * states * channels
    start = _load(start_ptr, n, p, channels, states, channels)
    state = start * tl.exp(total) + product(tl.trans(b), x * tl.exp(total - cumulative)[:, None], tl.float32)
    out = (place * heads + head) * states * channels + n[:, None] * channels + p[None, :]
    tl.store(states_ptr + out, state, mask=(n < states)[:, None] & (p < channels)[None, :])


@triton.jit
def _end_gradients(
    dy_ptr, log_decay_ptr, c_ptr, dends_ptr,
    length, heads, channels, states, chunks, dy_batch, dy_step, c_batch, c_step,
    CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the state after each chunk of one head, from the last chunk to the first."""
    row = tl.program_id(0).to(tl.int64)
    batch, head = row // heads, row % heads
    step, n = tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    dtype = dy_ptr.dtype.element_ty
    dy_ptr += batch * dy_batch + head * channels
    c_ptr += batch * c_batch
    log_decay_ptr += batch * length * heads + head
    inside = (n < states)[:, None] & (p < channels)[None, :]
    dend = tl.zeros((STATES, CHANNELS), tl.float32)
    for index in range(chunks):
        chunk = chunks - 1 - index
        out = ((batch * chunks + chunk) * heads + head) * states * channels + n[:, None] * channels + p[None, :]
        tl.store(dends_ptr + out, dend.to(dends_ptr.dtype.element_ty), mask=inside)
        t = chunk * CHUNK + step
        cumulative, total = _cumulative_decay(log_decay_ptr, t, length, heads, CHUNK)
        dy = _load(dy_ptr, t, p, dy_step, length, channels).to(tl.float32)
        c = _load(c_ptr, t, n, c_step, length, states)
        dend = dend * tl.exp(total) + product(tl.trans(c), dy * tl.exp(cumulative)[:, None], dtype)


@triton.jit
def _input_gradients(
    log_decay_ptr, b_ptr, c_ptr, dy_ptr, dends_ptr, dx_ptr,
    length, heads, channels, states, chunks, b_batch, b_step, c_batch, c_step, dy_batch, dy_step,
    CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write dx_j = sum_{i >= j} (c_i . b_j) exp(A_i - A_j) dy_i + exp(A_Q - A_j) dS^T b_j for one chunk of one head."""
    chunk, block = tl.program_id(0) % chunks, tl.program_id(0) // chunks
    row = tl.program_id(1).to(tl.int64)
    batch, head = row // heads, row % heads
    t, n = chunk * CHUNK + tl.arange(0, CHUNK), tl.arange(0, STATES)
    p = block * CHANNELS + tl.arange(0, CHANNELS)
    dtype = dy_ptr.dtype.element_ty
    cumulative, total = _cumulative_decay(log_decay_ptr + batch * length * heads + head, t, length, heads, CHUNK)
    b = _load(b_ptr + batch * b_batch, t, n, b_step, length, states)
    c = _load(c_ptr + batch * c_batch, t, n, c_step, length, states)
    dy = _load(dy_ptr + batch * dy_batch + head * channels, t, p, dy_step, length, channels)
    dend_ptr = dends_ptr + ((batch * chunks + chunk) * heads + head) * states * channels
    dend = _load(dend_ptr, n, p, channels, states, channels)
    dx = product(b, dend, dtype) * tl.exp(total - cumulative)[:, None]
    weights = product(c, tl.trans(b), dtype) * _decay_between(cumulative, CHUNK)
    dx += product(tl.trans(weights), dy, dtype)
    out = ((batch * length + t)[:, None] * heads + head) * channels + p[None, :]
    tl.store(dx_ptr + out, dx.to(dtype), mask=(t < length)[:, None] & (p < channels)[None, :])


@triton.jit
def _shared_gradients(
    x_ptr, log_decay_ptr, b_ptr, c_ptr, dy_ptr, starts_ptr, dends_ptr, dlog_decay_ptr, db_ptr, dc_ptr,
    length, heads, channels, states, chunks,
    x_batch, x_step, b_batch, b_step, c_batch, c_step, dy_batch, dy_step,
    CHUNK: tl.constexpr, STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of b, c and the log-decays of one chunk. The heads share b and c: one program sums them."""
    chunk, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    t, n = chunk * CHUNK + tl.arange(0, CHUNK), tl.arange(0, STATES)
    dtype = x_ptr.dtype.element_ty
    b = _load(b_ptr + batch * b_batch, t, n, b_step, length, states)
    c = _load(c_ptr + batch * c_batch, t, n, c_step, length, states)
    dscores = tl.zeros((CHUNK, CHUNK), tl.float32)
    db = tl.zeros((CHUNK, STATES), tl.float32)
    dc = tl.zeros((CHUNK, STATES), tl.float32)
    for head in range(heads):
        cumulative, total = _cumulative_decay(log_decay_ptr + batch * length * heads + head, t, length, heads, CHUNK)
        from_start, to_end = tl.exp(cumulative)[:, None], tl.exp(total - cumulative)[:, None]
        dcumulative = tl.zeros((CHUNK,), tl.float32)
        through_state = tl.zeros((STATES,), tl.float32)  # summed, the gradient of the total decay
        for block in range(0, channels, CHANNELS):
            p = block + tl.arange(0, CHANNELS)
            x = _load(x_ptr + batch * x_batch + head * channels, t, p, x_step, length, channels)
            dy = _load(dy_ptr + batch * dy_batch + head * channels, t, p, dy_step, length, channels)
            state = ((batch * chunks + chunk) * heads + head) * states * channels
            start = _load(starts_ptr + state, n, p, channels, states, channels)
            dend = _load(dends_ptr + state, n, p, channels, states, channels)

            # Inside the chunk.
            dweights = product(dy, tl.trans(x), dtype) * _decay_between(cumulative, CHUNK)
            dscores += dweights
            through_weights = dweights * product(c, tl.trans(b), dtype)
            dcumulative += tl.sum(through_weights, 1) - tl.sum(through_weights, 0)
            # Through the state before the chunk, and through that at its end.
            dc_part = product(dy.to(tl.float32) * from_start, tl.trans(start), dtype)
            dcumulative += tl.sum(dc_part * c.to(tl.float32), 1)
            dc += dc_part
            db_part = product(x.to(tl.float32) * to_end, tl.trans(dend), dtype)
            given = db_part * b.to(tl.float32)
            dcumulative -= tl.sum(given, 1)
            db += db_part
            through_state += tl.sum(given, 0)
            through_state += tl.exp(total) * tl.sum(start.to(tl.float32) * dend.to(tl.float32), 1)
        # A decay acts on all later positions of its chunk, and on the state at its end.
        dlog_decay = tl.cumsum(dcumulative, 0, reverse=True) + tl.sum(through_state, 0)
        tl.store(dlog_decay_ptr + (batch * length + t) * heads + head, dlog_decay, mask=t < length)
    db += product(tl.trans(dscores), c, dtype)
    dc += product(dscores, b, dtype)
    inside = (t < length)[:, None] & (n < states)[None, :]
    out = (batch * length + t)[:, None] * states + n[None, :]
    tl.store(db_ptr + out, db.to(dtype), mask=inside)
    tl.store(dc_ptr + out, dc.to(dtype), mask=inside)
