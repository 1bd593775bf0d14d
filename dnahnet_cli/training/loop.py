"""The training loop: next-base cross-entropy plus the ratio loss, time-boxed, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dnahnet_cli.errors import InputError
from dnahnet_cli.model.chunking import boundary_rates, ratio_loss
from dnahnet_cli.model.config import NUM_BASES, ModelConfig
from dnahnet_cli.model.hnet import HNet, Output
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.training.corpus import Batch, Genome, Sampler, heldout_windows, to_batch
from dnahnet_cli.training.schedule import Schedule


@dataclass(frozen=True)
class TrainConfig:
    """How a run is made. `stage_rates` multiply `learning_rate` from the outermost stage to the core."""

    minutes: float = 60.0
    tokens_per_step: int = 8192
    length: int = 2048
    final_length: int = 8192  # in the decay phase, so that the model knows the context it is used with
    final_tokens_per_step: int = 16384
    learning_rate: float = 1e-3
    stage_rates: tuple[float, ...] = (2.0, 1.5, 1.0)
    weight_decay: float = 0.05
    clip: float = 1.0
    ratio_weight: float = 0.015
    schedule: Schedule = Schedule()
    seed: int = 1
    checkpoint_minutes: float = 5.0
    heldout_windows: int = 8
    heldout_length: int = 4096


def parameter_groups(model: HNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Split the parameters by stage (learning rate) and by whether they decay (matrices do; norms, biases do not)."""
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = name.count("inner.") if name.startswith("stage.") else 0
        groups.setdefault((depth, parameter.ndim >= 2 and "conv" not in name), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "base_lr": config.learning_rate * config.stage_rates[min(depth, len(config.stage_rates) - 1)],
        }
        for (depth, decays), parameters in groups.items()
    ]


