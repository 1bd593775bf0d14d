"""Genomes in memory: two bits per base, the stretches of N beside them, unpacked where and when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import N_CODE, Codes

Bytes: TypeAlias = npt.NDArray[np.uint8]
Positions: TypeAlias = npt.NDArray[np.int64]

# The four codes of every byte, as one number, so that unpacking is one look-up a byte.
_QUADS: Final = ((np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3).astype(np.uint8).view(np.uint32).ravel()


@dataclass(frozen=True, eq=False)
class Packed:
    """C contigs at two bits per base; iterating or indexing gives the codes of whole contigs.

    `bases` holds four bases a byte, the first in the lowest bits; each contig begins a new byte. `lengths` (C,) are in
    bp. `unknown` (K, 2) are the stretches of N, half-open, sorted and disjoint; position 4 i is the first of byte i.
    """

    bases: Bytes
    lengths: Positions
    unknown: Positions

    @classmethod
    def pack(cls, contigs: Iterable[Codes]) -> Packed:
        """Pack contigs given as codes, any number above 3 counting as N. One at a time is held unpacked."""
        return cls.joined([_pack_contig(codes) for codes in contigs])

    @classmethod
    def joined(cls, pieces: Sequence[Packed]) -> Packed:
        """Return the contigs of all `pieces`, in their order."""
        offsets = 4 * np.cumsum([0, *(len(piece.bases) for piece in pieces)])
        return cls(
            np.concatenate([np.empty(0, np.uint8), *(piece.bases for piece in pieces)]),
            np.concatenate([np.empty(0, np.int64), *(piece.lengths for piece in pieces)]),
            np.concatenate(
                [
                    np.empty((0, 2), np.int64),
                    *(piece.unknown + offset for piece, offset in zip(pieces, offsets[:-1], strict=True)),
                ]
            ),
        )

    @cached_property
    def edges(self) -> Positions:
        """Return the first byte of every contig, and the end of the last, (C + 1,)."""
        return np.concatenate([[0], np.cumsum(-(-self.lengths // 4))])

    @property
    def num_bases(self) -> int:
        return int(self.lengths.sum())

    @property
    def known_lengths(self) -> Positions:
        """Return how many bases of each contig are A, C, G or T, (C,)."""
        sizes, starts = self.unknown[:, 1] - self.unknown[:, 0], self.unknown[:, 0]
        contigs = np.searchsorted(4 * self.edges, starts, side="right") - 1  # a stretch ends where its contig does
        known: Positions = self.lengths - np.bincount(contigs, sizes, len(self)).astype(np.int64)
        return known

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, contig: int) -> Codes:
        return self.codes(contig, 0, int(self.lengths[contig]))

    def __iter__(self) -> Iterator[Codes]:
        return (self[contig] for contig in range(len(self)))

    def codes(self, contig: int, start: int, end: int) -> Codes:
        """Return the codes of [start, end) of a contig, which must lie within it."""
        origin = 4 * int(self.edges[contig])
        first, start, end = (origin + start) // 4, origin + start, origin + end
        quads: Codes = _QUADS[self.bases[first : -(-end // 4)]].view(np.uint8)
        codes = quads[start - 4 * first : end - 4 * first]
        for n_start, n_end in self._unknown_within(start, end) - start:
            codes[max(n_start, 0) : n_end] = N_CODE
        return codes

    def between(self, first: int, last: int) -> Packed:
        """Return the contigs [first, last), sharing their bytes."""
        return self._cut(int(self.edges[first]), int(self.edges[last]), self.lengths[first:last])

    def halves(self) -> tuple[Packed, Packed]:
        """Cut in two near the middle, between contigs if there are several, sharing the bytes."""
        if len(self) > 1:
            middle = int(np.clip(np.searchsorted(self.edges, len(self.bases) // 2), 1, len(self) - 1))
            return self.between(0, middle), self.between(middle, len(self))
        byte = len(self.bases) // 2
        left = np.array([4 * byte])
        return self._cut(0, byte, left), self._cut(byte, len(self.bases), self.lengths - left)

    def _cut(self, start: int, end: int, lengths: Positions) -> Packed:
        unknown = np.clip(self._unknown_within(4 * start, 4 * end), 4 * start, 4 * end) - 4 * start
        return Packed(self.bases[start:end], lengths, unknown)

    def _unknown_within(self, start: int, end: int) -> Positions:
        """Return the stretches of N that overlap [start, end)."""
        low = np.searchsorted(self.unknown[:, 1], start, side="right")
        return self.unknown[low : np.searchsorted(self.unknown[:, 0], end)]


def _pack_contig(codes: Codes) -> Packed:
    is_unknown = codes >= N_CODE
    padded = np.zeros(-(-len(codes) // 4) * 4, dtype=np.uint8)
    np.copyto(padded[: len(codes)], codes, where=~is_unknown)
    c0, c1, c2, c3 = padded.reshape(-1, 4).T
    changes = np.flatnonzero(np.diff(is_unknown, prepend=False, append=False))
    bases = (c0 | c1 << 2 | c2 << 4 | c3 << 6).astype(np.uint8, copy=False)
    return Packed(bases, np.array([len(codes)]), changes.reshape(-1, 2))


class Genome:
    """One genome in memory: its name, the genus it is sampled under, and its contigs.

    `about` may tell accession, organism, domain and source. `origin` is the file it was read from, for messages.
    """

    def __init__(
        self,
        name: str,
        genus: str,
        contigs: Packed | Iterable[Codes],
        about: Mapping[str, str] | None = None,
        origin: str = "",
        sha256: str | None = None,
    ) -> None:
        self.name, self.genus, self.about, self.origin = name, genus, dict(about or {}), origin
        self.contigs = contigs if isinstance(contigs, Packed) else Packed.pack(contigs)
        self._sha256 = sha256

    @property
    def length(self) -> int:
        return self.contigs.num_bases

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the codes (uint8, N is 4) of all contigs, one after another."""
        if self._sha256 is not None:
            return self._sha256
        digest = hashlib.sha256()
        for codes in self.contigs:
            digest.update(codes.data)
        return digest.hexdigest()


