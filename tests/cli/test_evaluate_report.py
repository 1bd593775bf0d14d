"""evaluate report: from the JSON of a real run to a page, and refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.evaluation.results import EvaluationResult
from tests.cli.conftest import Run
from tests.evaluation.assays import write_assay, write_variants
from tests.evaluation.test_report_fitness import made_up


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", "report", *map(str, arguments)])


def test_from_a_run_to_a_page(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    write_assay(tmp_path / "one", 1, 12)
    write_variants(tmp_path / "dna", 2, 12)
    (tmp_path / "page").mkdir()
    for name in ("one", "dna"):
        arguments = ("--draws", "50", "--suffix", "16", "--json", f"{name}.json", "-o", "t.tsv")
        assert run("evaluate", "fitness", name, *arguments).returncode == 0
    made = run(
        *("evaluate", "report", "one.json", "dna.json", "-o", "page/r.md", "--model", tiny_model),
        model=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout == "" and "2 results" in made.stderr
    text = (tmp_path / "page" / "r.md").read_text()
    assert "## Fitness of protein mutants: one\n" in text and "## Measured variants of DNA: dna\n" in text
    assert EvaluationResult.load(tmp_path / "one.json").model["sha256"] in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / "page" / line.partition("](")[2].rstrip(")")).is_file()
    again = run("evaluate", "report", "dna.json", "one.json", "-o", "page/s.md", "-q", model=False)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (tmp_path / "page" / "s.md").read_text() == text  # the order given does not matter, nor does the card here


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = made_up(0.3, 0.2)
    first.save("a.json")
    first.save("b.json")
    fields = json.loads(first.to_json())
    Path("model.json").write_text(json.dumps({**fields, "model": {"name": "n", "sha256": "cd" * 32}}))
    Path("taste.json").write_text(json.dumps({**fields, "name": "taste"}))
    Path("old.json").write_text(json.dumps({**fields, "rows": [{"level": "assay"}]}))
    Path("text.json").write_text("no")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["a.json"], 2, "--output"),
        (["a.json", "-o", "-"], 2, "not standard output"),
        (["a.json", "a.json", "-o", "r.md"], 2, "a.json is given twice"),
        (["a.json", "b.json", "-o", "r.md"], 1, "a.json and b.json are both fitness of the same input"),
        (["a.json", "model.json", "-o", "r.md"], 1, "model.json is of another model than a.json"),
        (["taste.json", "-o", "r.md"], 1, "has no section"),
        (["old.json", "-o", "r.md"], 1, "old.json lacks"),
        (["text.json", "-o", "r.md"], 1, "is not JSON"),
        (["none.json", "-o", "r.md"], 1, "cannot be read"),
        (["a.json", "-o", "nowhere/r.md"], 1, "does not exist"),
        (["a.json", "-o", "a.json"], 2, "is also an input"),
        (["a.json", "-o", "r.md", "--model", "none"], 1, "no model named"),
        (["a.json", "-o", "r.md", "--model", "dnahnet-small"], 1, "is not the model of the results"),
    ],
)
def test_refusals(results: None, arguments: list[str], code: int, says: str) -> None:
    result = report(*arguments)
    assert result.exit_code == code
    assert says in result.stderr.replace("\n", " ") and "Traceback" not in result.stderr
    assert result.stdout == "" and not Path("r.md").exists() and not Path("images").exists()
