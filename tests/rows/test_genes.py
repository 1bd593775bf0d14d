"""Rows of genes: which a region selects."""

from __future__ import annotations

from dnahnet_cli.genome import Gene, Interval, Strand
from dnahnet_cli.rows.genes import touched


def test_a_region_touches_genes_over_the_origin() -> None:
    over = Gene("c", Strand.FORWARD, ((960, 1036),), "over")
    genes = [over, Gene("c", Strand.REVERSE, ((100, 200),), "inside"), Gene("lost", Strand.FORWARD, ((0, 50),), "lost")]

    def names(start: int, end: int) -> list[str]:
        return [gene.name for gene in touched(genes, [Interval("c", start, end)], {"c": 1000})]

    assert names(0, 36) == names(35, 37) == names(990, 1000) == names(959, 961) == ["over"]
    assert names(36, 100) == names(200, 960) == []
    assert names(30, 101) == ["over", "inside"]
    beyond = Gene("c", Strand.FORWARD, ((1000, 1036),), "of a longer contig")
    assert touched([beyond], [Interval("c", 0, 100)], {"c": 1000}) == []
    assert touched(genes, None, {"c": 1000}) == genes
