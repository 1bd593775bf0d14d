"""Exponential smoothing of chunk vectors. Shapes: B batch, M chunks, D width, K captures."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
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
