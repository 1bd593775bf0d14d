"""Small pictures of a page, as SVG text: the ranking of genes, and maps of single mutants.

Names come from files, so every text is escaped. Colours and sizes that do not depend on the data stand in page.css.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dnahnet_cli.pictures import RESIDUES, colour_range
from dnahnet_cli.report.tables import Row

FITNESS_NEEDED: Final = ("mutant", "status", "llr", "effect")
_SUBSTITUTION: Final = re.compile(r"([A-Z*])([0-9]{1,5})([A-Z*])")
_ROW_SIZE: Final = 100
_CELL: Final = 9
_MARGIN: Final = 16
_TICKS: Final = 22
_NUM_COLOURS: Final = 11  # their classes are c0, the lowest, to c10
_NUM_NAMED: Final = 15
_MAX_POINTS: Final = 300


def draw_ranking(scores: Sequence[tuple[str, float]]) -> str:
    """Return a picture of falling scores: all by rank, and beside them the top ones by name."""
    if not scores:
        return ""
    top = scores[:_NUM_NAMED]
    height = 24 + 18 * max(len(top), 8)
    low, high = min(0.0, scores[-1][1]), max(0.0, scores[0][1])
    reach = (high - low) or 1.0
    least, most = min(0.0, top[-1][1]), max(0.0, top[0][1])
    parts = [f'<svg class="ranking" viewBox="0 0 900 {height + 24}" role="img" aria-label="Genes by score">']
    parts += _curve([score for _, score in scores], low, reach, height)
    for number, (name, score) in enumerate(top):
        y = 24 + 18 * number
        x, zero = (560 + 320 * (value - least) / ((most - least) or 1.0) for value in (score, 0.0))
        parts.append(
            f"<g><title>{escape(name)}: {score:.4g}</title>"
            f'<text class="name" x="550" y="{y + 4}">{escape(_cut(name, 22))}</text>'
            f'<path class="stem" d="M{zero:.1f} {y}H{x:.1f}"/><circle cx="{x:.1f}" cy="{y}" r="4"/></g>'
        )
    parts.append(f'<text class="axis" x="720" y="{height + 18}">score of the top {len(top)}, nats</text></svg>')
    return "".join(parts)


def _curve(scores: Sequence[float], low: float, reach: float, height: int) -> list[str]:
    """Return the curve of scores by rank, in a frame at the left."""
    chosen = np.unique(np.linspace(0, len(scores) - 1, min(len(scores), _MAX_POINTS)).astype(int)).tolist()
    width = 330 / max(1, len(scores) - 1)

    def y(score: float) -> float:
        return height - (height - 24) * (score - low) / reach

    path = "L".join(f"{60 + width * at:.1f} {y(scores[at]):.1f}" for at in chosen)
    marks = sorted({low, 0.0, low + reach})
    lines = [
        f'<path class="grid" d="M60 {y(mark):.1f}H390"/>'
        f'<text class="tick" x="54" y="{y(mark) + 4:.1f}">{mark:.3g}</text>'
        for mark in marks
    ]
    label = f'<text class="axis" x="225" y="{height + 18}">rank of {len(scores):,} genes</text>'
    return [*lines, f'<path class="curve" d="M{path}"/>', label]


@dataclass(frozen=True)
class MutantMap:
    """llr of single substitutions, residues (in the order of RESIDUES) by positions; NaN where there is none.

    `first` is the position, 1-based, of the first column; `protein` has a blank where the wild type is not known.
    """

    first: int
    protein: str
    scores: npt.NDArray[np.float64]
    num_left_out: int

    def as_json(self) -> dict[str, Any]:
        """Return what the page needs to say which mutant is under the pointer."""
        values = [[None if np.isnan(v) else float(f"{v:.3g}") for v in column] for column in self.scores.T]
        return {"first": self.first, "protein": self.protein, "residues": RESIDUES, "scores": values, "cell": _CELL,
                "margin": _MARGIN, "ticks": _TICKS, "perRow": _ROW_SIZE}  # fmt: skip


def mutant_map(rows: Sequence[Row]) -> MutantMap | None:
    """Return the map of the rows that are single substitutions of a residue; None where none of them is."""
    found: dict[tuple[int, str], float] = {}
    wild: dict[int, str] = {}
    for row in rows:
        match, llr = _SUBSTITUTION.fullmatch(str(row.get("effect") or "")), row.get("llr")
        if match and match[3] in RESIDUES and isinstance(llr, (int, float)):
            found.setdefault((int(match[2]), match[3]), float(llr))
            wild[int(match[2])] = match[1]
    if not found:
        return None
    first, last = min(wild), max(wild)
    scores = np.full((len(RESIDUES), last - first + 1), np.nan)
    for (position, residue), value in found.items():
        scores[RESIDUES.index(residue), position - first] = value
    protein = "".join(wild.get(position, " ") for position in range(first, last + 1))
    return MutantMap(first, protein, scores, len(rows) - len(found))


def draw_map(mutants: MutantMap, number: int) -> str:
    """Return the map in rows of 100 positions, the wild type marked with a dot, and a scale."""
    middle, reach = colour_range(mutants.scores)
    bins = np.clip(np.round((mutants.scores - middle) / reach * 5 + 5), 0, _NUM_COLOURS - 1)
    wild = np.array([[residue == own for own in mutants.protein] for residue in RESIDUES])
    width = _MARGIN + _CELL * _ROW_SIZE + 4
    height = _TICKS + _CELL * len(RESIDUES)
    pieces = []
    for at in range(0, len(mutants.protein), _ROW_SIZE):
        block = bins[:, at : at + _ROW_SIZE]
        paths = [_cells(np.isnan(block) & ~wild[:, at : at + _ROW_SIZE], "none")]
        paths += [_cells(block == colour, f"c{colour}") for colour in range(_NUM_COLOURS) if (block == colour).any()]
        pieces.append(
            f'<svg class="map" data-map="{number}" data-from="{at}" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="Scores of mutants from position {mutants.first + at}">{_residues()}'
            f"{''.join(paths)}{_wild(mutants, at)}</svg>"
        )
    low, high = middle - reach, middle + reach
    swatches = "".join(f'<i class="c{colour}"></i>' for colour in range(_NUM_COLOURS))
    words = f"{high:.3g}, white is the median, {middle:.3g}; grey: no score"
    scale = f'<p class="scale">llr {low:.3g} <span>{swatches}</span> {words}</p>'
    return "".join(pieces) + scale


def _cells(where: npt.NDArray[np.bool_], name: str) -> str:
    squares = "".join(
        f"M{_MARGIN + _CELL * x} {_TICKS + _CELL * y}h{_CELL}v{_CELL}h-{_CELL}z" for y, x in np.argwhere(where).tolist()
    )
    return f'<path class="{name}" d="{squares}"/>'


def _residues() -> str:
    return "".join(
        f'<text x="{_MARGIN - 4}" y="{_TICKS + _CELL * y + _CELL - 1}">{residue}</text>'
        for y, residue in enumerate(RESIDUES)
    )


def _wild(mutants: MutantMap, at: int) -> str:
    """Return a dot at each wild-type residue, and every tenth position by name."""
    own = mutants.protein[at : at + _ROW_SIZE]
    half = _CELL / 2
    parts = []
    for x, residue in enumerate(own):
        position, centre = mutants.first + at + x, _MARGIN + _CELL * x + half
        if residue in RESIDUES:
            parts.append(f'<circle cx="{centre}" cy="{_TICKS + _CELL * RESIDUES.index(residue) + half}" r="1.6"/>')
        if position % 10 == 0:
            parts.append(f'<text class="tick" x="{centre}" y="{_TICKS - 6}">{escape(residue)}{position}</text>')
    return "".join(parts)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
