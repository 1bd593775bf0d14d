"""The loss curve: a CSV that grows with the run, and a picture of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dnahnet_cli.errors import OutputError

NAME: Final = "curve.csv"


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

    def begin(self, step: int) -> None:
        """Keep the rows up to `step`, or begin an empty curve."""
        rows = []
        if self.path.is_file():
            with self.path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"] or 0) <= step]
        self._write(rows, "w")

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; columns that it lacks stay empty."""
        self._write([row], "a")

    def _write(self, rows: Sequence[Mapping[str, object]], mode: str) -> None:
        try:
            with self.path.open(mode, newline="") as file:
                writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n", extrasaction="ignore")
                if mode == "w":
                    writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error


def draw(folder: Path) -> Path | None:
    """Draw a run's curve to `curve.png` beside it; None where matplotlib is not installed (an optional extra)."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    with (folder / NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))

    def points(column: str) -> tuple[list[float], list[float]]:
        pairs = [(float(row["bases"]) / 1e6, float(row[column])) for row in rows if row[column]]
        return [x for x, _ in pairs], [y for _, y in pairs]

    figure = Figure(figsize=(8, 7), layout="constrained")
    loss, cuts = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    loss.plot(*points("bits"), color="0.7", linewidth=0.8, label="training")
    loss.plot(*points("heldout_bits"), color="tab:blue", marker="o", markersize=3, label="held-out species")
    values = sorted(points("bits")[1] + points("heldout_bits")[1])
    if values:  # the first steps would flatten all that follows
        loss.set_ylim(values[0] - 0.01, values[int(0.98 * (len(values) - 1))] + 0.02)
    loss.set_ylabel("bits per base")
    loss.legend()
    for column in [name for name in (rows[0] if rows else {}) if name[0] == "F"]:
        cuts.plot(*points(column), linewidth=0.8, label=f"stage {column[1:]}")
    cuts.set_ylabel("share of cuts")
    cuts.set_ylim(0, 1)
    cuts.set_xlabel("million bases seen")
    cuts.legend()
    path = folder / "curve.png"
    figure.savefig(path, dpi=120)
    return path
