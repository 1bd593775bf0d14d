"""Chunks: where each stage of the network cuts a contig, on each strand, in coordinate order.

A boundary opens a chunk in reading direction. On the forward strand a chunk runs from its boundary to the base before
the next; on the reverse strand it runs from its boundary down the coordinates. The ends of the contig, or of the region
asked for, always cut; so a chunk over the origin of a circular contig is given in two parts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import ModelError
from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.scoring.engine import Engine, TileScan
from dnahnet_cli.scoring.reading import Reading

TILES_AT_ONCE = 2  # at least; as many as there are workers

Positions = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
Watch = Callable[[TileScan, int, int], None]


@dataclass(frozen=True)
class Chunks:
    """Chunks, sorted by start. Stage 1 is the outermost. 0-based half-open forward coordinates.

    `probability` is the network's boundary probability at the base that opens the chunk, 1 at a forced cut.
    """

    start: Positions
    end: Positions
    stage: npt.NDArray[np.int8]
    reverse: npt.NDArray[np.bool_]
    probability: Probabilities

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, own: slice | npt.NDArray[np.int64]) -> Chunks:
        return Chunks(self.start[own], self.end[own], self.stage[own], self.reverse[own], self.probability[own])


def join(parts: list[Chunks]) -> Chunks:
    """Join several sets of chunks and sort them by start, stage and strand."""
    fields = ("start", "end", "stage", "reverse", "probability")
    whole = Chunks(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
    return whole[np.lexsort((whole.reverse, whole.stage, whole.start))]


def bed_lines(contig: str, chunks: Chunks, stages: Collection[int]) -> str:
    """Return the chunks of some stages as lines of BED: the score is 1000 times the probability."""
    return "".join(
        f"{contig}\t{start}\t{end}\tstage{stage}\t{round(1000 * probability)}\t{'-' if reverse else '+'}\n"
        for start, end, stage, reverse, probability in zip(
            chunks.start.tolist(),
            chunks.end.tolist(),
            chunks.stage.tolist(),
            chunks.reverse.tolist(),
            chunks.probability.tolist(),
            strict=True,
        )
        if stage in stages
    )


def chunks_of(
    engine: Engine,
    scope: Interval,
    progress: Callable[[int], None] = lambda bases: None,
    watch: Watch = lambda scan, begin, end: None,
) -> Iterator[Chunks]:
    """Yield the chunks of a region block by block, all stages and strands together, in coordinate order.

    No chunk of a block starts before one of an earlier block. `progress` is called with the number of bases scanned,
    `watch` with each tile's scan and the stretch of the scope for which it is read; on a strand, stretches ascend.
    Raises ModelError for a network that makes none.
    """
    if not engine.model.config.num_stages:
        raise ModelError(f"boundaries: a {engine.model.config.arch} network makes no chunks")
    readings = [engine.reading(scope.contig, strand) for strand in engine.strands]
    walkers = [_walk(engine, reading, scope, progress, watch) for reading in readings]
    frontiers = [scope.start] * len(walkers)  # all chunks that start before it have been seen
    pending: list[Chunks] = []
    while any(frontier < scope.end for frontier in frontiers):
        behind = int(np.argmin(frontiers))
        frontiers[behind], found = next(walkers[behind])
        whole = join([*pending, *found])
        ready = int(np.searchsorted(whole.start, min(frontiers)))
        pending = [whole[ready:]]
        if ready:
            yield whole[:ready]


def probabilities(scan: TileScan, stage: int, begin: int, end: int) -> tuple[Positions, Probabilities]:
    """Return where a stage (from 1) could have cut inside [begin, end), forward and ascending, and its probability."""
    known = np.flatnonzero(~np.isnan(scan.probability_SL[stage - 1]))
    return _placed(scan, stage - 1, known, begin, end)


def _walk(
    engine: Engine, reading: Reading, scope: Interval, progress: Callable[[int], None], watch: Watch
) -> Iterator[tuple[int, list[Chunks]]]:
    """Walk along the forward strand; yield the coordinate up to which all is known, and the chunks closed since."""
    closers = [_Closer(stage, reading.strand, scope) for stage in range(1, engine.model.config.num_stages + 1)]
    segments = _segments(reading, scope)
    at_once = max(TILES_AT_ONCE, engine.options.workers)
    for first in range(0, len(segments), at_once):
        block = segments[first : first + at_once]
        scans = engine.scan(reading, [tile for _, _, tile in block])
        found: list[Chunks] = []
        for (begin, end, _), scan in zip(block, scans, strict=True):
            watch(scan, begin, end)
            found += [closer.add(*_boundaries(scan, closer.stage - 1, begin, end)) for closer in closers]
        progress(block[-1][1] - block[0][0])
        if first + at_once >= len(segments):
            found += [closer.finish() for closer in closers]
        yield min(closer.frontier for closer in closers), found


@dataclass
class ChunkLengths:
    """How many chunks of each length there are, counted as they come."""

    counts: Positions = field(default_factory=lambda: np.zeros(1, dtype=np.int64))

    def add(self, chunks: Chunks) -> None:
        """Count the lengths of some chunks."""
        new = np.bincount(chunks.end - chunks.start, minlength=len(self.counts))
        new[: len(self.counts)] += self.counts
        self.counts = new

    def __len__(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> int:
        """Return the least length that `share` of the chunks do not exceed; 0 without chunks."""
        return int(np.searchsorted(self.counts.cumsum(), share * len(self))) if len(self) else 0


def chunk_summary(lengths: Mapping[int, ChunkLengths], num_bases: int) -> dict[str, dict[str, float]]:
    """Return what there is to say of the chunks of each stage, from 1, over `num_bases` bases, each strand counted.

    `compression` is how many chunks of the stage outside it, or bases, a chunk holds on average.
    """
    summary, outside = {}, num_bases
    for stage, own in sorted(lengths.items()):
        number = max(len(own), 1)
        summary[f"stage{stage}"] = {
            "chunks": len(own),
            "bases_per_chunk": num_bases / number,
            "compression": outside / number,
            **{f"length_q{round(100 * share):02}": own.quantile(share) for share in (0.05, 0.25, 0.5, 0.75, 0.95)},
            "longest": max(len(own.counts) - 1, 0),
        }
        outside = len(own)
    return summary


def _segments(reading: Reading, scope: Interval) -> list[tuple[int, int, int]]:
    """Return (start, end, tile) of the stretches that tiles cover, forward, sorted, clipped to the scope.

    Only on a circle, the tile over the file's first base covers two stretches.
    """
    length = len(reading)
    segments = []
    for tile in range(reading.num_tiles):
        _, begin, end = reading.tile_bounds(tile)
        begin, end = begin + reading.origin, end + reading.origin
        turn = begin // length * length
        pieces = [(begin - turn, min(end - turn, length)), (0, max(0, end - turn - length))]
        for start, stop in pieces:
            if reading.strand is Strand.REVERSE:
                start, stop = length - stop, length - start
            start, stop = max(start, scope.start), min(stop, scope.end)
            if start < stop:
                segments.append((start, stop, tile))
    return sorted(segments)


def _boundaries(scan: TileScan, stage: int, begin: int, end: int) -> tuple[Positions, Probabilities]:
    """Return a tile's boundaries of one stage inside [begin, end), forward coordinates, ascending."""
    return _placed(scan, stage, np.flatnonzero(scan.mask_SL[stage]), begin, end)


