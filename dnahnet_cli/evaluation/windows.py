"""Sums of predictions by window of a genome, by strand and by class of base: all that bits per base are made of.

A window is both what is drawn, so that a large genome can be measured on a part of it, and the block that a bootstrap
resamples, because neighbouring bases depend on each other. W windows, S strands, C classes, B bins.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.baselines.adaptive import adaptive_log_probs
from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.evaluation.regions import CLASSES, Classes
from dnahnet_cli.evaluation.statistics import Floats
from dnahnet_cli.genome import N_CODE, Codes, Interval, Strand
from dnahnet_cli.io.output import open_output
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.reading import Reading

ClassesOf: TypeAlias = Callable[[str, int], Mapping[Strand, Classes] | None]  # of a contig and its length

BINS: Final = np.linspace(0.25, 1.0, 16)  # of the probability of the likeliest base, which is never below 1/4
MODEL, ENTROPY, ADAPTIVE = "model", "entropy", "markov_adaptive"


def draw_windows(lengths: Mapping[str, int], window_bp: int, number: int | None, seed: Sequence[int]) -> list[Interval]:
    """Cut contigs into windows of `window_bp`, the last of a contig shorter, and draw `number` of them (None: all).

    Each is drawn with the same chance, without replacement, and so is each base.
    """
    everything = [
        Interval(name, start, min(start + window_bp, length))
        for name, length in lengths.items()
        for start in range(0, length, window_bp)
    ]
    if number is None or number >= len(everything):
        return everything
    drawn = np.random.default_rng(seed).choice(len(everything), number, replace=False)
    return [everything[at] for at in sorted(drawn)]


def seed_of(seed: int, name: str) -> list[int]:
    """Return a seed that is a genome's own."""
    return [seed, zlib.crc32(name.encode())]


