"""Chunks: where each stage of the network cuts a contig, on each strand, in coordinate order.

A boundary opens a chunk in reading direction. On the forward strand a chunk runs from its boundary to the base before
the next; on the reverse strand it runs from its boundary down the coordinates. The ends of the contig, or of the region
asked for, always cut; so a chunk over the origin of a circular contig is given in two parts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import ModelError
from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.scoring.engine import Engine, ScanUnit, TileCuts
from dnahnet_cli.scoring.reading import Reading

Positions = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
Watch = Callable[[TileCuts, int, int], None]
ScanUnits = Callable[[Iterable[ScanUnit]], Iterator[Sequence[TileCuts]]]


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
    *,
    part: Interval | None = None,
    scan_units: ScanUnits | None = None,
) -> Iterator[Chunks]:
    """Yield the chunks of a region block by block, all stages and strands together, in coordinate order.

    No chunk of a block starts before one of an earlier block. `progress` is called with the number of bases scanned,
    `watch` with each tile's scan and the stretch of the scope for which it is read; on a strand, stretches ascend. Of a
    `part` of the scope, the chunks are those that start in it: parts that make up the scope have its chunks, once each.
    `scan_units` takes the place of the engine's own. Raises ModelError for a network that makes none.
    """
    if not engine.model.config.num_stages:
        raise ModelError(f"boundaries: a {engine.model.config.arch} network makes no chunks")
    part = part or scope
    # Whether a chunk starts at the part's first base is for the base before it to say, on the reverse strand.
    within = Interval(scope.contig, max(part.start - 1, scope.start), scope.end)
    groups = _groups(engine, scope, within)
    closers = {strand: [_Closer(stage, strand, within) for stage in _stages(engine)] for strand in engine.strands}
    scans = (scan_units or engine.scan_units)((scope.contig, group.strand, group.tiles) for group in groups)
    pending: list[Chunks] = []
    for group, tiles in zip(groups, scans, strict=False):
        for (begin, end), cuts in zip(group.stretches, tiles, strict=True):
            for closer in closers[group.strand]:
                pending.append(closer.add(*_boundaries(cuts, closer.stage - 1, max(begin, within.start), end)))
            begin, end = max(begin, part.start), min(end, part.end)
            if begin < end:
                watch(cuts, begin, end)
                progress(end - begin)
        if group.is_last:
            pending += [closer.finish() for closer in closers[group.strand]]
        # All chunks that start before it have been seen.
        frontier = min(min(closer.frontier for closer in own) for own in closers.values())
        whole = join(pending)
        ready = int(np.searchsorted(whole.start, min(frontier, part.end)))
        pending = [whole[ready:]]
        found = whole[int(np.searchsorted(whole.start, part.start)) : ready]
        if len(found):
            yield found
        if frontier >= part.end:
            return


def probabilities(scan: TileCuts, stage: int, begin: int, end: int) -> tuple[Positions, Probabilities]:
    """Return where a stage (from 1) could have cut inside [begin, end), forward and ascending, and its probability."""
    known = np.flatnonzero(~np.isnan(scan.probability_SL[stage - 1]))
    return _placed(scan, stage - 1, known, begin, end)


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


@dataclass(frozen=True)
class _Group:
    """Tiles of a strand that are computed together, and the stretch of the scope that each is read for, forward."""

    strand: Strand
    tiles: Sequence[int]
    stretches: Sequence[tuple[int, int]]
    is_last: bool  # of its strand


def _groups(engine: Engine, scope: Interval, within: Interval) -> list[_Group]:
    """Return the groups of all strands that reach into `within`, in the order in which they are needed.

    They follow from the scope alone, so that neither what is asked for of it nor the number of workers changes a byte.
    """
    groups = []
    for strand in engine.strands:
        reading = engine.reading(scope.contig, strand)
        segments, size = _segments(reading, scope), engine.tiles_at_once(reading)
        for first in range(0, len(segments), size):
            own = segments[first : first + size]
            if own[-1][1] > within.start:
                stretches = [(begin, end) for begin, end, _ in own]
                groups.append(_Group(strand, [tile for *_, tile in own], stretches, first + size >= len(segments)))
    return sorted(groups, key=lambda group: group.stretches[0])


def _stages(engine: Engine) -> range:
    return range(1, engine.model.config.num_stages + 1)


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


def _boundaries(scan: TileCuts, stage: int, begin: int, end: int) -> tuple[Positions, Probabilities]:
    """Return a tile's boundaries of one stage inside [begin, end), forward coordinates, ascending."""
    return _placed(scan, stage, np.flatnonzero(scan.mask_SL[stage]), begin, end)


def _placed(scan: TileCuts, stage: int, local: Positions, begin: int, end: int) -> tuple[Positions, Probabilities]:
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
