"""Domain types: intervals, edits, variants, genes, and nucleotide codes.

Coordinates are 0-based and half-open everywhere in this package; 1-based numbers exist only in io/, where
files are read and written. Sequences are numpy arrays of uint8 codes: A 0, C 1, G 2, T 3, everything else 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.uint8]

N_CODE: Final = 4
_LETTERS: Final = np.frombuffer(b"ACGTN", dtype=np.uint8)
_CODE_OF: Final = np.full(256, N_CODE, dtype=np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODE_OF[list(_letters)] = _code
_COMPLEMENT: Final = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


def encode(sequence: str | bytes) -> Codes:
    """Return the codes of a sequence. Lower case counts as upper case, U as T, any other letter as N."""
    data = sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence
    return _CODE_OF[np.frombuffer(data, dtype=np.uint8)]


def decode(codes: Codes) -> str:
    """Return codes as upper-case letters."""
    return _LETTERS[codes].tobytes().decode("ascii")


def reverse_complement(codes: Codes) -> Codes:
    """Return the other strand, read in its own direction."""
    return _COMPLEMENT[codes[::-1]]


class GenomeSource(Protocol):
    """Where sequences come from; `io.fasta.Fasta` is one."""

    @property
    def lengths(self) -> dict[str, int]: ...

    def codes(self, contig: str, start: int, end: int) -> Codes:
        """Return the codes of [start, end) of the forward strand."""
        ...


def blocks(genome: GenomeSource, contig: str, size: int = 1 << 20) -> Iterator[Codes]:
    """Yield the codes of a contig block by block, for what needs all of them but not at once."""
    length = genome.lengths[contig]
    for low in range(0, length, size):
        yield genome.codes(contig, low, min(low + size, length))


class Strand(Enum):
    """A strand of a contig; `forward` reads the contig as the file has it."""

    FORWARD = "+"
    REVERSE = "-"

    @property
    def opposite(self) -> Strand:
        return Strand.REVERSE if self is Strand.FORWARD else Strand.FORWARD


@dataclass(frozen=True)
class Interval:
    """A stretch of a contig, 0-based half-open; its text form is 1-based inclusive, as samtools writes regions."""

    contig: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"interval {self.contig}:{self.start}-{self.end} (0-based) is not in order")

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share a base."""
        return self.contig == other.contig and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Edit:
    """Replace the bases [start, end) of a contig's forward strand by `replacement` (codes; may be empty).

    `start == end` inserts before `start`. On a circular contig `end` may pass the contig's length.
    """

    contig: str
    start: int
    end: int
    replacement: Codes = field(compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"edit {self.contig}:{self.start}-{self.end} (0-based) is not in order")

    @property
    def num_replaced(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Variant:
    """One ALT of a VCF record, as the user wrote it. `start` is 0-based."""

    contig: str
    start: int
    ref: str
    alt: str
    id: str = "."
    alt_index: int = 1

    @property
    def end(self) -> int:
        return self.start + len(self.ref)


@dataclass(frozen=True)
class Gene:
    """A protein-coding gene: its coding stretches in reading direction order, all on one strand.

    `parts` are 0-based half-open forward intervals, sorted by start; one that passes the contig's length crosses
    the origin of a circular contig. `phase` bases come before the first whole codon, where the gene is cut off;
    `cut_at_start` tells that the annotation says so of the end that is read first, also between two codons.
    `genetic_code` is the NCBI table if the annotation names one.
    """

    contig: str
    strand: Strand
    parts: tuple[tuple[int, int], ...]
    name: str
    locus_tag: str = ""
    product: str = ""
    partial: bool = False
    cut_at_start: bool = False
    pseudo: bool = False
    phase: int = 0
    genetic_code: int | None = None

    @property
    def start(self) -> int:
        return self.parts[0][0]

    @property
    def end(self) -> int:
        return self.parts[-1][1]

    @property
    def length(self) -> int:
        """Return the number of coding bases."""
        return sum(end - start for start, end in self.parts)