def _placed(scan: TileScan, stage: int, local: Positions, begin: int, end: int) -> tuple[Positions, Probabilities]:
    """Return where some of a tile's bases lie inside [begin, end), forward and ascending, and their probabilities."""
    position = scan.reading.to_forward(local + scan.start)
    order = np.argsort(position)
    position, probability = position[order], scan.probability_SL[stage, local[order]]
    inside = (position >= begin) & (position < end)
    return position[inside], probability[inside]


class _Closer:
    """Turns the ascending boundaries of one stage and strand into chunks."""

    def __init__(self, stage: int, strand: Strand, scope: Interval) -> None:
        self.stage, self.reverse, self.scope = stage, strand is Strand.REVERSE, scope
        self.frontier = scope.start  # where the chunk begins that is not closed yet
        self.probability = np.float32(1.0)  # of that chunk, on the forward strand

    def add(self, position: Positions, probability: Probabilities) -> Chunks:
        """Close the chunks that the next boundaries close."""
        if self.reverse:  # a boundary is the last base, by coordinate, of the chunk that it opens
            ends = position + 1
            starts = np.concatenate([[self.frontier], ends])[:-1]
            own = probability
        else:
            if len(position) and position[0] == self.frontier:
                self.probability, position, probability = probability[0], position[1:], probability[1:]
            edges = np.concatenate([[self.frontier], position])
            starts, ends = edges[:-1], edges[1:]
            own = np.concatenate([[self.probability], probability]).astype(np.float32)
            self.probability, own = own[-1], own[:-1]
        if len(ends):
            self.frontier = int(ends[-1])
        return self._chunks(starts, ends, own)

    def finish(self) -> Chunks:
        """Close the last chunk at the scope's end."""
        left = [self.frontier] if self.frontier < self.scope.end else []
        own = [1.0 if self.reverse else self.probability] * len(left)
        self.frontier = self.scope.end
        return self._chunks(np.array(left, np.int64), np.array([self.scope.end] * len(left), np.int64), np.array(own))

    def _chunks(self, start: Positions, end: Positions, probability: npt.NDArray[np.floating]) -> Chunks:
        return Chunks(
            start,
            end,
            np.full(len(start), self.stage, dtype=np.int8),
            np.full(len(start), self.reverse),
            probability.astype(np.float32),
        )
