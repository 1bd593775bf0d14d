"""The runs of a ladder: each is trained, evaluated and kept as one JSON file, so that a ladder that is stopped goes on.

A run that is killed leaves nothing and is made again. Several processes may climb one ladder in one folder: a run
belongs to the process that holds the lock on its file, and the system takes the lock away from a process that ends.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F

from dnahnet_cli import __version__
from dnahnet_cli.benchmarking.ladder import Spec, per_base
from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.io.output import open_output
from dnahnet_cli.model.chunking import boundary_rates
from dnahnet_cli.model.config import NUM_BASES
from dnahnet_cli.model.network import Network
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.training.hardware import describe_device
from dnahnet_cli.training.loop import Trainer, TrainingError
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Corpus, Genome
from dnahnet_cli.training.processes import Processes
from dnahnet_cli.training.sampler import heldout_windows, to_batch
from dnahnet_cli.training.schedule import Schedule

FORMAT: Final = "dnahnet ladder run 1"
MAX_WARMUP: Final = 200  # steps; a tenth of a short run
REPORTS: Final = 200  # looks at the operations spent: a run stops within about 1/200 of its budget

Status = Literal["ok", "diverged"]


@dataclass(frozen=True)
class Setup:
    """What all runs of a ladder share, beside the corpus."""

    tokens_per_step: int = 8192
    length: int = 2048
    heldout_windows: int = 16
    heldout_length: int = 4096
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    device: str = "cpu"

    def training(self, spec: Spec) -> TrainConfig:
        """Return how a network is trained: with a decay at the end, and a warm-up of a tenth of a short run."""
        steps = spec.budget / (3 * per_base(spec.config, self.length) * self.tokens_per_step)
        return TrainConfig(
            flops=spec.budget,
            tokens_per_step=self.tokens_per_step,
            final_tokens_per_step=self.tokens_per_step,
            length=self.length,
            final_length=self.length,
            learning_rate=spec.learning_rate,
            schedule=Schedule(warmup_steps=min(MAX_WARMUP, max(1, round(steps / 10)))),
            seed=spec.seed,
            report_steps=max(1, round(steps / REPORTS)),
            checkpoint_minutes=math.inf,
            heldout_windows=self.heldout_windows,
            heldout_length=self.heldout_length,
        )


@dataclass(frozen=True)
class Run:
    """What came of a run.

    `flops` are those of the training, counted at the realised chunk rates; `bits` those per base of each window of each
    held-out genome, None for a window without bases; `cuts` the share of boundaries F of each stage on these windows.
    A run that `diverged` has no bits.
    """

    spec: Spec
    status: Status
    parameters: int
    steps: int
    bases: int
    flops: float
    seconds: float
    bits: Mapping[str, Sequence[float | None]]
    cuts: Sequence[float]
    made_by: Mapping[str, Any]

    @property
    def mean(self) -> float:
        """Return the bits per base: the mean over genomes of the means over their windows; NaN if it diverged."""
        means = [sum(known) / len(known) for windows in self.bits.values() if (known := _known(windows))]
        return sum(means) / len(means) if means else math.nan

    def to_json(self) -> str:
        """Return the text form."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Run:
        """Read a file. Raises InputError for one that is no run."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(**{**fields, "spec": Spec(**fields["spec"])})
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a run of a ladder; move it away, and it is made again") from error


def _known(windows: Sequence[float | None]) -> list[float]:
    return [bits for bits in windows if bits is not None]


class RunFolder:
    """Where the runs of ladders lie. A run is found again by all that its result depends on."""

    def __init__(self, folder: Path, setup: Setup, corpus: Corpus) -> None:
        self.folder, self.setup, self.corpus = folder, setup, corpus
        self._corpus_sha256 = corpus_sha256(corpus)
        self._paths: dict[Spec, Path] = {}
        self._found: dict[Spec, Run] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be made: {error.strerror or error}") from error

    def made_by(self, spec: Spec) -> dict[str, Any]:
        """Return all that a run depends on but the device and the program: shape, training, and corpus."""
        training = json.loads(json.dumps({**asdict(self.setup.training(spec)), "checkpoint_minutes": None}))
        dtype = {"dtype": self.setup.dtype}
        config = json.loads(spec.config.to_json())
        return {"config": config, "training": training, "corpus_sha256": self._corpus_sha256, **dtype}

    def path(self, spec: Spec) -> Path:
        """Return where a run is kept."""
        if spec not in self._paths:
            digest = hashlib.sha256(json.dumps(self.made_by(spec), sort_keys=True).encode()).hexdigest()
            self._paths[spec] = self.folder / f"{spec.name}-{digest[:8]}.json"
        return self._paths[spec]

    def find(self, spec: Spec) -> Run | None:
        """Return a finished run. Raises InputError for a file that is none."""
        if spec not in self._found and self.path(spec).exists():
            self._found[spec] = Run.load(self.path(spec))
        return self._found.get(spec)

    @contextmanager
    def claim(self, spec: Spec) -> Iterator[bool]:
        """Hold a run for as long as the context lasts; the value is whether no other process does.

        Without file locks (not on Windows) one process is assumed.
        """
        try:
            import fcntl
        except ImportError:
            yield True
            return
        path = self.path(spec).with_suffix(".lock")
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)

    def make(self, spec: Spec, say: Callable[[str], None] = lambda line: None) -> Run:
        """Train and evaluate a network, and keep the result. A loss that is no number is a result too."""
        began = time.monotonic()
        folder = self.path(spec).with_suffix(".partial")
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        status: Status = "ok"
        try:
            trainer = self._trainer(spec, folder, say)
            trainer.run()
        except TrainingError:
            status = "diverged"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        bits, cuts = ({}, ()) if status == "diverged" else self._evaluate(trainer.model)
        run = Run(
            spec,
            status,
            trainer.model.num_parameters(),
            trainer.step,
            trainer.bases_seen,
            trainer.flops,
            round(time.monotonic() - began, 2),
            bits,
            cuts,
            {**self.made_by(spec), "hardware": describe_device(self.setup.device), "version": __version__},
        )
        with open_output(self.path(spec)) as file:
            file.write(run.to_json())
        return run

    def _trainer(self, spec: Spec, folder: Path, say: Callable[[str], None]) -> Trainer:
        return Trainer(
            spec.config,
            self.setup.training(spec),
            Corpus(self.corpus.train),  # evaluated here, window by window, when it is trained
            folder,
            processes=Processes(device=self.setup.device),
            dtype=getattr(torch, self.setup.dtype),
            log=say,
        )

    def _evaluate(self, model: Network) -> tuple[dict[str, list[float | None]], tuple[float, ...]]:
        setup = self.setup
        return window_bits(model, self.corpus.heldout, setup.heldout_windows, setup.heldout_length)


@torch.no_grad()
def window_bits(
    model: Network, genomes: Sequence[Genome], num_windows: int, length: int, at_once: int = 32768
) -> tuple[dict[str, list[float | None]], tuple[float, ...]]:
    """Return the bits per base of evenly spread windows of each genome, and the share of boundaries of each stage.

    Each window is read on the forward strand and begins without context; it is None where all of it is N.
    """
    device = next(model.parameters()).device
    bits: dict[str, list[float | None]] = {}
    cuts: list[list[float]] = []
    group = max(1, at_once // length)
    for genome in genomes:
        batch = to_batch(heldout_windows(genome, num_windows, length))
        bits[genome.name] = []
        for start in range(0, num_windows, group):
            tokens, targets = (
                torch.from_numpy(array[start : start + group]).to(device) for array in (batch.tokens, batch.targets)
            )
            output, _ = model(tokens, capture=Capture.nowhere(device))
            nats_BL = F.cross_entropy(
                output.logits_BL4.transpose(1, 2), targets, ignore_index=NUM_BASES, reduction="none"
            )
            totals, counts = nats_BL.sum(1).tolist(), (targets < NUM_BASES).sum(1).tolist()
            bits[genome.name] += [
                round(total / count / math.log(2), 6) if count else None
                for total, count in zip(totals, counts, strict=True)
            ]
            cuts.append([float(boundary_rates(trace)[0]) for trace in output.traces])
    shares = tuple(round(sum(column) / len(column), 5) for column in zip(*cuts, strict=True))
    return bits, shares


def corpus_sha256(corpus: Corpus) -> str:
    """Return the digest of what a corpus holds, and of which genomes are held out."""
    return hashlib.sha256(json.dumps(corpus.records(), sort_keys=True).encode()).hexdigest()


def check_heldout(corpus: Corpus, setup: Setup) -> None:
    """Raise InputError, before any run, where nothing is held out or a genome is shorter than a window."""
    if not corpus.heldout:
        raise InputError(
            "nothing is held out, so nothing can be compared: give a manifest that says what, or --heldout"
        )
    for genome in corpus.heldout:
        heldout_windows(genome, setup.heldout_windows, setup.heldout_length)
