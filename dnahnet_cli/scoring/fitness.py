"""Score mutants of one gene, each with what needs no model beside it, and a reason for each that has no score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Strand
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.mutations import Mutant, Recoded, recode
from dnahnet_cli.scoring.proteins import CodingSequence, score_together

MUTANTS_AT_ONCE: Final = 512  # what they share is read once for so many
RESIDUES: Final = "ACDEFGHIKLMNPQRSTVWY"


class MutantStatus(Enum):
    """Why a mutant has or has not a score."""

    OK = "ok"
    UNREADABLE = "unreadable"
    DOES_NOT_FIT = "does_not_fit"
    AMBIGUOUS_CONTEXT = "ambiguous_context"


EXPLANATION: Final = {
    MutantStatus.UNREADABLE: "not a mutation in any form that is understood",
    MutantStatus.DOES_NOT_FIT: "the gene has something else there, ends before, or is not changed",
    MutantStatus.AMBIGUOUS_CONTEXT: "bases that are not ACGT, or the DNA's end, come before all changes are compared",
}


@dataclass(frozen=True)
class MutantScore:
    """One mutant. `llr` = log p(mutant) - log p(wild type), natural log; negative: the model finds it less likely.

    `reason` says what is wrong where there is no score.
    """

    text: str
    status: MutantStatus
    mutant: Mutant | None = None
    recoded: Recoded | None = None
    by_strand: Mapping[Strand, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def llr(self) -> float | None:
        """Return the mean over strands."""
        return sum(self.by_strand.values()) / len(self.by_strand) if self.by_strand else None


def saturation(protein: str, positions: range | None = None, *, stops: bool = False) -> list[str]:
    """Return all single substitutions of a protein's residues (0-based `positions`; all unless given), in order."""
    residues = RESIDUES + ("*" if stops else "")
    wanted = positions if positions is not None else range(len(protein))
    known = [at for at in wanted if protein[at] in RESIDUES]
    return [f"{protein[at]}{at + 1}{residue}" for at in known for residue in residues if residue != protein[at]]


def score_mutants(
    engine: Engine,
    coding: CodingSequence,
    texts: Sequence[str],
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[MutantScore]:
    """Yield the score of each mutant, in the order given, some at a time. `progress` counts mutants."""
    for first in range(0, len(texts), MUTANTS_AT_ONCE):
        rows = [_planned(coding, text, engine.options.suffix) for text in texts[first : first + MUTANTS_AT_ONCE]]
        todo = [row.recoded for row in rows if row.recoded is not None]
        scores = iter(score_together(engine, [recoded.edits for recoded in todo]))
        for row in rows:
            yield row if row.recoded is None else _scored(row, next(scores))
        progress(len(rows))


def _planned(coding: CodingSequence, text: str, near_bp: int) -> MutantScore:
    try:
        mutant = Mutant.parse(text)
    except InputError as error:
        return MutantScore(text, MutantStatus.UNREADABLE, reason=str(error))
    try:
        return MutantScore(text, MutantStatus.OK, mutant, recode(coding, mutant, near_bp))
    except InputError as error:
        return MutantScore(text, MutantStatus.DOES_NOT_FIT, mutant, reason=str(error))


def _scored(row: MutantScore, by_strand: Mapping[Strand, float]) -> MutantScore:
    if not by_strand:
        return MutantScore(row.text, MutantStatus.AMBIGUOUS_CONTEXT, row.mutant, row.recoded)
    return MutantScore(row.text, MutantStatus.OK, row.mutant, row.recoded, by_strand)
