"""Score variants: one row per ALT in input order, each with a status."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from dnahnet_cli.errors import WrongAssemblyError
from dnahnet_cli.genome import N_CODE, Edit, Strand, Variant, decode, encode
from dnahnet_cli.scoring.engine import Engine, StrandScore

MISMATCH_SAMPLE: Final = 1000
MISMATCH_LEAST: Final = 100
FIRST_UNIT: Final = 4
UNIT: Final = 512


class Status(Enum):
    """Why a row has or has not a score; the values stand in the output."""

    OK = "ok"
    REF_MISMATCH = "ref_mismatch"
    CONTIG_NOT_FOUND = "contig_not_found"
    OUT_OF_RANGE = "out_of_range"
    REF_NOT_ACGT = "ref_not_acgt"
    ALT_NOT_ACGT = "alt_not_acgt"
    SYMBOLIC = "symbolic"
    BREAKEND = "breakend"
    SPANNING_DELETION = "spanning_deletion"
    NO_ALT = "no_alt"
    TOO_LONG = "too_long"
    AMBIGUOUS_CONTEXT = "ambiguous_context"


EXPLANATION: Final = {
    Status.REF_MISMATCH: "REF is not what the genome has there; is it the assembly the calls were made on?",
    Status.CONTIG_NOT_FOUND: "the genome has no contig of that name",
    Status.OUT_OF_RANGE: "the position lies outside its contig",
    Status.REF_NOT_ACGT: "the reference allele or the genome there has letters other than A, C, G, T",
    Status.ALT_NOT_ACGT: "the ALT allele has letters other than A, C, G, T",
    Status.SYMBOLIC: "symbolic alleles such as <DEL> have no sequence; write the allele out to score it",
    Status.BREAKEND: "breakends join distant sequence and are not scored",
    Status.SPANNING_DELETION: "* says that an upstream deletion covers the site; there is nothing to score",
    Status.NO_ALT: "the record has no ALT allele, or one equal to REF",
    Status.TOO_LONG: "an allele is longer than --max-indel",
    Status.AMBIGUOUS_CONTEXT: "bases that are not ACGT, or the contig's end, come before all changes are compared",
}


@dataclass(frozen=True)
class VariantScore:
    """One row. Scores are natural-log; `llr` = alt - ref, negative when the model finds the ALT less likely.

    `num_changes`, the bases changed, inserted or deleted, is the zero-parameter baseline.
    """

    variant: Variant
    status: Status
    by_strand: dict[Strand, StrandScore] = field(default_factory=dict)
    num_changes: int | None = None

    @property
    def ref_logp(self) -> float | None:
        return self._mean(lambda score: score.ref_logp)

    @property
    def alt_logp(self) -> float | None:
        return self._mean(lambda score: score.alt_logp)

    @property
    def llr(self) -> float | None:
        return self._mean(lambda score: score.alt_logp - score.ref_logp)

    def llr_on(self, strand: Strand) -> float | None:
        """Return the log-likelihood ratio of one strand."""
        score = self.by_strand.get(strand)
        return score.alt_logp - score.ref_logp if score else None

    @property
    def scored_bp(self) -> int | None:
        """Return how many bases were compared, on the strand with fewer."""
        return min((score.scored_bp for score in self.by_strand.values()), default=None)

    def _mean(self, value: Callable[[StrandScore], float]) -> float | None:
        values = [value(score) for score in self.by_strand.values()]
        return sum(values) / len(values) if values else None


UnitScores = list[dict[Strand, StrandScore | None]]  # of each edit of a unit, by strand
ScoreUnits = Callable[[Iterable[Sequence[Edit]], Callable[[int], None]], Iterator[UnitScores]]


def units(variants: Iterable[Variant], number: int = 0) -> Iterator[list[Variant]]:
    """Divide variants into the units that are scored together; the first is the unit of that number.

    The ALTs of a record stay together, so a unit may be a little larger than asked for. What a variant scores depends
    in its last digits on what is computed with it, so runs that are to give the same bytes keep to the same units. The
    first are small, so that the first rows come early.
    """
    unit: list[Variant] = []
    size = _size_of(number)
    for variant in variants:
        if len(unit) >= size and variant.alt_index == 1:
            yield unit
            number, unit = number + 1, []
            size = _size_of(number)
        unit.append(variant)
    if unit:
        yield unit


def _size_of(number: int) -> int:
    return min(FIRST_UNIT << 2 * min(number, 16), UNIT)


@dataclass
class VariantScorer:
    """Scores a stream of variants in units, keeping counts by status and the first example of each."""

    engine: Engine
    max_allele: int = 1000
    counts: Counter[Status] = field(default_factory=Counter)
    first: dict[Status, Variant] = field(default_factory=dict)
    assembly_known: bool = False  # the REF alleles have been looked at before
    _comparable: int = 0
    _mismatched: int = 0

    def score(
        self,
        variants: Iterable[Variant],
        progress: Callable[[int], None] = lambda done: None,
        *,
        first_unit: int = 0,
        score_units: ScoreUnits | None = None,
    ) -> Iterator[VariantScore]:
        """Yield a row per variant in order. `progress` is called with the number of variants finished.

        `score_units` takes the place of the engine's own, where scores may be known already. Raises WrongAssemblyError
        when the REF alleles say that this is another assembly.
        """
        waiting: deque[list[tuple[Variant, Status]]] = deque()

        def edits() -> Iterator[list[Edit]]:
            for unit in units(variants, first_unit):
                known = [(variant, self.status_of(variant)) for variant in unit]
                self.check_assembly([status for _, status in known])
                waiting.append(known)
                yield [_edit_of(variant) for variant, status in known if status is Status.OK]
            self.check_assembly([], last=True)

        for scores in (score_units or self.engine.score_units)(edits(), lambda strand_edits: None):
            rows = self._rows(waiting.popleft(), scores)
            progress(len(rows))
            yield from rows

    def _rows(self, known: Sequence[tuple[Variant, Status]], scores: UnitScores) -> list[VariantScore]:
        by_edit = iter(scores)
        rows = []
        for variant, status in known:
            row = VariantScore(variant, status)
            if status is Status.OK:
                by_strand = next(by_edit)
                complete = {
                    strand: score
                    for strand, score in by_strand.items()
                    if score and score.scored_bp >= max(1, num_changes(variant.ref, variant.alt))
                }
                if len(complete) == len(by_strand):
                    row = VariantScore(variant, status, complete, num_changes(variant.ref, variant.alt))
                else:
                    row = VariantScore(variant, Status.AMBIGUOUS_CONTEXT)
            self.counts[row.status] += 1
            self.first.setdefault(row.status, variant)
            rows.append(row)
        return rows

    def status_of(self, variant: Variant) -> Status:
        """Return whether a variant can be scored, before its surroundings are looked at."""
        alt, length = variant.alt, self.engine.genome.lengths.get(variant.contig)
        if alt in ("", "."):
            return Status.NO_ALT
        if alt == "*":
            return Status.SPANNING_DELETION
        if "[" in alt or "]" in alt or (alt[0] == "." or alt[-1] == "."):
            return Status.BREAKEND
        if alt.startswith("<"):
            return Status.SYMBOLIC
        if length is None:
            return Status.CONTIG_NOT_FOUND
        if variant.start < 0 or variant.end > length or not variant.ref:
            return Status.OUT_OF_RANGE
        ref, alt_codes = encode(variant.ref), encode(alt)
        if (alt_codes == N_CODE).any():
            return Status.ALT_NOT_ACGT
        genome_ref = self.engine.genome.codes(variant.contig, variant.start, variant.end)
        if (ref == N_CODE).any() or (genome_ref == N_CODE).any():
            return Status.REF_NOT_ACGT
        if (ref != genome_ref).any():
            return Status.REF_MISMATCH
        if np.array_equal(ref, alt_codes):
            return Status.NO_ALT
        return Status.TOO_LONG if max(len(ref), len(alt_codes)) > self.max_allele else Status.OK

    @property
    def wants_statuses(self) -> bool:
        """Tell whether `check_assembly` still looks at them."""
        return not self.assembly_known and self._comparable < MISMATCH_SAMPLE

    def check_assembly(self, statuses: Sequence[Status], *, last: bool = False) -> None:
        """Stop when a tenth of the first thousand comparable REF alleles (at least a hundred) disagree."""
        if not self.wants_statuses:
            return
        self._mismatched += sum(status is Status.REF_MISMATCH for status in statuses)
        self._comparable += sum(status in (Status.REF_MISMATCH, Status.OK) for status in statuses)
        enough = self._comparable >= (MISMATCH_LEAST if last else MISMATCH_SAMPLE)
        if enough and self._mismatched * 10 >= self._comparable:
            raise WrongAssemblyError(
                f"{self._mismatched} of the first {self._comparable} REF alleles are not what the genome has there: "
                "these variants were called on another assembly. Give the genome that they were called on."
            )


def _edit_of(variant: Variant) -> Edit:
    return Edit(variant.contig, variant.start, variant.end, encode(variant.alt))


def num_changes(ref: str, alt: str) -> int:
    """Return how many bases differ after common ends are trimmed: substituted, inserted or deleted."""
    ref, alt = decode(encode(ref)), decode(encode(alt))
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt = ref[1:], alt[1:]
    if len(ref) == len(alt):
        return sum(a != b for a, b in zip(ref, alt, strict=True))
    return max(len(ref), len(alt))
