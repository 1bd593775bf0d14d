"""What an edit does to one coding sequence.

1. The edit has been trimmed of bases that REF and ALT share at either end. A pure insertion or deletion in a repeat can
   be written in several places; if in one of them it leaves the coding bases alone, or does not cross their ends, that
   place is taken, because the sequence that results is the same.
2. The gene is translated with the edit and without. What is reported of the protein is where the two differ.
3. A gene of several parts is translated from its parts in a row, so a programmed frameshift keeps its frame.
4. A codon that begins a gene may become another start codon of the table (start_retained_variant); it is M in both.
   A start codon that is lost, and a lost stop codon, say nothing about where translation begins or ends then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dnahnet_cli.consequences.effects import Effect, Term
from dnahnet_cli.genetic_code import STOP, UNKNOWN, GeneticCode
from dnahnet_cli.genome import Gene, Strand, decode, encode, reverse_complement


@dataclass(frozen=True)
class LocalEdit:
    """Replace [start, end) of the forward strand by `alt` (letters), with no base in common at either end.

    `least` and `most` are the first and last start at which a pure insertion or deletion can be written; for other
    edits both are `start`.
    """

    start: int
    end: int
    alt: str
    least: int
    most: int

    def at(self, start: int) -> LocalEdit:
        """Return the same change written from another start between `least` and `most`."""
        if start == self.start:
            return self
        turn = (start - self.start) % max(1, len(self.alt))  # the inserted letters rotate
        alt = self.alt[turn:] + self.alt[:turn]
        return LocalEdit(start, start + self.end - self.start, alt, self.least, self.most)


class Coding:
    """A gene's coding bases in reading direction, from the first whole codon on."""

    def __init__(self, gene: Gene, bases: str, code: GeneticCode, behind: str = "") -> None:
        """`bases` are the forward strand from the gene's start to its end; `behind` is what is read after them."""
        self.gene, self.code = gene, code
        place = np.concatenate([np.arange(start, end) for start, end in gene.parts])
        letters = np.frombuffer(bases.encode("ascii"), dtype=np.uint8)[place - gene.start].tobytes().decode("ascii")
        if gene.strand is Strand.REVERSE:
            place, letters = place[::-1], decode(reverse_complement(encode(letters)))
        self.place: npt.NDArray[np.int64] = place[gene.phase :]  # of each coding base, on the forward strand
        self.bases, self.behind = letters[gene.phase :], behind
        # A gene that is cut off at its beginning has no start codon, whether or not the annotation says so.
        self.begins = not gene.phase and not gene.cut_at_start and self.bases[:3] in code.starts
        self.residues = self._translate(self.bases)
        self.stops_early = STOP in self.residues[:-1]  # read through, as where TGA is selenocysteine

    def effect(self, edit: LocalEdit) -> Effect | None:
        """Return what an edit does to the protein; None if it leaves the coding bases alone."""
        placed = self._choose(edit)
        if placed is None:
            return None
        touched = self._touched(placed)
        if placed.end > placed.start and not len(touched):
            return None
        if placed.end - placed.start == len(placed.alt):
            return self._substituted(placed, touched)
        if len(touched) == len(self.place):
            return self._named(Term.TRANSCRIPT_ABLATION)
        span = self._span(placed, touched)
        if span is None:
            return self._across(touched)
        return self._replaced(*span, self._sense(placed.alt))

    def _choose(self, edit: LocalEdit) -> LocalEdit | None:
        """Return the edit where rule 1 puts it, None if that is not among the coding bases."""
        within = []
        for candidate in (edit, *(edit.at(start) for start in (edit.least, edit.most) if edit.least < edit.most)):
            touched = self._touched(candidate)
            if self._span(candidate, touched) is not None:
                within.append(candidate)
            elif not len(touched):
                return None
        return within[0] if within else edit

    def _touched(self, edit: LocalEdit) -> npt.NDArray[np.intp]:
        """Return which coding bases the edit replaces."""
        return np.flatnonzero((self.place >= edit.start) & (self.place < edit.end))

    def _span(self, edit: LocalEdit, touched: npt.NDArray[np.intp]) -> tuple[int, int] | None:
        """Return the coding bases [first, last) that the edit replaces; None if it is not wholly among them."""
        if edit.end > edit.start:
            if not len(touched) or not len(touched) == edit.end - edit.start == touched[-1] - touched[0] + 1:
                return None
            return int(touched[0]), int(touched[-1]) + 1
        low, high = (edit.start - 1, edit.start) if self.gene.strand is Strand.FORWARD else (edit.start, edit.start - 1)
        between = np.flatnonzero((self.place[:-1] == low) & (self.place[1:] == high))
        return (int(between[0]) + 1, int(between[0]) + 1) if len(between) else None

    def _sense(self, letters: str) -> str:
        return letters if self.gene.strand is Strand.FORWARD else decode(reverse_complement(encode(letters)))

    def _substituted(self, edit: LocalEdit, touched: npt.NDArray[np.intp]) -> Effect | None:
        """Return the effect of as many bases as are replaced; those outside the coding sequence do not matter."""
        mutant = list(self.bases)
        forward = self.gene.strand is Strand.FORWARD
        for number in touched.tolist():
            base = edit.alt[int(self.place[number]) - edit.start]
            mutant[number] = base if forward else self._sense(base)
        changed = [number for number in touched.tolist() if mutant[number] != self.bases[number]]
        if not changed:
            return None
        first, last = changed[0], changed[-1] + 1
        return self._replaced(first, last, "".join(mutant[first:last]))

    def _across(self, touched: npt.NDArray[np.intp]) -> Effect:
        """Return the effect of what crosses an end of the coding sequence, or the gap between two parts."""
        if touched[0] == 0 and self.begins:
            return self._named(Term.START_LOST, aa_change="M1?")
        if touched[-1] == len(self.bases) - 1 and self.residues.endswith(STOP):
            return self._named(Term.STOP_LOST, aa_change=f"{STOP}{len(self.residues)}?")
        return self._named(Term.CODING)

    def _replaced(self, first: int, last: int, new: str) -> Effect:
        """Return the effect of replacing the coding bases [first, last) by `new`."""
        mutant = self.bases[:first] + new + self.bases[last:]
        codons = self._codon_change(first, last, new)
        if first >= len(self.bases) - len(self.bases) % 3:
            return self._named(Term.INCOMPLETE_CODON, codons)
        if UNKNOWN in self.residues[first // 3 : (last + 2) // 3]:
            return self._named(Term.CODING, codons)
        if self.begins and first < 3 and mutant[:3] not in self.code.starts:
            return self._named(Term.START_LOST, codons, "M1?")
        is_shifted = (len(new) - (last - first)) % 3 != 0
        residues = self._translate(mutant + self.behind if is_shifted else mutant)
        if self._read(residues) == self._read(self.residues):
            return self._unchanged(first, max(first + 1, last), codons)
        if is_shifted:
            return self._shifted(residues, codons)
        return self._in_frame(first, last, new, residues, codons)

    def _unchanged(self, first: int, last: int, codons: str) -> Effect:
        """Return the effect of a change that leaves the protein as it is."""
        low, high = first // 3, min((last - 1) // 3, len(self.residues) - 1)
        if low == high == 0 and self.begins:
            return self._named(Term.START_RETAINED, codons, "M1M")
        term = Term.STOP_RETAINED if self.residues[high] == STOP else Term.SYNONYMOUS
        if STOP in self.residues[low : min(high + 1, len(self.residues) - 1)]:  # what reads TGA through stops at TAA
            term = Term.STOP_GAINED
        same = self.residues[low : high + 1]
        return self._named(term, codons, ":".join(f"{r}{low + n}{r}" for n, r in enumerate(same, 1)))

    def _shifted(self, residues: str, codons: str) -> Effect:
        low = _common(residues, self.residues)
        if self.residues[low:] == STOP:
            return self._named(Term.STOP_LOST, codons, f"{self._residues_named(low, low)}?")
        if low < len(residues) and residues[low] == STOP:
            return self._named(Term.STOP_GAINED, codons, f"{self._residues_named(low, low)}{STOP}")
        return self._named(Term.FRAMESHIFT, codons, f"{self._residues_named(low, low)}fs")

    def _in_frame(self, first: int, last: int, new: str, residues: str, codons: str) -> Effect:
        low, old, fresh = _difference(self.residues, residues)
        if STOP in fresh:
            fresh = _to_stop(fresh)
            old = old[: len(fresh)] if len(new) == last - first or fresh == STOP else old
            return self._named(Term.STOP_GAINED, codons, self._protein_change(low, old, fresh))
        change = self._protein_change(low, old, fresh)
        if old.endswith(STOP) and low + len(old) == len(self.residues):
            return self._named(Term.STOP_LOST, codons, change)
        if len(new) == last - first:
            return self._named(Term.MISSENSE, codons, change)
        if first == last:
            return self._named(Term.INFRAME_INSERTION, codons, change)
        return self._named(Term.INFRAME_DELETION if not new else Term.PROTEIN_ALTERING, codons, change)

    def _protein_change(self, low: int, old: str, new: str) -> str:
        high = low + len(old) - 1
        if len(old) == len(new):
            pairs = enumerate(zip(old, new, strict=True), low + 1)
            return ":".join(f"{before}{number}{after}" for number, (before, after) in pairs if before != after)
        if not old:
            return f"{self._residues_named(low - 1, low)}ins{new}"
        return f"{self._residues_named(low, high)}{'delins' + new if new else 'del'}"

    def _residues_named(self, low: int, high: int) -> str:
        """Return such as K9, or K9_L11."""
        last = len(self.residues) - 1
        low, high = max(0, min(low, last)), max(0, min(high, last))
        one = f"{self.residues[low]}{low + 1}"
        return one if low == high else f"{one}_{self.residues[high]}{high + 1}"

    def _codon_change(self, first: int, last: int, new: str) -> str:
        begin, end = first - first % 3, last + -last % 3
        before, after = self.bases[begin:first].lower(), self.bases[last:end].lower()
        old = self.bases[first:last]
        return f"{before}{old}{after}" + "/" + (f"{before}{new}{after}" or "-") if end > begin else f"-/{new}"

    def _translate(self, bases: str) -> str:
        residues = self.code.translate(bases)
        return "M" + residues[1:] if self.begins and bases[:3] in self.code.starts else residues

    def _read(self, residues: str) -> str:
        """Return what matters of a translation: nothing behind its first stop."""
        return residues if self.stops_early else _to_stop(residues)

    def _named(self, term: Term, codon_change: str = "", aa_change: str = "") -> Effect:
        gene = self.gene
        return Effect(term, gene.name, gene.locus_tag, gene.strand, codon_change, aa_change, gene.product)


def _to_stop(residues: str) -> str:
    """Return the residues up to the first stop and with it."""
    before, stop, _ = residues.partition(STOP)
    return before + stop


def _common(one: str, other: str) -> int:
    """Return how many letters two texts share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def _difference(old: str, new: str) -> tuple[int, str, str]:
    """Return where two proteins begin to differ, and what each has there, up to what they have in common at the end."""
    low = _common(old, new)
    tail = _common(old[low:][::-1], new[low:][::-1])
    return low, old[low : len(old) - tail], new[low : len(new) - tail]
