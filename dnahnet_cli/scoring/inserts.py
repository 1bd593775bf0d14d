"""Where along a gene a stop hurts: stop codons at one place after another, each scored on its own.

`essentiality` gives a gene one number. Here every so many codons five stop codons overwrite 15 bases, as its protocol
`single` does once near the start, and each such knock-out has a score of its own. Beyond the last domain that matters a
stop may be harmless, which one number cannot show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dnahnet_cli.genome import Edit, Gene, Strand, encode, reverse_complement
from dnahnet_cli.scoring.engine import Engine, StrandScore
from dnahnet_cli.scoring.essentiality import OFFSET_BP, START_CODON_BP, STOP_CASSETTE, GeneScore, GeneStatus
from dnahnet_cli.scoring.variants import ScoreUnits

GENES_AT_ONCE = 16


@dataclass(frozen=True)
class InsertScore:
    """Five stop codons in the place of five codons. `codon` is the first of them, 1 being the start codon.

    Of a gene that is cut off at its beginning, 1 is the first whole codon.

    `scored` has the status, and the scores as of a gene: log p(wild type) - log p(with the stops).
    """

    codon: int
    start: int  # forward, 0-based half-open, as of the gene
    end: int
    scored: GeneScore


def stop_places(gene: Gene, step_codons: int) -> list[tuple[int, Edit]]:
    """Return the places of the stop codons in a gene, each with its first codon (from 1) and its edit.

    They are counted along the gene from end to end, as `essentiality` does, also where it comes in several parts.
    """
    cassette = encode(STOP_CASSETTE)
    first, length = gene.phase + START_CODON_BP + OFFSET_BP, gene.end - gene.start
    places = []
    for at in range(first, length - len(cassette) + 1, 3 * step_codons):
        end = at + len(cassette)
        if gene.strand is Strand.FORWARD:
            edit = Edit(gene.contig, gene.start + at, gene.start + end, cassette)
        else:
            edit = Edit(gene.contig, gene.end - end, gene.end - at, reverse_complement(cassette))
        places.append(((at - gene.phase) // 3 + 1, edit))
    return places


def score_inserts(
    engine: Engine,
    genes: Sequence[Gene],
    step_codons: int,
    progress: Callable[[int], None] = lambda done: None,
    score_units: ScoreUnits | None = None,
) -> Iterator[InsertScore]:
    """Yield the scores of stop codons every so many codons, gene by gene, along each; `genes` lie on their contigs.

    `progress` is called with the number of strand-edits done, `score_units` takes the place of the engine's own.
    """
    waiting: deque[list[tuple[Gene, int, Edit]]] = deque()

    def edits() -> Iterator[list[Edit]]:
        for first in range(0, len(genes), GENES_AT_ONCE):
            own = genes[first : first + GENES_AT_ONCE]
            waiting.append([(gene, codon, edit) for gene in own for codon, edit in stop_places(gene, step_codons)])
            yield [edit for _, _, edit in waiting[-1]]

    for scores in (score_units or engine.score_units)(edits(), progress):
        for (gene, codon, edit), by_strand in zip(waiting.popleft(), scores, strict=True):
            yield InsertScore(codon, edit.start, edit.end, _gene_score(gene, by_strand))


def _gene_score(gene: Gene, by_strand: dict[Strand, StrandScore | None]) -> GeneScore:
    if any(score is None for score in by_strand.values()):
        return GeneScore(gene, GeneStatus.AMBIGUOUS_CONTEXT)
    sense, antisense = by_strand.get(gene.strand), by_strand.get(gene.strand.opposite)
    return GeneScore(gene, GeneStatus.OK, sense, antisense, num_inserts=1)
