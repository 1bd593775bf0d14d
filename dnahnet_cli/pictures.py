"""Pictures of results, for people: the ranking of genes, and a map of all mutants of a protein.

Drawing needs matplotlib, which is not installed with the package. The same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import UsageError
from dnahnet_cli.io.output import open_output

FORMATS: Final = ("png", "svg", "pdf")
RESIDUES: Final = "GAVLIMCFYWPSTNQDEHKR*"  # by kind: aliphatic, aromatic, polar, charged, and the stop
BLUE, ORANGE, GREY = "#2060a0", "#d07010", "#909090"
_METADATA: Final = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


class PictureOutput:
    """A place for a picture, checked when it is named, before any work is done.

    Raises UsageError for an unknown suffix, one of the inputs (`forbidden`), or without matplotlib, and OutputError for
    a place that cannot be written to.
    """

    def __init__(self, path: str | Path, forbidden: Sequence[Path] = ()) -> None:
        self.format = Path(path).suffix.lower().removeprefix(".")
        if self.format not in FORMATS:
            raise UsageError(
                f"The picture {path} has an unknown suffix: use one of {', '.join('.' + f for f in FORMATS)}."
            )
        try:
            import matplotlib
        except ImportError as error:
            raise UsageError(
                "Pictures are drawn with matplotlib, which is not installed.\n"
                "Install it with: pip install 'dnahnet[plot]'."
            ) from error
        matplotlib.rcParams["svg.hashsalt"] = "dnahnet"
        self._output = open_output(path, binary=True, forbidden=forbidden)

    def save(self, figure: Any) -> None:
        """Write a figure. Raises OutputError."""
        with self._output as file:
            figure.savefig(file, format=self.format, metadata=_METADATA[self.format])


@dataclass(frozen=True)
class RankedGene:
    """A gene of the ranking: what it is called, and its scores; None on a strand that was not read."""

    name: str
    score: float
    sense: float | None
    antisense: float | None


def draw_ranking(genes: Sequence[RankedGene], num_named: int) -> Any:
    """Draw the scores of all genes by rank, and beside them those at the top by name; `genes` have falling scores."""
    from matplotlib.figure import Figure

    top = genes[:num_named]
    figure = Figure(figsize=(10, 2.0 + 0.26 * max(len(top), 8)), dpi=110, layout="constrained")
    curve, names = figure.subplots(1, 2, width_ratios=(2, 3))
    scores = [gene.score for gene in genes]
    curve.plot(range(1, len(genes) + 1), scores, color=GREY)
    curve.plot(range(1, len(top) + 1), scores[: len(top)], color=BLUE, linewidth=3)
    curve.axhline(0, color="black", linewidth=0.8)
    curve.set_xlabel(f"rank of {len(genes):,} genes")
    curve.set_ylabel("score: log p(wild type) - log p(knock-out)")
    places = range(len(top) - 1, -1, -1)
    names.hlines(places, 0, scores[: len(top)], color=BLUE, linewidth=1.5)
    names.plot(scores[: len(top)], places, "o", color=BLUE, label="mean")
    for label, mark in (("sense", ">"), ("antisense", "<")):
        points = [(getattr(gene, label), at) for gene, at in zip(top, places, strict=True)]
        known = [point for point in points if point[0] is not None]
        if known:
            names.plot(*zip(*known, strict=True), mark, color=ORANGE, markersize=4, label=label)
    names.axvline(0, color="black", linewidth=0.8)
    names.set_yticks(places, [_plain(gene.name) for gene in top])
    names.set_ylim(-0.7, len(top) - 0.3)
    names.set_xlabel("score, nats")
    names.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return figure


def draw_mutants(
    protein: str, scores: Mapping[tuple[int, str], float], title: str, unit: str, row_size: int = 100
) -> Any:
    """Draw a map of single mutants: positions (0-based in `scores`) by residues, the wild type marked with a dot.

    Long proteins are cut into rows of `row_size` positions. Residues without a score stay white. The middle of the
    colours, white, is the median.
    """
    from matplotlib.figure import Figure

    grid = np.full((len(RESIDUES), len(protein)), np.nan)
    for (position, residue), value in scores.items():
        grid[RESIDUES.index(residue), position] = value
    rows = [range(at, min(at + row_size, len(protein))) for at in range(0, len(protein), row_size)]
    figure = Figure(
        figsize=(2.2 + 0.13 * min(row_size, len(protein)), 1.2 + 3.1 * len(rows)), dpi=110, layout="constrained"
    )
    middle, reach = colour_range(grid)
    for axes, own in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, strict=True):
        block = np.full((len(RESIDUES), min(row_size, len(protein))), np.nan)
        block[:, : len(own)] = grid[:, own.start : own.stop]
        image = axes.imshow(block, cmap="RdBu", vmin=middle - reach, vmax=middle + reach, aspect="auto")
        wild = [(at - own.start, RESIDUES.index(protein[at])) for at in own if protein[at] in RESIDUES]
        axes.plot(*zip(*wild, strict=True), "k.", markersize=3)
        axes.set_yticks(range(len(RESIDUES)), list(RESIDUES), fontsize=6)
        ticks = [at for at in own if (at + 1) % 10 == 0 or at == own.start]
        axes.set_xticks([at - own.start for at in ticks], [f"{protein[at]}{at + 1}" for at in ticks], fontsize=7)
        figure.colorbar(image, ax=axes, label=unit, pad=0.01, fraction=0.03)
    figure.suptitle(_plain(title))
    return figure


def colour_range(grid: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle of the colours, and how far they reach to either side: to the 2nd and 98th percentile."""
    known = grid[~np.isnan(grid)]
    if not len(known):
        return 0.0, 1.0
    low, middle, high = np.percentile(known, (2, 50, 98))
    return float(middle), float(max(high - middle, middle - low)) or 1.0


def _plain(text: str) -> str:
    """Return a name as text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
