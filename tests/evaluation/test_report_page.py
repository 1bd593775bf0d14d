"""The page: one model, a fixed order, the same bytes, and clear refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.report import page
from dnahnet_cli.evaluation.report.page import check, write_page
from dnahnet_cli.evaluation.results import EvaluationResult
from tests.evaluation.test_report_fitness import made_up


def of_genome(name: str, genome: str, rows: list[dict[str, Any]] | None = None) -> EvaluationResult:
    first = made_up(0.3, 0.2)
    return EvaluationResult(name, first.model, {"genome_sha256": genome * 64, "seed": 1}, rows or [{"x": genome}], [])


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every section but that on fitness say and draw its genome."""

    def section(result: EvaluationResult, images: Path) -> str:
        (images / "rates.png").write_text(str(result.rows[0]["x"]))
        return f"## {result.name} of {result.rows[0]['x']}\n\n![Rates]({images.name}/rates.png)\n"

    def module(name: str) -> ModuleType:
        if name.endswith(".fitness"):
            from dnahnet_cli.evaluation.report import fitness

            return fitness
        found = ModuleType(name)
        found.section = section  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(page, "import_module", module)


def test_order_and_pictures_do_not_depend_on_the_order_given(sections: None, tmp_path: Path) -> None:
    results = {
        "b2": of_genome("boundaries", "2"),
        "f": made_up(0.3, 0.2),
        "e": of_genome("essentiality", "3"),
        "b1": of_genome("boundaries", "1"),
    }
    one, pictures = write_page(results, tmp_path / "one" / "images")
    other, _ = write_page(dict(reversed(results.items())), tmp_path / "two" / "images")
    assert one == other
    headings = [line for line in one.splitlines() if line.startswith("#")]
    assert headings[:6] == [
        *("# Results", "## Answers", "## Fitness of protein mutants", "### Among published models"),
        *("## essentiality of 3", "## boundaries of 1"),
    ]
    assert headings[-5] == "## How the figures were made"
    assert pictures == sorted(path.name for path in (tmp_path / "one" / "images").iterdir())
    for name in pictures:
        assert one.count(f"](images/{name})") == 1
        assert (tmp_path / "one" / "images" / name).read_bytes() == (tmp_path / "two" / "images" / name).read_bytes()
    by_heading = {text.splitlines()[0]: text for text in one.split("\n## ")}
    for heading, genome in (("boundaries of 1", "1"), ("boundaries of 2", "2"), ("essentiality of 3", "3")):
        name = by_heading[heading].partition("](images/")[2].partition(")")[0]
        assert (tmp_path / "one" / "images" / name).read_text() == genome


def test_the_head_names_the_model_and_its_bits(tmp_path: Path) -> None:
    results = {"f": made_up(0.3, 0.2, parameters=2_154_584)}
    card = {"heldout_bits_per_base": {"network": {"mean": 1.9}, "markov9": {"mean": 1.98}, "measured_on": "windows"}}
    text, _ = write_page(results, tmp_path / "images", card)
    assert "**m**" in text and "ab" * 32 in text and "2,154,584 parameters" in text
    assert "1.900; an order-9 Markov model of the same genomes 1.980; guessing 2 (windows)" in text
    assert "Bits per base" not in write_page(results, tmp_path / "images")[0]
    assert "| inputs_sha256 | A_1: `111111111111` |" in text and "- A note." in text and "| seed | 1 |" in text


def test_questions_without_a_result_say_so(tmp_path: Path) -> None:
    text, _ = write_page({"f": made_up(0.3, 0.2)}, tmp_path / "images")
    (length,) = (line for line in text.splitlines() if line.startswith("- **Does it beat gene length?**"))
    assert "Not measured" in length


