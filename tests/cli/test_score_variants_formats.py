"""score-variants: VCF out, consequences, all SNVs of a region, contig names and REF alleles that differ, plans."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pysam
import pytest

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from tests.cli.conftest import Run, data_rows
from tests.conftest import random_codes

GENE = "ATGGCCAAACAGTTTGGATGCTGGTACTAA"
RANDOM = decode(random_codes(1400, 3))
SEQUENCE = RANDOM[:600] + GENE + RANDOM[600:]
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c1>\n##source=a caller\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GFF = "##gff-version 3\nc1\t.\tCDS\t601\t630\t.\t+\t0\tID=cds1;gene=abc;locus_tag=T1;product=a big protein\n"
RECORDS = (
    f"c1\t100\t.\t{SEQUENCE[99]}\t<DEL>\t.\t.\tX=1\n"
    "c1\t605\trs1\tC\tT,*,G\t9.5\tPASS\t.\n"
    "c1\t610\t.\tC\tT\t.\tlow\tX=2;FLAG\n"
    f"c1\t900\t.\t{SEQUENCE[899]}\t.\t.\t.\tX=3\n"
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(f">c1\n{SEQUENCE}\n")
    (tmp_path / "genes.gff").write_text(GFF)
    (tmp_path / "calls.vcf").write_text(HEADER + RECORDS)


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `dnahnet` in this process, which saves importing torch each time."""
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfd.readouterr()
        code = 0
        try:
            app([*map(str, arguments), "--model", str(tiny_model), "-t", "1"])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return subprocess.CompletedProcess([], code, said.out, said.err)

    return run_here


def info(line: str) -> dict[str, list[str]]:
    pairs = (item.partition("=") for item in line.split("\t")[7].split(";"))
    return {key: value.split(",") for key, _, value in pairs}


def test_all_formats_say_the_same(run: Run, tmp_path: Path) -> None:
    for name in ("o.tsv", "o.tsv.gz", "o.parquet", "o.vcf", "o.vcf.gz", "o.bcf"):
        result = run("score-variants", "genome.fa", "calls.vcf", "--genes", "genes.gff", "-o", name)
        assert result.returncode == 0, result.stderr
    rows = data_rows((tmp_path / "o.tsv").read_text())
    assert [row["status"] for row in rows] == ["symbolic", "ok", "spanning_deletion", "ok", "ok", "no_alt"]
    assert [row["aa_change"] for row in rows] == ["", "A2V", "", "A2G", "Q4*", ""]
    assert rows[1]["gene"] == "abc" and rows[1]["locus_tag"] == "T1" and rows[1]["strand"] == "+"
    assert rows[4]["consequence"] == "stop_gained" and rows[4]["product"] == "a big protein"
    with pysam.BGZFile(str(tmp_path / "o.tsv.gz")) as compressed:
        assert data_rows(compressed.read().decode()) == rows
    assert (tmp_path / "o.tsv.gz.tbi").is_file() and (tmp_path / "o.bcf.csi").is_file()
    table = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["aa_change"] or "" for row in table] == [row["aa_change"] for row in rows]
    text = (tmp_path / "o.vcf").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    with pysam.BGZFile(str(tmp_path / "o.vcf.gz")) as compressed:
        again = compressed.read().decode()
    assert [line for line in again.splitlines() if "command" not in line] == [
        line for line in text.splitlines() if "command" not in line
    ]
    assert lines[3] == RECORDS.splitlines()[3]  # no ALT, nothing added
    fields = info(lines[1])
    assert fields["DNAHNET_STATUS"] == ["ok", "spanning_deletion", "ok"]
    assert fields["DNAHNET_LLR"] == [rows[1]["llr"], ".", rows[3]["llr"]]
    assert fields["DNAHNET_AA_CHANGE"] == ["A2V", ".", "A2G"]
    assert info(lines[2])["DNAHNET_PRODUCT"] == ["a%20big%20protein"]
    with pysam.VariantFile(str(tmp_path / "o.bcf")) as bcf:
        assert [str(record.alts) for record in bcf.fetch("c1", 604, 605)] == ["('T', '*', 'G')"]
        assert bcf.header.info["DNAHNET_LLR"].number == "A"
        assert "negative" in bcf.header.info["DNAHNET_LLR"].description


