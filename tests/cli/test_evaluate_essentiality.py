"""evaluate essentiality: a row for each score and set of labels, the same however come by, nothing lost unsaid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.essentiality import columns
from dnahnet_cli.evaluation.genes import KINDS
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.networks.weights import find_model
from tests.cli.conftest import Run, data_rows
from tests.evaluation.organisms import places_of, write_organism

Call = Callable[..., Result]
NAMES = [column.name for column in columns()]
FAST = ("--draws", "50", "--suffix", "16")


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs `dnahnet evaluate essentiality` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rest = ["--model", str(tiny_model), "-t", "1", *FAST]
    return lambda *arguments: CliRunner().invoke(app, ["evaluate", "essentiality", *map(str, arguments), *rest])


@pytest.fixture
def organisms(tmp_path: Path) -> Path:
    folder = tmp_path / "organisms"
    more = ["odd\tx\tchr\t5\t28\t+\t1", "lost\tx\t\t\t\t\t1"]
    write_organism(folder / "one", 1, 20, sets=["labels_consensus.tsv", "labels_keio.tsv"], more_rows=more)
    write_organism(folder / "two", 2, 18, compressed=True)
    return folder


def test_rows_summary_and_result(run: Run, organisms: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = run("evaluate", "essentiality", organisms, *FAST, "--json", "r.json", "--json-summary", "s.json")
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert list(rows[0]) == NAMES
    sets = [("one", "consensus"), ("one", "keio"), ("two", "labels"), ("", "")]
    assert [(r["organism"], r["labels"], r["score"]) for r in rows] == [(*s, score) for s in sets for score in KINDS]
    assert {r["in_mean"] for r in rows if r["labels"] == "keio"} == {"false"}
    for row in rows[:26]:
        assert row["skipped"] == "no_coordinates=1,too_short=1" and row["num_essential_skipped"] == "2"
        assert (row["num_rows"], row["num_genes"]) == ("22", "20")
    assert "2 no_coordinates" in result.stderr and "1 too_short" in result.stderr
    assert "first: lost in consensus of one" in result.stderr
    kept = EvaluationResult.load(tmp_path / "r.json")
    assert (kept.name, kept.model["sha256"]) == ("essentiality", find_model(str(tiny_model)).sha256)
    assert kept.settings["scores"] == "single,multi,bits" and set(kept.settings["inputs_sha256"]) == {"one", "two"}
    assert any("one: consensus, two: labels" in note for note in kept.notes)
    for row, text in zip(kept.rows, rows, strict=True):
        assert all(f"{row[name]:.6g}" == text[name] for name in ("auroc", "ap") if row.get(name) is not None)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["genes"], summary["scored"], summary["rows"]) == (39, 38, len(rows))


def test_the_score_is_that_of_dnahnet_essentiality(
    call: Call, organisms: Path, tiny_model: Path, tmp_path: Path
) -> None:
    assert call(organisms / "two", "--scores", "s").exit_code == 0
    bed = [f"chr\t{start - 1}\t{end}\tg{at:03}\t0\t{strand}" for at, (start, end, strand) in enumerate(places_of(18))]
    (tmp_path / "genes.bed").write_text("\n".join(bed) + "\n")
    kept = pq.read_table(tmp_path / "s" / "two.parquet").to_pylist()
    for protocol in ("single", "multi"):
        genome = organisms / "two" / "genome.fna.gz"
        options = ["--protocol", protocol, "--suffix", "16", "--model", str(tiny_model), "-t", "1"]
        result = CliRunner().invoke(app, ["essentiality", str(genome), "genes.bed", *options])
        assert result.exit_code == 0, result.stderr
        expected = {row["locus_tag"]: float(row["score"]) for row in data_rows(result.stdout)}
        assert {row["locus_tag"]: pytest.approx(row[protocol], rel=1e-3, abs=1e-4) for row in kept} == expected


def test_parquet_has_the_same_rows(call: Call, organisms: Path, tmp_path: Path) -> None:
    assert call(organisms / "two", "-o", "r.parquet", "--json", "r.json").exit_code == 0
    table = pq.read_table(tmp_path / "r.parquet")
    rows = EvaluationResult.load(tmp_path / "r.json").rows
    assert table.to_pylist() == [{name: row.get(name) for name in NAMES} for row in rows]
    assert b"dnahnet.model_sha256" in table.schema.metadata


def test_a_resumed_run_scores_only_what_is_missing(call: Call, organisms: Path, tmp_path: Path) -> None:
    whole = call(organisms, "--no-version", "--scores", "s", "--json", "whole.json")
    assert whole.exit_code == 0, whole.stderr
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    assert set(kept) == {"one.parquet", "two.parquet"}
    (tmp_path / "s" / "two.parquet").unlink()
    again = call(organisms, "--no-version", "--scores", "s", "--resume", "--json", "again.json")
    assert again.stdout == whole.stdout
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    made = {path.name for path in (tmp_path / "s").iterdir() if kept[path.name] != path.stat().st_mtime_ns}
    assert made == {"two.parquet"}
    now = (tmp_path / "s" / "two.parquet").stat().st_mtime_ns
    assert call(organisms, "--scores", "s", "--resume", "--markov", "1", "--seed", "9").exit_code == 0
    assert (tmp_path / "s" / "two.parquet").stat().st_mtime_ns == now  # neither moves a score of the model
    assert call(organisms, "--scores", "s", "--resume", "--protocol", "single").exit_code == 0
    assert (tmp_path / "s" / "two.parquet").stat().st_mtime_ns != now


def test_protocols_labels_and_draws(call: Call, organisms: Path) -> None:
    single = data_rows(call(organisms / "one", "--protocol", "single", "--no-bits", "--labels", "keio").stdout)
    assert {row["score"] for row in single} == {
        score for score in KINDS if "multi" not in score and "bits" not in score
    }
    assert {row["labels"] for row in single if row["in_mean"] == "true"} == {"keio"}
    few = data_rows(call(organisms / "one", "--genes", "12").stdout)
    assert few[0]["num_genes"] == "12" and "not_drawn=8" in few[0]["skipped"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["none"], 1, "none is not a folder"),
        (["organisms", "--resume"], 2, "--scores"),
        (["organisms", "--labels", "pec"], 2, "there are consensus, keio, labels"),
        (["organisms/two", "--json", "organisms/two/labels.tsv"], 2, "is also an input"),
        (["organisms/two", "-o", "r.xlsx"], 2, "unknown suffix"),
        (["organisms/one", "--strict"], 3, "could not be scored"),
        (["organisms/two", "--protocol", "triple"], 2, "triple"),
        (["organisms/two", "--markov", "12"], 2, "--markov"),
    ],
)
def test_errors(call: Call, organisms: Path, arguments: list[str], code: int, says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code
    assert says in result.stderr and "Traceback" not in result.stderr
    assert (result.stdout == "") is (code != 3)


def test_labels_of_another_genome(call: Call, organisms: Path) -> None:
    (organisms / "two" / "genome.fna.gz").unlink()
    (organisms / "two" / "genome.fna").write_text(">other\n" + "ACGT" * 500 + "\n")
    result = call(organisms)
    assert result.exit_code == 1 and "two: none of its labels" in result.stderr and "contig_not_found" in result.stderr


def test_help(run: Run) -> None:
    shown = run("evaluate", "essentiality", "-h", model=False)
    assert shown.returncode == 0 and "Examples:" in shown.stdout
