"""Classes of bases: a worked contig, and the same classes on the reverse complement of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.features import (
    CODON_POSITIONS,
    check_genes,
    find_rbs,
    find_terminator,
    mark,
    operon_ends,
)
from dnahnet_cli.genome import Gene, Strand, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.rnas import OTHER_RNA, RnaGene
from dnahnet_cli.io.sites import Site
from tests.conftest import random_codes

PLUS, MINUS = Strand.FORWARD, Strand.REVERSE


def gene(start: int, end: int, strand: Strand = PLUS, name: str = "g", **more: bool) -> Gene:
    return Gene("c", strand, ((start, end),), name, **more)


GENES = [
    gene(150, 180),
    gene(190, 220),  # 10 behind: the same operon
    gene(217, 247, name="overlaps by a base triplet"),
    gene(400, 430, MINUS),
    gene(500, 530, MINUS, pseudo=True),
    gene(600, 631),  # not whole codons
    gene(700, 730, MINUS, partial=True),
    Gene("c", PLUS, ((960, 990), (1000, 1020)), "over the origin"),
]
RNAS = [RnaGene("c", 800, 850, PLUS, OTHER_RNA)]
SITES = [Site("c", 140, 141, PLUS, "tss"), Site("c", 450, 451, MINUS, "tss"), Site("c", 560, 570, None, "binding_site")]


def test_a_worked_contig() -> None:
    marks = mark(random_codes(1000, 2), GENES, RNAS, SITES)

    def bases(name: str, strand: Strand) -> list[int]:
        return np.flatnonzero(marks.masks[name, strand]).tolist()

    covered = [*range(150, 180), *range(190, 217), *range(220, 247)]
    assert bases("coding", PLUS) == covered
    assert bases("coding", MINUS) == [*range(400, 430), *range(700, 730)]
    assert bases("codon_position_2", PLUS) == [at for at in covered if (at - (150 if at < 180 else 190)) % 3 == 1]
    assert bases("codon_position_1", MINUS) == [*range(402, 430, 3), *range(702, 730, 3)]
    assert bases("start_codon", PLUS) == [150, 151, 152, 190, 191, 192]  # the third lies under another gene
    assert bases("stop_codon", PLUS) == [177, 178, 179, 244, 245, 246]
    assert (bases("start_codon", MINUS), bases("stop_codon", MINUS)) == ([427, 428, 429], [400, 401, 402])
    assert marks.points["start_codon", PLUS].tolist() == [150, 190, 217]
    assert marks.points["stop_codon", MINUS].tolist() == [402]  # the first base that is read
    genic = {*range(150, 180), *range(190, 247), *range(400, 430), *range(500, 530), *range(600, 631)}
    genic |= {*range(700, 730), *range(800, 850), *range(960, 990), *range(0, 20)}
    for strand in Strand:
        assert set(bases("intergenic", strand)) == set(range(1000)) - genic
    assert bases("promoter_predicted", PLUS) == list(range(50, 150))
    assert bases("promoter_predicted", MINUS) == [*range(430, 500)]
    assert bases("operon_end_predicted", PLUS) == [247] and bases("operon_end_predicted", MINUS) == [399]
    assert (bases("rna_gene", PLUS), bases("rna_gene", MINUS)) == (list(range(800, 850)), [])
    assert bases("promoter_measured", PLUS) == list(range(80, 141))
    assert bases("promoter_measured", MINUS) == list(range(450, 511))
    assert marks.points["tss_measured", MINUS].tolist() == [450]
    assert bases("binding_site_measured", PLUS) == bases("binding_site_measured", MINUS) == list(range(560, 570))


def test_the_reverse_complement_has_the_mirrored_classes() -> None:
    codes, length = random_codes(3000, 3), 3000
    random = np.random.default_rng(4)
    starts = random.integers(0, 2800, 12).tolist()
    genes = [gene(at, at + 60, Strand.REVERSE if at % 2 else Strand.FORWARD) for at in starts]

    def turned(one: Gene) -> Gene:
        return gene(length - one.end, length - one.start, one.strand.opposite)

    sites = [Site("c", 100, 104, PLUS, "tss")]
    mirrored = [Site("c", length - 104, length - 100, MINUS, "tss")]
    one, other = mark(codes, genes, [], sites), mark(reverse_complement(codes), map(turned, genes), [], mirrored)
    for (name, strand), mask in one.masks.items():
        np.testing.assert_array_equal(mask, other.masks[name, strand.opposite][::-1], err_msg=name)
    for (name, strand), points in one.points.items():
        np.testing.assert_array_equal(points, np.sort(length - 1 - other.points[name, strand.opposite]))
    phases = sum(one.masks[name, PLUS].astype(int) for name in CODON_POSITIONS)
    np.testing.assert_array_equal(phases == 1, one.masks["coding", PLUS])


def test_operons_end_at_gaps_and_at_the_other_strand() -> None:
    genes = [gene(0, 30), gene(80, 110), gene(161, 190), gene(195, 220, MINUS), gene(225, 250)]
    assert operon_ends(genes, PLUS) == ({(0, 30), (161, 190), (225, 250)}, {(80, 110), (161, 190), (225, 250)})
    assert operon_ends(genes, MINUS) == ({(195, 220)}, {(195, 220)})
    turned = [gene(300 - g.end, 300 - g.start, g.strand.opposite) for g in genes]
    firsts, lasts = operon_ends(turned, MINUS)
    assert ({(300 - e, 300 - s) for s, e in firsts}, {(300 - e, 300 - s) for s, e in lasts}) == operon_ends(genes, PLUS)
    assert operon_ends([], PLUS) == (set(), set())


@pytest.mark.parametrize(
    ("upstream", "found"),
    [
        ("TTTTTAAGGAGGTTTTTTTT", (5, 13)),
        ("TTTTTTGGAGTTTTTTTTTT", (6, 10)),
        ("GGAGTTTTTTGGAGTTTTTT", (10, 14)),  # the one nearer to the gene
        ("AGGAGTTTTTTGGAGTTTTT", (0, 5)),  # the longer one
        ("TTTTTTTTTTTTTTTTGGAG", None),  # too near
        ("TTTTTTTTTTTTTTGGAGTT", None),
        ("GGAG", None),
        ("", None),
    ],
)
def test_rbs(upstream: str, found: tuple[int, int] | None) -> None:
    assert find_rbs(upstream) == found


def test_terminator() -> None:
    stem, loop, tail = "GCCGCA", "TTAC", "TTTTATTT"
    paired = decode(reverse_complement(encode(stem)))
    assert find_terminator("ACA" + stem + loop + paired + tail + "AC") == (3, 27)
    assert find_terminator("ACA" + stem + loop + paired + "TTTCACTT") is None  # too few T
    assert find_terminator("ACA" + stem + loop + paired[::-1] + tail) is None  # no stem
    assert find_terminator("AATATA" + loop + "TATATT" + tail) is None  # a weak stem
    assert find_terminator("NNNNNN" + loop + "NNNNNN" + tail) is None and find_terminator("") is None


def test_genes_that_do_not_fit_are_named_or_refused(tmp_path: Path) -> None:
    text = "ATGAAATAA" + "C" * 30 + "TTACATCAT" + "C" * 12
    (tmp_path / "g.fa").write_text(f">c\n{text}\n")
    good = [gene(0, 9), gene(39, 48, MINUS)]
    with Fasta(tmp_path / "g.fa") as fasta:
        odd = [gene(12, 22, name="frame"), gene(55, 64, name="beyond"), Gene("d", PLUS, ((0, 9),), "elsewhere")]
        known, skipped = check_genes([*good, *odd], fasta)
        assert (known, [name for name, _ in skipped]) == ([*good, *odd[:2]], ["frame", "beyond", "elsewhere"])
        with pytest.raises(InputError, match="no gene is on the genome: the genes are on d, the genome has c"):
            check_genes(odd[2:], fasta)
        with pytest.raises(InputError, match="2 of 2 genes do not end with a stop codon"):
            check_genes([gene(1, 10), gene(20, 29)], fasta)
