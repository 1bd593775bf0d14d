"""The section on boundaries: sentences follow the figures, pictures are there, nothing breaks on what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnahnet_cli.evaluation.boundaries import boundary_rows
from dnahnet_cli.evaluation.report.boundaries import section
from dnahnet_cli.evaluation.results import EvaluationResult
from tests.evaluation.test_boundaries import FEATURES, FLAT, GENOME, OPTIONS, cuts_of


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    rows = boundary_rows(cuts_of(FLAT), GENOME, FEATURES, OPTIONS)
    settings = {
        "genome": "A. genome",
        "genes": "genes.gff",
        "regions": "c:1-9000,c:11001-20000",
        "windows": 2,
        "seed": 1,
    }
    made = EvaluationResult("boundaries", {"name": "m", "sha256": "0" * 64}, settings, rows)
    return EvaluationResult.from_json(made.to_json())


def changed(result: EvaluationResult, feature: str, **cells: Any) -> EvaluationResult:
    wanted = {"feature": feature, "stage": 1, "level": "class", "reading": "sense"}
    rows = [
        {**row, **cells} if all(row.get(key) == value for key, value in wanted.items()) else row for row in result.rows
    ]
    return replace(result, rows=rows)


def test_nothing_beyond_chance_is_said_so(result: EvaluationResult, tmp_path: Path) -> None:
    text = section(result, tmp_path)
    assert text.startswith("## Where it cuts: A. genome\n") and "2 random windows (seed 1)" in text
    assert "Stage 1 cuts no class of bases more or less often than random chunkers do, beyond chance." in text
    for name in ("fold", "recall"):
        picture = tmp_path / f"boundaries-a-genome-{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG") and f"({tmp_path.name}/{picture.name})" in text
    assert "58.4 %" in text and "81.3 %" in text  # the paper's
    assert all(line.startswith("| ") for line in text.splitlines() if "|" in line)


@pytest.mark.parametrize(
    ("fold", "kmer", "says"),
    [
        (2.0, (0.9, 1.1), ("more often than both random chunkers in start codon (2.00)", "Of these 1, 0 remain")),
        (2.0, (1.2, 1.4), ("more often", "Of these 1, 1 remain")),
        (0.5, (1.2, 1.4), ("less often than both random chunkers in start codon (0.50)", "Of these 1, 0 remain")),
        (0.5, (0.7, 0.8), ("less often", "Of these 1, 1 remain")),
    ],
)
def test_sentences_follow_the_figures(
    result: EvaluationResult, tmp_path: Path, fold: float, kmer: tuple[float, float], says: tuple[str, str]
) -> None:
    low, high = kmer
    cells = {"fold": fold, "kmer_fold_low": low, "kmer_fold_high": high, "shift_q": 0.01}
    text = section(changed(result, "start_codon", **cells, shuffle_q=0.01), tmp_path)
    assert all(part in text for part in says)
    text = section(changed(result, "start_codon", **cells, shuffle_q=0.2), tmp_path)  # one of the two is not enough
    assert "Stage 1 cuts no class of bases" in text


def test_without_any_class(result: EvaluationResult, tmp_path: Path) -> None:
    rows = [row for row in result.rows if row["level"] == "stage"]
    assert "No class of bases has a rate." in section(replace(result, rows=rows), tmp_path)
    assert not list(tmp_path.iterdir())
