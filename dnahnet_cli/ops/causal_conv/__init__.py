"""Causal convolution and SiLU: the reference, for training the form with an explicit gradient, or Triton kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.backend import use_triton
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import explicit, reference


def causal_conv_silu(
    x_BLC: Tensor, weight_CW: Tensor, bias_C: Tensor, tail_BWC: Tensor | None, capture: Capture
) -> tuple[Tensor, Tensor]:
    """Return silu(bias + sum_w weight[w] x[t - W + 1 + w]) and the W-1 last inputs at each capture."""
    from_start = tail_BWC is None and len(capture.rows) == 0
    if use_triton(x_BLC) and (from_start or not torch.is_grad_enabled()):
        from dnahnet_cli.ops.causal_conv import triton

        return triton.causal_conv_silu(x_BLC, weight_CW, bias_C, tail_BWC, capture)
    if not torch.is_grad_enabled() and x_BLC.is_cpu:
        return explicit.causal_conv_silu_without_gradient(x_BLC, weight_CW, bias_C, tail_BWC, capture)
    if not from_start or not torch.is_grad_enabled():
        return reference.causal_conv_silu(x_BLC, weight_CW, bias_C, tail_BWC, capture)
    no_tails = x_BLC.new_zeros(0, weight_CW.shape[1] - 1, x_BLC.shape[2])
    return explicit.causal_conv_silu_from_start(x_BLC, weight_CW, bias_C), no_tails