@dataclass(frozen=True)
class WindowSums:
    """What was predicted, by window, strand read and class of base.

    `bases_WSC4` counts the bases, as the strand reads them. `nats_WSC` sums -log p of the base that is there under each
    predictor, and under `entropy` what the network expected that to be. `called_WS4B3` is by the likeliest base and the
    bin of its probability: how often, the sum of that probability, and how often it was the base that is there.
    """

    windows: Sequence[Interval]
    strands: Sequence[Strand]
    bases_WSC4: Floats
    nats_WSC: Mapping[str, Floats]
    called_WS4B3: Floats

    def save(self, path: Path, made_by: Mapping[str, Any], beside: Mapping[str, float]) -> None:
        """Write a file in numpy's npz form, with its provenance. Raises OutputError."""
        about = {"made_by": made_by, "beside": beside}
        arrays: dict[str, Any] = {f"nats {name}": values for name, values in self.nats_WSC.items()}
        arrays |= {"about": np.array(json.dumps(about)), "bases": self.bases_WSC4, "called": self.called_WS4B3}
        with open_output(path, binary=True) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(
        cls, path: Path, windows: Sequence[Interval], strands: Sequence[Strand], made_by: Mapping[str, Any]
    ) -> tuple[WindowSums, dict[str, float]] | None:
        """Read what `save` wrote; None where there is none, or one that was made otherwise or is damaged."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays.pop("about")))
            bases, called = arrays.pop("bases"), arrays.pop("called")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        if about.get("made_by") != made_by or bases.shape[:2] != (len(windows), len(strands)):
            return None
        nats = {name.removeprefix("nats "): values for name, values in arrays.items()}
        return cls(windows, strands, bases, nats, called), about["beside"]


def sum_windows(
    engine: Engine,
    windows: Sequence[Interval],
    classes_of: ClassesOf,
    order: int,
    fitted: Mapping[str, MarkovModel],
    progress: Callable[[int], None] = lambda bases: None,
) -> WindowSums:
    """Sum over the windows what the network, an adaptive Markov model of `order`, and `fitted` ones predict.

    A contig is read from its start, so that the adaptive model has learned what lies before a window. `progress` is
    called with the number of bases done, each strand counted.
    """
    shape = (len(windows), len(engine.strands), len(CLASSES))
    names = (MODEL, ENTROPY, ADAPTIVE, *fitted)
    sums = WindowSums(
        windows,
        engine.strands,
        np.zeros((*shape, 4)),
        {name: np.zeros(shape) for name in names},
        np.zeros((*shape[:2], 4, len(BINS) - 1, 3)),
    )
    on_contig: dict[str, list[int]] = {}
    for number, window in enumerate(windows):
        on_contig.setdefault(window.contig, []).append(number)
    for contig, numbers in on_contig.items():
        length = engine.genome.lengths[contig]
        window_L = np.full(length, -1, dtype=np.int64)
        for number in numbers:
            window_L[windows[number].start : windows[number].end] = number
        classes = classes_of(contig, length)
        for strand_at, strand in enumerate(engine.strands):
            reading = engine.reading(contig, strand)
            codes = reading.codes[:]
            class_L = np.zeros(length, dtype=np.uint8) if classes is None else classes[strand]
            forward_L = reading.to_forward(np.arange(length))
            cells = _Cells(sums, strand_at, codes, window_L[forward_L], class_L[forward_L])
            cells.add_network(engine, reading, progress)
            reached = codes[: int(np.flatnonzero(cells.window_L >= 0)[-1]) + 1]
            adaptive = np.concatenate(list(adaptive_log_probs(reached, order)))
            cells.add(ADAPTIVE, np.arange(len(reached)), -adaptive)
            for name, model in fitted.items():
                cells.add(name, np.arange(length), -model.log_probs(codes).astype(np.float64))
    return sums


@dataclass(frozen=True)
class _Cells:
    """One strand of one contig: where each of its bases counts, in reading direction; window -1 counts nowhere."""

    sums: WindowSums
    strand_at: int
    codes: Codes
    window_L: npt.NDArray[np.int64]
    class_L: npt.NDArray[np.uint8]

    def add_network(self, engine: Engine, reading: Reading, progress: Callable[[int], None]) -> None:
        wanted = self.window_L >= 0
        tiles = np.unique(np.flatnonzero(wanted) // reading.grid.tile).tolist()
        for scan in engine.scan(reading, tiles):
            own = np.arange(scan.start, scan.start + len(scan.log_probs_L4))
            at = own[self._known(own)]
            log_probs_L4 = scan.log_probs_L4[at - scan.start].astype(np.float64)
            code = self.codes[at]
            self.add(MODEL, at, -log_probs_L4[np.arange(len(at)), code])
            self.add(ENTROPY, at, -(np.exp(log_probs_L4) * log_probs_L4).sum(axis=1))
            key = np.ravel_multi_index((self.window_L[at], self.class_L[at], code), self._shape(4))
            bases = np.bincount(key, minlength=int(np.prod(self._shape(4))))
            self.sums.bases_WSC4[:, self.strand_at] += bases.reshape(self._shape(4))
            self._add_called(at, log_probs_L4, code)
            progress(int(wanted[own].sum()))

    def add(self, name: str, places: npt.NDArray[np.int64], values: Floats) -> None:
        """Add a value for each of some places; those of no window, and N, are left out."""
        known = self._known(places)
        at = places[known]
        key = np.ravel_multi_index((self.window_L[at], self.class_L[at]), self._shape())
        added = np.bincount(key, weights=values[known], minlength=int(np.prod(self._shape())))
        self.sums.nats_WSC[name][:, self.strand_at] += added.reshape(self._shape())

    def _add_called(self, at: npt.NDArray[np.int64], log_probs_L4: Floats, code: Codes) -> None:
        called = log_probs_L4.argmax(axis=1)
        confidence = np.exp(log_probs_L4.max(axis=1))
        place = np.clip(np.searchsorted(BINS, confidence, side="right") - 1, 0, len(BINS) - 2)
        target = self.sums.called_WS4B3[:, self.strand_at]
        for measure, weights in enumerate((np.ones(len(at)), confidence, (called == code).astype(np.float64))):
            key = np.ravel_multi_index((self.window_L[at], called, place), target.shape[:3])
            target[..., measure] += np.bincount(key, weights, int(np.prod(target.shape[:3]))).reshape(target.shape[:3])

    def _known(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        known: npt.NDArray[np.bool_] = (self.window_L[places] >= 0) & (self.codes[places] < N_CODE)
        return known

    def _shape(self, *more: int) -> tuple[int, ...]:
        return (len(self.sums.windows), len(CLASSES), *more)
