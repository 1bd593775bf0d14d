"""The section on calibration: whether phred is the rank that it says, and how it falls by consequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dnahnet_cli.evaluation.report.words import defined, number, p_value, slug, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row = Mapping[str, Any]

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#7f7f7f"
_SHOWN: Final = (3, 5, 10, 13, 20, 30)


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section, and draw its picture into the folder `images`."""
    settings = result.settings
    thresholds = [row for row in result.rows if row["level"] == "threshold"]
    kinds = [row for row in result.rows if row["level"] == "consequence"]
    title = f"Is phred what it says: {settings['genome']}"
    what = (
        f"{settings['test']:,} random SNVs ranked by `llr` among {settings['null']:,} others of the same genome. "
        "By its definition, phred t or more should be reached by a share of 10^(-t/10) of random SNVs."
    )
    shown = [row for row in thresholds if row["phred"] in _SHOWN]
    cells = [
        [
            f"{row['phred']:.0f}",
            number(row["expected"], 4),
            with_interval(row, "observed", 4),
            number(row["p_adjusted"]),
        ]
        for row in shown
    ]
    parts = [
        f"## {title}",
        what,
        _verdict(thresholds),
        table(["phred at least", "expected", "found", "p (Holm)"], cells),
    ]
    file = f"{slug(title)}.png"
    if kinds:
        parts += [_of_consequences(kinds), _table(kinds)]
    parts.append(_draw(thresholds, kinds, images, file))
    return "\n\n".join(parts) + "\n"


def _verdict(thresholds: Sequence[Row]) -> str:
    off = [f"{row['phred']:.0f}" for row in thresholds if defined(row["p_adjusted"]) and row["p_adjusted"] < 0.05]
    if off:
        return f"The share found differs from the expected one beyond chance at phred {', '.join(off)}."
    return f"At none of {len(thresholds)} thresholds does the share found differ from the expected one beyond chance."


def _of_consequences(kinds: Sequence[Row]) -> str:
    says = []
    for row in kinds:
        if row["consequence"] not in ("missense", "nonsense") or not defined(row.get("auroc_synonymous")):
            continue
        p, area = row.get("p_adjusted"), row["auroc_synonymous"]
        if not defined(p):
            continue
        if p >= 0.05:
            word = "are not told from synonymous ones beyond chance"
        else:
            word = f"are found {'more' if area > 0.5 else 'less'} damaging than synonymous ones"
        span = f"AUROC {with_interval(row, 'auroc_synonymous')}, {p_value(p)}"
        says.append(f"{row['consequence'].capitalize()} SNVs {word} ({span}).")
    return "By consequence, as the annotation has it. " + " ".join(says)


def _table(kinds: Sequence[Row]) -> str:
    names = ("llr", "share_phred_10", "share_phred_20", "auroc_synonymous")
    lines = [[row["consequence"], number(row["num_snvs"]), *(with_interval(row, n) for n in names)] for row in kinds]
    header = [
        "consequence",
        "SNVs",
        "mean llr",
        "share with phred 10 or more",
        "20 or more",
        "AUROC against synonymous",
    ]
    return table(header, lines)


def _draw(thresholds: Sequence[Row], kinds: Sequence[Row], images: Path, file: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), layout="constrained")
    left, *rest = figure.subplots(1, 2 if kinds else 1, squeeze=False)[0]
    expected = [row["expected"] for row in thresholds]
    found = [row["observed"] for row in thresholds]
    left.plot([min(expected), 1], [min(expected), 1], color=GREY, linestyle=":", linewidth=1)
    left.errorbar(expected, found, yerr=_ends(thresholds, "observed"), fmt="o", color=BLUE, capsize=3, markersize=4)
    left.set(xlabel="expected share of random SNVs", ylabel="share found", xscale="log")
    left.set_yscale("symlog", linthresh=min(expected) / 2)
    left.set_ylim(bottom=0)
    for axes in rest:
        places = range(len(kinds))[::-1]
        values = [row["share_phred_10"] for row in kinds]
        ends = _ends(kinds, "share_phred_10")
        axes.errorbar(values, places, xerr=ends, fmt="s", color=ORANGE, capsize=3, markersize=4)
        axes.axvline(0.1, color=GREY, linestyle=":", linewidth=1)
        axes.set_yticks(places, [f"{row['consequence'].replace('_', ' ')} ({row['num_snvs']})" for row in kinds])
        axes.set_xlabel("share with phred 10 or more")
        axes.set_xlim(left=0)
    figure.savefig(images / file, dpi=110)
    alt = "Share of random SNVs by phred, expected against found"
    return f"![{alt}{', and by consequence' if kinds else ''}]({images.name}/{file})"


def _ends(rows: Sequence[Row], name: str) -> list[list[float]]:
    """Return how far an interval reaches to both sides, 0 where there is none."""
    ends: list[list[float]] = []
    for end in ("low", "high"):
        reach = [(row[name], row.get(f"{name}_{end}")) for row in rows]
        ends.append([abs(limit - value) if defined(limit) else 0.0 for value, limit in reach])
    return ends
