"""The Mamba-2 recurrence: the reference, for training the form with an explicit gradient, or Triton kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.backend import use_triton
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ssd import explicit, reference


def ssd(
    x_BLHP: Tensor,
    log_decay_BLH: Tensor,
    b_BLN: Tensor,
    c_BLN: Tensor,
    state_BHNP: Tensor | None,
    capture: Capture,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """Run S_t = exp(log_decay_t) S_{t-1} + b_t x_t^T and read out y_t = S_t^T c_t, as `reference.ssd` specifies."""
    from_start = state_BHNP is None and len(capture.rows) == 0
    if use_triton(x_BLHP) and (from_start or not torch.is_grad_enabled()):
        from dnahnet_cli.ops.ssd import triton

        return triton.ssd(x_BLHP, log_decay_BLH, b_BLN, c_BLN, state_BHNP, capture, chunk)
    if not torch.is_grad_enabled():
        return explicit.ssd_without_gradient(x_BLHP, log_decay_BLH, b_BLN, c_BLN, state_BHNP, capture, chunk)
    if not from_start:
        return reference.ssd(x_BLHP, log_decay_BLH, b_BLN, c_BLN, state_BHNP, capture, chunk)
    no_states = x_BLHP.new_zeros(0, x_BLHP.shape[2], b_BLN.shape[2], x_BLHP.shape[3], dtype=torch.float32)
    return explicit.ssd_from_start(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk), no_states
