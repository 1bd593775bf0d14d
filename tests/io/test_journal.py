"""The journal of an unfinished run: whatever is left of it, what it gives back is a beginning of what was put in."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError, OutputError, UsageError
from dnahnet_cli.io.journal import Journal, journal_of

MADE_BY = {"model": "tiny", "suffix": "128"}
pieces = st.lists(
    st.tuples(st.text(max_size=5), st.lists(st.floats(allow_nan=False, allow_infinity=False))), max_size=6
)


def put(output: Path, entries: list[tuple[str, list[float]]], resume: bool | None = None) -> None:
    with Journal(output, MADE_BY, resume=resume) as journal:
        for made_from, piece in entries:
            journal.append(made_from, piece)


@given(pieces, st.data())
def test_cut_off_anywhere_it_is_gone_on_with(entries: list[tuple[str, list[float]]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.tsv"
        put(output, entries)
        place = journal_of(output)
        assert place.exists() == bool(entries)
        whole = place.read_bytes() if entries else b""
        place.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        with Journal(output, MADE_BY, resume=True) as journal:
            assert journal.num_found <= len(entries)
            for number, (made_from, piece) in enumerate(entries):
                kept = journal.next(made_from)
                assert (kept is not None) == (number < journal.num_found)
                if kept is None:
                    journal.append(made_from, piece)
                else:
                    assert kept == piece
            journal.check_used()
        assert (place.read_bytes() if entries else b"") == whole


def test_a_line_that_is_not_whole_ends_it(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    put(output, [("a", [1.0]), ("b", [2.0]), ("c", [3.0])])
    lines = journal_of(output).read_bytes().splitlines(keepends=True)
    journal_of(output).write_bytes(b"".join([*lines[:2], lines[2].replace(b"2.0", b"2.5"), lines[3]]))
    with Journal(output, MADE_BY, resume=True) as journal:
        assert journal.num_found == 1 and journal.next("a") == [1.0] and journal.next("b") is None


def test_without_a_word_nothing_that_was_done_is_thrown_away(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    put(output, [("a", [1.0])])
    before = journal_of(output).read_bytes()
    with pytest.raises(UsageError, match=r"--resume goes on.*--no-resume"):
        Journal(output, MADE_BY, resume=None)
    with pytest.raises(UsageError, match="another suffix: 128, now 64"):
        Journal(output, {**MADE_BY, "suffix": "64"}, resume=True)
    with pytest.raises(UsageError, match="another null: not given, now 10"):
        Journal(output, {**MADE_BY, "null": "10"}, resume=True)
    assert journal_of(output).read_bytes() == before
    with Journal(output, MADE_BY, resume=False) as journal:
        assert journal.num_found == 0 and journal.next("a") is None
    assert not journal_of(output).exists()


def test_another_input_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    put(output, [("a", [1.0]), ("b", [2.0])])
    with Journal(output, MADE_BY, resume=True) as journal, pytest.raises(InputError, match="does not belong"):
        journal.next("b")
    with Journal(output, MADE_BY, resume=True) as journal:
        journal.next("a")
        with pytest.raises(InputError, match="ends before it does"):
            journal.check_used()


def test_one_run_at_a_time_and_it_clears_up_after_a_killed_one(tmp_path: Path) -> None:
    output = tmp_path / "out[1].tsv"
    left, other = tmp_path / ".out[1].tsv.0123abcd.tmp", tmp_path / ".out1.tsv.0123abcd.tmp"
    left.touch()
    other.touch()
    with Journal(output, MADE_BY, resume=None) as journal:
        assert not left.exists() and other.exists()
        with pytest.raises(OutputError, match="Another run"):
            Journal(output, MADE_BY, resume=None)
        journal.append("a", [])
        journal.remove()
    assert not journal_of(output).exists()


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    journal_of(output).write_text("my own notes\n")
    for resume in (None, True, False):
        with pytest.raises(UsageError, match="no journal"):
            Journal(output, MADE_BY, resume=resume)
    assert journal_of(output).read_text() == "my own notes\n"


def test_it_lies_beside_the_file_that_a_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.tsv").symlink_to(tmp_path / "there" / "out.tsv")
    assert journal_of(tmp_path / "link.tsv") == Path(os.path.realpath(tmp_path)) / "there" / "out.tsv.partial"
    assert journal_of("out.tsv") == Path("out.tsv.partial")


def test_its_lines_can_be_read_by_others(tmp_path: Path) -> None:
    put(tmp_path / "out.tsv", [("a", [0.1])])
    head, line = journal_of(tmp_path / "out.tsv").read_text().splitlines()
    assert json.loads(head.split(" ", 4)[4]) == MADE_BY
    assert json.loads(line.split(" ", 1)[1]) == ["a", [0.1]]
