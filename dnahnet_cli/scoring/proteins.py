"""Protein mutations as edits of the coding bases, scored by scan and branch like any other edit.

1. A mutation such as M69L says which residue becomes which, not which bases change. The codon taken is the one with the
   fewest changed bases; among those the one with the most transitions (A-G, C-T), the commoner kind of change; among
   those the first in the alphabet.
2. Residues are numbered on a protein sequence. Where that is not the translation of the coding bases (a mature protein,
   a construct with a tag) the two are laid over each other without gaps. The wild-type residue of each mutation must be
   what the protein has there and what the codon there stands for; nothing is shifted until it fits.
3. Several changes of one mutant are one edit, from the first changed base to the last, as long as none is further from
   the one before it than the engine's suffix: so far reach the bases by which an edit is judged. Changes further apart
   are edits of their own, and their scores are added.

The genetic code is NCBI table 11.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genetic_code import genetic_code
from dnahnet_cli.genome import Codes, Edit, Gene, GenomeSource, Strand, decode, encode, reverse_complement
from dnahnet_cli.scoring.engine import Engine, StrandScore

AMINO_ACID_OF: Final = genetic_code(11).amino_acid_of
START_CODONS: Final = genetic_code(11).starts  # M where a protein begins
LEAST_IDENTITY: Final = 0.9

_UNKNOWN: Final = "X"
_TRANSITIONS: Final = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})
_SUBSTITUTION: Final = re.compile(r"([ACDEFGHIKLMNPQRSTVWY*])([1-9][0-9]{0,8})([ACDEFGHIKLMNPQRSTVWY*])")


@dataclass(frozen=True)
class Substitution:
    """One residue for another, `*` being a stop. `position` is 0-based; the text form, such as M69L, is 1-based."""

    wild: str
    position: int
    mutant: str

    def __str__(self) -> str:
        return f"{self.wild}{self.position + 1}{self.mutant}"


@dataclass(frozen=True)
class Mutation:
    """The substitutions of one mutant, each of another residue; the text form joins them by ':'."""

    substitutions: tuple[Substitution, ...]

    def __post_init__(self) -> None:
        if len({s.position for s in self.substitutions}) != len(self.substitutions) or not self.substitutions:
            raise ValueError(f"mutation {str(self)!r} does not change each of its residues once")

    def __str__(self) -> str:
        return ":".join(map(str, self.substitutions))

    @classmethod
    def parse(cls, text: str) -> Mutation:
        """Read the text form. Raises InputError."""
        found = [_SUBSTITUTION.fullmatch(part) for part in text.strip().split(":")]
        substitutions = tuple(Substitution(m[1], int(m[2]) - 1, m[3]) for m in found if m)
        if len(substitutions) < len(found):
            raise InputError(f"{text!r} is not a mutation: write M69L, or M69L:E104K for several in one protein.")
        try:
            return cls(substitutions)
        except ValueError as error:
            raise InputError(f"{text!r} changes one residue twice.") from error

    @property
    def residues(self) -> tuple[tuple[str, str], ...]:
        """Return the (wild type, mutant) residues, in the order written."""
        return tuple((s.wild, s.mutant) for s in self.substitutions)


def translate(codes: Codes) -> str:
    """Return the residues of whole codons: `*` a stop, X a codon with N. A start codon is read like any other."""
    bases = decode(codes)
    return "".join(AMINO_ACID_OF.get(bases[at : at + 3], _UNKNOWN) for at in range(0, len(bases), 3))


@cache
def nearest_codon(codon: str, amino_acid: str) -> str:
    """Return the codon of `amino_acid` (or `*`) that is nearest to `codon`, by rule 1 of the module's docstring."""

    def distance(candidate: str) -> tuple[int, int, str]:
        changes = [pair for pair in zip(codon, candidate, strict=True) if pair[0] != pair[1]]
        return len(changes), -sum(pair in _TRANSITIONS for pair in changes), candidate

    return min(synonymous_codons(amino_acid), key=distance)


@cache
def synonymous_codons(amino_acid: str) -> tuple[str, ...]:
    """Return the codons of `amino_acid` (or `*`), in the order of NCBI's tables."""
    return tuple(codon for codon, residue in AMINO_ACID_OF.items() if residue == amino_acid)


