"""evaluate fitness: a row for each assay and mean, the same numbers however they are come by, nothing lost unsaid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.fitness import columns
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.networks.weights import find_model
from tests.cli.conftest import Run, data_rows
from tests.evaluation.assays import write_assay, write_variants

Call = Callable[..., Result]
NAMES = [column.name for column in columns(with_peers=False)]


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs `dnahnet evaluate fitness` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rest = ["--model", str(tiny_model), "-t", "1", "--draws", "50", "--suffix", "16"]
    return lambda *arguments: CliRunner().invoke(app, ["evaluate", "fitness", *map(str, arguments), *rest])


@pytest.fixture
def assays(tmp_path: Path) -> Path:
    folder = tmp_path / "assays"
    write_assay(folder / "one", 1, 15, protein="P", more_rows=["M1*\t1\t0", "x\t1\t0"])
    write_assay(folder / "two", 1, 15, protein="P", noise=1)
    write_variants(folder / "variants", 2, 12)
    write_assay(folder / "without", 3, 12, dna=False)
    return folder


def test_rows_summary_and_result(run: Run, assays: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = run(
        *("evaluate", "fitness", assays, "--draws", "50", "--suffix", "16", "--suffix", "8"),
        *("--json", "r.json", "--json-summary", "s.json"),
    )
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert list(rows[0]) == NAMES
    means = [("protein", ""), ("protein", ""), ("mean", "")]
    expected = [("assay", name) for name in ("one", "two", "variants", "without")] + means
    assert [(row["level"], row["assay"]) for row in rows] == expected * 2
    assert [row["suffix"] for row in rows] == ["16"] * 7 + ["8"] * 7
    assert [row["status"] for row in rows[:4]] == ["ok", "ok", "ok", "no_dna"]
    assert [row["skipped"] for row in rows[:4]] == ["unreadable=1,stop=1", "", "", "no_dna=12"]
    for row in rows[:4]:
        skipped = sum(int(part.split("=")[1]) for part in row["skipped"].split(",") if part)
        assert int(row["num_mutants"]) == int(row["num_scored"]) + skipped
    assert rows[3]["spearman"] == "" and rows[3]["blosum62_spearman"] != ""
    assert "1 stop" in result.stderr and "12 no_dna" in result.stderr and "mean over proteins (2)" in result.stderr
    kept = EvaluationResult.load(tmp_path / "r.json")
    assert (kept.name, kept.model["sha256"]) == ("fitness", find_model(str(tiny_model)).sha256)
    assert kept.settings["seed"] == 1 and set(kept.settings["inputs_sha256"]) == {"one", "two", "variants", "without"}
    assert len(kept.rows) == len(rows)
    for row, text in zip(kept.rows, rows, strict=True):
        assert all(f"{row[name]:.6g}" == text[name] for name in ("spearman", "difference") if row.get(name) is not None)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["mutants"], summary["scored"], summary["rows"]) == (56, 42, 14)
    assert sum(summary["status"].values()) == 56


def test_parquet_has_the_same_rows(call: Call, assays: Path, tmp_path: Path) -> None:
    assert call(assays / "one", "-o", "r.parquet", "--json", "r.json").exit_code == 0
    table = pq.read_table(tmp_path / "r.parquet")
    assert table.column_names == NAMES
    rows = EvaluationResult.load(tmp_path / "r.json").rows
    assert table.to_pylist() == [{name: row.get(name) for name in NAMES} for row in rows]
    assert b"dnahnet.model_sha256" in table.schema.metadata


def test_a_resumed_run_scores_only_what_is_missing(call: Call, assays: Path, tmp_path: Path) -> None:
    whole = call(assays, "--no-version", "--scores", "s", "--json", "whole.json")
    assert whole.exit_code == 0, whole.stderr
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    assert set(kept) == {f"{name}.parquet" for name in ("one", "two", "variants", "without")}
    (tmp_path / "s" / "two.parquet").unlink()
    again = call(assays, "--no-version", "--scores", "s", "--resume", "--json", "again.json")
    assert again.stdout == whole.stdout
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    made = {path.name for path in (tmp_path / "s").iterdir() if kept[path.name] != path.stat().st_mtime_ns}
    assert made == {"two.parquet"}
    other = call(assays, "--scores", "s", "--resume", "--markov", "1")  # another setting: nothing is taken over
    assert other.exit_code == 0
    assert all(kept[path.name] != path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir())


def test_codons_and_draws_of_mutants(call: Call, assays: Path) -> None:
    nearest, mean = (data_rows(call(assays / "one", "--codon", codon).stdout)[0] for codon in ("nearest", "mean"))
    assert nearest["num_scored"] == mean["num_scored"] == "15"
    assert nearest["spearman"] != mean["spearman"] and nearest["blosum62_spearman"] == mean["blosum62_spearman"]
    few = data_rows(call(assays / "one", "--mutants", "5").stdout)[0]
    assert few["num_scored"] == "5" and "not_drawn=10" in few["skipped"]


def test_peers(call: Call, assays: Path, tmp_path: Path) -> None:
    peers = "dms_id\tmodel\tspearman\none\tgood\t0.99\none\tbad\t-0.99\nelsewhere\tgood\t0.1\n"
    (tmp_path / "peers.tsv").write_text(peers)
    result = call(assays, "--peers", "peers.tsv")
    assert result.exit_code == 0, result.stderr
    rows = data_rows(result.stdout)
    assert (rows[0]["num_peers"], rows[0]["peer_rank"], rows[0]["peer_name"]) == ("2", "2", "good")
    assert rows[1]["num_peers"] == "0"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["none"], 1, "none is not a folder"),
        (["assays", "--resume"], 2, "--scores"),
        (["assays/without"], 1, "no mutant of any assay could be scored"),
        (["assays/one", "--json", "assays/one/variants.tsv"], 2, "is also an input"),
        (["assays/one", "-o", "r.xlsx"], 2, "unknown suffix"),
        (["assays/one", "--json", "nowhere/r.json"], 1, "does not exist"),
        (["assays/one", "--peers", "assays/one/protein.faa"], 1, "lacks columns"),
        (["assays/one", "--strict"], 3, "2 of 17 mutants could not be scored"),
        (["assays/one", "--codon", "worst"], 2, "worst"),
        (["assays/one", "--markov", "12"], 2, "--markov"),
    ],
)
def test_errors(call: Call, assays: Path, arguments: list[str], code: int, says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code
    assert says in result.stderr and "Traceback" not in result.stderr
    assert (result.stdout == "") is (code != 3)


def test_help_of_the_group_and_its_member(run: Run) -> None:
    shown = run("evaluate", "--help", model=False)
    assert shown.returncode == 0 and "fitness" in shown.stdout
    shown = run("evaluate", "fitness", "-h", model=False)
    assert shown.returncode == 0 and "Examples:" in shown.stdout
    assert run("evaluate", "nonsense", model=False).returncode == 2


def test_a_folder_that_cannot_be_made(call: Call, assays: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(assays / "one", "--scores", "file/s")
    assert result.exit_code == 1 and "cannot be made" in result.stderr
