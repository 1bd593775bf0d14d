"""essentiality: annotations in, one ranked row per gene out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import LAMBDA, Call, data_rows

CONTIG = "gi|9626243|ref|NC_001416.1|"
GFF = (
    "##gff-version 3\n"
    f"{CONTIG}\t.\tCDS\t191\t736\t.\t+\t0\tID=nu1;gene=nu1;locus_tag=lambdap01;product=DNA packaging\n"
    f"{CONTIG}\t.\tCDS\t711\t2636\t.\t+\t0\tID=A;gene=A;locus_tag=lambdap02\n"
    f"{CONTIG}\t.\tCDS\t37227\t37940\t.\t-\t0\tID=cI;gene=cI;locus_tag=lambdap88\n"
    f"{CONTIG}\t.\tCDS\t40000\t40020\t.\t-\t0\tID=short;locus_tag=short\n"
    "elsewhere\t.\tCDS\t1\t300\t.\t+\t0\tID=gone;locus_tag=gone\n"
)


@pytest.mark.parametrize("protocol", ["single", "multi"])
def test_every_gene_gets_its_row(call: Call, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "genes.gff").write_text(GFF)
    result = call("essentiality", LAMBDA, "genes.gff", "--protocol", protocol)
    assert result.exit_code == 0, result.stderr
    rows = data_rows(result.stdout)
    assert [row["locus_tag"] for row in rows] == ["lambdap01", "lambdap02", "lambdap88", "short", "gone"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "too_short", "contig_not_found"]
    assert sorted(row["rank"] for row in rows) == ["", "", "1", "2", "3"]
    best = max(rows[:3], key=lambda row: float(row["score"]))
    assert best["rank"] == "1" and best["percentile"] == "100"
    for row in rows[:3]:
        mean = (float(row["score_sense"]) + float(row["score_antisense"])) / 2
        assert float(row["score"]) == pytest.approx(mean, rel=1e-4, abs=1e-3)
    assert rows[0]["num_inserts"] == ("1" if protocol == "single" else str(-(-(546 - 15) // 12)))
    assert rows[0]["start"] == "191" and rows[0]["end"] == "736" and rows[0]["length_bp"] == "546"


def test_bed_and_called_genes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_text(f"{CONTIG}\t190\t736\tnu1\t0\t+\n{CONTIG}\t37226\t37940\tcI\t0\t-\n")
    (tmp_path / "genes.gff").write_text(GFF)
    from_bed = data_rows(call("essentiality", LAMBDA, "genes.bed").stdout)
    from_gff = data_rows(call("essentiality", LAMBDA, "genes.gff").stdout)
    assert [row["score"] for row in from_bed] == [from_gff[0]["score"], from_gff[2]["score"]]
    result = call("essentiality", LAMBDA, "-r", f"{CONTIG}:1-5000")
    assert result.exit_code == 0, result.stderr
    assert len(data_rows(result.stdout)) >= 4 and "pyrodigal" in result.stderr


def test_annotation_of_another_genome(call: Call, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF.replace(CONTIG, "chr"))
    result = call("essentiality", LAMBDA, "genes.gff", "-o", "out.tsv")
    assert result.exit_code == 1 and "belong together" in result.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_coding_sequences_that_are_left_out_are_counted(call: Call, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF + f"{CONTIG}\t.\tCDS\t5000\t5600\t.\t.\t0\tID=nostrand\n")
    result = call("essentiality", LAMBDA, "genes.gff", "--json-summary", "s.json")
    assert result.exit_code == 0, result.stderr
    assert "1 left out" in result.stderr and "nostrand" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["left_out"] == 1


def test_details_and_picture_of_the_top_genes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF)
    options = ["--top", "2", "--every", "30", "--detail", "d.tsv", "--plot", "top.svg"]
    result = call("essentiality", LAMBDA, "genes.gff", *options)
    assert result.exit_code == 0, result.stderr
    ranked = sorted((row for row in data_rows(result.stdout) if row["rank"]), key=lambda row: int(row["rank"]))
    stops = data_rows((tmp_path / "d.tsv").read_text())
    assert list(dict.fromkeys(row["locus_tag"] for row in stops)) == [row["locus_tag"] for row in ranked[:2]]
    for gene in ranked[:2]:
        own = [row for row in stops if row["locus_tag"] == gene["locus_tag"]]
        assert [int(row["codon"]) for row in own] == list(range(6, (int(gene["length_bp"]) - 15) // 3 + 2, 30))
        for name in ("score", "score_sense", "score_antisense"):  # the first place is that of --protocol single
            assert float(own[0][name]) == pytest.approx(float(gene[name]), abs=1e-4)
        for row in own:
            shift = 3 * (int(row["codon"]) - 1)
            first = int(gene["start"]) + shift if gene["strand"] == "+" else int(gene["end"]) - shift - 14
            assert (int(row["start"]), int(row["end"])) == (first, first + 14)
    picture = (tmp_path / "top.svg").read_text()
    assert picture.startswith("<?xml") and picture.count("<!-- cI -->") == (1 if ranked[2]["gene"] != "cI" else 0)
    for wrong in (["--plot", "x.txt"], ["--detail", "x.txt"], ["--plot", "genes.gff"]):
        assert call("essentiality", LAMBDA, "genes.gff", *wrong).exit_code == 2


def test_a_genbank_file_is_genome_and_annotation(call: Call, tmp_path: Path) -> None:
    bases = "".join(LAMBDA.read_text().split("\n")[1:])[:6000].lower()
    lines = [f"{at + 1:>9} {bases[at : at + 60]}" for at in range(0, 6000, 60)]
    cds = (
        '     CDS             191..736\n                     /gene="nu1"\n                     /locus_tag="lambdap01"\n'
    )
    head = "LOCUS       part 6000 bp DNA linear PHG 01-JAN-2020\nVERSION     part.1\n"
    text = "\n".join([head + "FEATURES             Location/Qualifiers", cds + "ORIGIN", *lines, "//\n"])
    (tmp_path / "part.gbk").write_text(text)
    (tmp_path / "part.fa").write_text(f">part.1\n{bases}\n")
    (tmp_path / "genes.gff").write_text(GFF.splitlines()[1].replace(CONTIG, "part.1") + "\n")
    result = call("essentiality", "part.gbk")
    assert result.exit_code == 0 and "pyrodigal" not in result.stderr, result.stderr
    (row,) = data_rows(result.stdout)
    (same,) = data_rows(call("essentiality", "part.fa", "genes.gff").stdout)
    assert {**same, "product": ""} == row and row["gene"] == "nu1" and row["score"]
