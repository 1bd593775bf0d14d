"""The causal convolution in few passes over memory: for training with the gradient written out, and for inference.

Training: autograd keeps a shifted product for every tap and adds them up again; here each tap is one pass in place.
Inference on a CPU: torch's own convolution, one pass where the channels come last, as they do here.
Shapes: B batch, L length, C channels, W taps, K captures.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.capture import Capture


def causal_conv_silu_without_gradient(
    x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Return what the reference does. Sums of bfloat16 products are rounded once, not after every tap."""
    batch, _, channels = x_BLC.shape
    taps = weight_CW.shape[1]
    if tail_BWC is None:
        tail_BWC = x_BLC.new_zeros(batch, taps - 1, channels)
    padded_BLC = torch.cat([tail_BWC.to(x_BLC.dtype), x_BLC], dim=1)
    padded_BC1L = padded_BLC.permute(0, 2, 1).unsqueeze(2)  # a picture of one row, its memory unmoved
    weight_C11W = weight_CW.to(x_BLC.dtype)[:, None, None, :]
    y_BC1L = F.conv2d(padded_BC1L, weight_C11W, bias_C.to(x_BLC.dtype), groups=channels)
    steps = torch.arange(taps - 1, device=x_BLC.device)
    tails_KWC = padded_BLC[capture.rows.unsqueeze(1), capture.positions.unsqueeze(1) + steps]
    return F.silu(y_BC1L, inplace=True).squeeze(2).permute(0, 2, 1).contiguous(), tails_KWC


def causal_conv_silu_from_start(x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor) -> Tensor:
    """Return what the reference does without a tail, silu(bias + sum_w weight[w] x[t - W + 1 + w])."""
    y_BLC: Tensor = _CausalConvSilu.apply(x_BLC, weight_CW, bias_C)  # type: ignore[no-untyped-call]
    return y_BLC


class _CausalConvSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor) -> Tensor:
        length = x_BLC.shape[1]
        weight_WC = weight_CW.t().to(x_BLC.dtype).contiguous()
        y_BLC = torch.addcmul(bias_C.to(x_BLC.dtype), x_BLC, weight_WC[-1])
        for back in range(1, min(len(weight_WC), length)):
            y_BLC[:, back:].addcmul_(x_BLC[:, : length - back], weight_WC[-1 - back])
        ctx.save_for_backward(x_BLC, weight_WC, y_BLC)
        return F.silu(y_BLC)

    @staticmethod
    def backward(ctx: Any, dy_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x_BLC, weight_WC, y_BLC = ctx.saved_tensors
        length, precise = x_BLC.shape[1], torch.promote_types(x_BLC.dtype, torch.float32)
        grad_BLC = torch.ops.aten.silu_backward(dy_BLC, y_BLC)
        dx_BLC = grad_BLC * weight_WC[-1]
        dweight_WC = torch.zeros_like(weight_WC, dtype=precise)
        dweight_WC[-1] = (grad_BLC * x_BLC).sum((0, 1), dtype=precise)
        for back in range(1, min(len(weight_WC), length)):
            later_BLC, earlier_BLC = grad_BLC[:, back:], x_BLC[:, : length - back]
            dx_BLC[:, : length - back].addcmul_(later_BLC, weight_WC[-1 - back])
            dweight_WC[-1 - back] = (later_BLC * earlier_BLC).sum((0, 1), dtype=precise)
        return dx_BLC, dweight_WC.t(), grad_BLC.sum((0, 1), dtype=precise)
