"""The two layers everything is made of: a linear map with its own compute dtype, and RMSNorm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.ops.norm import rms_norm


class Linear(nn.Linear):
    """A bias-free linear map that computes in `compute_dtype`, whatever the dtype of weight and input."""

    compute_dtype: torch.dtype = torch.float32

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.compute_dtype), self.weight.to(self.compute_dtype))


class RMSNorm(nn.Module):
    """Root-mean-square normalisation in float32."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Make every `Linear` of `model` compute in `dtype`; norms, routing and sums stay float32."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.compute_dtype = dtype
