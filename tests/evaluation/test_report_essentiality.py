"""The section on essential genes: sentences follow the figures, and the picture is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnahnet_cli.evaluation.report.essentiality import section
from dnahnet_cli.evaluation.results import EvaluationResult
from tests.evaluation.test_essentiality import rows_of, scores_of

PNG = b"\x89PNG\r\n\x1a\n"


def result_of(*made: Any, **settings: Any) -> EvaluationResult:
    result = EvaluationResult("essentiality", {"name": "m", "sha256": "0" * 64}, settings, rows_of(*made))
    return EvaluationResult.from_json(result.to_json())


def test_sentences_table_and_picture(tmp_path: Path) -> None:
    made = [scores_of("a", 1, tie=2.5, size=200), scores_of("b", 2, tie=2.5, size=200, sets=("consensus", "keio"))]
    result = result_of(*made, genes=150)
    images = tmp_path / "images"
    images.mkdir()
    text = section(result, images)
    assert text.startswith("## Essential genes\n") and "2 organisms, 3 sets of labels" in text
    assert "150 genes were drawn" in text
    (mean,) = (row for row in result.rows if row["level"] == "mean" and row["score"] == "bits")
    (line,) = (line for line in text.splitlines() if line.startswith("- Bits per base"))
    assert f"{mean['auroc']:.3f}" in line and "beats gene length" in line and f"{mean['vs_length']:.3f}" in line
    assert "| b | **consensus** |" in text and "| b | keio |" in text
    assert "![" in text and "(images/essentiality.png)" in text
    assert (images / "essentiality.png").read_bytes().startswith(PNG)
    before = (images / "essentiality.png").read_bytes()
    assert section(result, images) == text and (images / "essentiality.png").read_bytes() == before


@pytest.mark.parametrize(
    ("tie", "words"), [(-3.0, "is behind gene length"), (0.0, "shows no difference beyond chance from gene length")]
)
def test_unfavourable_figures_are_said(tmp_path: Path, tie: float, words: str) -> None:
    (line,) = (
        line
        for line in section(result_of(scores_of("a", 5, tie=tie, size=200)), tmp_path).splitlines()
        if line.startswith("- Bits per base")
    )
    assert words in line


def test_a_small_p_that_does_not_last_is_said(tmp_path: Path) -> None:
    result = result_of(scores_of("a", 1, tie=2.5, size=200))
    (row,) = (row for row in result.rows if row["level"] == "mean" and row["score"] == "bits")
    row["vs_length_p_adjusted"] = 0.2  # type: ignore[index]
    assert "not once it is corrected for several tests" in section(result, tmp_path)
    row["vs_length_p_adjusted"] = 0.01  # type: ignore[index]
    text = section(result, tmp_path)
    (line,) = (line for line in text.splitlines() if line.startswith("- Bits per base"))
    assert "adjusted p = 0.010." in line


def test_an_organism_without_enough_labels(tmp_path: Path) -> None:
    text = section(result_of(scores_of("a", 1, share=0.0)), tmp_path)
    assert "No organism has enough genes" in text and "a (labels) has no essential among 80 genes" in text
    assert not list(tmp_path.iterdir())
