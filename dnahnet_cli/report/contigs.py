"""The contigs of a page: where something lies, and the sequence that the page carries."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from dnahnet_cli.genome import N_CODE, Interval, decode
from dnahnet_cli.io.fasta import Fasta

MAX_SEQUENCE_BP: Final = 20_000_000
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.|=+#-]")

Place: TypeAlias = "tuple[int, int, int]"  # number of the contig, start, end; 0-based half-open


class Contigs:
    """Contigs by number, which is how the page refers to them, with names that igv.js can take.

    igv.js splits places at colons, treats `chr1` and `1` as one, and puts names into its markup. So it gets names of
    plain letters, no two alike; all else on the page shows the names as they are.
    """

    def __init__(self, lengths: Mapping[str, int], renamed: Mapping[str, str] | None = None) -> None:
        """`renamed` are the genome's names by those of other files."""
        self.lengths = dict(lengths)
        self._renamed = renamed or {}
        self._number = {name: number for number, name in enumerate(lengths)}
        self.plain = _plain_names(lengths)

    def name(self, name: str) -> str:
        """Return the genome's name for a contig that another file names."""
        return self._renamed.get(name, name)

    def place(self, contig: str, start: int, end: int) -> Place | None:
        """Return the place of a stretch, cut off at the contig's ends, or None where the genome has no such bases."""
        name = self.name(contig)
        length = self.lengths.get(name, 0)
        if not 0 <= start < length:
            return None
        return self._number[name], start, max(start + 1, min(end, length))

    def places(self, contig: str, start: int, end: int) -> list[Place]:
        """Return the places of a stretch that may pass the end of a circular contig and go on at its beginning."""
        first = self.place(contig, start, end)
        past = end - self.lengths.get(self.name(contig), 0)
        return [place for place in (first, self.place(contig, 0, past) if first and past > 0 else None) if place]

    def window(self, place: Place, around_bp: int) -> Interval:
        """Return a place with its neighbourhood."""
        name = list(self.lengths)[place[0]]
        return Interval(name, max(0, place[1] - around_bp), min(self.lengths[name], place[2] + around_bp))

    def as_json(self) -> list[dict[str, Any]]:
        """Return what the page says of each contig."""
        return [
            {"name": name, "plain": plain, "length": length}
            for (name, length), plain in zip(self.lengths.items(), self.plain, strict=True)
        ]


def sequence(fasta: Fasta, contigs: Contigs, shown: Sequence[Interval]) -> tuple[str, bool]:
    """Return the genome as base64 of a gzip FASTA with plain names, and whether it is whole.

    Of a genome over MAX_SEQUENCE_BP only `shown` is there, everything else being N.
    """
    is_whole = sum(fasta.lengths.values()) <= MAX_SEQUENCE_BP
    lines = []
    for (name, length), plain in zip(fasta.lengths.items(), contigs.plain, strict=True):
        if is_whole:
            codes = fasta.codes(name, 0, length)
        else:
            codes = np.full(length, N_CODE, dtype=np.uint8)
            for part in (own for own in shown if own.contig == name):
                codes[part.start : part.end] = fasta.codes(name, part.start, part.end)
        lines.append(f">{plain}\n{decode(codes)}\n")
    return base64.b64encode(gzip.compress("".join(lines).encode(), 6, mtime=0)).decode(), is_whole


def _plain_names(names: Iterable[str]) -> list[str]:
    taken = {"all"}  # igv.js means the whole genome by it
    plain = []
    for name in names:
        stem = candidate = _UNSAFE.sub("_", name)
        number = 1
        while (key := candidate.lower().removeprefix("chr")) in taken:
            number += 1
            candidate = f"{stem}_{number}"
        taken.add(key)
        plain.append(candidate)
    return plain
