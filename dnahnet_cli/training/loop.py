"""The training loop: next-base cross-entropy plus the ratio loss, bounded by time or steps, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dnahnet_cli.errors import DnahnetError, InputError, ModelError, OutputError
from dnahnet_cli.model.chunking import boundary_rates
from dnahnet_cli.model.config import NUM_BASES, Config
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.networks.architectures import build, read_config
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.training.checkpoint import (
    Checkpoint,
    adapt,
    check_target,
    load_checkpoint,
    save_checkpoint,
    save_latest,
)
from dnahnet_cli.training.curve import Curve
from dnahnet_cli.training.evaluation import HeldOut, evaluate
from dnahnet_cli.training.history import History, differences, settings_of
from dnahnet_cli.training.objective import TrainConfig, losses, parameter_groups
from dnahnet_cli.training.origin import Origin, begin_with
from dnahnet_cli.training.packed import Corpus
from dnahnet_cli.training.parts import PartFolder
from dnahnet_cli.training.processes import Processes
from dnahnet_cli.training.sampler import Batch, Sampler, heldout_windows

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
STABLE, WEIGHTS = "stable", "model.safetensors"  # of a run, in its folder


class TrainingError(DnahnetError):
    """The run cannot go on: its loss is no longer a number."""


@dataclass
class Since:
    """What the steps since the last row of the curve add up to. A checkpoint keeps it, so a pause leaves no trace."""

    sums: Tensor  # of what `Trainer._update` returns
    steps: int = 0
    bases: int = 0


class Trainer:
    """One run: model, optimiser, data, and how far it has come.

    Files in its folder: `checkpoint-STEP/` (the newest, to resume), `stable/` (before the decay, to train on from),
    and `curve.csv`.
    """

    def __init__(
        self,
        model_config: Config,
        config: TrainConfig,
        corpus: Corpus,
        folder: Path,
        *,
        processes: Processes | None = None,
        dtype: torch.dtype = torch.float32,
        log: Callable[[str], None] = print,
        more: PartFolder | None = None,
        ceiling: float = math.nan,
        hardware: str = "",
        origin: Origin | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.corpus, self.folder, self.more = config, corpus, folder, more
        self.processes, self.ceiling, self.hardware = processes or Processes(), ceiling, hardware
        self.made_on: list[str] = []  # the hardware that made steps of this run, in order
        self.device = self.processes.device
        self.log = log if self.processes.first else lambda line: None
        self.model = build(model_config)
        self.begun_from: dict[str, Any] | None = None  # the record of the weights that the run began with
        self.settings, self.past, self.first_step = settings_of(config, dtype), History(), 0  # `past` is before it
        if origin is not None:
            begin_with(self.model, origin)
            self.begun_from = origin.record
            self.past = History(genera=origin.genera)
        self.model.to(self.device)
        set_compute_dtype(self.model, dtype)
        self.network: nn.Module = self.model
        if self.processes.size > 1:
            self.network = DistributedDataParallel(self.model)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, config), lr=0.0, betas=(0.9, 0.95), fused=True)
        self.sampler = Sampler(corpus.train, config.seed)
        self.curve = Curve(folder, model_config.num_stages)
        self.carried: Path | None = None  # the checkpoint's folder that was resumed, which may hold a curve
        self.step, self.bases_seen, self.minutes, self.flops = 0, 0, 0.0, 0.0
        self.since = self._nothing()
        self.cold_step = 0  # where the optimiser knew nothing, and warming up begins
        self.stopped_by = 0  # set to a signal's number, it makes `run` pause after the step in progress
        for genome in corpus.heldout:  # too short a genome is better noticed now than at the first evaluation
            heldout_windows(genome, config.heldout_windows, config.heldout_length)

    # --- running ---

    def run(self, stop_after: float = math.inf) -> HeldOut | None:
        """Train until the budget is spent, then evaluate; None when `stop_after` minutes of this call came first.

        Raises TrainingError when the loss stops being a number, OutputError when a file cannot be written.
        """
        self._open_folder()
        began = mark = time.monotonic()
        saved = last_log = began
        earlier = self.minutes
        aside = 0.0  # seconds spent on checkpoints and evaluations
        # A run that is resumed within the decay has its stable checkpoint, and must not replace it by a decayed one.
        stable_saved = self.config.schedule.decaying(self.config.budget_spent(self.step, self.minutes, self.flops))
        length, bases = self.config.length, 0
        while True:
            self.minutes = self.processes.agreed(earlier + (time.monotonic() - began - aside) / 60)
            progress = self.config.budget_spent(self.step, self.minutes, self.flops)
            finished = progress >= 1
            stop = self.stopped_by or self.minutes - earlier >= stop_after
            paused = not finished and self.processes.agreed(float(stop)) > 0
            decaying = self.config.schedule.decaying(progress)
            turns = finished or (decaying and not stable_saved)  # and with it the length: a row has windows of one
            if self.since.steps >= self.config.report_steps or (turns and self.since.steps):
                row = self._report(length, bases, mark)
                now = time.monotonic()
                due = self.processes.agreed(float(now - saved > 60 * self.config.checkpoint_minutes)) > 0
                save = due and not finished and not paused
                if save:
                    row["heldout_bits"] = self._glance()
                if self.processes.first:
                    self.curve.add(row)
                if save:  # after its row: a run that is killed in between makes both again
                    self._save_latest()
                    saved = time.monotonic()
                if now - last_log > 30 or save:
                    self._say(row)
                    last_log = now
                if not (finished or paused):  # or genomes would count as trained on that no step has seen
                    self._look_for_more()
                aside += time.monotonic() - now
                mark, bases = time.monotonic(), 0
            if finished or paused:
                break
            if decaying and not stable_saved:
                now = time.monotonic()
                self._settle()
                if self.processes.first:
                    self.save(self.folder / STABLE)
                stable_saved = True
                spent = time.monotonic() - now
                aside, mark = aside + spent, mark + spent
            length, tokens = self.config.length, self.config.tokens_per_step
            if decaying:
                length, tokens = self.config.final_length, self.config.final_tokens_per_step
            num_windows = max(self.processes.size, tokens // length)
            batch = self.sampler.batch(
                self.step, num_windows, length, rank=self.processes.rank, world_size=self.processes.size
            )
            values = self._update(batch, self.config.schedule.factor(self.step - self.cold_step, progress))
            bases += batch.num_bases
            self.step += 1
            self.bases_seen += batch.num_bases
            self.since = Since(self.since.sums + values, self.since.steps + 1, self.since.bases + batch.num_bases)
            if self.hardware not in self.made_on:
                self.made_on.append(self.hardware)
        self._settle()
        self._save_latest()
        self.processes.wait()
        if self.more is not None and self.more.left_out():
            self.log(self.more.left_out())
        return None if paused else self.evaluate()

    def _open_folder(self) -> None:
        """Make the run's folder and its curve. Raises OutputError, now rather than at the first checkpoint."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror or error}") from error
        check_target(self.folder / STABLE)
        if self.processes.first:
            self.curve.begin(self.step, self.carried)

    def evaluate(self) -> HeldOut:
        """Evaluate on the held-out genomes and add the figure to the curve."""
        result = self._heldout()
        if self.processes.first and result.bits:
            self.curve.conclude({"step": self.step, "bases": self.bases_seen, "minutes": round(self.minutes, 3),
                                 "heldout_bits": round(result.mean, 5)})  # fmt: skip
        return result

    def _update(self, batch: Batch, rate: float) -> Tensor:
        """Make one step; return cross-entropy (nats), ratio loss, F and G of each stage, and the gradient's norm.

        The windows of a step are worked off in parts of at most `micro_tokens`, and by all processes together:
        either way the cross-entropy is the mean over all of the step's targets.
        """
        num_windows, length = batch.tokens.shape
        group = max(1, self.config.micro_tokens // length)
        parts = range(0, num_windows, group)
        count = torch.full((), float((batch.targets != NUM_BASES).sum()), device=self.device)
        count = self.processes.total(count).clamp(min=1)
        values = torch.zeros(2 + 2 * self.model.config.num_stages, device=self.device)
        for start in parts:
            rows = slice(start, start + group)
            tokens = torch.from_numpy(batch.tokens[rows]).to(self.device, non_blocking=True)
            targets = torch.from_numpy(batch.targets[rows]).to(self.device, non_blocking=True)
            share = len(tokens) / num_windows
            with self._without_exchange(last=start == parts[-1]):
                output, _ = self.network(tokens, capture=Capture.nowhere(self.device))
                cross_entropy, ratio = losses(output, targets, self.model.config.targets)
                cross_entropy = cross_entropy * (self.processes.size / count)  # the exchange averages over processes
                (cross_entropy + self.config.ratio_weight * share * ratio).backward()
            rates = [rate.detach() for trace in output.traces for rate in boundary_rates(trace)]
            values += torch.stack([cross_entropy.detach(), *(share * value for value in (ratio.detach(), *rates))])
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for group_ in self.optimizer.param_groups:
            group_["lr"] = group_["base_lr"] * rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return torch.cat([values, norm.unsqueeze(0)])

    def _without_exchange(self, *, last: bool) -> AbstractContextManager[None]:
        """Return a context in which gradients stay on this process, unless they are the step's last."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            context: AbstractContextManager[None] = self.network.no_sync()
            return context
        return nullcontext()

    def _look_for_more(self) -> None:
        if self.more is None:
            return
        known = len(self.more.names)
        corpus = self.more.new_parts(self.corpus, self.log) if self.processes.first else Corpus()
        names = self.processes.agreed_names(self.more.names[known:])
        if not self.processes.first:  # what one process sees in the folder, another might not see yet
            corpus = self.more.read(names)
        if corpus.train:
            self.sampler.add(corpus.train)
            self.corpus += Corpus(corpus.train)
            self.log(f"{len(self.corpus.train)} genomes, {self.corpus.num_bases / 1e6:.0f} million bases by now")

    # --- reporting ---

    def _nothing(self) -> Since:
        return Since(torch.zeros(3 + 2 * self.model.config.num_stages, device=self.device))

    def _settle(self) -> None:
        """Make the sums since the last row those of all processes. Waits for the device.

        Raises TrainingError when they are no numbers: such a network must be neither reported nor saved.
        """
        self.since.sums = self.processes.total(self.since.sums) / self.processes.size
        whole = torch.stack([p.detach().isfinite().all() for p in self.model.parameters()])  # after the last step too
        if not bool(self.since.sums.isfinite().all() & whole.all()):
            raise TrainingError(
                f"the loss is no longer a number at step {self.step}: go on from the last checkpoint with a lower "
                "--learning-rate"
            )

    def _report(self, length: int, bases: int, mark: float) -> dict[str, object]:
        """Return a row of the curve, with the speed of `bases` made since `mark`, and begin anew."""
        self._settle()
        seconds = time.monotonic() - mark
        nats, ratio, *rates, norm = (self.since.sums / self.since.steps).tolist()
        work = self.model.flops(length, [min(1.0, f) for f in rates[::2]])
        self.flops += 3 * work.per_base * self.since.bases
        self.since = self._nothing()
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        names = self.curve.columns[5 : 5 + len(rates)]
        return {
            "step": self.step,
            "bases": self.bases_seen,
            "minutes": round(self.minutes, 3),
            "bits": round(nats / math.log(2), 5),
            "ratio_loss": round(ratio, 5),
            **{name: round(value, 4) for name, value in zip(names, rates, strict=True)},
            "gradient_norm": round(norm, 4),
            "learning_rate": f"{rate:.3g}",
            "bases_per_s": round(bases / seconds),
            "mfu": round(3 * work.per_base * bases / seconds / self.ceiling, 4),
        }

    def _say(self, row: Mapping[str, object]) -> None:
        cuts = " ".join(f"{name} {row[name]}" for name in row if name[0] in "FG" and name[1:].isdigit())
        heldout = f", held out {row['heldout_bits']}" if row.get("heldout_bits") else ""
        self.log(
            f"step {row['step']:,}, {self.bases_seen / 1e6:.1f} million bases, {self.minutes:.1f} min: "
            f"{row['bits']} bits{heldout}, {cuts}, {row['bases_per_s']:,} bases/s"
        )

    # --- checkpoints ---

    def _glance(self) -> float | str:
        """Return the mean held-out bits, for the curve: the same windows as at the end, so that the curve is one."""
        return round(self._heldout().mean, 5) if self.corpus.heldout else ""

    def _heldout(self) -> HeldOut:
        return evaluate(self.model, self.corpus.heldout, self.config.heldout_windows, self.config.heldout_length)

    def _save_latest(self) -> None:
        if self.processes.first:
            save_latest(self.folder, self.step, *self._state(), self.config.part_mib)

    def save(self, folder: Path, *, moments: bool = True, curve: bool = False) -> None:
        """Write a checkpoint to `folder`, with the curve if asked for.

        Without the optimiser's moments it is a third as large.
        """
        beside = self.curve.path if curve and self.curve.path.is_file() else None
        save_checkpoint(folder, *self._state(moments=moments), self.config.part_mib, beside)

    @property
    def history(self) -> History:
        """Return what all steps so far were made on and with. A call that has made none adds nothing."""
        if self.step == self.first_step:
            return self.past
        trained = [record for record in self.corpus.records() if record["split"] == "train"]
        return self.past.made_with(self.settings, self.first_step).trained_on(trained)

    def _state(self, *, moments: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"model.{n}": p.detach() for n, p in self.model.named_parameters()}
        if moments:
            for n, p in self.model.named_parameters():
                for key, value in self.optimizer.state.get(p, {}).items():
                    tensors[f"{key}.{n}"] = torch.as_tensor(value)
        facts = {
            "config": self.model.config.to_json(),
            "step": self.step,
            "bases_seen": self.bases_seen,
            "cold_step": self.cold_step,
            "minutes": self.minutes,
            "flops": self.flops,
            "since": {"sums": self.since.sums.tolist(), "steps": self.since.steps, "bases": self.since.bases},
            "made_on": self.made_on,
            "begun_from": self.begun_from,
            **self.history.facts(),
            "train": json.loads(json.dumps(asdict(self.config))),
        }
        return tensors, facts

    def resume(self, folder: Path) -> None:
        """Continue from a checkpoint. Raises InputError for another network's, or for what is no checkpoint.

        A checkpoint without moments warms up again: its optimiser knows nothing yet.
        """
        checkpoint = load_checkpoint(folder, self.device)
        try:
            self._continue(checkpoint, folder)
        except (KeyError, TypeError, ModelError) as error:
            raise InputError(f"{folder}: not a checkpoint of this program, or one of another version") from error

    def _continue(self, checkpoint: Checkpoint, folder: Path) -> None:
        facts = checkpoint.facts
        config = read_config(facts["config"])
        if config != self.model.config:
            option = "--preset" if config.arch == self.model.config.arch else f"--arch ({config.arch}) and --preset"
            raise InputError(f"{folder}: a checkpoint of another network; give the {option} that it was begun with")
        if facts["train"]["seed"] != self.config.seed:
            self.log(f"{folder} was begun with --seed {facts['train']['seed']}: the order of windows changes")
        parameters = dict(self.model.named_parameters())
        loaded = {name: adapt(checkpoint, f"model.{name}", p, folder) for name, p in parameters.items()}
        moments = {
            name: {key: checkpoint.tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in checkpoint.tensors}
            for name in parameters
        }
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(loaded[name])
                self.optimizer.state[parameter] = moments[name]
        self.step, self.bases_seen = facts["step"], facts["bases_seen"]
        self.minutes, self.flops = facts["minutes"], facts["flops"]
        self.made_on = facts["made_on"]
        self.begun_from = facts.get("begun_from")
        self.past, self.first_step, self.carried = History.of_facts(facts), self.step, folder
        if "genomes" not in facts:
            self.log(f"{folder} is of an earlier version and lists no genomes: those given now are taken for them")
            self.past = self.past.trained_on(r for r in self.corpus.records() if r["split"] == "train")
        changed = differences(self.past.settings, self.settings, leave_out=["seed"])
        if changed and self.config.budget_spent(self.step, self.minutes, self.flops) < 1:
            self.log(f"from step {self.step:,} on with other settings than {folder}: {changed}")
        self.cold_step = facts["cold_step"] if any(moments.values()) else self.step
        if "since" in facts:
            since = facts["since"]
            self.since = Since(torch.tensor(since["sums"], device=self.device), since["steps"], since["bases"])
