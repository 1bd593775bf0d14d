"""What a page shows along the genome: chunks of each stage and strand, and values of single bases.

Everything base by base is kept within windows; of the chunks there is also their mean length all over the genome.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.evaluation.chunks import PROVENANCE, Key, merged, parse_chunk
from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.io.bigwig import BEDGRAPH, BIGWIG
from dnahnet_cli.io.streams import Source, describe, whole_number
from dnahnet_cli.report.contigs import Contigs

BIN_BP: Final = 1_000
_STEPS: Final = 1_000  # of a value between the least and the greatest of its track
_MISSING: Final = -1

Floats = npt.NDArray[np.float64]


@dataclass
class ChunkTracks:
    """Chunks of a BED: arrays of start, end and score (1000 x probability) by contig, strand and stage."""

    chunks: dict[Key, npt.NDArray[np.int64]] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    def scopes(self) -> list[Interval]:
        """Return the stretches that are cut into chunks."""
        return merged(
            Interval(contig, start, end)
            for (contig, _, _), rows in self.chunks.items()
            for start, end in _stretches(rows)
        )

    def tracks(self, windows: Sequence[Interval], contigs: Contigs) -> list[dict[str, Any]]:
        """Return a track for each stage and strand: the lengths and scores of the chunks that touch the windows."""
        found: dict[tuple[int, Strand], list[dict[str, Any]]] = {}
        for (contig, strand, stage), rows in sorted(
            self.chunks.items(), key=lambda item: (item[0][2], item[0][1].value)
        ):
            segments = found.setdefault((stage, strand), [])
            for window in (window for window in windows if window.contig == contig):
                own = rows[(rows[:, 0] < window.end) & (rows[:, 1] > window.start)]
                for first, last in _runs(own):
                    part = own[first:last]
                    place = contigs.place(contig, int(part[0, 0]), int(part[-1, 1]))
                    if place:
                        lengths, scores = (part[:, 1] - part[:, 0]).tolist(), part[:, 2].tolist()
                        segments.append({"at": place[:2], "lengths": lengths, "scores": scores})
        return [
            {
                "kind": "chunks",
                "name": f"chunks, stage {stage}, {_word(strand)}",
                "strand": strand.value,
                "parts": parts,
            }
            for (stage, strand), parts in found.items()
        ]

    def overviews(self, contigs: Contigs) -> list[dict[str, Any]]:
        """Return a track for each stage: bases for each chunk in bins of BIN_BP, over both strands."""
        tracks = []
        for stage in sorted({key[2] for key in self.chunks}):
            bins = []
            for contig, length in contigs.lengths.items():
                own = [rows for key, rows in self.chunks.items() if key[0] == contig and key[2] == stage]
                if own:
                    bins += _bins(np.concatenate(own), contigs, contig, length)
            tracks.append({"kind": "values", "name": f"bases per chunk, stage {stage}", "values": bins})
        return tracks


def read_chunks(path: str, lengths: Mapping[str, int]) -> ChunkTracks:
    """Read a BED that `dnahnet boundaries` wrote, gzip or not. Raises InputError."""
    found = ChunkTracks()
    rows: dict[Key, array[int]] = {}
    stages: dict[bytes, int] = {}
    with Source(path) as source:
        if describe(source.head) != "a text file of another kind":
            raise InputError(f"{source.name} is {describe(source.head)}: chunks are read from BED.")
        for number, line in source.lines():
            if line.startswith(b"#"):
                name, is_pair, value = line.decode("utf-8", "replace").rstrip("\r\n").partition("=")
                if is_pair and name.startswith(PROVENANCE):
                    found.provenance[name.removeprefix(PROVENANCE)] = value
            elif line.strip():
                start, end, key = parse_chunk(f"{source.name}:{number}", line, lengths, stages)
                score = line.split(b"\t", 5)[4]
                thousandths = whole_number(score.decode("latin-1"))
                if thousandths is None:
                    raise InputError(
                        f"{source.name}:{number} is no chunk: its score {score[:20]!r} is no whole number."
                    )
                rows.setdefault(key, array("q")).extend((start, end, thousandths))
    if not rows:
        raise InputError(f"{path} holds no chunks.")
    for key, own in rows.items():
        table = np.frombuffer(own, dtype=np.int64).reshape(-1, 3)
        found.chunks[key] = table[np.argsort(table[:, 0], kind="stable")]
    return found


def read_signal(path: str, windows: Sequence[Interval], contigs: Contigs) -> dict[str, Any]:
    """Return the values of single bases within windows as a track, from bigWig or bedGraph. Raises InputError."""
    name = Path(path).name.lower()
    if name.endswith(BIGWIG):
        values = _read_bigwig(path, windows)
    elif name.endswith(BEDGRAPH):
        values = _read_bedgraph(path, windows, contigs.lengths)
    else:
        raise UsageError(f"--track {path}: expected a name that ends in one of {', '.join((*BIGWIG, *BEDGRAPH))}")
    known = np.concatenate([*values, np.empty(0)])
    known = known[~np.isnan(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low = min(low, 0.0)
    step = (high - low) / _STEPS or 1.0
    parts = []
    for window, own in zip(windows, values, strict=True):
        place = contigs.place(window.contig, window.start, window.end)
        if place and not np.isnan(own).all():
            steps = np.where(np.isnan(own), _MISSING, np.round((np.nan_to_num(own) - low) / step)).astype(int)
            parts.append({"at": place[:2], "steps": steps.tolist()})
    label = Path(path).name
    for suffix in (".gz", *BIGWIG, ".bedgraph", ".bg"):
        label = label[: -len(suffix)] if label.lower().endswith(suffix) else label
    return {"kind": "signal", "name": label, "low": low, "step": step, "parts": parts}


def _read_bigwig(path: str, windows: Sequence[Interval]) -> list[Floats]:
    try:
        import pybigtools
    except ImportError as error:
        raise UsageError(
            "bigWig is read with pybigtools, which is not installed.\n"
            "Install it with: pip install 'dnahnet[tracks]', or give a bedGraph."
        ) from error
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: check the path.")
    values = [np.full(len(window), np.nan) for window in windows]
    try:
        with closing(pybigtools.open(path)) as file:
            for window, own in zip(windows, values, strict=True):
                if window.contig in file.chroms():
                    for start, end, value in file.records(window.contig, window.start, window.end):
                        own[max(0, start - window.start) : max(0, end - window.start)] = value
        return values
    except (OSError, ValueError, RuntimeError, pybigtools.BBIReadError) as error:
        raise InputError(f"{path} cannot be read as bigWig: {error}.") from error


def _read_bedgraph(path: str, windows: Sequence[Interval], lengths: Mapping[str, int]) -> list[Floats]:
    values = [np.full(len(window), np.nan) for window in windows]
    with Source(path) as source:
        for number, line in source.lines():
            fields = line.split()
            if line.startswith((b"#", b"track", b"browser")) or not fields:
                continue
            try:
                contig, start, end, value = (
                    fields[0].decode("utf-8", "replace"),
                    *map(int, fields[1:3]),
                    float(fields[3]),
                )
            except (ValueError, IndexError) as error:
                raise InputError(f"{source.name}:{number} is no bedGraph: contig, start, end and value.") from error
            for window, own in zip(windows, values, strict=True):
                if window.contig == contig and start < window.end and end > window.start:
                    own[max(0, start - window.start) : end - window.start] = value
    return values


def _bins(rows: npt.NDArray[np.int64], contigs: Contigs, contig: str, length: int) -> list[list[float]]:
    """Return the mean length of the chunks whose middle lies in each bin, empty bins left out."""
    edges = np.arange(0, length + BIN_BP, BIN_BP)
    middle, size = (rows[:, 0] + rows[:, 1]) // 2, rows[:, 1] - rows[:, 0]
    counts, _ = np.histogram(middle, edges)
    totals, _ = np.histogram(middle, edges, weights=size)
    found = []
    for number in np.flatnonzero(counts).tolist():
        place = contigs.place(contig, number * BIN_BP, (number + 1) * BIN_BP)
        if place:
            found.append([*place, round(float(totals[number] / counts[number]), 2)])
    return found


def _runs(rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield where chunks follow one another without a gap."""
    if len(rows):
        breaks = np.flatnonzero(rows[1:, 0] != rows[:-1, 1]) + 1
        yield from pairwise([0, *breaks.tolist(), len(rows)])


def _stretches(rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    for first, last in _runs(rows):
        yield int(rows[first, 0]), int(rows[last - 1, 1])


def _word(strand: Strand) -> str:
    return "forward" if strand is Strand.FORWARD else "reverse"
