"""Where, along a batch of sequences, recurrent states are to be taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Capture:
    """K places at which states are taken: after `positions[k]` tokens of row `rows[k]`.

    Position 0 is the state before the first token of the call, position L the state after its last.
    One row may be captured many times, or never; the captured states form a new batch of K rows.
    """

    rows: Tensor  # (K,) int64
    positions: Tensor  # (K,) int64

    @classmethod
    def at_ends(cls, lengths: Tensor) -> Capture:
        """Return one capture per row, after the row's last token. `lengths` is (B,) int64."""
        return cls(torch.arange(len(lengths), device=lengths.device), lengths)

    @classmethod
    def nowhere(cls, device: torch.device | str = "cpu") -> Capture:
        """Return no captures: for training, where no state is wanted."""
        none = torch.zeros(0, dtype=torch.long, device=device)
        return cls(none, none)

    def moved(self, positions: Tensor) -> Capture:
        """Return the same rows captured at other `positions`, (K,) int64."""
        return Capture(self.rows, positions)
