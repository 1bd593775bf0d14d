"""Depthwise causal convolution followed by SiLU. Shapes: B batch, L length, C channels, W taps, K captures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.capture import Capture


def causal_conv_silu(
    x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Return silu(bias + sum_w weight[w] x[t - W + 1 + w]) and the W-1 last inputs at each capture.

    `tail_BWC` holds the W-1 inputs before the first one (zeros at a sequence's start). A sum of shifted
    products, because a depthwise convolution in torch transposes to channels-first and back.
    """
    batch, length, channels = x_BLC.shape
    taps = weight_CW.shape[1]
    if tail_BWC is None:
        tail_BWC = x_BLC.new_zeros(batch, taps - 1, channels)
    padded = torch.cat([tail_BWC.to(x_BLC.dtype), x_BLC], dim=1)
    weight_WC = weight_CW.t().to(x_BLC.dtype).contiguous()
    y_BLC = bias_C.to(x_BLC.dtype)
    for tap in range(taps):
        y_BLC = torch.addcmul(y_BLC, padded[:, tap : tap + length], weight_WC[tap])
    steps = torch.arange(taps - 1, device=x_BLC.device)
    tails = padded[capture.rows.unsqueeze(1), capture.positions.unsqueeze(1) + steps]
    return F.silu(y_BLC), tails
