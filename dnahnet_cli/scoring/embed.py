"""One vector for each stretch of a genome: the network's hidden vectors, pooled over the stretch.

A stretch is read with the tiles of its whole contig, so its vectors do not depend on what else is asked for. Each
strand is read in its own direction and has vectors of its own; the mean of the two is their plain average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.genome import Gene, Interval, Strand
from dnahnet_cli.scoring.engine import Engine, Floats
from dnahnet_cli.scoring.hidden import HiddenScan, scan_hidden
from dnahnet_cli.scoring.hidden import level_widths as level_widths
from dnahnet_cli.scoring.reading import Reading

Sums: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class Pool(Enum):
    """Which vectors stand for a stretch: those of its bases, of the chunks that open in it, or of the last base read.

    With BASES a chunk counts with each of its bases in the stretch, so every level has a vector.
    """

    BASES = "bases"
    CHUNKS = "chunks"
    LAST = "last"


class EmbedStatus(Enum):
    """Why a stretch has or has not vectors."""

    OK = "ok"
    CONTIG_NOT_FOUND = "contig_not_found"
    OUT_OF_RANGE = "out_of_range"
    NO_BASES = "no_bases"


EXPLANATION: Final = {
    EmbedStatus.CONTIG_NOT_FOUND: "the genome has no contig of that name",
    EmbedStatus.OUT_OF_RANGE: "the gene lies outside its contig",
    EmbedStatus.NO_BASES: "the contig or region is empty",
}


@dataclass(frozen=True)
class Stretch:
    """What a vector is wanted of: pieces of a contig, 0-based half-open, sorted.

    What lies past the contig's length crosses the origin of a circle.
    """

    contig: str
    pieces: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, place: Interval | Gene) -> Stretch:
        """Return all of an interval, or the coding bases of a gene."""
        if isinstance(place, Gene):
            return cls(place.contig, place.parts)
        return cls(place.contig, ((place.start, place.end),))

    @property
    def num_bases(self) -> int:
        return sum(end - start for start, end in self.pieces)


@dataclass(frozen=True)
class Embedding:
    """The vectors of one stretch by strand, one per level, (D,) float32; None where no chunk of a level opens in it."""

    stretch: Stretch
    status: EmbedStatus
    vectors: Mapping[Strand, tuple[Floats | None, ...]] = field(default_factory=dict)

    def vector(self, level: int, strand: Strand | None = None) -> Floats | None:
        """Return a level's vector on a strand, or the mean of the strands read; None where a strand has none."""
        own = [vectors[level] for read, vectors in self.vectors.items() if strand in (None, read)]
        known = [vector for vector in own if vector is not None]
        if not own or len(known) < len(own):
            return None
        mean: Sums = np.stack(known).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


def embed(
    engine: Engine,
    stretches: Sequence[Stretch],
    pool: Pool = Pool.BASES,
    progress: Callable[[int], None] = lambda bases: None,
) -> Iterator[Embedding]:
    """Yield the vectors of each stretch, in their order; a contig is read once for all of its stretches.

    `progress` is called with the number of bases of stretches done, each strand counted.
    """
    status = [_status(engine, stretch) for stretch in stretches]
    by_contig: dict[str, list[int]] = {}
    for index, stretch in enumerate(stretches):
        if status[index] is EmbedStatus.OK:
            by_contig.setdefault(stretch.contig, []).append(index)
    found: dict[int, dict[Strand, tuple[Floats | None, ...]]] = {}
    for index, stretch in enumerate(stretches):
        if status[index] is EmbedStatus.OK and index not in found:
            own = by_contig[stretch.contig]
            found |= {at: {} for at in own}
            for strand in engine.strands:
                reading = engine.reading(stretch.contig, strand)
                pooled = _Pooled(reading, [stretches[at] for at in own], level_widths(engine.model), pool)
                pooled.read(engine, progress)
                for place, at in enumerate(own):
                    found[at][strand] = pooled.vectors(place)
        yield Embedding(stretch, status[index], found.pop(index, {}))


