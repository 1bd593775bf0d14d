"""The format that evaluations share: what is written is what is read, and nothing else is taken for it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from dnahnet_cli import __version__
from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.evaluation.results import EvaluationResult

RESULT = EvaluationResult(
    "fitness",
    {"name": "tiny", "sha256": "00"},
    {"seed": 1, "suffixes": "64,128", "inputs": {"one": "ab"}},
    [{"assay": "one", "spearman": 0.25, "auc": None}, {"assay": "zwei ä", "num_scored": 3}],
    ["A note."],
)


def test_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    RESULT.save(path)
    assert EvaluationResult.load(path) == RESULT
    assert EvaluationResult.from_json(RESULT.to_json()) == RESULT
    assert RESULT.version == __version__


def test_what_is_not_a_number_is_null() -> None:
    result = EvaluationResult("x", {}, {"nested": [math.inf]}, [{"value": math.nan}])
    fields = json.loads(result.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert fields["rows"] == [{"value": None}] and fields["settings"] == {"nested": [None]}


def test_other_texts_are_refused(tmp_path: Path) -> None:
    fields = json.loads(RESULT.to_json())
    broken = [{**fields, "rows": {}}, {**fields, "more": 1}, {k: v for k, v in fields.items() if k != "model"}]
    for text in ["", "{", "[]", "{}", json.dumps({**fields, "format": "other"}), *map(json.dumps, broken)]:
        with pytest.raises(InputError, match="the result"):
            EvaluationResult.from_json(text)
    with pytest.raises(InputError, match="cannot be read"):
        EvaluationResult.load(tmp_path / "none.json")
    with pytest.raises(OutputError):
        RESULT.save(tmp_path / "none" / "r.json")
