"""The page of malformed input says what the commands say, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bad_input import PAGE, SECTIONS, Case, outcome, row

CASES = [pytest.param(case, id=f"{section}: {case.what}") for section, cases in SECTIONS.items() for case in cases]


@pytest.mark.parametrize("case", CASES)
def test_the_page_says_what_happens(case: Case, tmp_path: Path) -> None:
    code, said = outcome(case, tmp_path)
    assert code == case.code, said
    assert said and "internal error" not in said and "Traceback" not in said
    assert said.count("\n") <= 1 and len(said) < 400
    assert row(case, code, said) in PAGE.read_text().splitlines(), (
        f"{row(case, code, said)}\nis not on the page: python -m tests.cli.bad_input writes it anew"
    )


def test_every_row_of_the_page_is_a_case() -> None:
    rows = [line.split(" | ")[0] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    headings = sum(line.startswith("## ") for line in PAGE.read_text().splitlines())
    assert headings == len(SECTIONS)
    assert [r for r in rows if r != "| input"] == [f"| {case.what}" for cases in SECTIONS.values() for case in cases]
