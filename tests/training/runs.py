"""Short training runs of the smallest network on genomes in memory."""

from __future__ import annotations

import csv
import math
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnahnet_cli.model.config import PRESETS, Config
from dnahnet_cli.training.checkpoint import latest_checkpoint, load_checkpoint
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Corpus, Genome
from dnahnet_cli.training.schedule import Schedule
from tests.conftest import random_codes

N = 4
TINY = PRESETS["tiny"]
MOTIF = Genome("motif", "Motif", [np.tile(random_codes(300, 0), 20)])
RANDOM = Genome("random", "Random", [random_codes(3000, 1), random_codes(500, 2)])
HELD = Genome("held", "Held", [random_codes(600, 3)])
CORPUS = Corpus((MOTIF, RANDOM), (HELD,))
CONFIG = TrainConfig(
    steps=12,
    tokens_per_step=128,
    length=64,
    final_length=128,
    final_tokens_per_step=256,
    schedule=Schedule(warmup_steps=3, decay_fraction=0.3),
    report_steps=3,
    checkpoint_minutes=60.0,
    heldout_windows=4,
    heldout_length=100,
)
# What a run leaves in its curve whatever the clock says.
REPRODUCIBLE = (
    "step", "bases", "bits", "ratio_loss", "F1", "G1", "F2", "G2", "gradient_norm", "learning_rate"
)  # fmt: skip


def trainer(
    folder: Path, config: TrainConfig = CONFIG, model: Config = TINY, corpus: Corpus = CORPUS, **options: Any
) -> Trainer:
    return Trainer(model, config, corpus, folder, **{"log": lambda line: None, **options})


def make_steps(run: Trainer, count: int, num_windows: int = 2, length: int = 64, rate: float = 1.0) -> list[float]:
    """Make training steps as `run` does; return the cross-entropies in bits."""
    bits = []
    for _ in range(count):
        values = run._update(run.sampler.batch(run.step, num_windows, length), rate)
        bits.append(float(values[0]) / math.log(2))
        run.step += 1
        run.bases_seen += num_windows * length
    return bits


class Update(NamedTuple):
    """One step of a run, with the learning rate of the outermost stage."""

    step: int
    num_windows: int
    length: int
    rate: float


def watch(run: Trainer, before: Callable[[int], None] = lambda step: None) -> list[Update]:
    """Record every update; `before` is told the number of each, and may end or change the run."""
    seen: list[Update] = []
    update = run._update

    def watched(batch: Any, rate: float) -> Any:
        before(run.step)
        values = update(batch, rate)
        seen.append(Update(run.step, *batch.tokens.shape, max(group["lr"] for group in run.optimizer.param_groups)))
        return values

    run._update = watched  # type: ignore[method-assign]
    return seen


def pause_before(run: Trainer, step: int) -> None:
    """Let a run pause once it has made the steps before `step`, as on a signal."""

    def stop(at: int) -> None:
        if at == step - 1:
            run.stopped_by = 15

    watch(run, stop)


class Killed(BaseException):
    """Ends a run as nothing in the program would."""


def kill_at(run: Trainer, step: int) -> None:
    """Let a run die instead of making `step`."""

    def die(at: int) -> None:
        if at == step:
            raise Killed

    watch(run, die)


def config_of(run: Path) -> TrainConfig:
    """Return how a run was made, as its newest checkpoint has it."""
    latest = latest_checkpoint(run)
    assert latest is not None
    fields = load_checkpoint(latest).facts["train"]
    fields |= {"schedule": Schedule(**fields["schedule"]), "stage_rates": tuple(fields["stage_rates"])}
    return TrainConfig(**fields)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def reproducible(folder: Path) -> list[tuple[str, ...]]:
    """Return the curve of a run without what depends on the clock."""
    return [tuple(row[column] for column in REPRODUCIBLE) for row in rows(folder)]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file become larger, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
