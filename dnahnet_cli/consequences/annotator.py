"""From a variant to its effects on the genes of an annotation.

A gene is hit when an edit changes its coding bases, or the bases of an RNA gene or pseudogene, or lies in a gap between
its parts. Where no gene is hit, a variant is upstream of the genes that begin within `upstream_bp` behind it, on either
strand, or intergenic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from dnahnet_cli.consequences.coding import Coding, LocalEdit
from dnahnet_cli.consequences.effects import Effect, Term
from dnahnet_cli.genetic_code import DEFAULT_CODE, genetic_code
from dnahnet_cli.genome import Gene, GenomeSource, Strand, Variant, decode, encode, reverse_complement
from dnahnet_cli.io.rnas import RnaGene

UPSTREAM_BP: Final = 250
MOST_SHIFT_BP: Final = 500  # how far an indel is moved through a repeat
INTRON_BP: Final = 10  # a shorter gap between two parts is a programmed frameshift
_KEPT: Final = 4096  # genes held translated


@dataclass(frozen=True)
class _Locus:
    """A gene of any kind; [start, end) may pass the length of a circular contig."""

    start: int
    end: int
    strand: Strand | None
    name: str
    locus_tag: str
    product: str
    parts: tuple[tuple[int, int], ...]
    gene: Gene | None  # where it codes for a protein

    @classmethod
    def of(cls, gene: Gene | RnaGene) -> _Locus:
        coding = gene if isinstance(gene, Gene) and not gene.pseudo else None
        return cls(gene.start, gene.end, gene.strand, gene.name, gene.locus_tag, gene.product, gene.parts, coding)

    def is_hit_by(self, edit: LocalEdit) -> bool:
        """Tell whether an edit, where it is written, changes a base or comes between two."""
        return edit.start < self.end and edit.end > self.start and (edit.start < edit.end or edit.start > self.start)

    def has_in_gap(self, edit: LocalEdit) -> bool:
        """Tell whether an edit, where it is written, lies between two parts that are no programmed frameshift."""
        gaps = ((before, after) for (_, before), (after, _) in pairwise(self.parts) if after - before >= INTRON_BP)
        return any(before <= edit.start and edit.end <= after for before, after in gaps)

    def named(self, term: Term) -> Effect:
        return Effect(term, self.name, self.locus_tag, self.strand, product=self.product)


class _Contig:
    """The loci of a contig, to be looked up by place."""

    def __init__(self, length: int, circular: bool, loci: Sequence[_Locus]) -> None:
        self.length, self.circular = length, circular
        self.loci = sorted(loci, key=lambda locus: (locus.start, locus.end))
        self._starts = np.array([locus.start for locus in self.loci], dtype=np.int64)
        self._ends = np.array([locus.end for locus in self.loci], dtype=np.int64)

    def near(self, low: int, high: int) -> list[tuple[_Locus, int]]:
        """Return the loci that touch [low, high], with what must be added to a position to lie on each."""
        turns = (-self.length, 0, self.length) if self.circular else (0,)
        found: list[tuple[_Locus, int]] = []
        for turn in turns:
            hits: npt.NDArray[np.intp] = np.flatnonzero((self._starts <= high + turn) & (self._ends >= low + turn))
            found += [(self.loci[number], turn) for number in hits.tolist()]
        return found


class Annotator:
    """Gives variants their effects. `skipped` are genes that cannot be used: (locus, reason)."""

    def __init__(
        self,
        genome: GenomeSource,
        genes: Iterable[Gene],
        noncoding: Iterable[RnaGene] = (),
        circular: frozenset[str] = frozenset(),
        code: int | None = None,
        upstream_bp: int = UPSTREAM_BP,
    ) -> None:
        """`code` is an NCBI table for all genes; None: what the annotation says of each, or else 11.

        Raises UsageError for a table that is not known.
        """
        self._genome, self._upstream_bp = genome, upstream_bp
        self._code = None if code is None else genetic_code(code)
        self.skipped: list[tuple[str, str]] = []
        by_contig: dict[str, list[_Locus]] = defaultdict(list)
        everything: list[Gene | RnaGene] = [*genes, *noncoding]
        for gene in everything:
            if self._fits(gene, circular):
                by_contig[gene.contig].append(_Locus.of(gene))
        self._contigs = {
            name: _Contig(length, name in circular, by_contig[name]) for name, length in genome.lengths.items()
        }
        self._coding = lru_cache(_KEPT)(self._read)

    def effects(self, variant: Variant) -> list[Effect]:
        """Return a variant's effects, the most severe first: one for each gene hit, or else upstream or intergenic.

        REF must be what the genome has there, ALT other letters of A, C, G, T.
        """
        contig = self._contigs[variant.contig]
        edit = self._edit(variant)
        found = []
        for locus, turn in contig.near(edit.least, edit.most + edit.end - edit.start):
            effect = self._hit(variant.contig, locus, _moved(edit, turn))
            if effect is not None:
                found.append(effect)
        found = found or self._upstream(contig, edit) or [Effect(Term.INTERGENIC)]
        return sorted(found, key=lambda effect: effect.term.severity)

    def _fits(self, gene: Gene | RnaGene, circular: frozenset[str]) -> bool:
        length = self._genome.lengths.get(gene.contig)
        if length is None:
            self.skipped.append((gene.locus_tag or gene.name, f"the genome has no contig {gene.contig!r}"))
        elif gene.start >= length or gene.end > (2 * length if gene.contig in circular else length):
            self.skipped.append((gene.locus_tag or gene.name, "the gene ends beyond its contig"))
        else:
            return True
        return False

    def _hit(self, contig: str, locus: _Locus, edit: LocalEdit) -> Effect | None:
        places = [edit, edit.at(edit.least), edit.at(edit.most)]
        if locus.gene is None:
            if not all(map(locus.is_hit_by, places)):
                return None
            return locus.named(Term.INTRON if any(map(locus.has_in_gap, places)) else Term.NON_CODING)
        effect = self._coding(locus.gene).effect(edit)
        if effect is not None:
            return effect
        for (_, before), (after, _) in pairwise(locus.gene.parts):
            if any(before <= place.start and place.end <= after for place in places):
                return locus.named(Term.INTRON if after - before >= INTRON_BP else Term.CODING)
        # Of a gene that is cut off within a codon, the bases of that codon are coding, too.
        return locus.named(Term.CODING) if locus.gene.phase and all(map(locus.is_hit_by, places)) else None

    def _upstream(self, contig: _Contig, edit: LocalEdit) -> list[Effect]:
        """Return the genes that begin within reach, the nearest first, by where the edit is furthest from each."""
        first, last = edit.least, edit.most + edit.end - edit.start
        found = []
        for locus, turn in contig.near(first - self._upstream_bp, last + self._upstream_bp):
            if locus.strand is Strand.FORWARD:
                ahead = locus.start - turn - (edit.least + edit.end - edit.start)
            else:
                ahead = edit.most + turn - locus.end
            if locus.strand is not None and 0 <= ahead < self._upstream_bp:
                found.append((ahead, locus.named(Term.UPSTREAM)))
        return [effect for _, effect in sorted(found, key=lambda pair: pair[0])]

    def _edit(self, variant: Variant) -> LocalEdit:
        """Return the change without what REF and ALT share, and how far it can be moved."""
        ref, alt = decode(encode(variant.ref)), decode(encode(variant.alt))
        end = variant.end
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt, end = ref[:-1], alt[:-1], end - 1
        start = variant.start
        while ref and alt and ref[0] == alt[0]:
            ref, alt, start = ref[1:], alt[1:], start + 1
        if ref and alt:
            return LocalEdit(start, end, alt, start, start)
        return self._movable(variant.contig, start, end, alt)

    def _movable(self, contig: str, start: int, end: int, alt: str) -> LocalEdit:
        before, after = (
            self._stretch(contig, start - MOST_SHIFT_BP, start),
            self._stretch(contig, end, end + MOST_SHIFT_BP),
        )
        unit = alt or self._stretch(contig, start, end)
        num_left = _agreement(before[::-1], unit[::-1])
        return LocalEdit(start, end, alt, start - num_left, start + _agreement(after, unit))

    def _read(self, gene: Gene) -> Coding:
        """Return a gene's coding bases."""
        code = self._code or genetic_code(gene.genetic_code or DEFAULT_CODE)
        bases = self._stretch(gene.contig, gene.start, gene.end)
        if gene.strand is Strand.FORWARD:
            behind = self._stretch(gene.contig, gene.end, gene.end + 2)
        else:
            behind = decode(reverse_complement(encode(self._stretch(gene.contig, gene.start - 2, gene.start))))
        return Coding(gene, bases, code, behind)

    def _stretch(self, contig: str, start: int, end: int) -> str:
        """Return bases, going round the origin of a circular contig and ending where a linear one ends."""
        length, circular = self._genome.lengths[contig], self._contigs[contig].circular
        pieces = [(start + turn, end + turn) for turn in ((length, 0, -length) if circular else (0,))]
        clipped = [(max(0, low), min(length, high)) for low, high in pieces]
        return "".join(decode(self._genome.codes(contig, low, high)) for low, high in clipped if low < high)


def _agreement(text: str, unit: str) -> int:
    """Return over how many letters a text repeats a unit."""
    return next((n for n, letter in enumerate(text) if letter != unit[n % len(unit)]), len(text))


def _moved(edit: LocalEdit, turn: int) -> LocalEdit:
    if not turn:
        return edit
    return LocalEdit(edit.start + turn, edit.end + turn, edit.alt, edit.least + turn, edit.most + turn)
