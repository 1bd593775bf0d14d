"""Run the real command in a real process, with a small random network so that a run takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.networks.weights import save_weights
from tests.conftest import lively_model

Run = Callable[..., subprocess.CompletedProcess[str]]
Call = Callable[..., Result]
LAMBDA = Path(__file__).resolve().parents[2] / "demo" / "lambda.fa"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_weights(lively_model(), path, {"note": "random"})
    return path


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Run:
    """Return a function that runs `dnahnet` with the small network in an empty folder."""

    def run_command(*arguments: str | Path, stdin: str = "", model: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dnahnet_cli", *map(str, arguments)]
        if model:
            command += ["--model", str(tiny_model), "-t", "1"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=120,
            check=False,
        )

    return run_command


@pytest.fixture
def call(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs `dnahnet` in this process, in an empty folder: what needs no real one is quicker."""
    monkeypatch.chdir(tmp_path)
    model = ["--model", str(tiny_model), "-t", "1"]
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), *model])


def data_rows(text: str) -> list[dict[str, str]]:
    """Parse a TSV as the command writes it."""
    lines = [line for line in text.splitlines() if not line.startswith("##")]
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
