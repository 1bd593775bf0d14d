"""The section of the results page, with its sentences whichever way the figures come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnahnet_cli.benchmarking.scaling import analyse
from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.report.page import check, write_page
from dnahnet_cli.evaluation.report.scaling import section, verdicts
from dnahnet_cli.evaluation.results import EvaluationResult
from tests.benchmarking.ladders import made_up
from tests.evaluation.test_report_fitness import made_up as fitness_made_up

SHIFTS = {"dnahnet": 0.0, "fixed-stride": -0.01, "random-chunks": 0.005, "transformer": 0.02, "mamba2": 0.0}


def result() -> EvaluationResult:
    runs = [
        made_up(arch, shift * (1 + rung), budget=10.0 ** (12 + rung), noise=0.01 if arch == "mamba2" else 0.0)
        for arch, shift in SHIFTS.items()
        for rung in range(2)
    ]
    settings = {"heldout_genomes": list("abcde"), "runs_left_out": 1}
    text = EvaluationResult("scaling", {}, settings, analyse(runs, draws=300), ["A note on the ladder."]).to_json()
    return EvaluationResult.from_json(text)


def test_the_verdicts_follow_the_figures() -> None:
    lines = dict(zip(("fixed-stride", "random-chunks", "transformer", "mamba2"), verdicts(result()), strict=True))
    assert lines["fixed-stride"].startswith("At 1e13 FLOPs learned chunking is behind dnaHNet, fixed stride: -0.0200")
    assert lines["fixed-stride"].endswith("before, at 1e12 -0.0100.")
    assert "beats dnaHNet, random chunks: 0.0100 (0.0100 to 0.0100)" in lines["random-chunks"]
    assert "beats Transformer++: 0.0400" in lines["transformer"]
    assert "shows no difference beyond chance from Mamba-2" in lines["mamba2"]


def test_the_section_has_tables_and_a_picture(tmp_path: Path) -> None:
    text = section(result(), tmp_path)
    assert (tmp_path / "scaling.png").stat().st_size > 1000 and f"]({tmp_path.name}/scaling.png)" in text
    assert text.startswith("## Equal training operations") and "Not made: 1 run of the plan." in text
    assert text.count("\n| 1e12 |") == len(SHIFTS) + len(SHIFTS) - 1
    assert "| StripedHyena 2 |" not in text and "a line, since so few rungs carry no floor" in text
    empty = EvaluationResult("scaling", {}, {}, [])
    assert "nothing is compared" in section(empty, tmp_path) and list(verdicts(empty)) == []


def test_the_page_takes_it_beside_a_model_and_asks_only_then(tmp_path: Path) -> None:
    model = fitness_made_up(0.3, 0.2)
    question = "Trained with equal operations, does it beat its rivals?"
    page, pictures = write_page({"f": model, "s": result()}, tmp_path / "images")
    assert question in page and "## Equal training operations" in page and "scaling.png" in pictures
    assert "but for those of equal training operations" in page and "- A note on the ladder." in page
    alone, _ = write_page({"f": model}, tmp_path / "images")
    assert question not in alone and "but for those" not in alone
    with pytest.raises(InputError, match="is of none"):
        check({"s": result()})