def test_to_standard_output_in_any_format(run: Run, tmp_path: Path) -> None:
    plain = run("score-variants", "genome.fa", "-", "-O", "vcf", "--no-version", stdin=HEADER + RECORDS)
    assert plain.returncode == 0, plain.stderr
    assert [line.split("\t")[:7] for line in plain.stdout.splitlines() if not line.startswith("#")] == [
        line.split("\t")[:7] for line in RECORDS.splitlines()
    ]
    assert "##source=a caller\n" in plain.stdout and "##dnahnet_command" not in plain.stdout
    again = run("score-variants", "genome.fa", "-", "-O", "vcf", "--no-version", stdin=plain.stdout)
    assert again.stdout == plain.stdout  # fields of an earlier run are replaced


def test_a_table_becomes_a_vcf(run: Run, tmp_path: Path) -> None:
    (tmp_path / "calls.tsv").write_text("chrom\tpos\tref\talt\nc1\t605\tC\tT\n")
    result = run("score-variants", "genome.fa", "calls.tsv", "-o", "o.vcf.gz")
    assert result.returncode == 0, result.stderr
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as records:
        assert [record.pos for record in records.fetch("c1")] == [605]


def test_unsorted_and_no_index(run: Run, tmp_path: Path) -> None:
    lines = RECORDS.splitlines(keepends=True)
    (tmp_path / "unsorted.vcf").write_text(HEADER + lines[2] + lines[1])
    result = run("score-variants", "genome.fa", "unsorted.vcf", "-o", "o.vcf.gz")
    assert result.returncode == 0 and "not sorted: c1:605 comes after c1:610" in result.stderr
    result = run("score-variants", "genome.fa", "calls.vcf", "-o", "o.vcf.gz", "--no-write-index")
    assert result.returncode == 0 and "sorted" not in result.stderr
    assert not list(tmp_path.glob("*.tbi"))


