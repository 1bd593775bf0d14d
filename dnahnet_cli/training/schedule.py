"""The learning rate over a run: linear warm-up, stable, and a decay to zero at the end of the budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Warm-up counts steps; decay counts the share of the run's budget, be it time or steps."""

    warmup_steps: int = 200
    decay_fraction: float = 0.3

    def factor(self, step: int, progress: float) -> float:
        """Return the multiple of the base rate at `step`, when `progress` (0 to 1) of the budget is spent.

        The decay is 1 - sqrt(share of the decay phase), which spends little time at middling rates.
        """
        warmup = min(1.0, (step + 1) / self.warmup_steps)
        if not self.decaying(progress):
            return warmup
        share = min(1.0, (progress - (1 - self.decay_fraction)) / self.decay_fraction)
        return warmup * float(1 - share**0.5)

    def decaying(self, progress: float) -> bool:
        """Tell whether the decay phase has begun."""
        return progress > 1 - self.decay_fraction
