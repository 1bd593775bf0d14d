"""RMSNorm with the gradient written out: a third of the passes over memory that autograd makes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return what the reference does, weight x / sqrt(mean(x^2) + eps) in float32. Differentiable once."""
    y: Tensor = RMSNormFunction.apply(x.float(), weight, eps)  # type: ignore[no-untyped-call]
    return y


class RMSNormFunction(torch.autograd.Function):
    """The function behind `rms_norm`, in the dtype of its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale: Tensor = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
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
