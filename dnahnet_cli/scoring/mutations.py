"""Mutations of a gene as people write them, and the edits that they mean.

| written | means |
|---|---|
| `M69L`, `M69L:E104K`, `p.Met69Leu` | residues; the nearest codons are taken (see `proteins`) |
| `ATG69CTG`, `ATG69CTG:GAA104AAA` | codons, numbered as residues |
| `c.205A>C`, `c.205_207delinsCTG`, `c.205_207del`, `c.207dup`, `c.204_205insCTG` | coding bases, 1-based |
| `c.[205A>C;310G>A]` | several of these at once |

This is the part of HGVS nomenclature (hgvs-nomenclature.org) that says something about the coding bases themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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
_THREE: Final = re.compile(r"([A-Z][a-z]{2})([1-9][0-9]{0,8})([A-Z][a-z]{2}|\*)")
_CODON: Final = re.compile(r"([ACGT]{3})([1-9][0-9]{0,8})([ACGT]{3})")
_BASES: Final = re.compile(
    r"([1-9][0-9]{0,8})(?:_([1-9][0-9]{0,8}))?(?:([ACGT])>([ACGT])|del([ACGT]*)(?:ins([ACGT]+))?|ins([ACGT]+)|(dup)([ACGT]*))"
)
HOW: Final = "write M69L, ATG69CTG or c.205A>C; M69L:E104K for several at once"


class Level(Enum):
    """What a mutation is written in."""

    PROTEIN = "protein"
    CODON = "codon"
    DNA = "dna"


@dataclass(frozen=True)
class BaseChange:
    """Coding bases [start, end), 0-based, become `alt`; None doubles them. `ref` is empty if it was not written."""

    start: int
    end: int
    ref: str
    alt: str | None


@dataclass(frozen=True)
class Mutant:
    """A mutation as written, and what was read: substitutions with their codons (if given), or changes of bases."""

    text: str
    level: Level
    mutation: Mutation | None = None
    codons: tuple[tuple[str, str], ...] = ()  # wild type and mutant, of each substitution
    changes: tuple[BaseChange, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Mutant:
        """Read a mutation in any of the forms. Raises InputError."""
        text = text.strip()
        body = text.removeprefix("c.")
        if body != text:
            items = body.removeprefix("[").removesuffix("]").replace("c.", "").split(";")
            return cls(text, Level.DNA, changes=_in_order(text, [_base_change(text, item.strip()) for item in items]))
        body = text.removeprefix("p.").removeprefix("(").removesuffix(")")
        parts = body.split(":")
        if all(_CODON.fullmatch(part.upper()) for part in parts):
            return _of_codons(text, parts)
        long = [_THREE.fullmatch(part) for part in parts]
        if all(match and {match[1], match[3]} <= {*_THREE_LETTERS, "*"} for match in long):
            body = ":".join(f"{_THREE_LETTERS[m[1]]}{m[2]}{_THREE_LETTERS.get(m[3], '*')}" for m in long if m)
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
        written = [new for _, new in mutant.codons] or None
        for (wild, _), substitution in zip(mutant.codons, mutant.mutation.substitutions, strict=False):
            there = _codon(coding, substitution)
            if there != wild:
                raise InputError(f"{mutant.text}: codon {substitution.position + 1} is {there}, not {wild}.")
        edits, changed = coding.recode(mutant.mutation, near_bp, written)
        new_residues = tuple(pair for pair in mutant.mutation.residues if pair[0] != pair[1])
        return Recoded(tuple(edits), changed, str(mutant.mutation) if new_residues else "synonymous", new_residues)
    changes = [_resolved(coding, mutant, change) for change in mutant.changes]
    changed = sum(num_changes(decode(coding.sense[start:end]), decode(alt)) for start, end, alt in changes)
    if not changed:
        raise InputError(f"{mutant.text} changes no base.")
    effect, residues = _effect(coding, changes)
    return Recoded(tuple(_edits(coding, changes, near_bp)), changed, effect, residues)


Resolved: TypeAlias = tuple[int, int, Codes]


def _of_codons(text: str, parts: Sequence[str]) -> Mutant:
    found = [match for part in parts if (match := _CODON.fullmatch(part.upper()))]
    substitutions = [Substitution(AMINO_ACID_OF[m[1]], int(m[2]) - 1, AMINO_ACID_OF[m[3]]) for m in found]
    # A start codon stands for M, whatever it stands for elsewhere.
    substitutions = [
        Substitution("M", 0, s.mutant) if s.position == 0 and m[1] in START_CODONS else s
        for s, m in zip(substitutions, found, strict=True)
    ]
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
    wild, new = _translation(coding.sense), _translation(mutant)
    numbered = [
        Substitution(one, at - coding.offset, other)
        for at, (one, other) in enumerate(zip(wild, new, strict=True))
        if one != other
    ]
    return ":".join(map(str, numbered)) or "synonymous", tuple((s.wild, s.mutant) for s in numbered)


def _translation(sense: Codes) -> str:
    residues = translate(sense)
    return "M" + residues[1:] if decode(sense[:3]) in START_CODONS else residues
