"""Exponential smoothing of chunk vectors, and spreading to positions.

Shapes: B batch, L positions, M chunks, D width, K captures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.routing.reference import Cuts, select_rows
from dnahnet_cli.ops.ssd.reference import ssd

MIN_WEIGHT = 1e-4


def ema(z_BMD: Tensor, weight_BM: Tensor, previous_BD: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
    """Return s_k = w_k z_k + (1 - w_k) s_{k-1} for every chunk, float32, and s at each capture, (K, D).

    `weight_BM` is clipped to [1e-4, 1 - 1e-4]. The first chunk of a sequence (no `previous_BD`) starts
    from 0. It is the SSD recurrence with one head and a state of size 1, in short chunks because
    log(1 - w) is as low as -9.2 and its cumulative sum must keep its digits.
    """
    weight_BM = weight_BM.float().clamp(MIN_WEIGHT, 1 - MIN_WEIGHT)
    scaled_BM1D = (z_BMD.float() * weight_BM.unsqueeze(-1)).unsqueeze(2)
    log_decay_BM1 = torch.log1p(-weight_BM).unsqueeze(-1)
    ones_BM1 = torch.ones_like(log_decay_BM1)
    state = None if previous_BD is None else previous_BD.float()[:, None, None, :]
    smooth_BM1D, states_K11D = ssd(scaled_BM1D, log_decay_BM1, ones_BM1, ones_BM1, state, capture, chunk=16)
    return smooth_BM1D.squeeze(2), states_K11D[:, 0, 0]


def smooth_and_spread(
    z_BMD: Tensor,
    p_BL: Tensor,
    cuts: Cuts,
    previous_BD: Tensor | None,
    residual_BLD: Tensor,
    capture: Capture,
) -> tuple[Tensor, Tensor]:
    """Return `residual` plus, at every position, the smoothed vector of its chunk, (B, L, D); and s at each capture.

    The chunks' weights are p where they begin. A position before the first boundary takes `previous_BD`, or 0. The
    vectors are multiplied by a straight-through confidence, p at a boundary and 1 - p elsewhere. `capture` counts
    chunks.
    """
    smooth_BMD, states_KD = ema(z_BMD, p_BL.gather(1, cuts.position_BM), previous_BD, capture)
    before_B1D = torch.zeros_like(smooth_BMD[:, :1]) if previous_BD is None else previous_BD.unsqueeze(1)
    spread_BLD = select_rows(torch.cat([before_B1D, smooth_BMD], dim=1), cuts.count_BL)
    confidence_BL = torch.where(cuts.mask_BL, p_BL, 1 - p_BL)
    return spread_BLD * straight_through(confidence_BL).unsqueeze(-1) + residual_BLD, states_KD


def straight_through(confidence: Tensor) -> Tensor:
    """Return 1 in the forward pass, with the gradient of `confidence`."""
    return confidence + (1 - confidence).detach()
