"""The layers everything is made of: linear maps, with a compute dtype or in float32, and RMSNorm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.ops.norm import rms_norm

# A plain product in float32. torch's own goes to MKL, which is fast on Intel's processors only.
_ONEDNN_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x weight^T, as `F.linear`; for inference in float32 on a CPU by oneDNN, where torch has it.

    On AMD's processors that is 2 to 4 times as fast as torch's own choice, and nowhere slower. (In bfloat16 torch takes
    oneDNN by itself.)
    """
    wanted = x.is_cpu and x.dtype == torch.float32 and not torch.is_grad_enabled()
    if _ONEDNN_LINEAR is None or not wanted or 0 in (x.numel(), weight.numel()):
        return F.linear(x, weight)
    if not (weight.is_contiguous() or weight.mT.is_contiguous()):  # for which oneDNN has no fast code
        weight = weight.contiguous()
    y: Tensor = _ONEDNN_LINEAR(x, weight, None, "none", [], "")
    return y


class Linear(nn.Linear):
    """A bias-free linear map that computes in `compute_dtype`, whatever the dtype of weight and input."""

    compute_dtype: torch.dtype = torch.float32

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return product(x.to(self.compute_dtype), self.weight.to(self.compute_dtype))

    def parts(self, x: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """Return the output in parts of `sizes` channels; for inference on a CPU each lies dense in memory."""
        if not x.is_cpu or torch.is_grad_enabled():
            return self(x).split(sizes, dim=-1)  # type: ignore[no-any-return]
        x, weight = x.to(self.compute_dtype), self.weight.to(self.compute_dtype)
        return tuple(product(x, part) for part in weight.split(sizes))


class Float32Linear(nn.Linear):
    """A bias-free linear map that stays in float32: `set_compute_dtype` leaves it alone."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return product(x.float(), self.weight)


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
