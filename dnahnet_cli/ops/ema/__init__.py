"""Smoothing of chunk vectors and spreading to positions: plain PyTorch or Triton kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.backend import use_triton
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ema import reference
from dnahnet_cli.ops.ema.reference import ema as ema
from dnahnet_cli.ops.ema.reference import straight_through as straight_through
from dnahnet_cli.ops.routing import Cuts


def smooth_and_spread(
    z_BMD: Tensor,
    p_BL: Tensor,
    cuts: Cuts,
    previous_BD: Tensor | None,
    residual_BLD: Tensor,
    capture: Capture,
) -> tuple[Tensor, Tensor]:
    """Return `residual` plus each position's smoothed chunk, and s at each capture; specified in `reference`."""
    from_start = previous_BD is None and len(capture.rows) == 0
    if use_triton(z_BMD) and (from_start or not torch.is_grad_enabled()):
        from dnahnet_cli.ops.ema import triton

        return triton.smooth_and_spread(z_BMD, p_BL, cuts, previous_BD, residual_BLD, capture)
    return reference.smooth_and_spread(z_BMD, p_BL, cuts, previous_BD, residual_BLD, capture)
