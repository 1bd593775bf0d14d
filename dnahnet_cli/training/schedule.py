"""The learning rate over a run: linear warm-up, then stable with a decay at the end, or a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Warm-up counts steps; decay counts the share of the run's budget, be it time or steps.

    With a stable phase a run can be prolonged from the checkpoint before its decay; a cosine cannot.
    """

    warmup_steps: int = 200
    decay_fraction: float = 0.3
    kind: Literal["stable", "cosine"] = "stable"

    def factor(self, step: int, progress: float) -> float:
        """Return the multiple of the base rate at `step`, when `progress` (0 to 1) of the budget is spent.

        The decay is 1 - sqrt(share of the decay phase), which spends little time at middling rates.
        """
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.kind == "cosine":
            return warmup * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        if not self.decaying(progress):
            return warmup
        share = min(1.0, (progress - (1 - self.decay_fraction)) / self.decay_fraction)
        return warmup * float(1 - share**0.5)

    def decaying(self, progress: float) -> bool:
        """Tell whether the last phase has begun."""
        return progress > 1 - self.decay_fraction
