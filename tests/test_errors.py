"""Messages may hold pieces of a stranger's file: they stay short, and cannot command a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import InputError, presentable


@given(st.lists(st.text() | st.text("ab \x1b", min_size=500)).map("\n".join))
def test_any_text_is_printable_and_every_line_short(text: str) -> None:
    shown = presentable(text)
    assert shown.replace("\n", "").isprintable()
    assert max(map(len, shown.split("\n"))) <= 1000 and shown.count("\n") == text.count("\n")
    assert presentable(shown) == shown


def test_what_needs_no_change_stays() -> None:
    text = "c1:5: REF is é, the genome has 'Ä' <here>\nand " + "x" * 300
    assert presentable(text) == text == str(InputError(text))


def test_escapes_of_a_file_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "c1\x1b[2J\x07\u202e"
    assert str(InputError(name)) == "c1\\x1b[2J\\x07\\u202e"
    Reporter().note(f"first: {name}")
    assert capsys.readouterr().err == "first: c1\\x1b[2J\\x07\\u202e\n"
    assert presentable("A" * 400 + " ") == "A" * 160 + "..." + "A" * 80 + " "
