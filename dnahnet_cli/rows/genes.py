"""The rows of `dnahnet essentiality`: genes, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dnahnet_cli.io.table import Column

if TYPE_CHECKING:
    from dnahnet_cli.genome import Gene, Interval
    from dnahnet_cli.scoring.essentiality import GeneScore
    from dnahnet_cli.scoring.inserts import InsertScore


def columns() -> list[Column]:
    """Return the columns."""
    return [
        Column("chrom", "str"),
        Column("start", "int"),
        Column("end", "int"),
        Column("strand", "str"),
        Column("gene", "str"),
        Column("locus_tag", "str"),
        Column("product", "str"),
        Column("status", "str"),
        Column("score", "float"),
        Column("percentile", "float"),
        Column("rank", "int"),
        Column("score_sense", "float"),
        Column("score_antisense", "float"),
        Column("num_inserts", "int"),
        Column("scored_bp", "int"),
        Column("length_bp", "int"),
        Column("gc", "float"),
        Column("partial", "bool"),
        Column("pseudo", "bool"),
    ]


def ranked(rows: Sequence[GeneScore]) -> list[dict[str, Any]]:
    """Return table rows in the annotation's order, with their ranks."""
    return with_ranks([gene_row(row) for row in rows])


def with_ranks(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with what depends on all of them: rank 1 is the highest score, percentile the share at or below."""
    order = sorted((i for i, row in enumerate(table) if row["score"] is not None), key=lambda i: -table[i]["score"])
    rank = {index: place + 1 for place, index in enumerate(order)}
    return [
        {**row, "percentile": 100.0 * (len(rank) - rank[index] + 1) / len(rank), "rank": rank[index]}
        if index in rank
        else {**row, "percentile": None, "rank": None}
        for index, row in enumerate(table)
    ]


def gene_row(row: GeneScore) -> dict[str, Any]:
    """Return the row of a gene, without its rank."""
    gene = row.gene
    scored = [score.scored_bp for score in (row.sense, row.antisense) if score is not None]
    return {
        "chrom": gene.contig,
        "start": gene.start + 1,
        "end": gene.end,
        "strand": gene.strand.value,
        "gene": gene.name,
        "locus_tag": gene.locus_tag,
        "product": gene.product or None,
        "status": row.status.value,
        "score": row.score,
        "score_sense": row.score_sense,
        "score_antisense": row.score_antisense,
        "num_inserts": row.num_inserts,
        "scored_bp": min(scored, default=None),
        "length_bp": gene.length,
        "gc": row.gc,
        "partial": gene.partial,
        "pseudo": gene.pseudo,
    }


def insert_columns() -> list[Column]:
    """Return the columns of the stop codons along genes."""
    text = ("chrom", "strand", "gene", "locus_tag", "status")
    numbers = ("score", "score_sense", "score_antisense")
    names = ("chrom", "strand", "gene", "locus_tag", "codon", "start", "end", "status", *numbers, "scored_bp")
    return [Column(n, "str" if n in text else "float" if n in numbers else "int") for n in names]


def insert_row(insert: InsertScore) -> dict[str, Any]:
    """Return the row of the stop codons at one place."""
    scored, gene = insert.scored, insert.scored.gene
    lengths = [score.scored_bp for score in (scored.sense, scored.antisense) if score is not None]
    return {
        "chrom": gene.contig,
        "strand": gene.strand.value,
        "gene": gene.name,
        "locus_tag": gene.locus_tag,
        "codon": insert.codon,
        "start": insert.start + 1,
        "end": insert.end,
        "status": scored.status.value,
        "score": scored.score,
        "score_sense": scored.score_sense,
        "score_antisense": scored.score_antisense,
        "scored_bp": min(lengths, default=None),
    }


def touched(genes: Sequence[Gene], regions: Sequence[Interval] | None, lengths: Mapping[str, int]) -> Sequence[Gene]:
    """Return the genes that regions touch, all without regions; `lengths` (bp) are those of the contigs."""
    from dnahnet_cli.genome import Interval

    if regions is None:
        return genes

    def pieces(gene: Gene) -> tuple[Interval, Interval]:
        length = lengths.get(gene.contig, gene.end)
        past = max(0, gene.end - length) if gene.start < length else 0  # over the origin, not beyond the contig
        return Interval(gene.contig, gene.start, gene.end), Interval(gene.contig, 0, past)

    return [gene for gene in genes if any(r.overlaps(piece) for r in regions for piece in pieces(gene))]
