"""The genes of a page: those of an annotation, and those that essentiality ranked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dnahnet_cli.consequences.load import GeneSet
from dnahnet_cli.report.contigs import Contigs, Place
from dnahnet_cli.report.tables import Row, ScoredTable
from dnahnet_cli.report.variants import table_json

NEEDED: Final = ("chrom", "start", "end", "strand", "gene", "status", "score", "rank")
MAX_GENES: Final = 20_000
_SHOWN: Final = {
    "rank": "rank",
    "gene": "gene",
    "locus_tag": "locus tag",
    "score": "score",
    "percentile": "percentile",
    "length_bp": "length, bp",
    "gc": "GC",
    "product": "product",
    "chrom": "contig",
    "start": "start",
    "end": "end",
    "strand": "strand",
    "status": "status",
}


@dataclass(frozen=True)
class RankedGenes:
    """The rows of essentiality, the highest score first and then those without one; `places` are in the genome."""

    rows: Sequence[Row]
    places: Sequence[Place | None]
    columns: Sequence[str]
    status: Counter[str]

    @property
    def num_left_out(self) -> int:
        return self.status.total() - len(self.rows)

    def scores(self) -> list[tuple[str, float]]:
        """Return name and score of the genes that have one, falling."""
        return [(_name(row), float(row["score"] or 0.0)) for row in self.rows if row.get("score") is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the table as the page takes it."""
        return table_json(_SHOWN, self.columns, self.rows, self.places)

    def blocks(self) -> list[list[object]]:
        """Return the genes as a track, for a page without an annotation."""
        rows = zip(self.rows, self.places, strict=True)
        return [[*place, row.get("strand") or ".", _name(row), _facts(row)] for row, place in rows if place]

    def values(self) -> list[list[object]]:
        """Return place and score of each gene that has one."""
        rows = zip(self.rows, self.places, strict=True)
        return [[*place, float(f"{row['score']:.5g}")] for row, place in rows if place and row.get("score") is not None]


def rank_genes(table: ScoredTable, contigs: Contigs) -> RankedGenes:
    """Read the rows of essentiality and put them into the order of their scores; at most MAX_GENES stay."""
    rows = list(table.rows)
    order = sorted(rows, key=lambda row: (row.get("score") is None, -float(row.get("score") or 0.0)))[:MAX_GENES]
    places = [_place(row, contigs) for row in order]
    return RankedGenes(order, places, table.columns, Counter(str(row.get("status") or "") for row in rows))


def gene_blocks(genes: GeneSet, contigs: Contigs) -> tuple[list[list[object]], int]:
    """Return genes as a track, and how many were left out: beyond MAX_GENES, or not on the genome."""
    blocks: list[list[object]] = []
    num_left_out = 0
    for gene in genes.coding:
        kind = "pseudogene" if gene.pseudo else "CDS"
        facts = [["locus tag", gene.locus_tag], ["product", gene.product], ["type", kind]]
        places = [place for start, end in gene.parts for place in contigs.places(gene.contig, start, end)]
        blocks += [[*place, gene.strand.value, gene.name, facts] for place in places]
        num_left_out += not places
    for rna in genes.noncoding:
        facts = [["locus tag", rna.locus_tag], ["product", rna.product], ["type", rna.kind.replace("_", " ")]]
        places = contigs.places(rna.contig, rna.start, rna.end)
        strand = rna.strand.value if rna.strand else "."
        blocks += [[*place, strand, rna.name or rna.locus_tag or rna.kind, facts] for place in places]
        num_left_out += not places
    return blocks[:MAX_GENES], num_left_out + max(0, len(blocks) - MAX_GENES)


def _facts(row: Row) -> list[list[object]]:
    names = {"locus_tag": "locus tag", "product": "product", "score": "score", "rank": "rank"}
    return [[label, row[name]] for name, label in names.items() if row.get(name) is not None]


def _name(row: Row) -> str:
    return str(row.get("gene") or row.get("locus_tag") or "?")


def _place(row: Row, contigs: Contigs) -> Place | None:
    start, end = row.get("start"), row.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return contigs.place(str(row.get("chrom")), start - 1, end)
