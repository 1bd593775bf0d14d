"""How figures are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.evaluation.report.words import counted, defined, number, outcome, p_value, slug, table, with_interval


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12349, 3, "0.123"),
        (-0.0001, 3, "0.000"),
        (-0.0005, 2, "0.00"),
        (-1.5, 1, "-1.5"),
        (12345, 3, "12,345"),
        (None, 3, "-"),
        (math.nan, 3, "-"),
        (True, 3, "-"),
        ("0.5", 3, "-"),
    ],
)
def test_numbers(value: Any, digits: int, text: str) -> None:
    assert number(value, digits) == text


@given(st.floats(-1e3, 1e3))
def test_a_number_is_the_figure_to_its_last_digit(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, abs=5.0001e-4)


def test_an_interval_is_shown_only_where_there_is_one() -> None:
    assert with_interval({"x": 0.5, "x_low": 0.25, "x_high": 0.75}, "x", 2) == "0.50 (0.25 to 0.75)"
    assert with_interval({"x": 0.5, "x_low": None, "x_high": 0.75}, "x", 2) == "0.50"
    assert with_interval({}, "x") == "-"


def test_p_values() -> None:
    values = [0.0004, 0.001, 0.0499, 0.0994, 0.0996, 0.5, 1.0, None, math.nan]
    assert [p_value(p) for p in values] == [
        *("p < 0.001", "p = 0.001", "p = 0.050", "p = 0.099", "p = 0.10", "p = 0.50", "p = 1.00"),
        *("p not defined", "p not defined"),
    ]


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_only_an_interval_beside_zero_is_a_difference(value: float, below: float, above: float) -> None:
    found = outcome(value, value - below, value + above)
    assert (found == "beats") == (value - below > 0)
    assert (found == "is behind") == (value + above < 0)
    assert outcome(value, None, above).startswith("cannot")


def test_tables_and_names() -> None:
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
    assert [counted(number, "assay") for number in (0, 1, 1200)] == ["0 assays", "1 assay", "1,200 assays"]
    assert p_value(0.0004, "q") == "q < 0.001"
    assert slug("Fitness of DNA: lacZ_1") == "fitness-of-dna-lacz-1"
    assert defined(0) and defined(0.0) and not defined(math.inf) and not defined(False)
