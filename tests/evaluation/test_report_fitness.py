"""The section on fitness says what the figures say, whichever way they come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnahnet_cli.evaluation.report.answers import answers
from dnahnet_cli.evaluation.report.fitness import section, standing
from dnahnet_cli.evaluation.results import EvaluationResult

SHA = "ab" * 32


def cells(name: str, value: float | None, low: float, high: float) -> dict[str, Any]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def row(level: str, value: float, over: float, **more: Any) -> dict[str, Any]:
    """Return a row with a correlation and a difference of `over` to both baselines, give or take 0.1."""
    own = {"level": level, "suffix": 128, "num_mutants": 50, "num_scored": 40, "status": "ok"}
    own |= cells("spearman", value, value - 0.1, value + 0.1) | {"num_averaged": 2 if level != "assay" else None}
    for score in ("num_changes", "blosum62"):
        own |= cells(f"{score}_spearman", value - over, value - over - 0.1, value - over + 0.1)
        own |= cells(f"{score}_difference", over, over - 0.1, over + 0.1) | {f"{score}_difference_p": 0.01}
    own |= {"best_baseline": "blosum62", "difference_p": 0.01} | cells("difference", over, over - 0.1, over + 0.1)
    return own | more


def made_up(value: float, over: float, **model: Any) -> EvaluationResult:
    rows = [row("assay", value, over, assay=name, protein=name[0]) for name in ("A_1", "B_1")]
    rows.append({"level": "assay", "assay": "C_1", "protein": "C", "suffix": 128, "status": "no_dna"})
    rows[-1] |= {"num_mutants": 9, "num_scored": 0, "spearman": None}
    mean = {"peer_statistic": "spearman", "num_peers": 2, "peer_rank": 2, "peer_median": 0.3}
    rows.append(row("mean", value, over, **mean))
    for name, size, reads, figure in (("ESM2 (8M)", 8_000_000, "sequence", 0.2), ("EVE", None, "more", 0.4)):
        rows.append({"level": "peer", "suffix": 128, "peer_name": name, "peer_parameters": size, "peer_reads": reads})
        rows[-1]["spearman"] = figure
    settings = {"seed": 1, "draws": 100, "mutants": 40, "inputs_sha256": {"A_1": "1" * 64}}
    return EvaluationResult("fitness", {"name": "m", "sha256": SHA, **model}, settings, rows, ["A note."])


@pytest.mark.parametrize(
    ("over", "says"), [(0.2, "beats"), (-0.2, "is behind"), (0.05, "shows no difference beyond chance from")]
)
def test_verdicts_follow_the_interval(over: float, says: str, tmp_path: Path) -> None:
    result = made_up(0.3, over, parameters=2_000_000)
    text = section(result, tmp_path)
    for against in ("counting changed bases", "BLOSUM62"):
        sentence = (
            f"The model {says} {against}: difference {over:.3f} ({over - 0.1:.3f} to {over + 0.1:.3f}), p = 0.010."
        )
        assert sentence in text and sentence in answers([result])
    assert text.startswith("## Fitness of protein mutants\n")
    assert "80 of 109 measured variants in 3 assays" in text and "at most 40 of each assay" in text
    assert "In no mean: C_1 (no_dna)." in text


def test_where_the_model_stands(tmp_path: Path) -> None:
    lines = standing(made_up(0.3, 0.1, parameters=2_000_000))
    assert "(2.0 M parameters), absolute values: 0.300" in lines[0]
    assert "Above 2 of 2 (LOAM 0.133, ProkBERT 0.115)" in lines[1]
    assert "Above 4 of 5" in lines[2] and "Above 0 of 2 (Evo 2 0.342, Evo 1.5 0.318)" in lines[3]
    assert "above 1 of 1 (ESM2 (8M) 0.200)" in lines[4] and "above 1 of all 2" in lines[4]
    assert "above 0 of 1 (ESM2 (8M) 0.200)" in standing(made_up(-0.3, 0.1))[4]
    assert "absolute values: 0.300" in standing(made_up(-0.3, 0.1))[0]  # and says that this forgives the sign
    assert "forgives a wrong sign" in section(made_up(-0.3, 0.1), tmp_path)


def test_pictures_are_drawn_and_named(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    text = section(made_up(0.3, 0.2, parameters=2_000_000), images)
    names = {path.name for path in images.iterdir()}
    assert names == {"fitness-of-protein-mutants.png", "fitness-of-protein-mutants-peers.png"}
    assert all(f"](images/{name})" in text and (images / name).read_bytes()[:4] == b"\x89PNG" for name in names)
    before = {name: (images / name).read_bytes() for name in names}
    section(made_up(0.3, 0.2, parameters=2_000_000), images)
    assert before == {name: (images / name).read_bytes() for name in names}


def test_variants_of_dna_have_a_section_without_protein_models(tmp_path: Path) -> None:
    result = made_up(0.3, 0.2)
    rows = [
        {key: value for key, value in row.items() if not key.startswith(("blosum62", "peer"))}
        for row in result.rows
        if row["level"] != "peer" and row.get("assay") not in ("B_1", "C_1")
    ]
    rows = [{**row, "best_baseline": "num_changes", "num_averaged": 1} for row in rows]
    text = section(replace(result, rows=rows), tmp_path)
    assert text.startswith("## Measured variants of DNA: A_1\n") and "counting changed bases" in text
    assert "protein models" not in text and "BLOSUM62" not in text
    assert text.count("\n| A_1 |") == 1 and "mean over proteins" not in text  # the mean of one is itself


def test_an_assay_in_which_counting_ranks_nothing(tmp_path: Path) -> None:
    result = made_up(0.3, 0.2)
    lacking = {"num_changes_spearman": None, "num_changes_difference": None}
    rows = [{**row, **lacking} if row.get("level") != "peer" else row for row in result.rows]
    text = section(replace(result, rows=rows), tmp_path)
    assert "counting changed bases" not in text and "The model beats BLOSUM62" in text


def test_nothing_to_say(tmp_path: Path) -> None:
    result = made_up(0.3, 0.2)
    text = section(replace(result, rows=[row for row in result.rows if row.get("assay") == "C_1"]), tmp_path)
    assert "No assay has a correlation" in text and not list(tmp_path.iterdir())