def test_answers_on_length(sections: None, tmp_path: Path) -> None:
    mean = {"level": "mean", "kind": "model", "score": "single", "num_averaged": 4, "auroc": 0.6, "x": "5"}
    mean |= {"vs_length": -0.1, "vs_length_low": -0.2, "vs_length_high": -0.05, "vs_length_p_adjusted": 0.004}
    rows = [mean, {**mean, "kind": "baseline", "score": "gc"}, {**mean, "score": "bits", "vs_length": None}]
    text, _ = write_page({"e": of_genome("essentiality", "5", rows)}, tmp_path / "images")
    (answer,) = (line for line in text.splitlines() if line.startswith("- **Does it beat gene length?**"))
    assert "Score `single`, 4 organisms: AUROC 0.600; it is behind length" in answer and "p = 0.004" in answer
    assert "so not beyond chance" not in answer
    text, _ = write_page(
        {"e": of_genome("essentiality", "5", [{**mean, "vs_length_p_adjusted": 0.2}])}, tmp_path / "images"
    )
    assert "p = 0.20 when adjusted for several scores, so not beyond chance then." in text
    assert "`gc`" not in answer and "`bits`" not in answer


def test_answers_on_chunking(sections: None, tmp_path: Path) -> None:
    figures = {"fold": 1.5, "fold_low": 1.4, "fold_high": 1.6, "shuffle_p": 0.002, "shuffle_q": 0.01, "x": "6"}
    start = {"stage": 2, "level": "class", "feature": "start_codon", "reading": "sense", **figures}
    point = {"stage": 2, "level": "point", "feature": "start_codon", "tolerance": 0, "num_sites": 1200, "recall": 0.4}
    point |= {"shuffle_recall": 0.6, "shuffle_recall_low": 0.55, "shuffle_recall_high": 0.65, "recall_q": 0.004}
    rows = [
        *({**start, "feature": "coding", "fold": 0.5}, start, {**start, "feature": "rna_gene", "shuffle_q": 0.3}),
        *({"stage": 2, "level": "stage", "feature": "all"}, point, {**point, "tolerance": 3}),
        {**start, "stage": 1, "shuffle_q": 0.9},
    ]
    text, _ = write_page({"b": of_genome("boundaries", "6", rows)}, tmp_path / "images")
    answer = text.partition("- **Does learned chunking")[2].partition("\n- **")[0]
    first, second = answer.split(", stage 2: ")
    assert "stage 1: 0 of 1 classes" in first
    assert "2 of 3 classes" in second and "most of all coding, sense: 0.500" in second  # halving is more than 1.5 times
    assert "A share of 0.400 of 1,200 start codons has a boundary at its very base, fewer than with random" in second
    assert "order (0.600, q = 0.004)" in second
    assert second.count("1,200") == 1


def test_what_cannot_stand_on_one_page_is_refused() -> None:
    first = made_up(0.3, 0.2)
    other_model = replace(first, model={"name": "n", "sha256": "cd" * 32}, settings={})
    for results, says in (
        ({}, "no result"),
        ({"a": first, "b": other_model}, "b is of another model than a: cdcdcdcdcdcd and abababababab"),
        ({"a": replace(first, name="taste")}, "a is the result of 'taste', which has no section"),
        ({"a": first, "b": replace(first, rows=[])}, "a and b are both fitness of the same input"),
        ({"a": replace(first, model={})}, "model.sha256 is missing"),
    ):
        with pytest.raises(InputError, match=says):
            check(results)
    check({"a": first, "b": replace(first, settings={"inputs_sha256": {"B": "2" * 64}})})


def test_rows_of_another_form_are_refused_with_the_file(tmp_path: Path) -> None:
    spoilt = replace(made_up(0.3, 0.2), rows=[{"level": "assay", "suffix": 1, "blosum62_spearman": 0.5}])
    with pytest.raises(InputError, match=r"old.json lacks what the section on fitness reads .* evaluate again"):
        write_page({"old.json": spoilt}, tmp_path / "images")
    assert not (tmp_path / "images").exists()
