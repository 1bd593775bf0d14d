"""What a run minimises, and how: its settings, the parameters by learning rate and decay, and the losses of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.model.chunking import ratio_loss
from dnahnet_cli.model.config import NUM_BASES
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.training.schedule import Schedule


@dataclass(frozen=True)
class TrainConfig:
    """How a run is made. `stage_rates` multiply `learning_rate` from the outermost stage to the core.

    A network without stages is all core.

    The budget is `flops` if given, as counted in a row of the curve, or `steps`, otherwise `minutes` of training
    (evaluations and checkpoints not counted).
    """

    minutes: float = 60.0
    steps: int | None = None
    flops: float | None = None
    tokens_per_step: int = 8192
    length: int = 2048
    final_length: int = 8192  # in the decay phase, so that the model knows the context it is used with
    final_tokens_per_step: int = 16384
    micro_tokens: int = 16384  # at most so many at once per process; a larger step is accumulated
    learning_rate: float = 3e-3
    stage_rates: tuple[float, ...] = (2.0, 1.5, 1.0)
    weight_decay: float = 0.05
    clip: float = 1.0
    ratio_weight: float = 0.015
    schedule: Schedule = Schedule()
    seed: int = 1
    report_steps: int = 20
    checkpoint_minutes: float = 5.0
    part_mib: float = 1024.0
    heldout_windows: int = 8
    heldout_length: int = 4096

    def budget_spent(self, step: int, minutes: float, flops: float = 0.0) -> float:
        """Return the share of the budget that is spent, 0 to 1 or beyond."""
        if self.flops is not None:
            return flops / self.flops
        return step / max(self.steps, 1) if self.steps is not None else minutes / self.minutes


def parameter_groups(model: Network, config: TrainConfig) -> list[dict[str, Any]]:
    """Split the parameters by stage (learning rate) and by whether they decay (matrices do; norms, biases do not).

    Routers do not decay: they start at the identity, and 0 is no neutral place for them. Nor do filters.
    """
    stage_rates = config.stage_rates if model.config.num_stages else config.stage_rates[-1:]
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = name.count("inner.") if name.startswith("stage.") else 0
        decays = parameter.ndim >= 2 and not any(part in name for part in ("conv", "router", "filter"))
        groups.setdefault((depth, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "base_lr": config.learning_rate * stage_rates[min(depth, len(stage_rates) - 1)],
        }
        for (depth, decays), parameters in groups.items()
    ]


def losses(output: Output, targets: Tensor, ratios: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy over ACGT targets (natural log) and the sum of the stages' ratio losses."""
    cross_entropy = F.cross_entropy(
        output.logits_BL4.flatten(0, 1), targets.flatten(), ignore_index=NUM_BASES, reduction="sum"
    )
    ratio_losses = [ratio_loss(trace, ratio) for trace, ratio in zip(output.traces, ratios, strict=True)]
    return cross_entropy, torch.stack([cross_entropy.new_zeros(()), *ratio_losses]).sum()