def find_coding(genome: GenomeSource, cds: Codes, name: str) -> Gene:
    """Return the gene of one part whose coding bases, in reading direction, are `cds`, on either strand of any contig.

    Raises InputError unless there is exactly one such place.
    """
    found = []
    for contig, length in genome.lengths.items():
        bases = decode(genome.codes(contig, 0, length))
        for strand in Strand:
            wanted = decode(cds if strand is Strand.FORWARD else reverse_complement(cds))
            at = bases.find(wanted)
            while at >= 0 and wanted:
                found.append(Gene(contig, strand, ((at, at + len(wanted)),), name))
                at = bases.find(wanted, at + 1)
    if len(found) != 1:
        raise InputError(
            f"the {len(cds)} coding bases of {name} occur {len(found)} times in the DNA, not once.\n"
            "Give the DNA that the gene lies in, of the same strain, to the base."
        )
    return found[0]


@dataclass(frozen=True)
class CodingSequence:
    """A gene's codons, and the protein on which its residues are numbered.

    Residue i of `protein`, counted from 0, is codon i + `offset`. `sense` is what lies between the gene's ends, read
    in its own direction.
    """

    gene: Gene
    sense: Codes = field(compare=False)
    protein: str
    offset: int

    @classmethod
    def of(cls, genome: GenomeSource, gene: Gene, protein: str | None = None) -> CodingSequence:
        """Lay a protein over a gene; without one, residues are numbered on the translation.

        Raises InputError for a gene beyond its contig's end or of broken codons, and for a protein that is another's:
        less than nine tenths of the shorter of protein and translation agree, however they are laid.
        """
        if gene.end > genome.lengths.get(gene.contig, 0):
            raise InputError(f"{gene.name} does not lie within a contig {gene.contig!r}.")
        if gene.length == 0 or gene.length % 3:
            raise InputError(f"{gene.name} has {gene.length} coding bases, which are not whole codons.")
        stretch = genome.codes(gene.contig, gene.start, gene.end)
        sense = stretch if gene.strand is Strand.FORWARD else reverse_complement(stretch)
        bases = sense[_coding_places(gene)]
        translation = translate(bases)
        if decode(bases[:3]) in START_CODONS:
            translation = "M" + translation[1:]
        if protein is None:
            return cls(gene, sense, translation, 0)
        return cls(gene, sense, protein, _offset(protein, translation, gene.name))

    def recode(self, mutation: Mutation, near_bp: int, codons: Sequence[str] | None = None) -> tuple[list[Edit], int]:
        """Return a mutant's edits, in reading direction, and its number of changed bases.

        Changes up to `near_bp` apart are one edit. `codons` are the mutant's, in the order of its substitutions; the
        nearest ones unless given. Raises InputError for a residue that the gene does not have or that is not what the
        mutation says, for a codon with N, and for a mutation that changes no base.
        """
        mutant = self.sense.copy()
        for number, substitution in enumerate(mutation.substitutions):
            places = self._codon(substitution)
            codon = decode(self.sense[places])
            if substitution.mutant != substitution.wild:  # a start codon may not be one of M's, and stands for it
                codon = nearest_codon(codon, substitution.mutant)
            mutant[places] = encode(codons[number] if codons else codon)
        changed = np.flatnonzero(mutant != self.sense)
        if len(changed) == 0:
            raise InputError(f"{mutation} changes no base of {self.gene.name}.")
        groups = np.split(changed, np.flatnonzero(np.diff(changed) > near_bp) + 1)
        return [self._edit(int(group[0]), int(group[-1]) + 1, mutant) for group in groups], len(changed)

    def positions(self, substitution: Substitution) -> npt.NDArray[np.int64]:
        """Return where a residue's three bases lie on the contig, (3,). Raises InputError as `recode`."""
        places = self._codon(substitution)
        return self.gene.start + places if self.gene.strand is Strand.FORWARD else self.gene.end - 1 - places

    def _edit(self, begin: int, end: int, mutant: Codes) -> Edit:
        gene, replacement = self.gene, mutant[begin:end]
        if gene.strand is Strand.FORWARD:
            return Edit(gene.contig, gene.start + begin, gene.start + end, replacement)
        return Edit(gene.contig, gene.end - end, gene.end - begin, reverse_complement(replacement))

    def _codon(self, substitution: Substitution) -> npt.NDArray[np.int64]:
        """Return where in `sense` a residue's three bases lie, once it is what the mutation says. Raises InputError."""
        name, wild, position = self.gene.name, substitution.wild, substitution.position
        if position < len(self.protein) and self.protein[position] != wild:
            raise InputError(
                f"{substitution}: residue {position + 1} of {name} is {self.protein[position]}, not {wild}. "
                "Are the mutations numbered on this protein?"
            )
        number, count = position + self.offset, self.gene.length // 3
        if not 0 <= number < count:
            ends = f"{1 - self.offset} to {count - self.offset}"
            raise InputError(f"{substitution}: the coding bases of {name} are those of residues {ends}.")
        places: npt.NDArray[np.int64] = self._codons[number]
        codon = decode(self.sense[places])
        starts = number == 0 and wild == "M" and codon in START_CODONS
        if AMINO_ACID_OF.get(codon) != wild and not starts:
            raise InputError(f"{substitution}: the codon of residue {position + 1} of {name} is {codon}, not {wild}.")
        return places

    @cached_property
    def _codons(self) -> npt.NDArray[np.int64]:
        return _coding_places(self.gene).reshape(-1, 3)


