"""The published page is what the kept results say, and both are of the weights that are bundled."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnahnet_cli.cli.options import DEFAULT_MODEL
from dnahnet_cli.evaluation.report.page import write_page
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.networks.weights import find_model

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_that_of_the_bundled_weights(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = find_model(DEFAULT_MODEL)
    results = {path.name: EvaluationResult.load(path) for path in sorted((DOCS / "results").glob("*.json"))}
    of_models = {name: result for name, result in results.items() if result.model}  # the ladder is of none
    stale = [name for name, result in of_models.items() if result.model["sha256"] != model.sha256]
    assert not stale, "other weights: make results DATA=... (docs/how-to.md)"
    assert {result.name for result in results.values()} == {
        "boundaries", "calibration", "compression", "essentiality", "fitness", "scaling",
    }  # fmt: skip
    page, pictures = write_page(results, tmp_path / "images", model.card)
    assert page == (DOCS / "results.md").read_text(), "make results DATA=... writes it anew from the kept scores"
    assert set(pictures) <= {path.name for path in (DOCS / "images").iterdir()}
