"""How likely the network finds a genome: log-probabilities of its bases, summed by contig or region.

A region is read with the tiles of its whole contig, on each strand. So it sees the same context whatever else is asked
for, and regions that make up a contig add up to it. What is not A, C, G or T is context, and never predicted.

Two figures that need no network stand beside it. Order 0 is the stretch's own base composition: the best that any model
without context can do, known with hindsight. The adaptive Markov model has no hindsight: it starts from nothing on each
contig, predicts a base, and only then counts it, so that it may be set beside a network that has not seen the contig.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.baselines.adaptive import adaptive_log_probs
from dnahnet_cli.genome import N_CODE, Codes, Interval, Strand
from dnahnet_cli.scoring.engine import Engine, TileScan
from dnahnet_cli.scoring.reading import Reading

Int64: TypeAlias = npt.NDArray[np.int64]

Watch: TypeAlias = Callable[[Reading, int, npt.NDArray[np.float32]], None]

_TILES_KEPT: Final = 256  # 4 MiB: regions that follow one another share tiles
_BASES_AT_ONCE: Final = 1 << 20


class LikelihoodStatus(Enum):
    """Why a stretch has or has not a likelihood."""

    OK = "ok"
    NO_BASES = "no_bases"


EXPLANATION: Final = {LikelihoodStatus.NO_BASES: "no base is A, C, G or T, so there is nothing to predict"}


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of one stretch, or of several added up; log-probabilities are natural logarithms (nats).

    `num_unknown` are the bases that are not A, C, G or T. `log_likelihoods` holds the strands read, `order0` the
    log-probability under the own base composition of each stretch, and `markov` that under the adaptive Markov model,
    mean of the strands read, if it was asked for. What is per base is None when there is no base.
    """

    num_bases: int = 0
    num_unknown: int = 0
    log_likelihoods: Mapping[Strand, float] = field(default_factory=dict)
    order0: float = 0.0
    markov: float | None = None

    def __add__(self, other: Likelihood) -> Likelihood:
        one, two = self.log_likelihoods, other.log_likelihoods
        return Likelihood(
            self.num_bases + other.num_bases,
            self.num_unknown + other.num_unknown,
            {strand: one.get(strand, 0.0) + two.get(strand, 0.0) for strand in {**one, **two}},
            self.order0 + other.order0,
            None if self.markov is None and other.markov is None else (self.markov or 0.0) + (other.markov or 0.0),
        )

    @property
    def status(self) -> LikelihoodStatus:
        return LikelihoodStatus.OK if self.num_bases else LikelihoodStatus.NO_BASES

    @property
    def bits_order0(self) -> float | None:
        return self._bits(self.order0)

    @property
    def bits_markov(self) -> float | None:
        return self._bits(self.markov)

    def log_likelihood(self, strand: Strand | None = None) -> float | None:
        """Return the log-probability on a strand, or the mean of those read; None where nothing was read."""
        values = [v for s, v in self.log_likelihoods.items() if strand in (None, s)]
        return sum(values) / len(values) if values and self.num_bases else None

    def bits_per_base(self, strand: Strand | None = None) -> float | None:
        """Return the mean of -log2 p over the bases; uniform guessing has 2."""
        return self._bits(self.log_likelihood(strand))

    def perplexity(self, strand: Strand | None = None) -> float | None:
        """Return 2 to the power of the bits per base: among how many equally likely bases the network wavers."""
        bits = self.bits_per_base(strand)
        return None if bits is None else 2.0**bits

    def _bits(self, log_probability: float | None) -> float | None:
        if log_probability is None or not self.num_bases:
            return None
        return -log_probability / (self.num_bases * math.log(2))


