"""Root-mean-square normalisation, plain and gated: plain PyTorch with an explicit gradient, or Triton kernels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.ops.backend import use_triton
from dnahnet_cli.ops.norm import explicit


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return weight x / sqrt(mean(x^2) + eps) over the last dimension, float32."""
    if use_triton(x):
        from dnahnet_cli.ops.norm import triton

        return triton.rms_norm(x, weight, eps)
    return explicit.rms_norm(x, weight, eps)


def gated_rms_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return `rms_norm` of x silu(gate), float32."""
    if use_triton(x):
        from dnahnet_cli.ops.norm import triton

        return triton.gated_rms_norm(x, gate, weight, eps)
    return explicit.rms_norm(x * F.silu(gate), weight, eps)
