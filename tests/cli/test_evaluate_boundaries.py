"""evaluate boundaries: the same rows however the chunks are come by, nothing lost unsaid; boundaries --features."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.boundaries import columns
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.networks.weights import find_model
from tests.cli.conftest import LAMBDA, Run, data_rows

Call = Callable[..., Result]
CONTIG = "gi|9626243|ref|NC_001416.1|"
REGION = f"{CONTIG}:1-9000"
NAMES = [column.name for column in columns()]
GENES = [(190, 736), (710, 2636), (2632, 2839), (2835, 4437), (4417, 5737), (5746, 6079), (6134, 7160), (7201, 7600)]


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs `dnahnet evaluate boundaries` on phage lambda, in a folder with genes and sites."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genes.bed").write_text("".join(f"{CONTIG}\t{s}\t{e}\tg{s}\t0\t+\n" for s, e in GENES))
    sites = f"contig\tkind\tstart\tend\tstrand\tname\n{CONTIG}\ttss\t6100\t6100\t+\tp\nelse\ttss\t5\t5\t-\tlost\n"
    (tmp_path / "tss.tsv").write_text(sites)
    (tmp_path / "lost.tsv").write_text("contig\tkind\tstart\tend\tstrand\nelse\ttss\t5\t5\t-\n")
    rest = ["--genes", "genes.bed", "--model", str(tiny_model), "-t", "1", "--draws", "20", "--permutations", "20"]
    command = ["evaluate", "boundaries", str(LAMBDA)]
    return lambda *arguments: CliRunner().invoke(app, [*command, *rest, *map(str, arguments)])


def test_rows_result_and_what_is_left_out(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    result = call(
        "-r", REGION, "--sites", "tss.tsv", "--json", "r.json", "--json-summary", "s.json", "--label", "phage"
    )
    assert result.exit_code == 0, result.stderr
    rows = data_rows(result.stdout)
    assert list(rows[0]) == NAMES
    assert next(row["num_candidates"] for row in rows if row["level"] == "stage") == str(2 * 9000 - 2)
    assert {row["feature"] for row in rows if row["level"] == "point"} >= {"start_codon", "stop_codon"}
    assert {row["stage"] for row in rows} == {"1", "2"} and "tss_measured" in {row["feature"] for row in rows}
    assert "there is no sequence to look for (first: tss lost at else:5-5-)" in result.stderr
    assert "stage 2: cuts" in result.stderr
    kept = EvaluationResult.load(tmp_path / "r.json")
    assert (kept.name, kept.model["sha256"]) == ("boundaries", find_model(str(tiny_model)).sha256)
    assert kept.settings["genome"] == "phage" and kept.settings["regions"] == REGION and kept.settings["seed"] == 1
    assert set(kept.settings["inputs_sha256"]) == {"lambda.fa", "genes.bed", "tss.tsv"}
    assert len(kept.rows) == len(rows) and any("shuffle" in note for note in kept.notes)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["rows"], summary["bases"], summary["left_out"]) == (len(rows), 18_000, 1)


def test_chunks_that_were_kept_give_the_same_rows(call: Call, tmp_path: Path) -> None:
    whole = call("-r", REGION, "--no-version", "--scores", "s", "--json", "whole.json")
    assert whole.exit_code == 0, whole.stderr
    (kept,) = (tmp_path / "s").iterdir()
    made = kept.stat().st_mtime_ns
    again = call("-r", REGION, "--no-version", "--scores", "s", "--resume", "--json", "again.json", "-v")
    assert again.stdout == whole.stdout and "chunks read from" in again.stderr
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    from_bed = call("--no-version", "--chunks", kept, "--json", "bed.json")
    assert data_rows(from_bed.stdout) == data_rows(whole.stdout)
    model = EvaluationResult.load(tmp_path / "bed.json").model
    assert model["sha256"] == EvaluationResult.load(tmp_path / "whole.json").model["sha256"]
    assert kept.stat().st_mtime_ns == made
    other = call("-r", f"{CONTIG}:1-5000", "--scores", "s", "--resume")  # nothing is taken over
    assert other.exit_code == 0 and len(list((tmp_path / "s").iterdir())) == 2
    part = call("--chunks", kept, "-r", f"{CONTIG}:2001-6000", "-o", "part.parquet")
    assert part.exit_code == 0, part.stderr
    assert pq.read_table(tmp_path / "part.parquet").to_pylist()[0]["num_candidates"] == 2 * 4000 - 2
    lines = gzip.decompress(kept.read_bytes()).splitlines(keepends=True)
    for spoilt in (b"##dnahnet_model=other\n" + b"".join(lines[1:]), b"".join(lines[:-1]), b"x\n"):
        kept.write_bytes(gzip.compress(spoilt))
        made = kept.stat().st_mtime_ns
        remade = call("-r", REGION, "--no-version", "--scores", "s", "--resume")
        assert remade.stdout == whole.stdout and kept.stat().st_mtime_ns != made


def test_windows_are_drawn_by_the_seed(call: Call) -> None:
    regions = []
    for seed in ("1", "1", "2"):
        result = call("--windows", "2", "--window-bp", "1500", "--seed", seed)
        assert result.exit_code == 0, result.stderr
        (line,) = (text for text in result.stdout.splitlines() if text.startswith("##dnahnet_regions"))
        regions.append(line)
    assert regions[0] == regions[1] != regions[2] and regions[0].count(CONTIG) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--resume"], 2, "--scores"),
        (["--chunks", "x.bed", "--scores", "s"], 2, "give one of the two"),
        (["--windows", "2", "-r", REGION], 2, "give one of the two"),
        (["--windows", "2", "--window-bp", "40000"], 2, "find no place"),
        (["--chunks", "x.bed"], 1, "x.bed does not exist"),
        (["--chunks", "genes.bed"], 1, "stage 'g190'"),
        (["--sites", "-"], 2, "not from standard input"),
        (["--sites", "lost.tsv"], 1, "none of 1 sites is on this genome"),
        (["--genes", "none.gff"], 1, "none.gff does not exist"),
        (["-r", REGION, "-o", "r.xlsx"], 2, "unknown suffix"),
        (["-r", REGION, "-o", "genes.bed"], 2, "unknown suffix"),
        (["-r", REGION, "--json", "genes.bed"], 2, "is also an input"),
    ],
)
def test_errors(call: Call, arguments: list[str], code: int, says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code, result.stderr
    assert says in result.stderr and "Traceback" not in result.stderr and result.stdout == ""


def test_boundaries_with_features(call: Call, run: Run, tmp_path: Path) -> None:
    region = ["-r", f"{CONTIG}:1-3000"]
    table = ["--features", "genes.bed", "--features-output", "rates.tsv"]
    result = run("boundaries", LAMBDA, *region, *table, "--stage", "2")
    assert result.returncode == 0, result.stderr
    assert {line.split("\t")[3] for line in result.stdout.splitlines() if not line.startswith("#")} == {"stage2"}
    rows = data_rows((tmp_path / "rates.tsv").read_text())
    expected = data_rows(call(*region, "--draws", "1000", "--permutations", "1000").stdout)
    assert rows == expected and {row["stage"] for row in rows} == {"1", "2"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--features", "genes.bed"], "give both"),
        (["--features-output", "rates.tsv"], "give both"),
        (["--features", "genes.bed", "--features-output", "rates.txt"], "unknown suffix"),
    ],
)
def test_features_and_their_output_belong_together(
    call: Call, tiny_model: Path, arguments: list[str], says: str
) -> None:
    result = CliRunner().invoke(app, ["boundaries", str(LAMBDA), "--model", str(tiny_model), "-t", "1", *arguments])
    assert result.exit_code == 2 and result.stdout == "" and says in result.stderr
