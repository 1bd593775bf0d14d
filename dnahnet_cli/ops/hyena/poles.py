"""Causal convolution with a sum of decaying powers. Shapes: B batch, L length, C channels, N poles, K captures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.hyena.lengths import quick_length

BLOCK = 64  # positions whose contribution to a state is one product


def long_conv(
    x_BLC: Tensor, residue_CN: Tensor, log_pole_CN: Tensor, state_BCN: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Run s_t = exp(log_pole) s_{t-1} + x_t and return y_t = sum_n residue_n s_{t,n} and s at each capture.

    All in float32. `log_pole_CN` is negative; `state_BCN` is s before the first input, None for 0.
    """
    x_BLC = x_BLC.float()
    length = x_BLC.shape[1]
    if length == 1 and state_BCN is not None:
        step_BCN = state_BCN * log_pole_CN.exp() + x_BLC.mT
        states = torch.stack([state_BCN, step_BCN])[capture.positions, capture.rows]
        return (step_BCN * residue_CN).sum(-1).unsqueeze(1), states
    y_BCL: Tensor = _Convolution.apply(x_BLC.mT, powers(residue_CN, log_pole_CN, length))  # type: ignore[no-untyped-call]
    if state_BCN is not None:
        y_BCL = y_BCL + powers(residue_CN * log_pole_CN.exp() * state_BCN, log_pole_CN, length)
    return y_BCL.mT.contiguous(), _states(x_BLC, log_pole_CN, state_BCN, capture)


class _Convolution(torch.autograd.Function):
    """Causal convolution by Fourier transform. PyTorch's own gradient of that takes half as many transforms again."""

    @staticmethod
    def forward(ctx: Any, x_BCL: Tensor, filter_CL: Tensor) -> Tensor:
        length = x_BCL.shape[2]
        n = quick_length(2 * length)  # so that nothing wraps
        x_BCF, filter_CF = torch.fft.rfft(x_BCL.contiguous(), n=n), torch.fft.rfft(filter_CL, n=n)
        ctx.save_for_backward(x_BCF, filter_CF)
        y_BCL: Tensor = torch.fft.irfft(x_BCF * filter_CF, n=n)[..., :length]
        return y_BCL

    @staticmethod
    def backward(ctx: Any, dy_BCL: Tensor) -> tuple[Tensor, Tensor]:
        x_BCF, filter_CF = ctx.saved_tensors
        length = dy_BCL.shape[2]
        n = quick_length(2 * length)
        dy_BCF = torch.fft.rfft(dy_BCL.contiguous(), n=n)
        dx_BCL = torch.fft.irfft(dy_BCF * filter_CF.conj(), n=n)[..., :length]
        dfilter_CL = torch.fft.irfft((dy_BCF * x_BCF.conj()).sum(0), n=n)[..., :length]
        return dx_BCL, dfilter_CL


def powers(weight_XCN: Tensor, log_pole_CN: Tensor, length: int) -> Tensor:
    """Return sum_n weight_n exp(t log_pole_n) for t from 0 to length - 1, (X, C, L); X is any number of dimensions."""
    block = 1 << ((length - 1).bit_length() + 1) // 2  # near the root of the length
    steps = torch.arange(block, device=log_pole_CN.device)
    starts = torch.arange(0, length, block, device=log_pole_CN.device)
    coarse_CQN = torch.exp(log_pole_CN.unsqueeze(1) * starts.unsqueeze(1))
    fine_CNR = torch.exp(log_pole_CN.unsqueeze(2) * steps)
    y_XCQR = torch.matmul(weight_XCN.unsqueeze(-2) * coarse_CQN, fine_CNR)
    return y_XCQR.flatten(-2)[..., :length]


def _states(x_BLC: Tensor, log_pole_CN: Tensor, state_BCN: Tensor | None, capture: Capture) -> Tensor:
    """Return s after the captured numbers of positions, (K, C, N)."""
    batch, length, channels = x_BLC.shape
    if len(capture.rows) == 0:
        return x_BLC.new_zeros(0, *log_pole_CN.shape)
    last = -torch.arange(1 - BLOCK, 1, device=x_BLC.device)
    decay_CPN = torch.exp(log_pole_CN.unsqueeze(1) * last.unsqueeze(1))  # to a block's end, from each of its positions
    num_blocks = length // BLOCK  # whole ones: no state starts at the end of another
    whole_BQPC = x_BLC[:, : num_blocks * BLOCK].reshape(batch, num_blocks, BLOCK, channels)
    added_BQCN = torch.einsum("bqpc,cpn->bqcn", whole_BQPC, decay_CPN)
    over_block_CN = torch.exp(log_pole_CN * BLOCK)
    starts = [x_BLC.new_zeros(batch, *log_pole_CN.shape) if state_BCN is None else state_BCN.float()]
    for block in range(num_blocks):
        starts.append(starts[-1] * over_block_CN + added_BQCN[:, block])
    start_KCN = torch.stack(starts, dim=1)[capture.rows, capture.positions // BLOCK]
    into_K1 = (capture.positions % BLOCK).unsqueeze(1)
    position_KP = capture.positions.unsqueeze(1) - 1 - last  # the BLOCK positions that end before the captured one
    own_KP1 = (last < into_K1).unsqueeze(-1)
    x_KPC = x_BLC[capture.rows.unsqueeze(1), position_KP.clamp(min=0)].where(own_KP1, 0)
    return start_KCN * torch.exp(log_pole_CN * into_K1.unsqueeze(-1)) + torch.einsum("kpc,cpn->kcn", x_KPC, decay_CPN)
