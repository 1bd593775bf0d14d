"""evaluate compression: rows for what was asked, the same figures however they are come by, clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.compression import columns
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.genome import decode
from tests.cli.conftest import Run, data_rows
from tests.conftest import random_codes

Call = Callable[..., Result]
GFF = (
    "".join(
        f"c1\tx\tCDS\t{start + 1}\t{start + 600}\t.\t{strand}\t0\tID=g{start}\n"
        for start, strand in ((0, "+"), (1000, "-"), (2000, "+"), (9500, "+"))
    )
    + "c1\tx\ttRNA\t3001\t3100\t.\t+\t.\tID=t1\n"
)


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    rest = ["--model", str(tiny_model), "-t", "1", "--draws", "50", "--markov", "3"]
    return lambda *arguments: CliRunner().invoke(app, ["evaluate", "compression", *map(str, arguments), *rest])


@pytest.fixture
def genomes(tmp_path: Path) -> Path:
    folder = tmp_path / "genomes"
    folder.mkdir()
    for name, seed in (("one.fa", 1), ("two.fna", 2)):
        text = f">c1\n{decode(random_codes(9000, seed))}\n>c2 short\n{decode(random_codes(700, seed + 9))}NNNN\n"
        (folder / name).write_text(text)
    (folder / "notes.txt").write_text("no genome")
    (tmp_path / "one.gff").write_text(GFF)
    return folder


def test_one_genome_with_genes(run: Run, genomes: Path, tmp_path: Path) -> None:
    result = run(
        *("evaluate", "compression", genomes / "one.fa", "--genes", "one.gff", "--windows", "0", "--window-bp", "1000"),
        *("--draws", "50", "--markov", "3", "--json", "r.json", "--json-summary", "s.json"),
    )
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert list(rows[0]) == [column.name for column in columns()]
    assert [row["level"] for row in rows[:3]] == ["genome", "contig", "contig"]
    assert [row["num_predictions"] for row in rows[:3]] == ["19400", "18000", "1400"]
    assert [row["num_unknown"] for row in rows[:3]] == ["4", "0", "4"]
    assert float(rows[0]["bits_per_base"]) > 1.9 and float(rows[0]["markov_adaptive"]) > 1.9
    regions = {row["region"]: int(row["num_predictions"]) for row in rows if row["level"] == "region"}
    intergenic = 2 * (9700 - 3 * 600 - 100)
    expected = {"coding": 1800, "codon1": 600, "codon2": 600, "codon3": 600, "antisense": 1800, "tRNA": 200}
    assert regions == {**expected, "intergenic": intergenic}
    assert "1 genes left out: it ends beyond its contig" in result.stderr
    kept = EvaluationResult.load(tmp_path / "r.json")
    assert kept.name == "compression" and set(kept.settings["inputs_sha256"]) == {"one"}
    assert kept.rows[0]["compressor_name"].endswith("packed")
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["rows"], summary["scored"], summary["left_out"]) == (len(rows), 1, {"one": 1})


def test_bits_are_those_of_score(call: Call, genomes: Path, tiny_model: Path) -> None:
    rows = data_rows(call(genomes / "one.fa", "--genes", "none", "--windows", "0", "--window-bp", "500").stdout)
    scored = CliRunner().invoke(
        app, ["score", str(genomes / "one.fa"), "--markov", "3", "--model", str(tiny_model), "-t", "1"]
    )
    contigs = [row for row in rows if row["level"] == "contig"]
    for row, other in zip(contigs, data_rows(scored.stdout), strict=True):
        for mine, theirs in (("", ""), ("_fwd", "_fwd"), ("_rev", "_rev")):
            assert float(row[f"bits_per_base{mine}"]) == pytest.approx(float(other[f"bits_per_base{theirs}"]), abs=1e-5)
        assert float(row["markov_adaptive"]) == pytest.approx(float(other["bits_markov"]), abs=1e-5)
        assert float(row["order0"]) == pytest.approx(float(other["bits_order0"]), abs=1e-5)


def test_a_folder_and_a_mean_and_what_is_kept(call: Call, genomes: Path, tmp_path: Path) -> None:
    some = ("genomes", "--genes", "none", "--windows", "6", "--window-bp", "400", "--no-version")
    whole = call(*some, "--scores", "s", "--json", "whole.json")
    assert whole.exit_code == 0, whole.stderr
    rows = data_rows(whole.stdout)
    assert [row["genome"] for row in rows if row["level"] == "genome"] == ["one", "two"]
    [mean] = [row for row in rows if row["level"] == "mean"]
    assert mean["num_averaged"] == "2" and mean["bits_per_base"] and not mean["bits_per_base_low"]
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    assert set(kept) == {"one.npz", "two.npz"}
    (tmp_path / "s" / "one.npz").unlink()
    again = call(*some, "--scores", "s", "--resume", "--json", "again.json")
    assert again.stdout == whole.stdout
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert (tmp_path / "s" / "two.npz").stat().st_mtime_ns == kept["two.npz"]
    other = call(*some, "--scores", "s", "--resume", "--seed", "2")
    assert other.exit_code == 0 and other.stdout != whole.stdout


def test_a_background_is_fitted_and_never_holds_the_genome(call: Call, genomes: Path) -> None:
    one = ("genomes/one.fa", "--genes", "none", "--windows", "5", "--window-bp", "300")
    result = call(*one, "--background", "genomes/two.fna")
    assert result.exit_code == 0, result.stderr
    assert float(data_rows(result.stdout)[0]["markov_background"]) > 1.9
    result = call(*one, "--background", "genomes")
    assert result.exit_code == 1 and "among --background, as one" in result.stderr


def test_genes_are_called_or_said_to_be_missing(call: Call, genomes: Path) -> None:
    result = call("genomes/one.fa", "--windows", "5", "--window-bp", "300")
    assert result.exit_code == 0, result.stderr
    has_regions = any(row["level"] == "region" for row in data_rows(result.stdout))
    assert has_regions or "no classes of bases" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.fa"], 1, "nowhere.fa"),
        (["empty"], 1, "holds no genomes"),
        (["genomes", "genomes/one.fa"], 2, "two genomes are named one"),
        (["genomes", "--genes", "one.gff"], 2, "1 times for 2 genomes"),
        (["genomes/one.fa", "--genes", "-"], 2, "standard input"),
        (["genomes/one.fa", "--resume"], 2, "--scores"),
        (["genomes/one.fa", "--genes", "genomes/one.fa"], 1, "genes are read from"),
        (["genomes/one.fa", "--json", "genomes/one.fa"], 2, "is also an input"),
        (["genomes/one.fa", "-o", "r.xlsx"], 2, "unknown suffix"),
        (["n.fa", "--genes", "none"], 1, "no base of the windows"),
        (["n.fa", "genomes/one.fa", "--genes", "none", "--strict"], 3, "1 of 2 genomes"),
    ],
)
def test_errors(call: Call, genomes: Path, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "n.fa").write_text(">n\nNNNNNNNNNN\n")
    result = call(*arguments)
    assert result.exit_code == code, result.stderr
    assert says in result.stderr and "Traceback" not in result.stderr
    assert (result.stdout == "") is (code != 3)
