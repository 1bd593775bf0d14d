"""The Mamba-2 recurrence for training: whole sequences from a zero state, with its gradient written out.

Autograd over the reference keeps and re-reads every intermediate decay matrix. Written by hand, the gradient of the
decays needs no matrix at all: with y_t = sum_s exp(cum_t - cum_s) (c_t . b_s) x_s, the gradient of cum_t is
y_t . dy_t - x_t . dx_t. The maths stands in this folder's README.

Shapes: B batch, H heads, P channels of a head, N state size, G chunks of all sequences, Q positions of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def ssd_from_start(x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int = 64) -> Tensor:
    """Return y_BLHP as the reference's `ssd` does without a state; no states are returned. Differentiable once."""
    length = x_BLHP.shape[1]
    chunk = min(chunk, max(length, 1))
    log_decay_BLH = log_decay_BLH.to(torch.promote_types(log_decay_BLH.dtype, torch.float32))
    pad = -length % chunk
    if pad:  # a position with zero input and zero decay changes nothing
        x_BLHP, log_decay_BLH = F.pad(x_BLHP, (0, 0, 0, 0, 0, pad)), F.pad(log_decay_BLH, (0, 0, 0, pad))
        b_BLN, c_BLN = F.pad(b_BLN, (0, 0, 0, pad)), F.pad(c_BLN, (0, 0, 0, pad))
    y_BLHP: Tensor = _Ssd.apply(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk)  # type: ignore[no-untyped-call]
    return y_BLHP[:, :length]


class _Ssd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BLHP: Tensor, log_decay_BLH: Tensor, b_BLN: Tensor, c_BLN: Tensor, chunk: int) -> Tensor:
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
        starts_GNE = _starts(added_GNE.view(batch, -1, *added_GNE.shape[1:]), total_BCH).flatten(0, 1).to(dtype)
        y_GQHP = torch.bmm(c_GQN, starts_GNE).view_as(x_GQHP)
        y_GQHP.mul_(torch.exp(cumulative_GQH).to(dtype).unsqueeze(-1)).add_(inside_GHQP.transpose(1, 2))

        y_BLHP = y_GQHP.view_as(x_BLHP)
        ctx.save_for_backward(
            x_GQHP, b_GQN, c_GQN, cumulative_GQH, decay_GHQQ, weights_GHQQ, decayed_GQE, starts_GNE, y_BLHP
        )
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


def _starts(added_BCNE: Tensor, total_BCH: Tensor) -> Tensor:
    """Return the states before each chunk, (B, C, N, E): S_0 = 0, S_{c+1} = total_c S_c + added_c."""
    return starts_by_product(added_BCNE, total_BCH) if added_BCNE.is_cuda else starts_by_steps(added_BCNE, total_BCH)


def starts_by_steps(added_BCNE: Tensor, total_BCH: Tensor) -> Tensor:
    """Return the states before each chunk, one step after another: the fewest operations, for a CPU."""
    starts_BCNE = torch.zeros_like(added_BCNE, dtype=total_BCH.dtype)
    heads = total_BCH.shape[2]
    for chunk in range(1, added_BCNE.shape[1]):
        before_BNHP, after_BNHP = (starts_BCNE[:, at].unflatten(2, (heads, -1)) for at in (chunk - 1, chunk))
        decay_B1H1 = total_BCH[:, chunk - 1, None, :, None]
        added_BNHP = added_BCNE[:, chunk - 1].unflatten(2, (heads, -1)).to(decay_B1H1.dtype)
        torch.addcmul(added_BNHP, before_BNHP, decay_B1H1, out=after_BNHP)
    return starts_BCNE


def starts_by_product(added_BCNE: Tensor, total_BCH: Tensor) -> Tensor:
    """Return the states before each chunk by one product with the decays between chunks: few launches, for a GPU."""
    heads = total_BCH.shape[2]
    logs_BHC = total_BCH.transpose(1, 2).double().clamp(min=1e-300).log()
    passed_BHC = F.pad(logs_BHC.cumsum(2), (1, 0))  # the log-decay of all chunks before each
    difference_BHCC = passed_BHC[..., :-1].unsqueeze(3) - passed_BHC[..., 1:].unsqueeze(2)
    decay_BHCC = difference_BHCC.clamp(max=0).exp().to(total_BCH.dtype).tril(-1)
    added_BHCX = added_BCNE.unflatten(3, (heads, -1)).permute(0, 3, 1, 2, 4).flatten(3).to(total_BCH.dtype)
    starts_BHCNP: Tensor = (decay_BHCC @ added_BHCX).unflatten(3, (added_BCNE.shape[2], -1))
    return starts_BHCNP.permute(0, 2, 3, 1, 4).flatten(3)
