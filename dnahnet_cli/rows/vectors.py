"""The rows of `dnahnet embed`: vectors of contigs, regions and genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnahnet_cli.genome import Gene, Interval, Strand
from dnahnet_cli.io.table import Column
from dnahnet_cli.scoring.embed import Embedding


class Vectors:
    """The table's columns and rows."""

    def __init__(self, levels: Sequence[int], widths: Sequence[int], *, per_strand: bool, genes: bool) -> None:
        strands: dict[str, Strand | None] = (
            {"_fwd": Strand.FORWARD, "_rev": Strand.REVERSE} if per_strand else {"": None}
        )
        names = {level: f"stage{level}" if level else "base" for level in levels}
        self._vectors = {names[level] + end: (level, strand) for level in levels for end, strand in strands.items()}
        self._widths, self._genes = widths, genes

    def columns(self) -> list[Column]:
        """Return the columns."""
        keys = [Column("chrom", "str"), Column("start", "int"), Column("end", "int")]
        if self._genes:
            keys += [Column(name, "str") for name in ("strand", "gene", "locus_tag", "product")]
        keys += [Column("status", "str"), Column("num_bases", "int")]
        return keys + [Column(name, "vector", self._widths[level]) for name, (level, _) in self._vectors.items()]

    def row(self, place: Gene | Interval, embedding: Embedding) -> dict[str, Any]:
        """Return the row of a place."""
        row: dict[str, Any] = {"chrom": place.contig, "start": place.start + 1, "end": place.end}
        if isinstance(place, Gene):
            row |= {"strand": place.strand.value, "gene": place.name, "locus_tag": place.locus_tag}
            row["product"] = place.product or None
        row |= {"status": embedding.status.value, "num_bases": embedding.stretch.num_bases}
        return row | {name: embedding.vector(level, strand) for name, (level, strand) in self._vectors.items()}