def test_all_snvs_of_a_region(run: Run, tmp_path: Path) -> None:
    options = ("--all-snvs", "-r", "c1:601-606", "--genes", "genes.gff", "-o", "o.tsv")
    result = run("score-variants", "genome.fa", *options)
    assert result.returncode == 0, result.stderr
    rows = data_rows((tmp_path / "o.tsv").read_text())
    assert [row["pos"] for row in rows] == [str(pos) for pos in range(601, 607) for _ in range(3)]
    assert {row["status"] for row in rows} == {"ok"}
    assert [row["aa_change"] for row in rows[9:15]] == ["A2T", "A2P", "A2S", "A2D", "A2G", "A2V"]
    one = run("score-variants", "genome.fa", "-", stdin=HEADER + "c1\t605\t.\tC\tT\t.\t.\t.\n")
    assert data_rows(one.stdout)[0]["llr"] == rows[14]["llr"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "VARIANTS"),
        (("calls.vcf", "--all-snvs"), "not both"),
        (("calls.vcf", "-o", "scores.xls"), "suffix"),
        (("calls.vcf", "--genes", "genes.gff", "--genetic-code", "7"), "genetic code 7"),
        (("-", "--genes", "-"), "cannot both come from standard input"),
        (("-", "-R", "-"), "cannot both come from standard input"),
        (("calls.vcf", "-R", "-", "--shard", "1/2"), "--shard reads -R twice"),
        (("calls.vcf", "-o", "genes.gff", "-O", "vcf", "--genes", "genes.gff"), "also an input"),
        (("calls.vcf", "-o", "calls2.vcf", "--no-clobber"), "--no-clobber"),
    ],
)
def test_usage_errors(run: Run, tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    (tmp_path / "calls2.vcf").write_text("mine")
    result = run("score-variants", "genome.fa", *options)
    assert result.returncode == 2 and says in result.stderr and "Traceback" not in result.stderr
    assert (tmp_path / "calls2.vcf").read_text() == "mine" and (tmp_path / "genes.gff").read_text() == GFF


def test_contigs_under_other_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.vcf").write_text((HEADER + RECORDS).replace("c1", "chr1"))
    (tmp_path / "other.gff").write_text(GFF.replace("c1\t", "chr1\t"))
    given = ("genome.fa", "other.vcf", "--genes", "other.gff", "-o", "o.vcf")
    result = run("score-variants", *given)
    assert result.returncode == 1 and "--rename-contigs" in result.stderr and "chr1" in result.stderr
    result = run("score-variants", "genome.fa", "other.vcf", "-o", "o.vcf")
    assert result.returncode == 1 and "'chr1 c1'" in result.stderr
    (tmp_path / "names").write_text("chr1 c1\n# a comment\n\n")
    result = run("score-variants", *given, "--rename-contigs", "names", "-r", "c1:600-700")
    assert result.returncode == 0, result.stderr
    lines = [line for line in (tmp_path / "o.vcf").read_text().splitlines() if not line.startswith("#")]
    assert [line.split("\t")[:2] for line in lines] == [["chr1", "605"], ["chr1", "610"]]  # as they were written
    assert info(lines[0])["DNAHNET_AA_CHANGE"] == ["A2V", ".", "A2G"]
    for text, says in (("chr1\n", "names:1"), ("chr1 c2\n", "no contig 'c2'"), ("a c1\na c1\nb\n", "names:3")):
        (tmp_path / "names").write_text(text)
        result = run("score-variants", *given, "--rename-contigs", "names")
        assert result.returncode == 1 and says in result.stderr


def test_a_ref_that_is_not_the_genomes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.vcf").write_text(HEADER + "c1\t605\t.\tA\tT\t.\t.\t.\nc1\t610\t.\tC\tT\t.\t.\t.\n")
    (tmp_path / "right.vcf").write_text(HEADER + "c1\t605\t.\tC\tT\t.\t.\t.\nc1\t610\t.\tC\tT\t.\t.\t.\n")
    skipped = data_rows(run("score-variants", "genome.fa", "odd.vcf", "--genes", "genes.gff").stdout)
    assert [row["status"] for row in skipped] == ["ref_mismatch", "ok"] and not skipped[0]["consequence"]
    result = run("score-variants", "genome.fa", "odd.vcf", "--on-ref-mismatch", "error", "-o", "o.tsv")
    assert result.returncode == 1 and "c1:605: REF is A, the genome has C" in result.stderr
    assert not (tmp_path / "o.tsv").exists()
    options = ("--genes", "genes.gff", "--on-ref-mismatch", "use-genome")
    result = run("score-variants", "genome.fa", "odd.vcf", *options)
    used = data_rows(result.stdout)
    right = data_rows(run("score-variants", "genome.fa", "right.vcf", "--genes", "genes.gff").stdout)
    assert "1 REF alleles were replaced" in result.stderr and "c1:605" in result.stderr
    assert used[0]["ref"] == "A" and used == [right[0] | {"ref": "A"}, right[1]]


def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("score-variants", "genome.fa", "calls.vcf", "--genes", "genes.gff", "-o", "o.vcf.gz", "--dry-run")
    assert result.returncode == 0 and result.stdout == ""
    assert "3 to score" in result.stderr and "1 symbolic" in result.stderr and "about" in result.stderr
    assert not (tmp_path / "o.vcf.gz").exists()


def test_genes_that_are_left_out_are_counted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "genes.gff").write_text(GFF + "c9\t.\tCDS\t1\t30\t.\t+\t0\tID=x;locus_tag=T9\n")
    result = run(
        "score-variants", "genome.fa", "calls.vcf", "--genes", "genes.gff", "-o", "o.tsv", "--json-summary", "s.json"
    )
    assert result.returncode == 0 and "T9" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["left_out"] == 1
