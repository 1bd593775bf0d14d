"""Two processes, as torchrun starts them, train what one process trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dnahnet_cli.training.checkpoint import load_checkpoint
from dnahnet_cli.training.corpus import read_corpus
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.packed import Corpus, Genome
from dnahnet_cli.training.parts import write_parts
from dnahnet_cli.training.processes import Processes, processes
from tests.conftest import random_codes
from tests.training.genomes import write_fasta
from tests.training.runs import HELD, REPRODUCIBLE, N, config_of, rows, trainer
from tests.training.two_processes import SHARED, begin

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run_twice(arguments: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [*TORCHRUN, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def assert_trained_alike(folder: Path, alone: Trainer) -> None:
    """Compare parameters by how far training has moved them: sums in another order differ in their last digits."""
    begun = dict(trainer(folder, alone.config, corpus=alone.corpus).model.named_parameters())
    (latest,) = folder.glob("checkpoint-*")
    tensors = load_checkpoint(latest).tensors
    for name, parameter in alone.model.named_parameters():
        moved = float((parameter - begun[name]).detach().norm())
        assert moved > 0 or parameter.numel() == 0, name
        assert float((parameter - tensors[f"model.{name}"]).detach().norm()) <= 0.01 * moved, name


def assert_same_curve(folder: Path, alone: Path, columns: Sequence[str]) -> None:
    for one, other in zip(rows(folder), rows(alone), strict=True):
        for column in columns:
            if other[column]:
                assert float(one[column]) == pytest.approx(float(other[column]), rel=1e-3, abs=2e-4), column


def test_one_process_is_enough() -> None:
    with processes("cpu") as group:
        assert group == Processes(0, 1, "cpu") and group.first
        assert group.total(torch.tensor(3.0)) == 3.0
        assert (group.agreed(0.25), group.agreed_names(["a"])) == (0.25, ["a"])
        group.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two part files, of which the first has arrived, and what two processes made of them."""
    path = tmp_path_factory.mktemp("two")
    genomes = []
    for seed, name in enumerate(("One", "Two")):
        codes = random_codes(8000, seed)
        codes[seed::37] = N  # no two windows have the same number of targets
        codes[3000:3400] = N
        genomes.append(Genome(name, name, [codes]))
    assert len(write_parts(Corpus(tuple(genomes), (HELD,)), path / "packed", 12_000)) == 2
    (path / "parts").mkdir()
    shutil.copy(path / "packed" / "part-001.safetensors", path / "parts")
    shutil.copytree(path, path / "alone")
    result = run_twice([ROOT / "tests" / "training" / "two_processes.py", path], path)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, object]]:
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def test_processes_know_one_another(ranks: list[dict[str, object]]) -> None:
    for rank, facts in enumerate(ranks):
        assert (facts["rank"], facts["size"], facts["first"]) == (rank, 2, rank == 0)
        assert facts["total"] == [2.0, 10.0]
        assert facts["agreed"] == 0.1 and facts["names"] == ["a", "b"]


def test_processes_stay_together(ranks: list[dict[str, object]]) -> None:
    """In their parameters to the last bit, in when they pause, and in which genomes they know."""
    first, second = ranks
    assert first["paused"] and second["paused"] and first["paused at"] == second["paused at"] == 5
    assert first["parameters"] == second["parameters"] and first["heldout"] == second["heldout"]
    assert sorted(first["genomes"]) == sorted(second["genomes"]) == ["One", "Two"]  # type: ignore[arg-type, call-overload]


def test_two_processes_train_what_one_trains(folder: Path) -> None:
    """Windows shared out unevenly and with unequal numbers of targets, in parts, with a pause: the same network."""
    alone = begin(folder / "alone", replace(SHARED, micro_tokens=10_000))
    alone.run()
    # F, G and ratio loss are means over the processes, each over its own windows.
    assert_same_curve(folder / "run", folder / "alone" / "run", ["step", "bases", "bits", "gradient_norm"])
    assert_trained_alike(folder / "run", alone)
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["checkpoint-00000008", "curve.csv", "stable"]


def test_the_command_runs_under_torchrun(tmp_path: Path) -> None:
    """With the ratio losses: a process's share of a step is then what one process computes at once."""
    for seed, name in enumerate(("Vibrio_a", "Bacillus_b")):
        write_fasta(tmp_path / f"{name}.fa", random_codes(9000, seed))
    arguments = ["--preset", "tiny", "--steps", "4", "--tokens-per-step", "256", "--length", "128"]
    arguments += ["--final-length", "128", "--dtype", "float32", "-t", "1", "--markov-order", "0"]
    result = run_twice(
        ["-m", "dnahnet_cli", "train", "Vibrio_a.fa", "--heldout", "Bacillus_b.fa", *arguments], tmp_path
    )
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["steps"] == 4
    assert result.stderr.count("168,188 parameters") == 1 and "2 processes" in result.stderr
    assert len(rows(tmp_path / "run")) == 3  # before the decay, in it, and the evaluation
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-00000004", "curve.csv", "curve.png", "model.json", "model.safetensors", "stable"
    ]  # fmt: skip
    config = replace(config_of(tmp_path / "run"), micro_tokens=128)
    corpus = read_corpus([tmp_path / "Vibrio_a.fa"], [str(tmp_path / "Bacillus_b.fa")])
    alone = trainer(tmp_path / "alone", config, corpus=corpus)
    alone.run()
    assert_same_curve(tmp_path / "run", tmp_path / "alone", REPRODUCIBLE)
    assert_trained_alike(tmp_path / "run", alone)