class _Pooled:
    """Sums of vectors over T stretches of one reading, and the numbers of vectors summed."""

    def __init__(self, reading: Reading, stretches: Sequence[Stretch], widths: Sequence[int], pool: Pool) -> None:
        self.reading, self.pool = reading, pool
        length = len(reading)
        self.pieces = [_on_contig(stretch, length) for stretch in stretches]
        first = np.array([stretch.pieces[0][0] for stretch in stretches])
        last = np.array([(stretch.pieces[-1][1] - 1) % length for stretch in stretches])
        self.last = last if reading.strand is Strand.FORWARD else first  # the base that is read last
        self.low = np.array([min(start for start, _ in own) for own in self.pieces])
        self.high = np.array([max(end for _, end in own) for own in self.pieces])
        self.sums: list[Sums] = [np.zeros((len(stretches), width)) for width in widths]
        self.counts = np.zeros((len(widths), len(stretches)), dtype=np.int64)

    def read(self, engine: Engine, progress: Callable[[int], None]) -> None:
        """Read the tiles that hold a base of a stretch."""
        for tile in range(self.reading.num_tiles):
            _, start, end = self.reading.tile_bounds(tile)
            position = self.reading.to_forward(np.arange(start, end))
            near = np.flatnonzero((self.low <= position.max()) & (self.high > position.min()))
            inside = {int(at): _inside(position, self.pieces[at]) for at in near}
            inside = {at: mask for at, mask in inside.items() if mask.any()}
            if inside:
                (hidden,) = scan_hidden(engine, self.reading, [tile])
                for at, mask in inside.items():
                    self._add(at, mask, position, hidden)
                    progress(int(mask.sum()))

    def vectors(self, at: int) -> tuple[Floats | None, ...]:
        """Return a stretch's mean vector of each level."""
        return tuple(
            (sums[at] / count[at]).astype(np.float32) if count[at] else None
            for sums, count in zip(self.sums, self.counts, strict=True)
        )

    def _add(self, at: int, inside_L: Mask, position_L: npt.NDArray[np.int64], hidden: HiddenScan) -> None:
        if self.pool is Pool.LAST:
            inside_L = inside_L & (position_L == self.last[at])
        for level, vectors_LD in enumerate(hidden.levels):
            chosen = inside_L
            if level and self.pool is Pool.CHUNKS:
                chosen = inside_L & hidden.scan.mask_SL[level - 1]
            self.sums[level][at] += vectors_LD[chosen].sum(axis=0, dtype=np.float64)
            self.counts[level, at] += int(chosen.sum())


def _status(engine: Engine, stretch: Stretch) -> EmbedStatus:
    length = engine.genome.lengths.get(stretch.contig)
    if length is None:
        return EmbedStatus.CONTIG_NOT_FOUND
    if not stretch.num_bases:
        return EmbedStatus.NO_BASES
    limit = 2 * length if stretch.contig in engine.circular else length
    if stretch.pieces[0][0] >= length or stretch.pieces[-1][1] > limit:
        return EmbedStatus.OUT_OF_RANGE
    return EmbedStatus.OK


def _on_contig(stretch: Stretch, length: int) -> list[tuple[int, int]]:
    """Return the pieces with what lies past the origin moved to the contig's start."""
    pieces = []
    for start, end in stretch.pieces:
        pieces += [(min(start, length), min(end, length)), (max(start, length) - length, max(end, length) - length)]
    return [(start, end) for start, end in pieces if start < end]


def _inside(position: npt.NDArray[np.int64], pieces: Sequence[tuple[int, int]]) -> Mask:
    inside: Mask = np.zeros(len(position), dtype=np.bool_)
    for start, end in pieces:
        inside |= (position >= start) & (position < end)
    return inside
