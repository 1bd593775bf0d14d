"""`dnahnet benchmark` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.genome import decode
from tests.cli.conftest import LAMBDA, Run, data_rows
from tests.conftest import random_codes

BUDGET = f"{3 * 150e3 * 128 * 6:g}"  # six steps or so of the smallest size
SMALL = ["--tokens-per-step", "128", "--length", "64", "--heldout-windows", "6", "--heldout-length", "100"]


@pytest.fixture
def genomes(tmp_path: Path) -> list[Path]:
    paths = []
    for index, genus in enumerate(("Alpha", "Beta", "Gamma")):
        paths.append(tmp_path / f"{genus}_one.fa")
        paths[-1].write_text(f">c{index}\n{decode(random_codes(2000, index))}\n")
    return paths


@pytest.mark.parametrize("member", ["forward", "scaling", "tool"])
def test_every_member_has_help_with_examples(run: Run, member: str) -> None:
    result = run("benchmark", member, "--help", model=False)
    assert result.returncode == 0 and "Examples:" in result.stdout and f"dnahnet benchmark {member}" in result.stdout


def test_forward_gives_a_table_a_picture_and_a_last_line_of_json(run: Run, tmp_path: Path) -> None:
    arguments = [
        "--preset",
        "tiny",
        "--arch",
        "dnahnet",
        "--arch",
        "mamba2",
        "--min-length",
        "64",
        "--max-length",
        "128",
    ]
    files = ["--save", tmp_path / "kept.json", "--picture", tmp_path / "forward.png"]
    result = run("benchmark", "forward", *arguments, *files, "--rounds", "1", "--json", "-t", "1", model=False)
    assert result.returncode == 0, result.stderr
    *table, line = result.stdout.splitlines()
    rows = data_rows("\n".join(table))
    assert [(row["length"], row["arch"]) for row in rows] == [
        ("64", "dnahnet"),
        ("64", "mamba2"),
        ("128", "dnahnet"),
        ("128", "mamba2"),
    ]
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert json.loads(line) == kept and len(kept["rows"]) == 4
    assert kept["machine"]["threads"] == 1 and kept["machine"]["device"] and kept["ceilings"]["matmul_flops"] > 0
    assert (tmp_path / "forward.png").read_bytes().startswith(b"\x89PNG")


def test_a_ladder_is_climbed_reported_and_not_climbed_again(run: Run, genomes: list[Path], tmp_path: Path) -> None:
    command = ["benchmark", "scaling", *genomes, "--heldout", "Gamma_one", "--runs", "ladder", "--rung", f"{BUDGET}:2",
               "--arch", "dnahnet", "--arch", "transformer", "--save", "scaling.json", *SMALL]  # fmt: skip
    planned = run(*command, "--dry-run", model=False)
    assert planned.returncode == 0 and len(planned.stdout.splitlines()) == 4
    assert sorted(path.name for path in (tmp_path / "ladder").iterdir()) == []
    first = run(*command, "-t", "1", model=False)
    assert first.returncode == 0, first.stderr
    rows = data_rows(first.stdout)
    assert [(row["level"], row["arch"]) for row in rows] == [
        ("point", "dnahnet"),
        ("point", "transformer"),
        ("comparison", "transformer"),
    ]
    runs = sorted((tmp_path / "ladder").iterdir())
    assert len(runs) == 4
    stamps = [path.stat().st_mtime_ns for path in runs]
    again = run(*command, "--json", "--picture", "ladder.png", "-t", "1", model=False)
    assert again.returncode == 0 and [path.stat().st_mtime_ns for path in runs] == stamps
    *table, line = again.stdout.splitlines()
    assert "\n".join(table) + "\n" == first.stdout
    kept = EvaluationResult.load(tmp_path / "scaling.json")
    assert json.loads(line)["rows"] == json.loads(kept.to_json())["rows"]
    assert kept.name == "scaling" and kept.settings["runs"] == 4 and "not tuned" in " ".join(kept.notes)
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")


def test_learning_rates_are_swept(run: Run, genomes: list[Path], tmp_path: Path) -> None:
    result = run("benchmark", "scaling", *genomes, "--heldout", "Gamma_one", "--runs", "ladder", "--rung", BUDGET,
                 "--arch", "mamba2", "--learning-rates", "1e-3,1e-2", *SMALL, "-t", "1", model=False)  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    sweep = {row["learning_rate"]: row for row in rows if row["level"] == "sweep"}
    best = min(sweep, key=lambda rate: float(sweep[rate]["bits"]))
    assert len(sweep) == 2 and [rate for rate in sweep if sweep[rate]["chosen"] == "true"] == [best]
    assert next(row for row in rows if row["level"] == "point")["learning_rate"] == best


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["forward", "--max-length", "1000"], "powers of two"),
        (["forward", "--preset", "huge"], "--preset huge"),
        (["forward", "--arch", "rwkv"], "'rwkv'"),
        (["forward", "--save", "nowhere/x.json"], "nowhere"),
        (["scaling", "a.fa", "--runs", "r", "--rung", "1e12:x"], "1e12:x"),
        (["scaling", "a.fa", "--runs", "r", "--learning-rate", "mamba=1e-3"], "mamba"),
        (["scaling", "a.fa", "--runs", "r", "--learning-rate", "-1"], "above 0"),
        (["scaling", "a.fa", "--runs", "r", "--learning-rate", "1", "--learning-rates", "1,2"], "one of them"),
        (["scaling", "a.fa", "--runs", "r"], "a.fa"),
        (["tool", "a.fa", "--only", "xyz"], "xyz"),
        (["tool", "a.fa"], "a.fa"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(run: Run, arguments: list[str], says: str) -> None:
    result = run("benchmark", *arguments, model=False)
    assert result.returncode in (1, 2) and result.stdout == ""
    assert says in result.stderr and "Traceback" not in result.stderr and len(result.stderr.splitlines()) <= 2


def test_the_tool_is_timed(run: Run, tmp_path: Path) -> None:
    result = run("benchmark", "tool", LAMBDA, "--scale", "0.0005", "--only", "bc", "--save", "tool.json", "--json")
    assert result.returncode == 0, result.stderr
    *table, line = result.stdout.splitlines()
    rows = data_rows("\n".join(table))
    assert [(row["yardstick"], row["status"]) for row in rows] == [("b", "ok"), ("c", "ok")]
    assert all(float(row["seconds"]) > 0 and int(row["memory_bytes"]) > 1 << 20 for row in rows)
    assert json.loads(line) == json.loads((tmp_path / "tool.json").read_text())