def losses(output: Output, targets: Tensor, ratios: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy over ACGT targets (natural log; 0 without any) and the sum of the ratio losses."""
    cross_entropy = F.cross_entropy(
        output.logits_BL4.flatten(0, 1), targets.flatten(), ignore_index=NUM_BASES, reduction="sum"
    ) / (targets != NUM_BASES).sum().clamp(min=1)
    ratio = torch.stack([ratio_loss(t, n) for t, n in zip(output.traces, ratios, strict=True)]).sum()
    return cross_entropy, ratio


@torch.no_grad()
def heldout_bits(model: HNet, genomes: Sequence[Genome], num_windows: int, length: int) -> dict[str, float]:
    """Return bits per base of each genome over fixed windows (each begins without context)."""
    device = next(model.parameters()).device
    result = {}
    for genome in genomes:
        total, count = 0.0, 0
        for window in heldout_windows(genome, num_windows, length):
            batch = to_batch(window[None])
            output, _ = model(torch.from_numpy(batch.tokens).to(device), capture=Capture.nowhere(device))
            targets = torch.from_numpy(batch.targets).to(device).flatten()
            total += float(
                F.cross_entropy(output.logits_BL4.flatten(0, 1), targets, ignore_index=NUM_BASES, reduction="sum")
            )
            count += int((targets < NUM_BASES).sum())
        result[genome.name] = total / count / math.log(2)
    return result


class Trainer:
    """One run: model, optimiser, and how far it has come."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        train: Sequence[Genome],
        heldout: Sequence[Genome],
        folder: Path,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        log: Callable[[str], None] = print,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.heldout, self.folder, self.log, self.device = config, heldout, folder, log, device
        self.model = HNet(model_config).to(device)
        set_compute_dtype(self.model, dtype)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, config), lr=0.0, betas=(0.9, 0.95), fused=True)
        self.sampler = Sampler(train, config.seed)
        self.step, self.bases_seen, self.minutes_before = 0, 0, 0.0
        for genome in heldout:  # too short a genome is better noticed now than at the first evaluation
            heldout_windows(genome, config.heldout_windows, config.heldout_length)
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> dict[str, float]:
        """Train for the configured minutes, then evaluate; return held-out bits per base by species.

        Files in the run's folder: `checkpoint.safetensors` (to resume), `stable.safetensors` (the last one before
        the decay, to train on from), `log.jsonl` (one object per report).
        """
        began = last_report = last_save = time.monotonic()
        # A run that is resumed within the decay has its stable checkpoint, and must not replace it by a decayed one.
        stable_saved = self.config.schedule.decaying(self.minutes_before / self.config.minutes)
        sums = torch.zeros(2)
        steps_since = 0
        while True:
            spent = self.minutes_before + (time.monotonic() - began) / 60
            progress = spent / self.config.minutes
            if progress >= 1:
                break
            if self.config.schedule.decaying(progress) and not stable_saved:
                self.save("stable", spent)
                stable_saved = True
            length, tokens = self.config.length, self.config.tokens_per_step
            if stable_saved:
                length, tokens = self.config.final_length, self.config.final_tokens_per_step
            batch = self.sampler.batch(self.step, max(1, tokens // length), length)
            output, values = self._update(batch, self.config.schedule.factor(self.step, progress))
            sums += values
            steps_since += 1
            now = time.monotonic()
            if now - last_report > 30:
                self._report(output, sums / steps_since, steps_since * batch.tokens.size / (now - last_report), spent)
                sums, steps_since, last_report = torch.zeros(2), 0, now
            if now - last_save > 60 * self.config.checkpoint_minutes:
                self.save("checkpoint", spent)
                bits = heldout_bits(self.model, self.heldout, 2, self.config.heldout_length)
                self._write({"step": self.step, "heldout_quick_bits": sum(bits.values()) / len(bits)})
                last_save = last_report = time.monotonic()
        self.minutes_before = max(self.minutes_before, self.config.minutes)
        self.save("checkpoint", self.minutes_before)
        bits = heldout_bits(self.model, self.heldout, self.config.heldout_windows, self.config.heldout_length)
        self._write({"step": self.step, "bases_seen": self.bases_seen, "heldout_bits": bits})
        return bits

    def _update(self, batch: Batch, rate: float) -> tuple[Output, Tensor]:
        tokens = torch.from_numpy(batch.tokens).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        output, _ = self.model(tokens, capture=Capture.nowhere(self.device))
        cross_entropy, ratio = losses(output, targets, self.model.config.ratios)
        (cross_entropy + self.config.ratio_weight * ratio).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.bases_seen += batch.tokens.size
        return output, torch.stack([cross_entropy, ratio]).detach().cpu()

    def _report(self, output: Output, means: Tensor, speed: float, spent: float) -> None:
        rates = [[round(float(x.detach()), 3) for x in boundary_rates(trace)] for trace in output.traces]
        self._write(
            {
                "step": self.step,
                "minutes": round(spent, 2),
                "bits": round(float(means[0]) / math.log(2), 4),
                "ratio_loss": round(float(means[1]), 4),
                "rates": rates,
                "bases_per_s": round(speed),
                "bases_seen": self.bases_seen,
            }
        )

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        self.log(line)

    def save(self, name: str, minutes: float) -> None:
        """Write model, optimiser and progress to `<name>.safetensors`, complete or not at all."""
        tensors = {f"model.{n}": p.detach().contiguous() for n, p in self.model.named_parameters()}
        for n, p in self.model.named_parameters():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"{key}.{n}"] = torch.as_tensor(value).contiguous()
        progress = {"step": self.step, "bases_seen": self.bases_seen, "minutes": minutes}
        metadata = {
            "config": self.model.config.to_json(),
            "progress": json.dumps(progress),
            "train": json.dumps(asdict(self.config)),
        }
        temporary = self.folder / f".{name}.partial"
        save_file(tensors, temporary, metadata)
        temporary.chmod(0o644)
        temporary.replace(self.folder / f"{name}.safetensors")

    def resume(self, path: Path) -> None:
        """Continue from what `save` wrote. Raises InputError for another model's checkpoint, or no checkpoint."""
        try:
            with safe_open(path, "pt", device=self.device) as file:
                self._restore(path, file)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a readable checkpoint of a training run") from error

    def _restore(self, path: Path, file: Any) -> None:
        metadata = file.metadata() or {}
        progress = json.loads(metadata["progress"])
        if ModelConfig.from_json(metadata["config"]) != self.model.config:
            raise InputError(f"{path}: a checkpoint of another model configuration")
        available = set(file.keys())
        for n, p in self.model.named_parameters():
            with torch.no_grad():
                p.copy_(file.get_tensor(f"model.{n}"))
            names = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{n}" in available]
            self.optimizer.state[p] = {key: file.get_tensor(f"{key}.{n}") for key in names}
        self.step, self.bases_seen = progress["step"], progress["bases_seen"]
        self.minutes_before = progress["minutes"]
