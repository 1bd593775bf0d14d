"""Causal convolution with given taps. Shapes: B batch, L length, C channels, T taps, K captures."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.hyena.lengths import quick_length

FEW_TAPS = 16  # up to which channels are left where they are, and the filter's gradient is a sum per tap


def explicit_conv(x_BLC: Tensor, filter_CT: Tensor, tail_BTC: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
    """Return sum_t filter[t] x[l - t] in the dtype of x, and the T-1 last inputs at each capture.

    `tail_BTC` holds the T-1 inputs before the first one (zeros at a sequence's start).
    """
    batch, _, channels = x_BLC.shape
    taps = filter_CT.shape[1]
    if tail_BTC is None:
        tail_BTC = x_BLC.new_zeros(batch, taps - 1, channels)
    padded_BLC = torch.cat([tail_BTC.to(x_BLC.dtype), x_BLC], dim=1)
    y_BLC: Tensor = _Convolution.apply(padded_BLC, filter_CT)  # type: ignore[no-untyped-call]
    steps = torch.arange(taps - 1, device=x_BLC.device)
    return y_BLC, padded_BLC[capture.rows.unsqueeze(1), capture.positions.unsqueeze(1) + steps]


def _depthwise(x_BLC: Tensor, filter_CT: Tensor) -> Tensor:
    """Return sum_t filter[t] x[l + t] wherever all taps have an input, (B, L - T + 1, C)."""
    weight_CT = filter_CT.to(x_BLC.dtype)
    channels, taps = weight_CT.shape
    if taps > FEW_TAPS:
        y_BCL = F.conv1d(x_BLC.mT.contiguous(), weight_CT.unsqueeze(1), groups=channels)
    else:  # a picture of one row, whose channels come last: its memory is unmoved
        y_BCL = F.conv2d(x_BLC.mT.unsqueeze(2), weight_CT[:, None, None, :], groups=channels).squeeze(2)
    return y_BCL.mT.contiguous()  # since sums and products of tensors that lie in different orders are slow


class _Convolution(torch.autograd.Function):
    """The convolution of inputs that T-1 others precede."""

    @staticmethod
    def forward(ctx: Any, x_BLC: Tensor, filter_CT: Tensor) -> Tensor:
        ctx.save_for_backward(x_BLC, filter_CT)
        return _depthwise(x_BLC, filter_CT.flip(-1))

    @staticmethod
    def backward(ctx: Any, dy_BLC: Tensor) -> tuple[Tensor, Tensor]:
        x_BLC, filter_CT = ctx.saved_tensors
        taps = filter_CT.shape[1]
        dx_BLC = _depthwise(F.pad(dy_BLC, (0, 0, taps - 1, taps - 1)), filter_CT)
        return dx_BLC, _correlation(x_BLC, dy_BLC, taps).to(filter_CT.dtype)


def _correlation(x_BLC: Tensor, dy_BLC: Tensor, taps: int) -> Tensor:
    """Return sum_bl dy[l] x[l + T - 1 - t] for each tap t, (C, T), in float32 or better."""
    length, precise = dy_BLC.shape[1], torch.promote_types(x_BLC.dtype, torch.float32)
    if taps <= FEW_TAPS:
        shifted = (x_BLC[:, start : start + length] for start in reversed(range(taps)))
        return torch.stack([(dy_BLC * x_BLC).sum((0, 1), dtype=precise) for x_BLC in shifted], dim=-1)
    padded = quick_length(x_BLC.shape[1])  # no wrap: it is at least L + T - 1
    x_BCF, dy_BCF = (torch.fft.rfft(z_BLC.mT.to(precise).contiguous(), n=padded) for z_BLC in (x_BLC, dy_BLC))
    start_CT = torch.fft.irfft((x_BCF * dy_BCF.conj()).sum(0), n=padded)[:, :taps]
    filter_CT: Tensor = start_CT.flip(1)
    return filter_CT
