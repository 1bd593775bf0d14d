"""boundaries: BED on standard output, sorted, complete, quiet when the pipe closes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import LAMBDA, Run


def bed(text: str) -> list[tuple[str, int, int, str, int, str]]:
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [(c, int(s), int(e), name, int(score), strand) for c, s, e, name, score, strand in rows]


def test_bed_is_sorted_and_covers_every_base(run: Run) -> None:
    region = "gi|9626243|ref|NC_001416.1|:1-9000"
    result = run("boundaries", LAMBDA, "-r", region)
    assert result.returncode == 0, result.stderr
    rows = bed(result.stdout)
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    for name in ("stage1", "stage2"):
        for strand in "+-":
            own = [row for row in rows if row[3] == name and row[5] == strand]
            assert own[0][1] == 0 and own[-1][2] == 9000
            assert all(a[2] == b[1] for a, b in itertools.pairwise(own))
    only = run("boundaries", LAMBDA, "-r", region, "--stage", "2", "--strand", "reverse")
    assert bed(only.stdout) == [row for row in rows if row[3] == "stage2" and row[5] == "-"]


def test_closed_pipe_ends_quietly(tiny_model: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m dnahnet_cli boundaries {LAMBDA} --model {tiny_model} -t 1 -q | head -n 12 | wc -l"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "12", "")


def test_bad_stage_and_region(run: Run) -> None:
    result = run("boundaries", LAMBDA, "--stage", "3")
    assert result.returncode == 2 and "2 stages" in result.stderr
    result = run("boundaries", LAMBDA, "-r", "nowhere:1-5")
    assert result.returncode == 2 and "nowhere" in result.stderr
    result = run("boundaries", "missing.fa")
    assert result.returncode == 1 and "missing.fa" in result.stderr