def likelihoods(
    engine: Engine,
    scopes: Sequence[Interval],
    markov_order: int | None = None,
    progress: Callable[[int], None] = lambda bases: None,
    watch: Watch = lambda reading, start, log_probs_L: None,
) -> Iterator[Likelihood]:
    """Yield the likelihood of each scope, in their order, as soon as it is known.

    `markov_order` 0 to 11 adds the adaptive Markov model; a UsageError when it is another. `progress` is called with
    the number of bases done, each strand counted, and `watch` with the log-probabilities of each stretch of a scope:
    the reading, where on it the stretch starts, and a value per base, 0 for an N.
    """
    tiles = _Tiles(engine, watch)
    scopes_on: dict[str, list[Interval]] = {}
    for scope in scopes:
        scopes_on.setdefault(scope.contig, []).append(scope)
    markov: dict[str, dict[Interval, float]] = {}
    for scope in scopes:
        readings = [engine.reading(scope.contig, strand) for strand in engine.strands]
        if markov_order is not None and scope.contig not in markov:  # one pass over a contig for all of its scopes
            markov[scope.contig] = _adaptive_means(readings, scopes_on[scope.contig], markov_order)
        num_of = _composition(readings[0], scope)
        num_bases = int(num_of.sum())
        log_likelihoods = {}
        for reading in readings:
            if num_bases:
                log_likelihoods[reading.strand] = tiles.sum(reading, scope, progress)
            else:
                progress(len(scope))
        yield Likelihood(
            num_bases,
            len(scope) - num_bases,
            log_likelihoods,
            _order0(num_of),
            None if markov_order is None else markov[scope.contig][scope],
        )


class BitsPerBase:
    """Takes the log-probabilities of one scope after another, and gives the bits of its bases, mean of the strands.

    They are kept in a temporary file, so that memory does not grow with the scope. Use it as a context manager.
    """

    def __init__(self, num_strands: int, tmpdir: Path | None = None) -> None:
        self._num_strands = num_strands
        self._folder = tempfile.TemporaryDirectory(prefix="dnahnet-bits-", dir=tmpdir)
        self._bits: np.memmap[Any, np.dtype[np.float32]] | None = None
        self._scope = Interval("", 0, 0)

    def begin(self, scope: Interval) -> None:
        """Start with the next scope, of at least one base."""
        path = Path(self._folder.name) / "bits"
        self._bits, self._scope = np.memmap(path, np.float32, "w+", shape=(len(scope),)), scope

    def add(self, reading: Reading, start: int, log_probs_L: npt.NDArray[np.float32]) -> None:
        """Take the log-probabilities of a stretch of the scope; to be given to `likelihoods` as `watch`."""
        assert self._bits is not None
        position = reading.to_forward(np.arange(start, start + len(log_probs_L)))
        self._bits[position - self._scope.start] += log_probs_L / np.float32(-math.log(2) * self._num_strands)

    def blocks(self, codes: Codes) -> Iterator[tuple[Int64, npt.NDArray[np.float32]]]:
        """Yield forward positions, ascending, and bits of the scope's bases, whose codes are given, but for N."""
        assert self._bits is not None
        for first in range(0, len(codes), _BASES_AT_ONCE):
            known = first + np.flatnonzero(codes[first : first + _BASES_AT_ONCE] < N_CODE)
            yield known + self._scope.start, np.asarray(self._bits[known])

    def __enter__(self) -> BitsPerBase:
        return self

    def __exit__(self, *error: object) -> None:
        self._bits = None
        self._folder.cleanup()


def _adaptive_means(readings: Sequence[Reading], scopes: Sequence[Interval], order: int) -> dict[Interval, float]:
    """Return the log-probability of each of a contig's scopes under the adaptive Markov model, mean of the strands."""
    passes = [_adaptive_sums(reading, scopes, order) for reading in readings]
    return {scope: sum(sums[scope] for sums in passes) / len(passes) for scope in scopes}


