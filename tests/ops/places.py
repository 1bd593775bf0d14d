"""Where the tests of the operations take states."""

from __future__ import annotations

import torch

from dnahnet_cli.ops.capture import Capture


def everywhere(batch: int, length: int, seed: int = 0) -> Capture:
    """Return every position of every row from 0 to `length`, out of order, some twice."""
    rows = torch.arange(batch).repeat_interleave(length + 1)
    positions = torch.arange(length + 1).repeat(batch)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=random)
    order = torch.cat([order, order[:5]])
    return Capture(rows[order], positions[order])