@dataclass(frozen=True)
class MutationScore:
    """One mutant. `llr` = log p(mutant) - log p(wild type), natural log: negative when the model finds it less likely.

    `by_strand` is empty when not all changed bases could be compared: the contig ends, an N comes, or an edit is longer
    than what an engine compares. `num_changes`, the number of bases changed, is a zero-parameter baseline.
    """

    mutation: Mutation
    num_changes: int
    by_strand: Mapping[Strand, float] = field(default_factory=dict)

    @property
    def llr(self) -> float | None:
        """Return the mean over strands."""
        return sum(self.by_strand.values()) / len(self.by_strand) if self.by_strand else None


def score_mutations(
    engine: Engine,
    coding: CodingSequence,
    mutations: Sequence[Mutation],
    progress: Callable[[int], None] = lambda done: None,
) -> list[MutationScore]:
    """Score each mutant against the wild type, in the order given. Raises InputError as `CodingSequence.recode`.

    `progress` is called with the number of strand-edits done.
    """
    recoded = [coding.recode(mutation, engine.options.suffix) for mutation in mutations]
    llrs = score_together(engine, [edits for edits, _ in recoded], progress)
    return [
        MutationScore(mutation, num_changes, by_strand)
        for mutation, (_, num_changes), by_strand in zip(mutations, recoded, llrs, strict=True)
    ]


def score_together(
    engine: Engine, groups: Sequence[Sequence[Edit]], progress: Callable[[int], None] = lambda done: None
) -> list[dict[Strand, float]]:
    """Return the summed log-likelihood ratio of each group of edits by strand, empty if not all could be compared."""
    scores = iter(engine.score([edit for edits in groups for edit in edits], progress))
    rows = []
    for edits in groups:
        by_edit = [(edit, next(scores)) for edit in edits]
        llrs = {
            strand: sum(_llr(engine, strand, edit, scored) for edit, scored in by_edit) for strand in engine.strands
        }
        rows.append({} if any(map(math.isnan, llrs.values())) else llrs)
    return rows


def _llr(engine: Engine, strand: Strand, edit: Edit, scored: Mapping[Strand, StrandScore | None]) -> float:
    """Return an edit's log-likelihood ratio on a strand; NaN when some of its bases could not be compared."""
    score = scored[strand]
    if score is None:
        return math.nan
    if score.scored_bp < max(edit.num_replaced, len(edit.replacement)):
        local = engine.reading(edit.contig, strand).localise(edit)  # without the bases that both have
        if score.scored_bp < max(local.end - local.start, len(local.replacement)):
            return math.nan
    return score.alt_logp - score.ref_logp


def _coding_places(gene: Gene) -> npt.NDArray[np.int64]:
    """Return where a gene's coding bases lie, in reading direction, counted from its first base."""
    position = np.concatenate([np.arange(start, end) for start, end in gene.parts])
    return position - gene.start if gene.strand is Strand.FORWARD else (gene.end - 1 - position)[::-1]


def _offset(protein: str, translation: str, name: str) -> int:
    """Return the codon of the protein's first residue where the two agree best, the least shift among equals."""
    one = np.frombuffer(protein.encode("latin-1", "replace"), dtype=np.uint8)
    other = np.frombuffer(translation.encode(), dtype=np.uint8)

    def agreement(offset: int) -> tuple[int, int]:
        ours, theirs = one[max(0, -offset) :], other[max(0, offset) :]
        common = min(len(ours), len(theirs))
        return int((ours[:common] == theirs[:common]).sum()), -abs(offset)

    best = max(range(1 - len(one), len(other)), key=agreement, default=0)
    num_equal, shorter = agreement(best)[0], min(len(one), len(other))
    if num_equal < LEAST_IDENTITY * shorter or not shorter:
        raise InputError(
            f"the coding bases of {name} are not those of the protein: at best {num_equal} of {shorter} residues agree."
        )
    return best