class Named(Protocol):
    """What the checks below look at: a genome, or what is going to be one."""

    @property
    def name(self) -> str: ...
    @property
    def genus(self) -> str: ...
    @property
    def origin(self) -> str: ...


@dataclass(frozen=True)
class Corpus:
    """Genomes to train on and genomes held out: no name twice, no genus on both sides (InputError otherwise)."""

    train: tuple[Genome, ...] = ()
    heldout: tuple[Genome, ...] = ()

    def __post_init__(self) -> None:
        check_names([*self.train, *self.heldout])
        check_held_out(self.train, self.heldout)

    def __add__(self, other: Corpus) -> Corpus:
        return Corpus(self.train + other.train, self.heldout + other.heldout)

    @property
    def num_bases(self) -> int:
        return sum(genome.length for genome in self.train + self.heldout)

    def records(self) -> list[dict[str, Any]]:
        """Return what the corpus holds, sorted by split and name.

        Keys: name, genus, split, accession, bases, sha256, and domain where it is known.
        """
        return [
            {
                "name": genome.name,
                "genus": genome.genus,
                "split": split,
                "accession": genome.about.get("accession"),
                "bases": genome.length,
                "sha256": genome.sha256,
                **({"domain": genome.about["domain"]} if genome.about.get("domain") else {}),
            }
            for split, genomes in (("train", self.train), ("val", self.heldout))
            for genome in sorted(genomes, key=lambda genome: genome.name)
        ]


def check_names(genomes: Iterable[Named]) -> None:
    """Raise InputError when two genomes have one name."""
    seen: dict[str, Named] = {}
    for genome in genomes:
        if genome.name in seen:
            raise InputError(
                f"two genomes are named {genome.name!r}{_origins(seen[genome.name], genome)}: "
                "give each once, under a name of its own"
            )
        seen[genome.name] = genome


def check_held_out(train: Iterable[Named], heldout: Iterable[Named]) -> None:
    """Raise InputError when a held-out genome's genus occurs in training: its figures would say nothing."""
    seen = {genome.genus: genome for genome in train}
    for genome in heldout:
        if genome.genus in seen:
            other = seen[genome.genus]
            raise InputError(
                f"{genome.name} is held out, but genus {genome.genus} is trained on, with {other.name}"
                f"{_origins(genome, other)}: hold out both or neither; a manifest can say which genus they are of"
            )


def _origins(one: Named, other: Named) -> str:
    files = dict.fromkeys(genome.origin for genome in (one, other) if genome.origin)
    return f" ({' and '.join(files)})" if files else ""
