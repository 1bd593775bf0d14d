"""The loss curve: a CSV that grows with the run, and a picture of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnahnet_cli.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME: Final = "curve.csv"
PICTURE: Final = "curve.png"


def columns(num_stages: int) -> list[str]:
    """Return the columns of a curve: F and G are the share of cuts and the mean boundary probability of a stage."""
    rates = [f"{letter}{stage}" for stage in range(1, num_stages + 1) for letter in "FG"]
    return [
        "step", "bases", "minutes", "bits", "ratio_loss", *rates,
        "gradient_norm", "learning_rate", "bases_per_s", "mfu", "heldout_bits",
    ]  # fmt: skip


class Curve:
    """The CSV of a run. A resumed run forgets the rows after its checkpoint, for it makes those steps again."""

    def __init__(self, folder: Path, num_stages: int) -> None:
        self.path, self.columns = folder / NAME, columns(num_stages)

    def begin(self, step: int, carried: Path | None = None) -> None:
        """Keep the rows up to `step`, or begin an empty curve. A line that was cut off is none.

        Where there is no curve yet, its rows are those of one in the folder `carried`, if it has one. Raises
        OutputError, also for a file of this name that is no curve.
        """
        source = self.path if carried is None or self.path.is_file() else carried / NAME
        self._rewrite(source, lambda row: int(row["step"]) <= step)

    def conclude(self, row: Mapping[str, object]) -> None:
        """Append the last row, of an evaluation alone, in place of one that this step has already."""
        self._rewrite(self.path, lambda old: bool(old["bits"]) or int(old["step"]) != row["step"])
        self.add(row)

    def _rewrite(self, source: Path, keep: Callable[[Mapping[str, str]], bool]) -> None:
        temporary = self.path.with_name(f".{NAME}.partial")
        try:
            lines = source.read_text().splitlines(keepends=True) if source.is_file() else []
            reader = csv.DictReader(line for line in lines if line.endswith("\n"))
            if lines and "step" not in (reader.fieldnames or ()):
                raise ValueError("no curve")
            self._write(temporary, [row for row in reader if keep(row)], header=True)
            os.replace(temporary, self.path)
        except (LookupError, ValueError, TypeError, csv.Error) as error:
            raise OutputError(f"{source}: not the curve of a run; choose another folder") from error
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; columns that it lacks stay empty. Raises OutputError."""
        try:
            self._write(self.path, [row], header=False)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _write(self, path: Path, rows: Sequence[Mapping[str, object]], *, header: bool) -> None:
        with path.open("w" if header else "a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n", extrasaction="ignore")
            if header:
                writer.writeheader()
            writer.writerows(rows)


def draw(folder: Path) -> Path | None:
    """Draw a run's curve to `curve.png` beside it; None where matplotlib is not installed (an optional extra).

    Raises OutputError, with an earlier picture unharmed, when it cannot be drawn.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    path, temporary = folder / PICTURE, folder / f".{PICTURE}.partial"
    try:
        _figure(folder, Figure).savefig(temporary, dpi=120, format="png")
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"{path}: cannot be drawn: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _figure(folder: Path, make: type[Figure]) -> Figure:
    with (folder / NAME).open(newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames or ()

    def points(column: str) -> tuple[list[float], list[float]]:
        pairs = [(float(row["bases"]) / 1e6, float(row[column])) for row in rows if row[column]]
        return [x for x, _ in pairs], [y for _, y in pairs]

    figure = make(figsize=(8, 7), layout="constrained")
    stages = [name for name in names if name[0] == "F"]
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1)) if stages else [figure.subplots()]
    loss = panels[0]
    loss.plot(*points("bits"), color="0.7", linewidth=0.8, label="training")
    loss.plot(*points("heldout_bits"), color="tab:blue", marker="o", markersize=3, label="held-out species")
    values, heldout = sorted(points("bits")[1]), points("heldout_bits")[1]
    if values:  # the first steps would flatten all that follows
        top = max([values[int(0.98 * (len(values) - 1))], *heldout])
        loss.set_ylim(min([values[0], *heldout]) - 0.01, top + 0.02)
    loss.set_ylabel("bits per base")
    loss.legend()
    panels[-1].set_xlabel("million bases seen")
    if stages:
        cuts = panels[1]
        for column in stages:
            cuts.plot(*points(column), linewidth=0.8, label=f"stage {column[1:]}")
        cuts.set_ylabel("share of cuts")
        cuts.set_ylim(0, 1)
        cuts.legend()
    return figure
