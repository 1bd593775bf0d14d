"""The section on the ladder of equal training operations: which architecture needs fewer bits, and how surely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from dnahnet_cli.benchmarking.pictures import draw_scaling
from dnahnet_cli.benchmarking.sizes import ARCHITECTURES, LABELS
from dnahnet_cli.evaluation.report.words import counted, defined, number, outcome, p_value, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row: TypeAlias = Mapping[str, Any]
LEVEL: Final = 0.05
PICTURE: Final = "scaling.png"


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section in Markdown, and put its picture into the folder `images`."""
    points = _of(result, "point")
    if not points:
        return "## Equal training operations\n\nNo network of the ladder was trained, so nothing is compared."
    draw_scaling(result.rows, images / PICTURE)
    parts = [
        "## Equal training operations",
        _introduction(points, result),
        "\n".join(f"- {text}" for text in verdicts(result)),
        f"![Bits per base against training operations]({images.name}/{PICTURE})",
        _points_table(points),
    ]
    if comparisons := _of(result, "comparison"):
        parts += ["Bits per base of each rival minus those of dnaHNet; above 0 dnaHNet needs fewer.",
                  _comparison_table(comparisons)]  # fmt: skip
    if fits := _of(result, "fit"):
        parts += [_fit_words(fits), _fit_table(fits)]
    return "\n\n".join(parts)


def verdicts(result: EvaluationResult) -> Iterator[str]:
    """Yield a sentence for each rival at the largest rung where it and dnaHNet were trained."""
    comparisons = _of(result, "comparison")
    for arch in ARCHITECTURES:
        own = [row for row in comparisons if row["arch"] == arch]
        if own:
            yield _verdict(max(own, key=lambda row: row["budget"]), own)


def _verdict(row: Row, own: Sequence[Row]) -> str:
    found = outcome(*(row.get(f"difference{end}") for end in ("", "_low", "_high")))
    p = row.get("difference_p_adjusted")
    certain = defined(p) and p < LEVEL
    text = f"At {_power(row['budget'])} FLOPs learned chunking {found} {LABELS[row['arch']]}: "
    text += f"{with_interval(row, 'difference', 4)} bits per base, {p_value(p)} when adjusted for several rivals"
    if found in ("beats", "is behind") and not certain:
        text += ", so not beyond chance then"
    before = [other for other in own if other["budget"] < row["budget"]]
    if before:
        text += "; before, " + ", ".join(f"at {_power(r['budget'])} {number(r['difference'], 4)}" for r in before)
    return f"{text}."


def _introduction(points: Sequence[Row], result: EvaluationResult) -> str:
    budgets = sorted({row["budget"] for row in points})
    genomes = len(result.settings.get("heldout_genomes", ()))
    text = f"{counted(len({row['arch'] for row in points}), 'architecture')} trained with equal operations on the same "
    text += f"windows in the same order, at {counted(len(budgets), 'budget')} from {_power(budgets[0])} to "
    text += f"{_power(budgets[-1])} FLOPs, and compared on {counted(genomes, 'held-out genome')}. These networks are "
    text += "small and have seen little; what holds here need not hold at a hundred times the budget."
    left_out = result.settings.get("runs_left_out", 0)
    return f"{text} Not made: {counted(left_out, 'run')} of the plan." if left_out else text


def _points_table(points: Sequence[Row]) -> str:
    header = [
        "FLOPs",
        "architecture",
        "FLOPs/base",
        "parameters",
        "Mb seen",
        "seeds",
        "rate",
        "bits per base",
        "chunks",
    ]
    lines = [
        [
            _power(row["budget"]),
            LABELS[row["arch"]],
            row["size"],
            number(row["parameters"]),
            number(row["bases"] / 1e6, 1),
            str(row["num_seeds"]),
            f"{row['learning_rate']:g}",
            with_interval(row, "bits", 4),
            row.get("cuts") or "-",
        ]
        for row in sorted(points, key=lambda row: (row["budget"], row["bits"]))
    ]
    return table(header, lines, num_texts=2)


def _comparison_table(rows: Sequence[Row]) -> str:
    lines = [
        [
            _power(row["budget"]),
            LABELS[row["arch"]],
            str(row["num_seeds"]),
            with_interval(row, "difference", 4),
            number(row.get("seed_deviation"), 4),
            p_value(row.get("difference_p_adjusted")),
        ]
        for row in rows
    ]
    return table(["FLOPs", "rival", "seeds", "difference", "spread of seeds", "p (Holm)"], lines, num_texts=2)


def _fit_words(fits: Sequence[Row]) -> str:
    if all(row["kind"] == "line" for row in fits):
        return (
            "Curves: log bits against log operations, a line, since so few rungs carry no floor. The exponent says how "
            "fast bits fall within the rungs, not where they end."
        )
    return "Curves: floor + scale (C / origin)^-exponent; where the floor is 0 it is a line of logarithms."


def _fit_table(fits: Sequence[Row]) -> str:
    header = ["architecture", "curve", "rungs", "floor", "exponent", "bits above the floor in the middle"]
    lines = [
        [
            LABELS[row["arch"]],
            row["kind"],
            str(row["num_points"]),
            with_interval(row, "floor") if row["kind"] != "line" else "-",
            with_interval(row, "exponent", 4),
            with_interval(row, "scale"),
        ]
        for row in fits
    ]
    return table(header, lines, num_texts=2)


def _of(result: EvaluationResult, level: str) -> list[Row]:
    return [row for row in result.rows if row.get("level") == level]


def _power(value: float) -> str:
    """Return such as `3e12`."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
