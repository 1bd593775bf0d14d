"""The curve of a run: rows that outlast a kill, and a picture."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from dnahnet_cli.errors import OutputError
from dnahnet_cli.training.curve import NAME, Curve, columns, draw
from tests.training.runs import files_limited_to

HEADER = "step,bases,minutes,bits,ratio_loss,F1,G1,F2,G2,gradient_norm,learning_rate,bases_per_s,mfu,heldout_bits"


def row(step: int, **more: object) -> dict[str, object]:
    numbers = {name: step + index / 10 for index, name in enumerate(columns(2))}
    return {**numbers, "step": step, "bases": 1000 * step, "heldout_bits": "", **more}


def curve(folder: Path, *steps: int) -> Curve:
    made = Curve(folder, 2)
    made.begin(0)
    for step in steps:
        made.add(row(step))
    return made


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def steps(folder: Path) -> list[int]:
    return [int(row["step"]) for row in read(folder)]


def test_columns_are_named_by_stage() -> None:
    assert ",".join(columns(2)) == HEADER
    assert [name for name in columns(3) if name[0] in "FG"] == ["F1", "G1", "F2", "G2", "F3", "G3"]


def test_rows_are_added_and_what_they_lack_is_empty(tmp_path: Path) -> None:
    curve(tmp_path, 5).add({"step": 6, "heldout_bits": 1.9})
    assert (tmp_path / NAME).read_text().splitlines()[0] == HEADER
    first, second = read(tmp_path)
    assert first == {name: str(value) for name, value in row(5).items()}
    assert {name: value for name, value in second.items() if value} == {"step": "6", "heldout_bits": "1.9"}


def test_a_resumed_run_forgets_what_it_makes_again(tmp_path: Path) -> None:
    before = curve(tmp_path, 5, 10, 15)
    lines = (tmp_path / NAME).read_text().splitlines()
    before.begin(10)
    assert (tmp_path / NAME).read_text().splitlines() == lines[:3]
    Curve(tmp_path, 2).begin(0)
    assert (tmp_path / NAME).read_text().splitlines() == lines[:1]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_curve_that_was_carried_goes_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    curve(tmp_path / "one", 5, 10, 15)
    Curve(tmp_path / "two", 2).begin(10, tmp_path / "one")
    assert steps(tmp_path / "two") == [5, 10]
    assert steps(tmp_path / "one") == [5, 10, 15]
    Curve(tmp_path / "one", 2).begin(5, tmp_path / "two")  # its own comes first
    assert steps(tmp_path / "one") == [5]
    Curve(tmp_path, 2).begin(5, tmp_path / "none")
    assert steps(tmp_path) == []


def test_a_run_has_one_last_row(tmp_path: Path) -> None:
    """However often it is resumed when it has ended; a row of training of the same step stays."""
    made = curve(tmp_path, 5, 10)
    for bits in (1.9, 1.8):
        made.begin(10)
        made.conclude({"step": 10, "heldout_bits": bits})
    assert [(row["step"], row["bits"] != "", row["heldout_bits"]) for row in read(tmp_path)] == [
        ("5", True, ""), ("10", True, ""), ("10", False, "1.8")
    ]  # fmt: skip
    made.conclude({"step": 20, "heldout_bits": 1.7})
    assert steps(tmp_path) == [5, 10, 10, 20]


@pytest.mark.parametrize("size", range(1, 40, 3))
def test_a_line_that_was_cut_off_is_none(tmp_path: Path, size: int) -> None:
    """Killed while it wrote the row of step 120, the file may end in a step of 12."""
    made = curve(tmp_path, 60, 120)
    *kept, last = (tmp_path / NAME).read_text().splitlines(keepends=True)
    (tmp_path / NAME).write_text("".join([*kept, last[:size]]))
    made.begin(1000)
    assert steps(tmp_path) == [60]


@pytest.mark.parametrize(
    "text", ["name,genus\nx,y\n", "step\none\n", "step,bases\n,\n", "my notes", "step,bits\n\n1.5,2\n"]
)
def test_a_file_that_is_no_curve_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(OutputError, match=r"curve\.csv: not the curve of a run"):
        Curve(tmp_path, 2).begin(5)
    assert (tmp_path / NAME).read_text() == text


def test_bytes_that_are_no_text_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OutputError, match="not the curve of a run"):
        Curve(tmp_path, 2).begin(0)


def test_an_empty_file_is_an_empty_curve(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    curve(tmp_path, 1)
    assert steps(tmp_path) == [1]


def test_a_full_disk_is_named_and_the_rows_stay(tmp_path: Path) -> None:
    made = curve(tmp_path, *range(1, 30))
    before = (tmp_path / NAME).read_text()
    with files_limited_to(len(before)), pytest.raises(OutputError, match=r"curve\.csv: cannot be written: File too"):
        made.add(row(30))
    with files_limited_to(100), pytest.raises(OutputError, match="cannot be written"):
        made.begin(20)
    assert (tmp_path / NAME).read_text() == before
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        Curve(tmp_path / "missing", 2).begin(0)


# --- the picture ---


def is_png(path: Path | None) -> bool:
    return path is not None and path.read_bytes().startswith(b"\x89PNG\r\n") and path.stat().st_size > 5000


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    made = curve(tmp_path, *range(1, 20))
    made.add({"step": 20, "bases": 20_000, "heldout_bits": 1.95})
    assert draw(tmp_path) == tmp_path / "curve.png"
    assert is_png(tmp_path / "curve.png")


@pytest.mark.parametrize("rows", [[], [{"step": 20, "bases": 20_000, "heldout_bits": 1.95}]])
def test_a_curve_without_steps_is_drawn_too(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    """A run whose budget was spent elsewhere has nothing but its evaluation."""
    made = curve(tmp_path)
    for each in rows:
        made.add(each)
    assert is_png(draw(tmp_path))


def test_a_picture_that_cannot_be_drawn_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    curve(tmp_path, *range(1, 20))
    (tmp_path / "curve.png").write_bytes(b"before")
    with files_limited_to(1000), pytest.raises(OutputError, match=r"curve\.png: cannot be drawn: File too large"):
        draw(tmp_path)
    assert (tmp_path / "curve.png").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "curve.png"]


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curve(tmp_path, 1, 2)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
