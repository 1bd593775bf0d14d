"""essentiality: annotations in, one ranked row per gene out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import LAMBDA, Run, data_rows

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
def test_every_gene_gets_its_row(run: Run, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "genes.gff").write_text(GFF)
    result = run("essentiality", LAMBDA, "genes.gff", "--protocol", protocol)
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert [row["locus_tag"] for row in rows] == ["lambdap01", "lambdap02", "lambdap88", "short", "gone"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "too_short", "contig_not_found"]
    assert sorted(row["rank"] for row in rows) == ["", "", "1", "2", "3"]
    best = max(rows[:3], key=lambda row: float(row["score"]))
    assert best["rank"] == "1" and best["percentile"] == "100"
    for row in rows[:3]:
        mean = (float(row["score_sense"]) + float(row["score_antisense"])) / 2
        assert float(row["score"]) == pytest.approx(mean, abs=1e-3)
    assert rows[0]["num_inserts"] == ("1" if protocol == "single" else str(-(-(546 - 15) // 12)))
    assert rows[0]["start"] == "191" and rows[0]["end"] == "736" and rows[0]["length_bp"] == "546"


def test_bed_and_called_genes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_text(f"{CONTIG}\t190\t736\tnu1\t0\t+\n{CONTIG}\t37226\t37940\tcI\t0\t-\n")
    (tmp_path / "genes.gff").write_text(GFF)
    from_bed = data_rows(run("essentiality", LAMBDA, "genes.bed").stdout)
    from_gff = data_rows(run("essentiality", LAMBDA, "genes.gff").stdout)
    assert [row["score"] for row in from_bed] == [from_gff[0]["score"], from_gff[2]["score"]]
    result = run("essentiality", LAMBDA, "-r", f"{CONTIG}:1-5000")
    assert result.returncode == 0, result.stderr
    assert len(data_rows(result.stdout)) >= 4 and "pyrodigal" in result.stderr


def test_annotation_of_another_genome(run: Run, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF.replace(CONTIG, "chr"))
    result = run("essentiality", LAMBDA, "genes.gff", "-o", "out.tsv")
    assert result.returncode == 1 and "belong together" in result.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_coding_sequences_that_are_left_out_are_counted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF + f"{CONTIG}\t.\tCDS\t5000\t5600\t.\t.\t0\tID=nostrand\n")
    result = run("essentiality", LAMBDA, "genes.gff", "--json-summary", "s.json")
    assert result.returncode == 0, result.stderr
    assert "1 left out" in result.stderr and "nostrand" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["left_out"] == 1
