"""A contig as the network reads it: along one strand, from a fixed origin, in fixed tiles.

Positions here are local: 0 is the first base read. The reverse strand is the reverse complement read from its own
start, with its own tile grid, so that reverse-complementing a genome only swaps the two readings. A circular contig is
read from an origin that depends on its sequence alone, so that rotating it changes nothing but coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from dnahnet_cli.genome import N_CODE, Codes, Edit, GenomeSource, Strand, reverse_complement

_BLOCK = 1 << 18  # positions looked at together, so that a chromosome's words are never held all at once
_WORD = 6  # letters compared at once: enough to leave few candidates, few enough to be quick over a chromosome


@dataclass(frozen=True)
class TileGrid:
    """How a contig is cut for scanning: `tile` new bases each, after `context` bases of left context.

    `max_scored` bounds how far past an edit a pass may run; the three together stay within the length that the
    network was trained on.
    """

    tile: int = 4096
    context: int = 1024
    max_scored: int = 2048

    def for_reading(self, length: int, circular: bool) -> TileGrid:
        """Shorten tile and context on a small circle, so that no scan meets a base twice.

        What is compared behind an edit near the end of its tile may be where its context began.
        """
        if not circular or length >= 2 * self.tile:
            return self
        tile = max(1, -(-length // 2))
        return TileGrid(tile, min(self.context, length - tile), min(self.max_scored, tile))


@dataclass(frozen=True)
class LocalEdit:
    """An edit of a reading: replace local bases [start, end) by `replacement`, in reading direction."""

    start: int
    end: int
    replacement: bytes  # codes, hashable

    @property
    def key(self) -> tuple[int, int, bytes]:
        return (self.start, self.end, self.replacement)


@dataclass(frozen=True)
class StrandCodes:
    """The codes of one strand of a contig in reading direction, read as they are asked for and never held."""

    genome: GenomeSource
    contig: str
    strand: Strand
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, places: int) -> np.uint8: ...
    @overload
    def __getitem__(self, places: slice) -> Codes: ...
    def __getitem__(self, places: int | slice) -> np.uint8 | Codes:
        if isinstance(places, int):
            found: np.uint8 = self[places : places + 1][0]
            return found
        start, end, _ = places.indices(self.length)
        end = max(start, end)
        if self.strand is Strand.FORWARD:
            return self.genome.codes(self.contig, start, end)
        return reverse_complement(self.genome.codes(self.contig, self.length - end, self.length - start))


@dataclass(frozen=True)
class Reading:
    """One strand of one contig in reading direction.

    `codes` starts at the origin of a circular contig, which is held; of a linear one, of any length, nothing is.
    """

    contig: str
    strand: Strand
    codes: Codes | StrandCodes
    circular: bool
    origin: int  # the position of codes[0] on this strand, counted in reading direction from the file's end of it
    grid: TileGrid

    @classmethod
    def of(cls, genome: GenomeSource, contig: str, strand: Strand, *, circular: bool, grid: TileGrid) -> Reading:
        """Read a contig of a genome along a strand."""
        lazy = StrandCodes(genome, contig, strand, genome.lengths[contig])
        if not circular:
            return cls(contig, strand, lazy, circular, 0, grid)
        codes = lazy[:]
        origin = canonical_origin(codes)
        if origin:
            codes = np.concatenate([codes[origin:], codes[:origin]])
        return cls(contig, strand, codes, circular, origin, grid.for_reading(len(codes), circular))

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def num_tiles(self) -> int:
        return -(-len(self) // self.grid.tile)

    def tile_of(self, start: int) -> int:
        """Return the tile that scores an edit at local position `start` (the last one for an edit at the very end)."""
        return min(start // self.grid.tile, self.num_tiles - 1)

    def tile_bounds(self, tile: int) -> tuple[int, int, int]:
        """Return where a tile's context, its own bases, and its end lie; the first may be negative on a circle."""
        start = tile * self.grid.tile
        end = min(start + self.grid.tile, len(self))
        pass_start = start - self.grid.context
        return (pass_start if self.circular else max(pass_start, 0)), start, end

    def window(self, start: int, end: int) -> Codes:
        """Return local bases [start, end); on a circle they wrap, on a line they end where the contig ends."""
        if not self.circular:
            return self.codes[max(start, 0) : end]
        assert not isinstance(self.codes, StrandCodes)  # circles are held
        return self.codes[np.arange(start, end) % len(self)]

    def to_forward(self, local: np.ndarray) -> np.ndarray:
        """Return forward 0-based coordinates of local base positions."""
        on_strand = (local + self.origin) % len(self) if self.circular else local
        return on_strand if self.strand is Strand.FORWARD else len(self) - 1 - on_strand

    def place(self, start: int, end: int) -> str:
        """Return local bases [start, end), or the base where nothing is replaced, as people write them."""
        ends = np.array([start, max(start, end - 1)])
        ends = self.to_forward(ends if self.circular else ends.clip(0, len(self) - 1))
        first, last = (1 + ends[:: 1 if self.strand is Strand.FORWARD else -1]).tolist()
        return f"{self.contig}:{first}{'' if first == last else f'-{last}'} ({self.strand.value} strand)"

    def localise(self, edit: Edit) -> LocalEdit:
        """Return a forward-strand edit as this reading sees it, trimmed and shifted as far downstream as it goes."""
        replacement = edit.replacement
        start, end = edit.start, edit.end
        if self.strand is Strand.REVERSE:
            start, end = len(self) - end, len(self) - start
            replacement = reverse_complement(replacement)
        if self.circular:
            length = end - start
            start = (start - self.origin) % len(self)
            end = start + length
        return self._normalise(start, end, replacement.tobytes())

    def _normalise(self, start: int, end: int, replacement: bytes) -> LocalEdit:
        replaced = self.window(start, end).tobytes()
        while replaced and replacement and replaced[-1] == replacement[-1]:
            replaced, replacement, end = replaced[:-1], replacement[:-1], end - 1
        while replaced and replacement and replaced[0] == replacement[0]:
            replaced, replacement, start = replaced[1:], replacement[1:], start + 1
        if bool(replaced) != bool(replacement):  # a pure insertion or deletion: one haplotype, many places to write it
            unit = replaced or replacement
            shift = self._downstream_shift(end, unit)
            start, end = start + shift, end + shift
            turn = shift % len(unit)
            replacement = replacement and replacement[turn:] + replacement[:turn]
        if self.circular:
            turns = start // len(self) * len(self)
            start, end = start - turns, end - turns
        return LocalEdit(start, end, replacement)

    def _downstream_shift(self, end: int, unit: bytes) -> int:
        """Return by how many bases an inserted or deleted `unit` that ends at `end` can move downstream unchanged.

        What it moves over is the same in both alleles, so moved all the way its first base is the first that differs.
        """
        limit = len(self) if self.circular else len(self) - end
        shift = 0
        while shift < limit:
            behind = int(self.codes[(end + shift) % len(self)])
            if behind != unit[shift % len(unit)] or behind == N_CODE:
                break
            shift += 1
        return shift


def canonical_origin(codes: Codes) -> int:
    """Return where the alphabetically smallest rotation of a circular sequence starts.

    Candidates are compared word by word; only those that tie go on to the next word.
    """
    length = len(codes)
    if length < 2:
        return 0
    best, found = 5**_WORD, [np.arange(0)]
    for low in range(0, length, _BLOCK):
        own = np.arange(low, min(low + _BLOCK, length))
        words = _words(codes, own)
        if words.min() < best:
            best, found = words.min(), []
        found.append(own[words == best])
    candidates, offset = np.concatenate(found), _WORD
    while len(candidates) > 1 and offset < length:
        words = _words(codes, candidates + offset)
        candidates = candidates[words == words.min()]
        offset += _WORD
    return int(candidates[0])


def _words(codes: Codes, positions: np.ndarray) -> np.ndarray:
    """Return the words that begin at some positions of a circle, as numbers in their alphabetical order."""
    words = np.zeros(len(positions), dtype=np.int64)
    for step in range(_WORD):
        words = words * 5 + codes[(positions + step) % len(codes)]
    return words
