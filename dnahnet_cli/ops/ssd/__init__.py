"""The Mamba-2 recurrence: the reference, or for whole sequences without states the form with an explicit gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ssd import reference
from dnahnet_cli.ops.ssd.explicit import ssd_from_start


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
    if state_BHNP is not None or len(capture.rows) or not torch.is_grad_enabled():
        return reference.ssd(x_BLHP, log_decay_BLH, b_BLN, c_BLN, state_BHNP, capture, chunk)
    no_states = x_BLHP.new_zeros(0, x_BLHP.shape[2], b_BLN.shape[2], x_BLHP.shape[3], dtype=torch.float32)
    return ssd_from_start(x_BLHP, log_decay_BLH, b_BLN, c_BLN, chunk), no_states
