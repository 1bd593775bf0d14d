"""evaluate calibration and score-variants --null: one definition of phred, the same figures when resumed, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.calibration import columns
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.genome import decode
from tests.cli.conftest import data_rows
from tests.conftest import random_codes

Call = Callable[..., Result]
SEQUENCE = decode(random_codes(3000, 11))
CODING = (("c1", 101, 1000, "+", "one"), ("c1", 1501, 2400, "-", "two"), ("c9", 1, 9, "+", "far"))
GFF = "".join(f"{name}\tx\tCDS\t{start}\t{end}\t.\t{strand}\t0\tID={id}\n" for name, start, end, strand, id in CODING)


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genome.fa").write_text(f">c1\n{SEQUENCE}\n")
    (tmp_path / "n.fa").write_text(">n\nNNNN\n")
    (tmp_path / "genes.gff").write_text(GFF)
    (tmp_path / "calls.tsv").write_text("chrom\tpos\tref\talt\nn\t1\tA\tC\n")
    rest = ["--model", str(tiny_model), "-t", "1"]
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), *rest])


def evaluate(call: Call, *arguments: str) -> Result:
    return call(
        *("evaluate", "calibration", "genome.fa", "--null", "40", "--test", "30", "--suffix", "8", "--draws", "50"),
        *arguments,
    )


def test_rows_result_and_resumed_run(call: Call, tmp_path: Path) -> None:
    some = ("--genes", "genes.gff", "--no-version", "--scores", "s")
    whole = evaluate(call, *some, "--json", "whole.json", "--json-summary", "s.json")
    assert whole.exit_code == 0, whole.stderr
    rows = data_rows(whole.stdout)
    assert list(rows[0]) == [column.name for column in columns()]
    assert {row["level"] for row in rows} == {"threshold", "consequence"}
    assert sum(int(row["num_snvs"]) for row in rows if row["level"] == "consequence") == 30
    assert "1 genes left out: the genome has no contig of that name (first: far)" in whole.stderr
    kept = EvaluationResult.load(tmp_path / "whole.json")
    assert (kept.name, kept.settings["null"], kept.settings["genome"]) == ("calibration", 40, "genome.fa")
    table = pq.read_table(tmp_path / "s" / "calibration.parquet").to_pylist()
    assert [row["set"] for row in table] == ["null"] * 40 + ["test"] * 30
    before = (tmp_path / "s" / "calibration.parquet").stat().st_mtime_ns
    again = evaluate(call, *some, "--resume", "--json", "again.json")
    assert again.stdout == whole.stdout
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert (tmp_path / "s" / "calibration.parquet").stat().st_mtime_ns == before
    assert evaluate(call, *some, "--resume", "--seed", "2").stdout != whole.stdout
    alone = evaluate(call, "--genes", "none")
    assert {row["level"] for row in data_rows(alone.stdout)} == {"threshold"}


def test_score_variants_ranks_in_the_same_null(call: Call, tmp_path: Path) -> None:
    body = "".join(
        f"c1\t{pos}\t{SEQUENCE[pos - 1]}\t{'C' if SEQUENCE[pos - 1] == 'A' else 'A'}\n" for pos in range(50, 90)
    )
    deletion = f"c1\t500\t{SEQUENCE[499:505]}\t{SEQUENCE[499]}\n"
    (tmp_path / "calls.tsv").write_text("chrom\tpos\tref\talt\n" + body + deletion + "c1\t7\tA\t<DEL>\n")
    variants = ("score-variants", "genome.fa", "calls.tsv", "--suffix", "8")
    without, ranked = call(*variants), call(*variants, "--null", "40")
    assert ranked.exit_code == 0, ranked.stderr
    assert all(row["phred"] == "" for row in data_rows(without.stdout))
    assert "##dnahnet_null=40 random SNVs" in ranked.stdout and "##dnahnet_seed=1" in ranked.stdout
    assert "##dnahnet_null" not in without.stdout
    assert evaluate(call, "--genes", "none", "--scores", "s").exit_code == 0
    table = pq.read_table(tmp_path / "s" / "calibration.parquet").to_pylist()
    null = [row["llr"] for row in table if row["set"] == "null"]
    rows = data_rows(ranked.stdout)
    assert [row["llr"] for row in rows] == [row["llr"] for row in data_rows(without.stdout)]
    for row in rows[:-1]:
        at_least = sum(-llr >= float(row["damage"]) - 1e-4 for llr in null)
        assert float(row["phred"]) == pytest.approx(-10 * math.log10((1 + at_least) / 41), abs=1e-4)
    assert len({row["phred"] for row in rows[:-1]}) > 5
    assert (rows[-1]["status"], rows[-1]["phred"]) == ("symbolic", "")
    other = data_rows(call(*variants, "--null", "40", "--seed", "2").stdout)
    assert [row["phred"] for row in other] != [row["phred"] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["evaluate", "calibration", "n.fa", "--genes", "none"], 1, "no random SNV can be drawn"),
        (["evaluate", "calibration", "genome.fa", "--resume"], 2, "--scores"),
        (["evaluate", "calibration", "genome.fa", "--genes", "-"], 2, "standard input"),
        (["evaluate", "calibration", "genome.fa", "--null", "3"], 2, "--null"),
        (["evaluate", "calibration", "genome.fa", "--genes", "genes.gff", "-o", "genes.gff"], 2, "genes.gff"),
        (["score-variants", "n.fa", "calls.tsv", "--null", "5"], 1, "no random SNV can be drawn"),
        (["score-variants", "genome.fa", "genes.gff", "--null", "-1"], 2, "--null"),
    ],
)
def test_errors(call: Call, arguments: list[str], code: int, says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code, result.stderr
    assert says in result.stderr and "Traceback" not in result.stderr and result.stdout == ""
