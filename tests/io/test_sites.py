"""Sites: three forms of tables, found by name or by sequence; nothing lost without a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Strand, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.sites import Site, place_sites, read_sites
from tests.conftest import random_codes

HEADER = "accession\tkind\tstart\tend\tstrand\tname"


def written(folder: Path, text: str, name: str = "tss.tsv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_table_and_bed(tmp_path: Path) -> None:
    table = f"{HEADER}\nc\tTSS\t5\t5\t-\tone\nc\ttss\t1\t3\t.\t\n"
    expected = [Site("c", 4, 5, Strand.REVERSE, "tss", "one"), Site("c", 0, 3, None, "tss")]
    assert read_sites(written(tmp_path, table)) == expected
    bed = "track name=x\nc\t4\t5\tone\t0\t-\nc\t0\t3\n"
    assert read_sites(written(tmp_path, bed, "tss.old.bed")) == expected


def test_footprints_are_the_tenth_of_highest_mean_information(tmp_path: Path) -> None:
    lines = ["promoter\tcondition\tgenome_pos_c\tstrand\tinformation_bits"]
    for condition, factor in (("a", 1.0), ("b", 3.0)):
        lines += [f"p\t{condition}\t{at + 1}\t-\t{factor * (at % 10) / 1000}" for at in range(20)]
    lines += [f"q\ta\t{at + 101}\t+\tnan" for at in range(5)] + ["q\ta\t110\t+\t-0.5"]
    sites = read_sites(written(tmp_path, "\n".join(lines)))
    assert [(site.start, site.end, site.strand, site.name) for site in sites] == [
        (9, 10, Strand.REVERSE, "p"),
        (19, 20, Strand.REVERSE, "p"),
        (109, 110, Strand.FORWARD, "q"),
    ]
    assert {site.kind for site in sites} == {"binding_site"}


def test_sites_of_another_accession_are_found_by_sequence(tmp_path: Path) -> None:
    codes = random_codes(4000, 1)
    codes[3000:3100] = codes[500:600]  # occurs twice
    (tmp_path / "g.fa").write_text(f">own\n{decode(codes)}\n")
    forward, reverse, twice = (decode(codes[at : at + 60]) for at in (1000, 2000, 520))
    reverse = decode(reverse_complement(encode(reverse)))
    rows = [
        ("own", 7, 7, "+", "here", ""),
        ("own", 4000, 4001, "+", "beyond", ""),
        ("other", 7, 8, "+", "forward", forward),
        ("other", 7, 8, "-", "reverse", reverse.lower()),
        ("other", 7, 8, ".", "without", reverse),
        ("other", 7, 7, "+", "twice", twice),
        ("other", 7, 90, "-", "too wide", decode(reverse_complement(codes[:60]))),
        ("other", 7, 7, "+", "nowhere", "ACGT" * 20),
        ("other", 7, 7, "+", "bare", ""),
    ]
    text = f"{HEADER}\tsequence\toffset0_in_sequence\n"
    text += "".join(f"{c}\ttss\t{s}\t{e}\t{d}\t{n}\t{q}\t10\n" for c, s, e, d, n, q in rows)
    with Fasta(tmp_path / "g.fa") as fasta:
        placed, skipped = place_sites(read_sites(written(tmp_path, text)), fasta)
    assert [(site.name, site.start, site.end, site.strand) for site in placed] == [
        ("here", 6, 7, Strand.FORWARD),
        ("forward", 1010, 1012, Strand.FORWARD),
        ("reverse", 2048, 2050, Strand.REVERSE),
        ("without", 2048, 2050, None),  # of both strands it stays
    ]
    for site in placed[1:3]:  # the bases of the site are those that its sequence has at the offset
        own = codes[site.start : site.end]
        own = own if site.strand is Strand.FORWARD else reverse_complement(own)
        assert decode(own) == (forward if site.name == "forward" else reverse)[10:12]
    assert [(name.split()[1], reason) for name, reason in skipped] == [
        ("beyond", "it ends beyond its contig"),
        ("bare", "the genome has no contig of that name, and there is no sequence to look for"),
        ("twice", "its sequence occurs more than once in the genome"),
        ("too", "by its offset in its sequence it lies beyond its contig"),
        ("nowhere", "its sequence occurs nowhere in the genome"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEADER}\n", "holds no sites"),
        ("accession\tkind\tstart\nc\ttss\t1\n", "lacks the columns end, strand"),
        (f"{HEADER}\nc\ttss\t5\t4\t+\tx\n", "tss.tsv:2 has the start '5' and end '4'"),
        (f"{HEADER}\nc\ttss\t0\t4\t+\tx\n", "1 <= start"),
        (f"{HEADER}\nc\ttss\t1\t4\t?\tx\n", "strand '?'"),
        (f"{HEADER}\nc\ttss\t1\n", "has 3 columns, the header 6"),
        ("c\t1\t5\tx\t0\t+\nc\t5\t5\n", "tss.tsv:2 is not BED"),
        ("genome_pos_c\tstrand\n1\t+\n", "footprints lacks the columns promoter, information_bits"),
        ("promoter\tgenome_pos_c\tstrand\tinformation_bits\np\t1\t+\tlow\n", "information 'low'"),
        ("promoter\tgenome_pos_c\tstrand\tinformation_bits\np\t0\t+\t1\n", "position '0'"),
        (">c\nACGT\n", "is a FASTA file: sites are read from"),
        (f"{HEADER}\toffset0_in_sequence\nc\ttss\t1\t1\t+\tx\t-3\n", "offset '-3'"),
    ],
)
def test_malformed(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        read_sites(written(tmp_path, text))
