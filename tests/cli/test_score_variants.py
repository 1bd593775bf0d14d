"""score-variants on every awkward record: one row per ALT with the right status, or one clear error."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pysam
import pytest

from dnahnet_cli.genome import decode
from tests.cli.conftest import Run, data_rows
from tests.conftest import random_codes

SEQUENCE = decode(random_codes(3000, 11))
SEQUENCE = SEQUENCE[:1500] + "N" * 20 + SEQUENCE[1520:]
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def other(base: str) -> str:
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


def record(pos: int, ref: str, alt: str, chrom: str = "c1") -> str:
    return f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n"


def at(pos: int, length: int = 1) -> str:
    return SEQUENCE[pos - 1 : pos - 1 + length]


SNV = record(100, at(100), other(at(100)))
AWKWARD = [
    (SNV, ["ok"]),
    (record(200, at(200).lower(), other(at(200)).lower()), ["ok"]),
    (record(300, at(300, 3), "".join(map(other, at(300, 3)))), ["ok"]),  # MNV
    (record(400, at(400, 201), at(400)), ["ok"]),  # 200-bp deletion
    (record(450, at(450), at(450) + "ACGT"), ["ok"]),
    (record(500, at(500, 600), at(500)), ["too_long"]),
    (record(600, at(600), f"{other(at(600))},{at(600)}A,*"), ["ok", "ok", "spanning_deletion"]),
    (record(700, other(at(700)), at(700)), ["ref_mismatch"]),
    (record(800, at(800), other(at(800)), "unknown"), ["contig_not_found"]),
    (record(9000, "A", "C"), ["out_of_range"]),
    (record(2999, at(2999, 2) + "A", "C"), ["out_of_range"]),
    (record(900, at(900), "<DEL>"), ["symbolic"]),
    (record(901, at(901), "N[c1:5["), ["breakend"]),
    (record(902, at(902), "."), ["no_alt"]),
    (record(903, at(903), at(903)), ["no_alt"]),
    (record(904, at(904), "N"), ["alt_not_acgt"]),
    (record(905, at(905), "R"), ["alt_not_acgt"]),
    (record(906, "N", "A"), ["ref_not_acgt"]),
    (record(1505, "A", "C"), ["ref_not_acgt"]),
    (record(2991, at(2991, 10), at(2991)), ["ambiguous_context"]),  # nothing is left behind it
    (SNV, ["ok"]),  # duplicated, and no longer sorted
    (record(50, at(50), other(at(50))), ["ok"]),
]
STATUSES = [status for _, statuses in AWKWARD for status in statuses]


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">c1 a contig\n{SEQUENCE}\n>c2\n{SEQUENCE[:40]}\n")
    return path


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    path = tmp_path / "awkward.vcf"
    path.write_text(HEADER + "".join(text for text, _ in AWKWARD))
    return path


def test_every_alt_gets_its_row_and_status(run: Run, genome: Path, awkward: Path) -> None:
    result = run("score-variants", genome, awkward, "--json-summary", "s.json")
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert [row["status"] for row in rows] == STATUSES
    for row in rows:
        filled = [bool(row[name]) for name in ("llr", "llr_fwd", "llr_rev", "ref_logp", "alt_logp", "damage")]
        assert all(filled) if row["status"] == "ok" else not any(filled)
    assert rows[0] == rows[-2]
    assert [row["alt_index"] for row in rows[6:9]] == ["1", "2", "3"]
    summary = json.loads((genome.parent / "s.json").read_text())
    assert summary["rows"] == len(STATUSES)
    assert {k: v for k, v in summary["status"].items() if v} == {s: STATUSES.count(s) for s in STATUSES}
    for status in set(STATUSES) - {"ok"}:
        assert status in result.stderr


def test_the_numbers_agree_with_one_another(run: Run, genome: Path, awkward: Path) -> None:
    for row in data_rows(run("score-variants", genome, awkward).stdout):
        if row["status"] == "ok":
            value = {k: float(row[k]) for k in ("llr", "llr_fwd", "llr_rev", "ref_logp", "alt_logp", "damage")}
            assert value["llr"] == pytest.approx((value["llr_fwd"] + value["llr_rev"]) / 2, abs=1e-4)
            assert value["llr"] == pytest.approx(value["alt_logp"] - value["ref_logp"], abs=2e-3)
            assert value["damage"] == -value["llr"]


@pytest.mark.parametrize("how", ["stdin", "gzip", "bgzip", "bcf", "tsv", "parquet", "crlf"])
def test_every_way_in_and_out_gives_the_same_rows(run: Run, genome: Path, tmp_path: Path, how: str) -> None:
    body = HEADER.replace("#CHROM", "##contig=<ID=c1>\n#CHROM") + SNV + record(450, at(450), at(450) + "ACGT")
    plain = tmp_path / "plain.vcf"
    plain.write_text(body)
    expected = data_rows(run("score-variants", genome, plain).stdout)
    target, stdin, options = tmp_path / f"calls.{how}", "", []
    if how == "stdin":
        stdin, target = body, Path("-")
    elif how == "gzip":
        target.write_bytes(gzip.compress(body.encode()))
    elif how == "bgzip":
        pysam.tabix_compress(str(plain), str(target))
    elif how == "bcf":
        with pysam.VariantFile(str(plain)) as source, pysam.VariantFile(str(target), "wb", header=source.header) as out:
            for line in source:
                out.write(line)
    elif how == "tsv":
        target.write_text(
            f"chrom\tpos\tref\talt\nc1\t100\t{at(100)}\t{other(at(100))}\nc1\t450\t{at(450)}\t{at(450)}ACGT\n"
        )
    elif how == "crlf":
        target.write_bytes(body.replace("\n", "\r\n").encode())
    else:
        target, options = plain, ["-o", "out.parquet"]
    result = run("score-variants", genome, target, *options, stdin=stdin)
    assert result.returncode == 0, result.stderr
    if how == "parquet":
        table = pq.read_table(tmp_path / "out.parquet")
        assert table.column("llr").to_pylist() == pytest.approx([float(row["llr"]) for row in expected], rel=1e-5)
        assert table.schema.metadata[b"dnahnet.model"] == b"tiny"
    else:
        assert data_rows(result.stdout) == expected


def test_empty_and_header_only(run: Run, genome: Path, tmp_path: Path) -> None:
    (tmp_path / "header.vcf").write_text(HEADER)
    result = run("score-variants", genome, "header.vcf")
    assert result.returncode == 0 and data_rows(result.stdout) == []
    (tmp_path / "empty.vcf").write_text("")
    result = run("score-variants", genome, "empty.vcf")
    assert result.returncode == 1 and "empty" in result.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (HEADER + SNV + "c1\t100\n", "bad.vcf:4"),
        (HEADER + "c1\tten\t.\tA\tC\t.\t.\t.\n", "bad.vcf:3"),
        (SNV, "#CHROM"),
        (">c1\nACGT\n", "FASTA"),
    ],
)
def test_malformed_input_is_one_clear_error(run: Run, genome: Path, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.vcf").write_text(content)
    result = run("score-variants", genome, "bad.vcf", "-o", "out.tsv")
    assert result.returncode == 1
    assert "bad.vcf" in result.stderr and says.lower() in result.stderr.lower()
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) <= 3
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []


def test_another_assembly_is_noticed(run: Run, genome: Path, tmp_path: Path) -> None:
    body = "".join(record(pos, other(at(pos)) if pos % 5 == 0 else at(pos), "ACGT") for pos in range(1, 1200))
    (tmp_path / "calls.vcf").write_text(HEADER + body)
    result = run("score-variants", genome, "calls.vcf", "-o", "out.tsv")
    assert result.returncode == 1 and "another assembly" in result.stderr
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []  # what it computed is of no use


def test_names_that_differ_are_shown(run: Run, genome: Path) -> None:
    result = run("score-variants", genome, "-", stdin=HEADER + SNV.replace("c1", "chr1"))
    assert result.returncode == 1
    assert "'chr1'" in result.stderr and "c1, c2" in result.stderr


def test_strict_regions_and_overwriting(run: Run, genome: Path, awkward: Path, tmp_path: Path) -> None:
    assert run("score-variants", genome, awkward, "--strict").returncode == 3
    rows = data_rows(run("score-variants", genome, awkward, "-r", "c1:100-300").stdout)
    assert [row["pos"] for row in rows] == ["100", "200", "300", "100"]
    before = awkward.read_text()
    result = run("score-variants", genome, awkward, "-o", awkward)
    assert result.returncode == 2 and awkward.read_text() == before
    result = run("score-variants", genome, awkward, "--model", "no-such-model", model=False)
    assert result.returncode == 1 and "no-such-model" in result.stderr


def test_no_version_output_depends_on_nothing_but_the_input(run: Run, genome: Path, awkward: Path) -> None:
    one = run("score-variants", genome, awkward, "--no-version")
    assert one.stdout and one.stdout == run("score-variants", genome, awkward, "--no-version").stdout
    smaller = run("score-variants", genome, awkward, "--no-version", "--batch-size", "2", "-v")
    for a, b in zip(data_rows(one.stdout), data_rows(smaller.stdout), strict=True):
        assert a["status"] == b["status"]
        assert float(a["llr"] or 0) == pytest.approx(float(b["llr"] or 0), abs=1e-4)


def test_interrupt_leaves_nothing_that_looks_finished(genome: Path, tmp_path: Path, tiny_model: Path) -> None:
    body = "".join(record(pos, at(pos), other(at(pos))) for pos in range(1, 1490)) * 8
    (tmp_path / "calls.vcf").write_text(HEADER + body)
    command = [
        sys.executable,
        "-m",
        "dnahnet_cli",
        "score-variants",
        "genome.fa",
        "calls.vcf",
        "-o",
        "out.tsv",
        "-t",
        "1",
    ]
    process = subprocess.Popen(
        [*command, "--model", str(tiny_model)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # A shell's background jobs ignore SIGINT, and their children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*out.tsv*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert {path.name for path in tmp_path.glob("*out.tsv*")} <= {"out.tsv.partial"}
