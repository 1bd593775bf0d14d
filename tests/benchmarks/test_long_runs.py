"""benchmarks/long_runs.py, cut short: memory does not grow with the number of variants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "long_runs.py"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_variants(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--only", "tsv", "--many", "40000", "--folder", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    kept = json.loads(result.stdout.splitlines()[-1])
    assert [run["size"] for run in kept["runs"]] == [10_000, 40_000]
    assert kept["grown"]["score-variants, tsv"] < 1.1
