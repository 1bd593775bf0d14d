"""The Mamba-2 recurrence in few passes over memory: from a state, and for training with the gradient written out.

Autograd over the reference keeps and re-reads every intermediate decay matrix. Written by hand, the gradient of the
decays needs no matrix at all: with y_t = sum_s exp(cum_t - cum_s) (c_t . b_s) x_s, the gradient of cum_t is
y_t . dy_t - x_t . dx_t. The maths stands in this folder's README.

Shapes: B batch, H heads, P channels of a head, N state size, G chunks of all sequences, Q positions of a chunk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.capture import Capture


def ssd_from_start(x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int = 64) -> Tensor:
    """Return y_BLHP as the reference's `ssd` does without a state; no states are returned. Differentiable once."""
    length = x_BLHP.shape[1]
    x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk = _whole_chunks(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk)
    y_BLHP: Tensor = _Ssd.apply(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk)  # type: ignore[no-untyped-call]
    return y_BLHP[:, :length]


def ssd_without_gradient(
    x_BLHP: Tensor,
    log_decay_BLH: Tensor,
    b_BLN: Tensor,
    c_BLN: Tensor,
    state_BHNP: Tensor | None,
    capture: Capture,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """Return y_BLHP and the float32 states at `capture`, (K, H, N, P), as the reference does, in fewer passes."""
    batch, length, heads, _ = x_BLHP.shape
    x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk = _whole_chunks(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk)
    start_BNE = None if state_BHNP is None else state_BHNP.transpose(1, 2).flatten(2)
    parts = _in_chunks(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk, start_BNE)
    y_BLHP = parts.y_GQHP.view(batch, -1, *x_BLHP.shape[2:])[:, :length]

    # A captured state is its chunk's start, decayed, and what the positions since then added.
    num_chunks = len(parts.x_GQHP) // max(batch, 1)
    chunk_K = (capture.positions // chunk).clamp(max=num_chunks - 1)
    offset_K1 = (capture.positions - chunk_K * chunk).unsqueeze(1)
    group_K = capture.rows * num_chunks + chunk_K
    cumulative_KHQ = parts.cumulative_GQH[group_K].transpose(1, 2)
    at_offset_KH1 = F.pad(cumulative_KHQ, (1, 0)).gather(2, offset_K1.unsqueeze(1).expand(-1, heads, 1))
    since_K1Q = (torch.arange(chunk, device=offset_K1.device) < offset_K1).unsqueeze(1)
    decay_KHQ = torch.exp((at_offset_KH1 - cumulative_KHQ).masked_fill(~since_K1Q, -torch.inf))
    decayed_KHQP = parts.x_GQHP[group_K].transpose(1, 2).to(decay_KHQ.dtype) * decay_KHQ.unsqueeze(-1)
    added_KHNP = parts.b_GQN[group_K].to(decay_KHQ.dtype).mT.unsqueeze(1) @ decayed_KHQP
    start_KHNP = parts.starts_GNE[group_K].unflatten(2, (heads, -1)).transpose(1, 2)
    return y_BLHP, torch.addcmul(added_KHNP, start_KHNP, at_offset_KH1.exp_().unsqueeze(-1))


def _whole_chunks(
    x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Pad to whole chunks, of at most the sequence's length: zero input and zero decay change nothing."""
    length = x_BLHP.shape[1]
    chunk = min(chunk, max(length, 1))
    log_decay_BLH = log_decay_BLH.to(torch.promote_types(log_decay_BLH.dtype, torch.float32))
    pad = -length % chunk
    if pad:
        x_BLHP, log_decay_BLH = F.pad(x_BLHP, (0, 0, 0, 0, 0, pad)), F.pad(log_decay_BLH, (0, 0, 0, pad))
        b_BLN, c_BLN = F.pad(b_BLN, (0, 0, 0, pad)), F.pad(c_BLN, (0, 0, 0, pad))
    return x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk


class _Chunks(NamedTuple):
    """The inputs by chunk, and what is computed from them; E = H * P. `starts_GNE` is float32 or better."""

    x_GQHP: Tensor
    b_GQN: Tensor
    c_GQN: Tensor
    cumulative_GQH: Tensor
    decay_GHQQ: Tensor
    weights_GHQQ: Tensor
    decayed_GQE: Tensor
    starts_GNE: Tensor
    y_GQHP: Tensor


def _in_chunks(
    x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int, start_BNE: Tensor | None
) -> _Chunks:
    """Run the recurrence over whole chunks, from a state if there is one."""
    batch, length, heads, channels = x_BLHP.shape
    dtype, groups = x_BLHP.dtype, batch * length // chunk
    x_GQHP = x_BLHP.reshape(groups, chunk, heads, channels)
    b_GQN, c_GQN = (x.reshape(groups, chunk, -1) for x in (b_BLN, c_BLN))
    cumulative_GQH = log_decay_BLH.reshape(groups, chunk, heads).cumsum(1)

    cumulative_GHQ = cumulative_GQH.transpose(1, 2).contiguous()
    decay_GHQQ = (cumulative_GHQ.unsqueeze(3) - cumulative_GHQ.unsqueeze(2)).to(dtype).exp_().tril_()
    weights_GHQQ = decay_GHQQ * torch.bmm(c_GQN, b_GQN.mT).unsqueeze(1)
    inside_GHQP = torch.matmul(weights_GHQQ, x_GQHP.transpose(1, 2))

    to_end_GQH = torch.exp(cumulative_GQH[:, -1:] - cumulative_GQH).to(dtype)
    decayed_GQE = (x_GQHP * to_end_GQH.unsqueeze(-1)).flatten(2)
    added_GNE = torch.bmm(b_GQN.mT, decayed_GQE)
    total_BCH = torch.exp(cumulative_GQH[:, -1]).view(batch, -1, heads)
    starts_GNE = _starts(added_GNE.view(batch, -1, *added_GNE.shape[1:]), total_BCH, start_BNE).flatten(0, 1)
    y_GQHP = torch.bmm(c_GQN, starts_GNE.to(dtype)).view_as(x_GQHP)
    y_GQHP.mul_(torch.exp(cumulative_GQH).to(dtype).unsqueeze(-1)).add_(inside_GHQP.transpose(1, 2))
    return _Chunks(x_GQHP, b_GQN, c_GQN, cumulative_GQH, decay_GHQQ, weights_GHQQ, decayed_GQE, starts_GNE, y_GQHP)


class _Ssd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int) -> Tensor:
        parts = _in_chunks(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk, None)
        y_BLHP = parts.y_GQHP.view(x_BLHP.shape)
        ctx.save_for_backward(*parts[:-2], parts.starts_GNE.to(x_BLHP.dtype), y_BLHP)
        return y_BLHP

    @staticmethod
    def backward(ctx: Any, dy_BLHP: Tensor) -> tuple[Tensor | None, ...]:
        x_GQHP, b_GQN, c_GQN, cumulative_GQH, decay_GHQQ, weights_GHQQ, decayed_GQE, starts_GNE, y_BLHP = (
            ctx.saved_tensors
        )
        batch, dtype, heads = len(dy_BLHP), x_GQHP.dtype, x_GQHP.shape[2]
        dy_GQHP = dy_BLHP.reshape(x_GQHP.shape)
        dy_GHQP = dy_GQHP.transpose(1, 2).contiguous()

        # Inside the chunks.
        dx_GHQP = torch.matmul(weights_GHQQ.mT, dy_GHQP)
        dscores_GQQ = torch.matmul(dy_GHQP, x_GQHP.permute(0, 2, 3, 1)).mul_(decay_GHQQ).sum(1)
        dc_GQN = torch.bmm(dscores_GQQ, b_GQN)
        db_GQN = torch.bmm(dscores_GQQ.mT, c_GQN)

        # Through the states.
        from_start_GQH = torch.exp(cumulative_GQH).to(dtype)
        to_end_GQH = torch.exp(cumulative_GQH[:, -1:] - cumulative_GQH).to(dtype)
        total_BCH = torch.exp(cumulative_GQH[:, -1]).view(batch, -1, heads)
        dy_decayed_GQE = (dy_GQHP * from_start_GQH.unsqueeze(-1)).flatten(2)
        dc_GQN.baddbmm_(dy_decayed_GQE, starts_GNE.mT)
        dstarts_GNE = torch.bmm(c_GQN.mT, dy_decayed_GQE)
        dends_BCNE = _starts(dstarts_GNE.view(batch, -1, *dstarts_GNE.shape[1:]).flip(1), total_BCH.flip(1)).flip(1)
        dends_GNE = dends_BCNE.flatten(0, 1).to(dtype)
        db_GQN.baddbmm_(decayed_GQE, dends_GNE.mT)
        dx_GQHP = torch.bmm(b_GQN, dends_GNE).view_as(x_GQHP).mul_(to_end_GQH.unsqueeze(-1))
        through_state_GH = _dot(x_GQHP, dx_GQHP).sum(1)
        through_state_GH += (dends_GNE * starts_GNE).unflatten(2, (heads, -1)).sum((1, 3), dtype=total_BCH.dtype) * (
            total_BCH.flatten(0, 1)
        )
        dx_GQHP.add_(dx_GHQP.transpose(1, 2))

        dcumulative_GQH = _dot(dy_GQHP, y_BLHP.view_as(x_GQHP)) - _dot(x_GQHP, dx_GQHP)
        dcumulative_GQH[:, -1] += through_state_GH
        dlog_decay_GQH = dcumulative_GQH.flip(1).cumsum(1).flip(1)
        return (
            dx_GQHP.view_as(y_BLHP),
            dlog_decay_GQH.view(*y_BLHP.shape[:3]),
            db_GQN.view(*y_BLHP.shape[:2], -1),
            dc_GQN.view(*y_BLHP.shape[:2], -1),
            None,
        )


def _dot(a_GQHP: Tensor, b_GQHP: Tensor) -> Tensor:
    """Return the dot products over channels, float32 or better."""
    return (a_GQHP * b_GQHP).sum(-1, dtype=torch.promote_types(a_GQHP.dtype, torch.float32))


def _starts(added_BCNE: Tensor, total_BCH: Tensor, start_BNE: Tensor | None = None) -> Tensor:
    """Return the states before each chunk, (B, C, N, E): S_0 is `start_BNE` or 0, S_{c+1} = total_c S_c + added_c."""
    starts_by = starts_by_product if added_BCNE.is_cuda else starts_by_steps
    return starts_by(added_BCNE, total_BCH, start_BNE)


def starts_by_steps(added_BCNE: Tensor, total_BCH: Tensor, start_BNE: Tensor | None = None) -> Tensor:
    """Return the states before each chunk, one step after another: the fewest operations, for a CPU."""
    heads = total_BCH.shape[2]
    starts_BCNE = added_BCNE.new_zeros(added_BCNE.shape, dtype=total_BCH.dtype)
    if start_BNE is not None:
        starts_BCNE[:, 0] = start_BNE
    states = starts_BCNE.unflatten(3, (heads, -1)).unbind(1)
    added = added_BCNE.to(total_BCH.dtype).unflatten(3, (heads, -1)).unbind(1)
    decays = total_BCH[:, :, None, :, None].unbind(1)
    for before_BNHP, decay_B1H1, added_BNHP, after_BNHP in zip(states[:-1], decays, added, states[1:], strict=False):
        torch.addcmul(added_BNHP, before_BNHP, decay_B1H1, out=after_BNHP)
    return starts_BCNE


def starts_by_product(added_BCNE: Tensor, total_BCH: Tensor, start_BNE: Tensor | None = None) -> Tensor:
    """Return the states before each chunk by one product with the decays between chunks: few launches, for a GPU."""
    heads = total_BCH.shape[2]
    logs_BHC = total_BCH.transpose(1, 2).double().clamp(min=1e-300).log()
    passed_BHC = F.pad(logs_BHC.cumsum(2), (1, 0))  # the log-decay of all chunks before each
    difference_BHCC = passed_BHC[..., :-1].unsqueeze(3) - passed_BHC[..., 1:].unsqueeze(2)
    decay_BHCC = difference_BHCC.clamp(max=0).exp().to(total_BCH.dtype).tril(-1)
    added_BHCX = added_BCNE.unflatten(3, (heads, -1)).permute(0, 3, 1, 2, 4).flatten(3).to(total_BCH.dtype)
    starts_BHCNP: Tensor = (decay_BHCC @ added_BHCX).unflatten(3, (added_BCNE.shape[2], -1))
    starts_BCNE = starts_BHCNP.permute(0, 2, 3, 1, 4).flatten(3)
    if start_BNE is None:
        return starts_BCNE
    from_start_BC1H1 = passed_BHC[..., :-1].exp().to(total_BCH.dtype).transpose(1, 2)[:, :, None, :, None]
    start_B1NHP = start_BNE.unflatten(2, (heads, -1)).unsqueeze(1)
    return torch.addcmul(starts_BCNE.unflatten(3, (heads, -1)), start_B1NHP, from_start_BC1H1).flatten(3)
