"""The two layers everything is made of: a linear map with its own compute dtype, and RMSNorm."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        y: Tensor = _RMSNorm.apply(x.float(), self.weight, self.eps)  # type: ignore[no-untyped-call]
        return y


class _RMSNorm(torch.autograd.Function):
    """The gradient written out: a third of the passes over memory that autograd makes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        unit = x * scale
        dweight = (dy * unit).flatten(0, -2).sum(0)
        dunit = dy * weight
        along = (dunit * unit).mean(-1, keepdim=True)
        return dunit.addcmul_(unit, along, value=-1).mul_(scale), dweight, None


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Make every `Linear` of `model` compute in `dtype`; norms, routing and sums stay float32."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.compute_dtype = dtype
