"""Causal convolution and SiLU: the reference, or for whole sequences the form with an explicit gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import reference
from dnahnet_cli.ops.causal_conv.explicit import causal_conv_silu_from_start


def causal_conv_silu(
    x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Return silu(bias + sum_w weight[w] x[t - W + 1 + w]) and the W-1 last inputs at each capture."""
    if tail_BWC is not None or len(capture.rows) or not torch.is_grad_enabled():
        return reference.causal_conv_silu(x_BLC, weight_CW, bias_C, tail_BWC, capture)
    no_tails = x_BLC.new_zeros(0, weight_CW.shape[1] - 1, x_BLC.shape[2])
    return causal_conv_silu_from_start(x_BLC, weight_CW, bias_C), no_tails
