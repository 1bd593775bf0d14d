"""Gene essentiality: how much less likely the sequence becomes when stop codons knock a gene out.

Protocol `single` overwrites 15 bases, 12 bases after the start codon, with five stop codons in frame. Protocol `multi`
inserts the same 15 bases every 12 bases along the whole coding sequence. The two are not comparable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np

from dnahnet_cli.genome import Codes, Edit, Gene, Strand, encode, reverse_complement
from dnahnet_cli.scoring.engine import Engine, StrandScore
from dnahnet_cli.scoring.variants import ScoreUnits

STOP_CASSETTE: Final = "TAATAATAATAGTGA"
OFFSET_BP: Final = 12
START_CODON_BP: Final = 3
GENES_AT_ONCE: Final = 64  # that lie near one another share the reading of what is around them


class Protocol(Enum):
    """How a gene is knocked out."""

    SINGLE = "single"
    MULTI = "multi"


class GeneStatus(Enum):
    """Why a gene has or has not a score."""

    OK = "ok"
    CONTIG_NOT_FOUND = "contig_not_found"
    OUT_OF_RANGE = "out_of_range"
    TOO_SHORT = "too_short"
    AMBIGUOUS_CONTEXT = "ambiguous_context"


EXPLANATION: Final = {
    GeneStatus.CONTIG_NOT_FOUND: "the genome has no contig of that name",
    GeneStatus.OUT_OF_RANGE: "the gene lies outside its contig",
    GeneStatus.TOO_SHORT: "shorter than 30 bases, no room for the stop codons",
    GeneStatus.AMBIGUOUS_CONTEXT: "bases that are not ACGT, or the contig's end, leave nothing to compare",
}


@dataclass(frozen=True)
class GeneScore:
    """One gene. `score` = log p(wild type) - log p(knock-out), natural log: higher = more likely essential.

    `sense` is the strand that the gene is read from. `gc` and the gene's length are the zero-parameter baselines.
    """

    gene: Gene
    status: GeneStatus
    sense: StrandScore | None = None
    antisense: StrandScore | None = None
    gc: float | None = None
    num_inserts: int | None = None

    @property
    def score(self) -> float | None:
        damages = [damage for damage in (self.score_sense, self.score_antisense) if damage is not None]
        return sum(damages) / len(damages) if damages else None

    @property
    def score_sense(self) -> float | None:
        return _damage(self.sense)

    @property
    def score_antisense(self) -> float | None:
        return _damage(self.antisense)


def _damage(score: StrandScore | None) -> float | None:
    return score.ref_logp - score.alt_logp if score else None


def knock_out(gene: Gene, sequence: Codes, protocol: Protocol) -> tuple[Edit, int] | None:
    """Return the edit that knocks a gene out and its number of stop cassettes; None when the gene is too short.

    `sequence` is the gene's stretch of the forward strand, from its first to its last base. Where the gene is cut off
    at its beginning, its first whole codon stands for the start codon, so that the stops are in frame.
    """
    reading = sequence if gene.strand is Strand.FORWARD else reverse_complement(sequence)
    cassette = encode(STOP_CASSETTE)
    first = gene.phase + START_CODON_BP + OFFSET_BP
    if len(reading) < first + len(cassette):
        return None
    if protocol is Protocol.SINGLE:
        begin, end, replacement, inserts = first, first + len(cassette), cassette, 1
    else:
        begin, end = first, len(reading)
        pieces = [p for at in range(first, end, OFFSET_BP) for p in (cassette, reading[at : at + OFFSET_BP])]
        replacement, inserts = np.concatenate(pieces), len(pieces) // 2
    if gene.strand is Strand.FORWARD:
        edit = Edit(gene.contig, gene.start + begin, gene.start + end, replacement)
    else:
        edit = Edit(gene.contig, gene.end - end, gene.end - begin, reverse_complement(replacement))
    return edit, inserts


def score_genes(
    engine: Engine,
    genes: Sequence[Gene],
    protocol: Protocol,
    progress: Callable[[int], None] = lambda done: None,
    score_units: ScoreUnits | None = None,
) -> list[GeneScore]:
    """Score every gene, in the order given. `progress` is called with the number of strands of genes that are done.

    Genes are computed together in units of GENES_AT_ONCE, so no byte of a score depends on the units before and after
    it. `score_units` takes the place of the engine's own, where scores may be known already.
    """
    rows: list[GeneScore] = []
    waiting: deque[list[_Planned]] = deque()

    def edits() -> Iterator[list[Edit]]:
        for first in range(0, len(genes), GENES_AT_ONCE):
            waiting.append([_plan(engine, gene, protocol) for gene in genes[first : first + GENES_AT_ONCE]])
            yield [planned.edit for planned in waiting[-1] if planned.edit is not None]

    for scores in (score_units or engine.score_units)(edits(), progress):
        by_edit = iter(scores)
        for planned in waiting.popleft():
            rows.append(planned.row if planned.edit is None else _scored(planned.row, next(by_edit)))
    return rows


@dataclass(frozen=True)
class _Planned:
    """What is known of a gene before it is scored, and the edit that knocks it out, if there is one."""

    row: GeneScore
    edit: Edit | None = None


def _plan(engine: Engine, gene: Gene, protocol: Protocol) -> _Planned:
    status, sequence = _sequence_of(engine, gene)
    if sequence is None:
        return _Planned(GeneScore(gene, status))
    knocked = knock_out(gene, sequence, protocol)
    if knocked is None:
        return _Planned(GeneScore(gene, GeneStatus.TOO_SHORT))
    gc = float(np.isin(sequence, (1, 2)).mean())
    return _Planned(GeneScore(gene, GeneStatus.OK, gc=gc, num_inserts=knocked[1]), knocked[0])


def _scored(row: GeneScore, by_strand: Mapping[Strand, StrandScore | None]) -> GeneScore:
    if any(score is None for score in by_strand.values()):
        return replace(row, status=GeneStatus.AMBIGUOUS_CONTEXT, num_inserts=None)
    strand = row.gene.strand
    return replace(row, sense=by_strand.get(strand), antisense=by_strand.get(strand.opposite))


def _sequence_of(engine: Engine, gene: Gene) -> tuple[GeneStatus, Codes | None]:
    length = engine.genome.lengths.get(gene.contig)
    if length is None:
        return GeneStatus.CONTIG_NOT_FOUND, None
    if gene.start >= length or gene.end > (2 * length if gene.contig in engine.circular else length):
        return GeneStatus.OUT_OF_RANGE, None
    head = engine.genome.codes(gene.contig, gene.start, min(gene.end, length))
    tail = engine.genome.codes(gene.contig, 0, max(0, gene.end - length))  # over the origin
    return GeneStatus.OK, np.concatenate([head, tail])