def _adaptive_sums(reading: Reading, scopes: Sequence[Interval], order: int) -> dict[Interval, float]:
    """Return the log-probability of each scope under an adaptive Markov model that reads one strand from its start."""
    pieces = {scope: _local(reading, scope) for scope in scopes}
    edges = np.unique([edge for own in pieces.values() for piece in own for edge in piece])
    sums = np.zeros(len(edges))  # of all bases before the edge
    position, total = 0, 0.0
    for log_probs in adaptive_log_probs(reading.codes[: edges[-1]], order):
        running = total + np.cumsum(log_probs)
        reached = (edges > position) & (edges <= position + len(log_probs))
        sums[reached] = running[edges[reached] - position - 1]
        position, total = position + len(log_probs), float(running[-1])
    before = dict(zip(edges.tolist(), sums.tolist(), strict=True))
    return {scope: sum(before[end] - before[start] for start, end in own) for scope, own in pieces.items()}


class _Tiles:
    """Sums over tiles. The latest are kept, so that regions which follow one another scan a tile once."""

    def __init__(self, engine: Engine, watch: Watch) -> None:
        self._engine, self._watch = engine, watch
        self._kept: dict[tuple[str, Strand, int], npt.NDArray[np.float32]] = {}

    def sum(self, reading: Reading, scope: Interval, progress: Callable[[int], None]) -> float:
        """Return the log-probability of a scope's bases on one strand."""
        pieces = _local(reading, scope)
        size = reading.grid.tile
        tiles = sorted({tile for start, end in pieces for tile in range(start // size, -(-end // size))})
        total = 0.0
        for tile, log_probs_L in zip(tiles, self._log_probs(reading, tiles), strict=True):
            first = tile * size
            own = [
                (max(start, first), log_probs_L[max(start - first, 0) : max(end - first, 0)]) for start, end in pieces
            ]
            for begin, part in own:
                self._watch(reading, begin, part)
            total += sum(float(part.sum(dtype=np.float64)) for _, part in own)
            progress(sum(len(part) for _, part in own))
        return total

    def _log_probs(self, reading: Reading, tiles: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the log-probability of each base of each tile, (L,) in reading direction."""
        keys = {tile: (reading.contig, reading.strand, tile) for tile in tiles}
        held = {tile: self._kept[key] for tile, key in keys.items() if key in self._kept}
        scans = self._engine.scan(reading, [tile for tile in tiles if tile not in held])
        for tile, key in keys.items():
            log_probs_L = held[tile] if tile in held else _of_own_bases(next(scans))
            self._kept.pop(key, None)
            self._kept[key] = log_probs_L  # the latest comes last
            if len(self._kept) > _TILES_KEPT:
                del self._kept[next(iter(self._kept))]
            yield log_probs_L


def _of_own_bases(scan: TileScan) -> npt.NDArray[np.float32]:
    """Return the log-probability of each of a tile's bases, (L,); 0 for an N, which is not predicted."""
    codes = scan.reading.codes[scan.start : scan.start + len(scan.log_probs_L4)]
    known = np.flatnonzero(codes < N_CODE)
    log_probs_L = np.zeros(len(codes), dtype=np.float32)
    log_probs_L[known] = scan.log_probs_L4[known, codes[known]]
    return log_probs_L


def _local(reading: Reading, scope: Interval) -> list[tuple[int, int]]:
    """Return the local stretches [start, end) that a scope covers: two where it spans a circle's origin, else one."""
    start, end = scope.start, scope.end
    if reading.strand is Strand.REVERSE:
        start, end = len(reading) - end, len(reading) - start
    start, end = start - reading.origin, end - reading.origin
    if start < 0 < end:
        return [(0, end), (start + len(reading), len(reading))]
    turn = len(reading) if start < 0 else 0
    return [(start + turn, end + turn)]


def _composition(reading: Reading, scope: Interval) -> Int64:
    """Return the numbers of the four bases of a scope, in the order of their codes on the reading's strand."""
    stretches = [reading.codes[start:end] for start, end in _local(reading, scope)]
    return np.array([sum(np.count_nonzero(codes == base) for codes in stretches) for base in range(N_CODE)])


def _order0(num_of: Int64) -> float:
    """Return the log-probability of bases, given how many there are of each, under their own frequencies."""
    present = num_of[num_of > 0]
    return float((present * np.log(present / present.sum())).sum())
