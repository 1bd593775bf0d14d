"""Where each stage cut, of a whole run: gathered from the engine as it goes, or read from the BED that it wrote.

A chunk's boundary is the base that it opens with in reading direction: its first base on the forward strand, its last
base by coordinate on the reverse strand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.io.streams import Source, describe, name_some, whole_number

if TYPE_CHECKING:
    from dnahnet_cli.scoring.boundaries import Chunks

Positions: TypeAlias = npt.NDArray[np.int64]
Key: TypeAlias = tuple[str, Strand, int]  # contig, strand, stage

PROVENANCE: Final = "##dnahnet_"
_TRIES: Final = 1000


@dataclass(frozen=True)
class Cuts:
    """Boundaries by contig, strand and stage, forward coordinates, ascending, wherever `scopes` were read.

    `made_by` is the provenance of the BED that they come from, empty if they come from the engine.
    """

    scopes: Sequence[Interval]
    strands: Sequence[Strand]
    opens: Mapping[Key, Positions]
    made_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_stages(self) -> int:
        return max((stage for _, _, stage in self.opens), default=0)

    def within(self, contig: str, strand: Strand, stage: int, scope: Interval) -> Positions:
        """Return the boundaries of one stage inside a scope."""
        opens = self.opens.get((contig, strand, stage), np.empty(0, dtype=np.int64))
        return opens[np.searchsorted(opens, scope.start) : np.searchsorted(opens, scope.end)]

    def only(self, scopes: Sequence[Interval]) -> Cuts:
        """Return the cuts of some stretches of what was read. Raises UsageError for one that was not."""
        for scope in scopes:
            if not any(
                own.contig == scope.contig and own.start <= scope.start and scope.end <= own.end for own in self.scopes
            ):
                covered = name_some(map(str, self.scopes))
                raise UsageError(f"{scope} is not among the chunks, which cover {covered}.")
        return replace(self, scopes=scopes)


class CutCollector:
    """Takes chunks block by block, and gives all their boundaries."""

    def __init__(self) -> None:
        self._parts: dict[Key, list[Positions]] = {}

    def add(self, contig: str, chunks: Chunks) -> None:
        opening = np.where(chunks.reverse, chunks.end - 1, chunks.start)
        for strand in Strand:
            for stage in np.unique(chunks.stage).tolist():
                own = (chunks.stage == stage) & (chunks.reverse == (strand is Strand.REVERSE))
                if own.any():
                    self._parts.setdefault((contig, strand, stage), []).append(opening[own])

    def cuts(self, scopes: Sequence[Interval], made_by: Mapping[str, str] | None = None) -> Cuts:
        """Return the boundaries; `scopes` is what was read."""
        opens = {key: np.unique(np.concatenate(parts)).astype(np.int64) for key, parts in self._parts.items()}
        strands = [strand for strand in Strand if any(key[1] is strand for key in opens)]
        return Cuts(merged(scopes), strands, opens, made_by or {})


def read_cuts(path: str, lengths: Mapping[str, int]) -> Cuts:
    """Read a BED as `dnahnet boundaries` writes it, gzip or not; `lengths` are the genome's contigs, in bp.

    What was read is taken to be where chunks of stage 1 lie. Raise InputError for a malformed line, a contig or
    position that the genome lacks, a stage left out, or chunks that do not cover the same on both strands.
    """
    made_by: dict[str, str] = {}
    columns: dict[Key, tuple[list[int], list[int]]] = {}
    stages: dict[bytes, int] = {}
    with Source(path) as source:
        if describe(source.head) != "a text file of another kind":
            raise InputError(f"{source.name} is {describe(source.head)}: chunks are read from BED.")
        for number, line in source.lines():
            if line.startswith(b"#") or not line.strip():
                name, is_pair, value = line.decode("utf-8", "replace").rstrip("\r\n").partition("=")
                if is_pair and name.startswith(PROVENANCE):
                    made_by[name.removeprefix(PROVENANCE)] = value
                continue
            start, end, key = parse_chunk(f"{source.name}:{number}", line, lengths, stages)
            starts, ends = columns.setdefault(key, ([], []))
            starts.append(start)
            ends.append(end)
        if not columns:
            raise InputError(f"{source.name} holds no chunks.")
        return _cuts(source.name, columns, made_by)


def draw_windows(lengths: Mapping[str, int], number: int, window_bp: int, seed: int) -> list[Interval]:
    """Return `number` windows that do not overlap, drawn evenly from all places where one fits, sorted.

    Raise UsageError where so many do not fit.
    """
    random = np.random.default_rng(seed)
    contigs = [(name, length - window_bp + 1) for name, length in lengths.items() if length >= window_bp]
    windows: list[Interval] = []
    places = np.cumsum([0, *(num_places for _, num_places in contigs)])
    for _ in range(_TRIES * number if contigs else 0):
        place = int(random.integers(places[-1]))
        at = int(np.searchsorted(places, place, side="right")) - 1
        start = place - int(places[at])
        window = Interval(contigs[at][0], start, start + window_bp)
        if not any(window.overlaps(other) for other in windows):
            windows.append(window)
        if len(windows) == number:
            order = list(lengths)
            return sorted(windows, key=lambda w: (order.index(w.contig), w.start))
    raise UsageError(f"{number} windows of {window_bp:,} bases that do not overlap find no place in this genome.")


def merged(scopes: Iterable[Interval]) -> list[Interval]:
    """Return stretches that cover the same and do not overlap; contigs in the order of their first one."""
    by_contig: dict[str, list[Interval]] = {}
    for scope in scopes:
        if len(scope):
            by_contig.setdefault(scope.contig, []).append(scope)
    whole = []
    for contig, own in by_contig.items():
        own.sort(key=lambda scope: scope.start)
        start, end = own[0].start, own[0].end
        for scope in own[1:]:
            if scope.start > end:
                whole.append(Interval(contig, start, end))
                start = scope.start
            end = max(end, scope.end)
        whole.append(Interval(contig, start, end))
    return whole


def parse_chunk(where: str, line: bytes, lengths: Mapping[str, int], stages: dict[bytes, int]) -> tuple[int, int, Key]:
    """Return start, end, and contig, strand and stage of a line of BED; `stages` is filled. Raises InputError."""
    fields = line.rstrip(b"\r\n").split(b"\t")
    start, end = (whole_number(field.decode("latin-1")) for field in [*fields, b"", b""][1:3])
    if len(fields) < 6 or start is None or end is None or fields[5] not in (b"+", b"-"):
        raise InputError(f"{where} is no chunk: contig, start, end, stage, score and strand, separated by tabs.")
    contig = fields[0].decode("utf-8", "replace")
    if fields[3] not in stages:
        stage = whole_number(fields[3].removeprefix(b"stage").decode("latin-1"))
        if not stage:
            raise InputError(f"{where} has the stage {fields[3].decode('utf-8', 'replace')!r}: stage1, stage2, ...")
        stages[fields[3]] = stage
    if contig not in lengths:
        raise InputError(f"{where}: no contig {contig!r} in the genome, which has {name_some(lengths)}.")
    if not start < end <= lengths[contig]:
        raise InputError(f"{where}: {start}-{end} (0-based) is not within {contig} of {lengths[contig]} bases.")
    return start, end, (contig, Strand(fields[5].decode()), stages[fields[3]])


def _cuts(name: str, columns: Mapping[Key, tuple[list[int], list[int]]], made_by: Mapping[str, str]) -> Cuts:
    covered: dict[tuple[Strand, int], list[Interval]] = {}
    opens = {}
    for (contig, strand, stage), (starts, ends) in columns.items():
        covered.setdefault((strand, stage), []).extend(_stretches(contig, starts, ends))
        opening = starts if strand is Strand.FORWARD else [end - 1 for end in ends]
        opens[contig, strand, stage] = np.unique(np.array(opening, dtype=np.int64))
    num_stages = max(stage for _, stage in covered)
    strands = [strand for strand in Strand if any(own is strand for own, _ in covered)]
    first = merged(covered.get((strands[0], 1), []))
    for strand in strands:
        for stage in range(1, num_stages + 1):
            if set(merged(covered.get((strand, stage), []))) != set(first) or not first:
                raise InputError(
                    f"{name}: the chunks of stage {stage} on the strand {strand.value} do not cover the same bases as "
                    "the others.\nWrite them with `dnahnet boundaries`, all stages, and give the whole file."
                )
    return Cuts(first, strands, opens, made_by)


def _stretches(contig: str, starts: Sequence[int], ends: Sequence[int]) -> list[Interval]:
    """Return the stretches that chunks in the order of the file cover without gap."""
    first, last = np.array(starts), np.array(ends)
    edges = np.flatnonzero(first[1:] != last[:-1]) + 1
    begins, stops = first[np.concatenate([[0], edges])], last[np.concatenate([edges - 1, [-1]])]
    return [Interval(contig, begin, stop) for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True)]
