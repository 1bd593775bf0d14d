"""Mutations of a gene as people write them, and the edits that they mean.

| written | means |
|---|---|
| `M69L`, `M69L:E104K`, `p.Met69Leu` | residues; the nearest codons are taken (see `proteins`) |
| `ATG69CTG`, `ATG69CTG:GAA104AAA` | codons, numbered as residues |
| `c.205A>C`, `c.205_207delinsCTG`, `c.205_207del`, `c.207dup`, `c.204_205insCTG` | coding bases, 1-based |
| `c.[205A>C;310G>A]`, `p.[Met69Leu;Glu104Lys]` | several of these at once |
| `p.Glu104=`, `p.=`, `c.=`, `_wt`, `_sy` | nothing that is known to change; the last two are MaveDB's |

This is the part of HGVS nomenclature (hgvs-nomenclature.org) that says something about the coding bases themselves.

A gene's start codon stands for M, whichever it is. What a mutant has in its place is read like any other codon, in all
forms alike, so that a change of the start codon is seen: CTG in place of ATG is M1L, although CTG is a start codon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, Edit, Strand, decode, encode, reverse_complement
from dnahnet_cli.scoring.proteins import AMINO_ACID_OF, START_CODONS, CodingSequence, Mutation, Substitution, translate
from dnahnet_cli.scoring.variants import num_changes

_THREE_LETTERS: Final = {
    "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G", "His": "H",
    "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Ser": "S", "Thr": "T", "Trp": "W",
    "Tyr": "Y", "Val": "V", "Ter": "*",
}  # fmt: skip
_RESIDUE: Final = re.compile(r"([A-Z][a-z]{2}|[A-Z*])([1-9][0-9]{0,8})([A-Z][a-z]{2}|[A-Z*=])")
_CODON: Final = re.compile(r"([ACGT]{3})([1-9][0-9]{0,8})([ACGT]{3})")
_BASES: Final = re.compile(
    r"([1-9][0-9]{0,8})(?:_([1-9][0-9]{0,8}))?(?:([ACGT])>([ACGT])|del([ACGT]*)(?:ins([ACGT]+))?|ins([ACGT]+)|(dup)([ACGT]*))"
)
_SEVERAL: Final = re.compile(r"\[([^:]*)\]")
HOW: Final = "write M69L, ATG69CTG or c.205A>C; M69L:E104K for several at once"


class Level(Enum):
    """What a mutation is written in."""

    PROTEIN = "protein"
    CODON = "codon"
    DNA = "dna"


_UNCHANGED: Final = {
    "_wt": Level.DNA,
    "c.=": Level.DNA,
    "_sy": Level.PROTEIN,
    "p.=": Level.PROTEIN,
    "p.(=)": Level.PROTEIN,
}


@dataclass(frozen=True)
class BaseChange:
    """Coding bases [start, end), 0-based, become `alt`; None doubles them. `ref` is empty if it was not written."""

    start: int
    end: int
    ref: str
    alt: str | None


@dataclass(frozen=True)
class Mutant:
    """A mutation as written, and what was read: substitutions with their codons (if given), or changes of bases.

    Codons are translated like any others; which of them begins the gene is known with the gene.
    """

    text: str
    level: Level
    mutation: Mutation | None = None
    codons: tuple[tuple[str, str], ...] = ()  # wild type and mutant, of each substitution
    changes: tuple[BaseChange, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Mutant:
        """Read a mutation in any of the forms. Raises InputError."""
        text = text.strip()
        if text.lower() in _UNCHANGED:
            return cls(text, _UNCHANGED[text.lower()])
        body = text.removeprefix("c.")
        if body != text:
            items = body.removeprefix("[").removesuffix("]").replace("c.", "").split(";")
            return cls(text, Level.DNA, changes=_in_order(text, [_base_change(text, item.strip()) for item in items]))
        parts = _residue_changes(text)
        if all(_CODON.fullmatch(part.upper()) for part in parts):
            return _of_codons(text, parts)
        body = ":".join(map(_one_letter, parts))
        try:
            return cls(text, Level.PROTEIN, Mutation.parse(body))
        except InputError as error:
            raise InputError(f"{text!r} is not a mutation: {HOW}.") from error


@dataclass(frozen=True)
class Recoded:
    """A mutant's edits, the number of bases changed, and its residues (wild type, mutant) if their number stays.

    `effect` is what becomes of the protein: substitutions, `synonymous`, `inframe_indel` or `frameshift`.
    """

    edits: tuple[Edit, ...]
    num_changes: int
    effect: str
    residues: tuple[tuple[str, str], ...] | None


def recode(coding: CodingSequence, mutant: Mutant, near_bp: int) -> Recoded:
    """Return what a mutant means for a gene of one part; changes up to `near_bp` apart are one edit.

    Raises InputError where the gene is not what the mutant says, or nothing changes.
    """
    if mutant.mutation is not None:
        mutation = _as_in(coding, mutant, mutant.mutation)
        written = [new for _, new in mutant.codons] or None
        for (wild, _), substitution in zip(mutant.codons, mutation.substitutions, strict=False):
            there = _codon(coding, substitution)
            if there != wild:
                raise InputError(f"{mutant.text}: codon {substitution.position + 1} is {there}, not {wild}.")
        edits, changed = coding.recode(mutation, near_bp, written)
        return Recoded(tuple(edits), changed, *_described(mutation.substitutions))
    changes = [_resolved(coding, mutant, change) for change in mutant.changes]
    changed = sum(num_changes(decode(coding.sense[start:end]), decode(alt)) for start, end, alt in changes)
    if not changed:
        raise InputError(f"{mutant.text} changes no base.")
    effect, residues = _effect(coding, changes)
    return Recoded(tuple(_edits(coding, changes, near_bp)), changed, effect, residues)


Resolved: TypeAlias = tuple[int, int, Codes]


def _residue_changes(text: str) -> list[str]:
    """Return the changes of residues or codons in a text, without the marks around them."""
    body = text.removeprefix("p.")
    several = _SEVERAL.fullmatch(body)
    parts = several[1].split(";") if several else body.split(":")
    return [part.strip().removeprefix("(").removesuffix(")") for part in parts]


def _one_letter(change: str) -> str:
    """Return such as E104K for Glu104Lys, and E104E for Glu104=; anything else as it is."""
    match = _RESIDUE.fullmatch(change)
    if match is None:
        return change
    wild = _THREE_LETTERS.get(match[1], match[1])
    return f"{wild}{match[2]}{wild if match[3] == '=' else _THREE_LETTERS.get(match[3], match[3])}"


def _of_codons(text: str, parts: Sequence[str]) -> Mutant:
    found = [match for part in parts if (match := _CODON.fullmatch(part.upper()))]
    substitutions = [Substitution(AMINO_ACID_OF[m[1]], int(m[2]) - 1, AMINO_ACID_OF[m[3]]) for m in found]
    try:
        mutation = Mutation(tuple(substitutions))
    except ValueError as error:
        raise InputError(f"{text!r} changes one codon twice.") from error
    return Mutant(text, Level.CODON, mutation, tuple((m[1], m[3]) for m in found))


def _base_change(text: str, item: str) -> BaseChange:
    match = _BASES.fullmatch(re.sub(r"[acgt]+$|(?<=[0-9])[acgt](?=>)", lambda m: m[0].upper(), item))
    if match is None:
        raise InputError(f"{text!r} is not a change of coding bases: {HOW}.")
    first, last = int(match[1]), int(match[2] or match[1])
    substituted, inserted = match[4], match[7]
    if last < first or (substituted and match[2]) or (inserted and last != first + 1):
        raise InputError(f"{text!r} has places that do not fit its change.")
    if inserted:
        return BaseChange(first, first, "", inserted)
    if substituted:
        return BaseChange(first - 1, last, match[3], substituted)
    written = match[5] or match[9] or ""
    if written and len(written) != last - first + 1:
        raise InputError(f"{text!r} has places that do not fit its change.")
    return BaseChange(first - 1, last, written, None if match[8] else match[6] or "")


def _in_order(text: str, changes: Sequence[BaseChange]) -> tuple[BaseChange, ...]:
    ordered = sorted(changes, key=lambda change: (change.start, change.end))
    if any(one.end > other.start for one, other in pairwise(ordered)):
        raise InputError(f"{text!r} changes one place twice.")
    return tuple(ordered)


def _codon(coding: CodingSequence, substitution: Substitution) -> str:
    start = 3 * (substitution.position + coding.offset)
    return decode(coding.sense[start : start + 3]) if start >= 0 else ""


def _resolved(coding: CodingSequence, mutant: Mutant, change: BaseChange) -> Resolved:
    if change.end > len(coding.sense):
        raise InputError(f"{mutant.text}: {coding.gene.name} has {len(coding.sense)} coding bases.")
    there = coding.sense[change.start : change.end]
    if change.ref and decode(there) != change.ref:
        where = f"base {change.start + 1} of {coding.gene.name} is"
        if len(there) > 1:
            where = f"bases {change.start + 1} to {change.end} of {coding.gene.name} are"
        raise InputError(f"{mutant.text}: {where} {decode(there)}.")
    return change.start, change.end, np.concatenate([there, there]) if change.alt is None else encode(change.alt)


def _edits(coding: CodingSequence, changes: Sequence[Resolved], near_bp: int) -> list[Edit]:
    groups: list[list[Resolved]] = []
    for change in changes:
        if groups and change[0] - groups[-1][-1][1] <= near_bp:
            groups[-1].append(change)
        else:
            groups.append([change])
    edits = []
    for group in groups:
        begin, end = group[0][0], group[-1][1]
        replacement = _applied(coding.sense[:end], group)[begin:]
        gene = coding.gene
        if gene.strand is Strand.FORWARD:
            edits.append(Edit(gene.contig, gene.start + begin, gene.start + end, replacement))
        else:
            edits.append(Edit(gene.contig, gene.end - end, gene.end - begin, reverse_complement(replacement)))
    return edits


def _applied(sense: Codes, changes: Sequence[Resolved]) -> Codes:
    for start, end, alt in reversed(changes):
        sense = np.concatenate([sense[:start], alt, sense[end:]])
    return sense


def _effect(coding: CodingSequence, changes: Sequence[Resolved]) -> tuple[str, tuple[tuple[str, str], ...] | None]:
    mutant = _applied(coding.sense, changes)
    if (len(mutant) - len(coding.sense)) % 3:
        return "frameshift", None
    if len(mutant) != len(coding.sense):
        return "inframe_indel", None
    wild, new = _translation(coding, coding.sense), _translation(coding, mutant)
    numbered = [
        Substitution(one, at - coding.offset, other) for at, (one, other) in enumerate(zip(wild, new, strict=True))
    ]
    return _described(numbered)


def _described(substitutions: Sequence[Substitution]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the effect of substitutions, and the residues (wild type, mutant); without those that change none."""
    changed = [s for s in substitutions if s.wild != s.mutant]
    return ":".join(map(str, changed)) or "synonymous", tuple((s.wild, s.mutant) for s in changed)


def _as_in(coding: CodingSequence, mutant: Mutant, mutation: Mutation) -> Mutation:
    """Return the substitutions of codons with M for the codon that begins the gene; others as they are."""
    if not mutant.codons or not _begins(coding):
        return mutation
    first = -coding.offset
    return Mutation(tuple(replace(s, wild="M") if s.position == first else s for s in mutation.substitutions))


def _begins(coding: CodingSequence) -> bool:
    """Tell whether the first codon stands for M: not so where the protein that is given begins further upstream."""
    at = -coding.offset
    there = coding.protein[at] if 0 <= at < len(coding.protein) else "M"
    return there == "M" and decode(coding.sense[:3]) in START_CODONS


def _translation(coding: CodingSequence, sense: Codes) -> str:
    """Return the residues of the gene's bases, or of a mutant's; its start codon is M for as long as it is the same."""
    residues = translate(sense)
    return "M" + residues[1:] if _begins(coding) and decode(sense[:3]) == decode(coding.sense[:3]) else residues
