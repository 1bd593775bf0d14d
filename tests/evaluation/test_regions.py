"""Every base has one class on each strand; frames, overlaps, circles and RNA genes as the annotation has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.regions import CLASSES, Features, classify, coding_positions
from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.genes import Annotation, read_genes
from dnahnet_cli.io.rnas import OTHER_RNA, RRNA, TRNA, RnaGene, read_rna_genes

GFF = """##gff-version 3
c\tx\tregion\t1\t60\t.\t+\t.\tID=c;Is_circular=true
c\tx\tgene\t1\t9\t.\t+\t.\tID=g1;locus_tag=one;gene_biotype=protein_coding
c\tx\tCDS\t1\t9\t.\t+\t0\tID=p1;Parent=g1
c\tx\tgene\t20\t29\t.\t-\t.\tID=g2;locus_tag=two;gene_biotype=rRNA
c\tx\trRNA\t20\t29\t.\t-\t.\tID=r2;Parent=g2
c\tx\ttRNA\t40\t42\t.\t+\t.\tID=r3
c\tx\tgene\t50\t52\t.\t+\t.\tID=g4;gene_biotype=ncRNA
elsewhere\tx\tCDS\t1\t9\t.\t+\t0\tID=p5;locus_tag=five
"""


def gene(start: int, end: int, strand: str = "+", **more: bool) -> Gene:
    return Gene("c", Strand(strand), ((start, end),), f"{start}", **more)


def letters(genes: list[Gene], rnas: list[RnaGene], length: int, strand: Strand) -> str:
    """Return the classes as one letter a base: i123arto? for those of CLASSES in their order."""
    return "".join("i123arto?"[value] for value in classify(genes, rnas, length)[strand])


def test_frames_of_both_strands() -> None:
    genes = [gene(1, 7), gene(9, 12, "-")]
    assert len(CLASSES) == 9
    assert letters(genes, [], 14, Strand.FORWARD) == "i123123iiaaaii"
    assert letters(genes, [], 14, Strand.REVERSE) == "iaaaaaaii321ii"


@pytest.mark.parametrize("odd", [gene(0, 4), gene(0, 6, pseudo=True), gene(0, 6, partial=True)])
def test_a_gene_without_a_sure_frame_is_unclear(odd: Gene) -> None:
    for strand in Strand:
        assert letters([odd], [], 8, strand) == "?" * odd.length + "i" * (8 - odd.length)


def test_overlaps_are_unclear_and_rna_counts() -> None:
    rnas = [RnaGene("c", 0, 3, None, RRNA), RnaGene("c", 12, 14, None, TRNA), RnaGene("c", 15, 16, None, OTHER_RNA)]
    assert letters([gene(2, 8), gene(7, 10)], rnas, 16, Strand.FORWARD) == "rr?2312?23iittio"
    assert letters([gene(2, 8)], rnas, 16, Strand.REVERSE) == "rr?aaaaaiiiittio"


def test_a_gene_over_the_origin_and_one_in_parts() -> None:
    over = Gene("c", Strand.REVERSE, ((8, 14),), "over")
    assert letters([over], [], 10, Strand.REVERSE) == "1321iiii32"
    parts = Gene("c", Strand.FORWARD, ((0, 4), (5, 7)), "frameshift")
    assert letters([parts], [], 8, Strand.FORWARD) == "1231i23i"
    np.testing.assert_array_equal(coding_positions(over, 10), [3, 2, 1, 0, 9, 8])


def test_what_an_annotation_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.gff"
    path.write_text(GFF)
    rnas = read_rna_genes(str(path))
    assert {(r.start, r.end, r.kind) for r in rnas} == {
        (19, 29, "rRNA"),
        (39, 42, "tRNA"),
        (49, 52, "other_RNA"),
    }
    features = Features.of(read_genes(str(path)), rnas, {"c": 60})
    assert [reason for _, reason in features.skipped] == ["the genome has no contig of that name"]
    classes = features.classes("c", 60)[Strand.FORWARD]
    assert np.bincount(classes, minlength=9).tolist() == [60 - 9 - 10 - 3 - 3, 3, 3, 3, 0, 10, 3, 3, 0]
    assert (features.classes("other", 5)[Strand.REVERSE] == 0).all()
    (tmp_path / "a.bed").write_text("c\t0\t9\tone\t0\t+\n")
    assert read_rna_genes(str(tmp_path / "a.bed")) == []


def test_genes_that_do_not_fit_are_named() -> None:
    beyond = Gene("c", Strand.FORWARD, ((55, 64),), "beyond")
    inside = gene(0, 9)
    assert Features.of(Annotation([beyond, inside]), [], {"c": 60}).skipped[0][0] == "beyond"
    assert Features.of(Annotation([beyond]), [], {"c": 60}, frozenset("c")).skipped == []
    with pytest.raises(InputError, match="beyond its contig"):
        Features.of(Annotation([beyond]), [], {"c": 60})
