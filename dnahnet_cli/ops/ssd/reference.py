"""The Mamba-2 recurrence (state-space duality) in chunked matrix-multiplication form.

Shapes: B batch, L length, H heads, P channels of a head, N state size, C chunks, Q positions of a
chunk, K captured places. The maths stands in this folder's README.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.capture import Capture


def ssd(
    x_BLHP: Tensor,
    log_decay_BLH: Tensor,
    b_BLN: Tensor,
    c_BLN: Tensor,
    state_BHNP: Tensor | None,
    capture: Capture,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """Run S_t = exp(log_decay_t) S_{t-1} + b_t x_t^T and read out y_t = S_t^T c_t.

    `log_decay_BLH` is float32 and at most 0; x, b and c share the compute dtype, in which the
    matrix products run; decays and states stay in float32. Returns y_BLHP in the compute dtype and
    the float32 states taken at `capture`, (K, H, N, P). Source: Mamba-2, arXiv 2405.21060, section 6.
    """
    batch, length, heads, channels = x_BLHP.shape
    num_states = b_BLN.shape[-1]
    chunk = min(chunk, max(length, 1))
    pad = -length % chunk
    if pad:  # a position with zero input and zero decay changes nothing
        x_BLHP, log_decay_BLH = F.pad(x_BLHP, (0, 0, 0, 0, 0, pad)), F.pad(log_decay_BLH, (0, 0, 0, pad))
        b_BLN, c_BLN = F.pad(b_BLN, (0, 0, 0, pad)), F.pad(c_BLN, (0, 0, 0, pad))
    num_chunks = (length + pad) // chunk

    x_BCHQP = x_BLHP.view(batch, num_chunks, chunk, heads, channels).transpose(2, 3)
    b_BCQN = b_BLN.view(batch, num_chunks, chunk, num_states)
    c_BCQN = c_BLN.view(batch, num_chunks, chunk, num_states)
    log_decay_BCHQ = log_decay_BLH.float().view(batch, num_chunks, chunk, heads).transpose(2, 3)
    cumulative_BCHQ = log_decay_BCHQ.cumsum(-1)

    # Within a chunk: a causal, decayed attention without softmax.
    scores_BCQQ = c_BCQN @ b_BCQN.transpose(-1, -2)
    weights_BCHQQ = scores_BCQQ.unsqueeze(2) * _decay_between(cumulative_BCHQ).to(x_BLHP.dtype)
    y_BCHQP = weights_BCHQQ @ x_BCHQP

    # Each chunk's contribution to the state at its end, then the states at the chunks' starts.
    to_end_BCHQ = torch.exp(cumulative_BCHQ[..., -1:] - cumulative_BCHQ)
    decayed_BCHQP = x_BCHQP * to_end_BCHQ.unsqueeze(-1).to(x_BLHP.dtype)
    added_BCHNP = (b_BCQN.transpose(-1, -2).unsqueeze(2) @ decayed_BCHQP).float()
    starts_BCHNP = _chunk_starts(added_BCHNP, cumulative_BCHQ[..., -1], state_BHNP)

    # What the state before the chunk adds at each position.
    y_BCHQP = y_BCHQP + (c_BCQN.unsqueeze(2) @ starts_BCHNP[:, :-1].to(x_BLHP.dtype)) * torch.exp(
        cumulative_BCHQ
    ).unsqueeze(-1).to(x_BLHP.dtype)
    y_BLHP = y_BCHQP.transpose(2, 3).reshape(batch, num_chunks * chunk, heads, channels)[:, :length]
    return y_BLHP, _states_at(capture, x_BCHQP, b_BCQN, cumulative_BCHQ, starts_BCHNP)


def _decay_between(cumulative_Q: Tensor) -> Tensor:
    """Return exp(sum of log-decays after j up to i) for j <= i, else 0, as (..., Q, Q)."""
    size = cumulative_Q.shape[-1]
    future = torch.ones(size, size, dtype=torch.bool, device=cumulative_Q.device).triu(1)
    difference = cumulative_Q.unsqueeze(-1) - cumulative_Q.unsqueeze(-2)
    return torch.exp(difference.masked_fill(future, -torch.inf))


def _chunk_starts(added_BCHNP: Tensor, total_BCH: Tensor, state_BHNP: Tensor | None) -> Tensor:
    """Return the states before each chunk and after the last one, (B, C+1, H, N, P).

    The recurrence over chunks is itself one masked matrix product with the decays between chunks. Over a
    tile the log-decays sum to -10,000 and less, where float32 resolves 0.001, hence float64.
    """
    if state_BHNP is None:
        state_BHNP = torch.zeros_like(added_BCHNP[:, 0])
    entries = torch.cat([state_BHNP.unsqueeze(1).float(), added_BCHNP], dim=1)  # (B, C+1, H, N, P)
    cumulative_BHC = F.pad(total_BCH.double(), (0, 0, 1, 0)).cumsum(1).transpose(1, 2)
    between_BHCC = _decay_between(cumulative_BHC).float()
    flat = entries.transpose(1, 2).flatten(3)  # (B, H, C+1, N*P)
    return (between_BHCC @ flat).view(*flat.shape[:3], *entries.shape[3:]).transpose(1, 2)


def _states_at(
    capture: Capture, x_BCHQP: Tensor, b_BCQN: Tensor, cumulative_BCHQ: Tensor, starts_BCHNP: Tensor
) -> Tensor:
    """Return the states after `capture.positions` tokens, (K, H, N, P): chunk start plus the part since."""
    chunk = x_BCHQP.shape[3]
    index = capture.positions // chunk
    offset_K = capture.positions % chunk
    start_KHNP = starts_BCHNP[capture.rows, index]
    # A capture at the very end has offset 0: any chunk may stand in, its tokens are masked out below.
    index = index.clamp(max=x_BCHQP.shape[1] - 1)
    x_KHQP = x_BCHQP[capture.rows, index].float()
    b_KQN = b_BCQN[capture.rows, index].float()
    cumulative_KHQ = cumulative_BCHQ[capture.rows, index]
    last_K11 = (offset_K - 1).clamp(min=0).view(-1, 1, 1)
    at_offset_KH1 = cumulative_KHQ.gather(2, last_K11.expand(-1, cumulative_KHQ.shape[1], 1))
    at_offset_KH1 = at_offset_KH1 * (offset_K > 0).view(-1, 1, 1)
    inside_K1Q = torch.arange(chunk, device=offset_K.device) < offset_K.view(-1, 1, 1)
    decay_KHQ = torch.exp((at_offset_KH1 - cumulative_KHQ).masked_fill(~inside_K1Q, -torch.inf))
    added_KHNP = b_KQN.transpose(1, 2).unsqueeze(1) @ (x_KHQP * decay_KHQ.unsqueeze(-1))
    return start_KHNP * torch.exp(at_offset_KH1).unsqueeze(-1) + added_KHNP
