"""Root-mean-square normalisation, plain and gated. Shapes: any number of dimensions, the last is the width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return weight x / sqrt(mean(x^2) + eps), float32 or better."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def gated_rms_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return `rms_norm` of x silu(gate), float32 or better; the gating is done in the dtype of the input."""
    return rms_norm(x * F.silu(gate), weight, eps)
