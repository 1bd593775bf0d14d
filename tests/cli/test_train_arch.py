"""train --arch: rivals are trained, scored with, and told apart, like dnaHNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.cli.options import Architecture
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.training import hardware
from tests.conftest import random_codes
from tests.training.genomes import write_fasta

OPTIONS = [
    "a.fa", "Held_b.fa", "--heldout", "Held_b", "--preset", "tiny", "--steps", "3", "--tokens-per-step", "256",
    "--length", "128", "--final-length", "256", "-t", "1", "--dtype", "float32", "--markov-order", "0",
]  # fmt: skip


@pytest.fixture(autouse=True)
def genomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "matmul_ceiling", lambda *arguments: 1e11)
    write_fasta(tmp_path / "a.fa", random_codes(9000, 0))
    write_fasta(tmp_path / "Held_b.fa", random_codes(40_000, 1))
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_names_are_those_of_the_architectures() -> None:
    assert list(get_args(Architecture)) == list(PRESETS)


@pytest.mark.parametrize("arch", PRESETS)
def test_every_architecture_is_trained_and_scores(arch: str) -> None:
    result = call("train", *OPTIONS, "--arch", arch, "-o", "run")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    has_stages = PRESETS[arch]["tiny"].num_stages > 0
    assert 1.9 < summary["heldout_bits_per_base"]["network"]["mean"] < 2.5 and summary["flops"] > 0
    assert bool(summary["boundaries"]) == has_stages
    assert json.loads(Path("run/model.json").read_text())["config"]["arch"] == arch
    scored = call("score", "a.fa", "--model", "run/model.safetensors", "-r", "c0:1-500", "-t", "1", "-q")
    assert scored.exit_code == 0, scored.output
    assert len([line for line in scored.stdout.splitlines() if not line.startswith("#")]) > 1
    cut = call("boundaries", "a.fa", "--model", "run/model.safetensors", "-r", "c0:1-500", "-t", "1", "-q")
    assert cut.exit_code == (0 if has_stages else 2), cut.output
    assert has_stages or f"is a {arch}, which makes no chunks" in cut.stderr


def test_a_checkpoint_of_another_architecture_is_refused() -> None:
    assert call("train", *OPTIONS, "--arch", "mamba2", "-o", "run").exit_code == 0
    result = call("train", *OPTIONS, "--arch", "transformer", "-o", "run", "--resume")
    assert result.exit_code == 1
    assert "give the --arch (mamba2) and --preset that it was begun with" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--arch", "fixed-stride", "--preset", "tiny-flops"],
            "expected one of tiny, small, small-hyena, small-deep, base",
        ),
        (["--arch", "transformer", "--preset", "large"], "tiny-flops, small-flops, base-flops"),
        (["--arch", "rnn"], "'rnn' is not one of"),
    ],
)
def test_other_names_are_usage_errors(arguments: list[str], says: str) -> None:
    result = call("train", *OPTIONS, *arguments, "-o", "run")
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
