"""The section on boundaries: where each stage cuts, beside chunkers that know nothing and the paper's figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dnahnet_cli.evaluation.report.words import defined, number, p_value, slug, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row = Mapping[str, Any]

# The paper's shares in per cent (arXiv 2602.10603, B. subtilis 168, five random windows of 49,152 bases), by stage.
PAPER: Final[Mapping[tuple[int, str], float]] = {
    (1, "all"): 35.8,
    (1, "codon_position_1"): 6.5,
    (1, "codon_position_2"): 42.6,
    (1, "codon_position_3"): 58.4,
    (2, "all"): 51.3,
    (2, "start_codon"): 81.3,
    (2, "intergenic"): 74.6,
    (2, "promoter_predicted"): 71.5,
    (2, "coding"): 48.4,
    (2, "stop_codon"): 51.7,
}
PAPER_BASES: Final = {1: 2.79, 2: 2.79 * 1.95}
LEVEL: Final = 0.05
SHOWN_TOLERANCES: Final = (0, 1, 3)
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#bbbbbb"


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section, and draw its pictures into the folder `images`."""
    genome = str(result.settings.get("genome", "a genome"))
    stages = sorted({row["stage"] for row in result.rows})
    classes = [row for row in result.rows if row["level"] == "class" and defined(row.get("fold"))]
    points = [row for row in result.rows if row["level"] == "point"]
    parts = [f"## Where it cuts: {genome}", _what(result)]
    if not classes:
        return "\n\n".join([*parts, "No class of bases has a rate.", ""])
    parts += [" ".join(_findings(classes, stage)) for stage in stages]
    name = slug(f"boundaries {genome}")
    _draw_classes(classes, stages, images / f"{name}-fold.png")
    parts.append(f"![Enrichment by class of bases]({images.name}/{name}-fold.png)")
    parts += [_table_of_classes(result.rows, stage) for stage in stages]
    parts.append(_reading_the_table())
    if points:
        _draw_points(points, stages, images / f"{name}-recall.png")
        parts += [
            _points_in_words(points),
            f"![Points found]({images.name}/{name}-recall.png)",
            _table_of_points(points),
        ]
    parts.append(
        "The columns *paper* are the paper's own figures, on B. subtilis 168, of another model. Neither its "
        "weights, its windows nor its definitions of regions are public, so no test can be made of the difference."
    )
    return "\n\n".join(parts) + "\n"


def _is_apart(row: Row) -> bool:
    return all(defined(row.get(key)) and row[key] < LEVEL for key in ("shift_q", "shuffle_q"))


def _what(result: EvaluationResult) -> str:
    settings = result.settings
    whole = [row for row in result.rows if row["level"] == "stage"]
    regions = [text for text in str(settings.get("regions", "")).split(",") if text]
    drawn = settings.get("windows")
    where = f"{drawn} random windows (seed {settings.get('seed')})" if drawn else f"{len(regions)} stretches"
    text = f"{where if len(regions) > 1 else 'one stretch' if not drawn else where}, read on each strand. Genes: "
    text += f"{settings.get('genes')}. "
    for row in whole:
        stage, paper = row["stage"], PAPER_BASES.get(row["stage"])
        text += (
            f"Stage {stage} cuts {_percent(row)} of its candidates, {number(row.get('bases_per_chunk'), 2)} bases to "
        )
        text += f"a chunk (paper: {PAPER[stage, 'all']} %, {paper:.2f} bases). " if paper else "a chunk. "
    text += "The candidates of stage 1 are all bases, of a further stage the chunks of the one before. "
    return (
        text + "*Fold* is a rate over the stage's overall rate; in brackets 95 % intervals over blocks of the genome."
    )


def _findings(classes: Sequence[Row], stage: int) -> Iterator[str]:
    """Say which classes of the sense reading stand out, and what of that the letters explain."""
    rows = [row for row in classes if row["stage"] == stage and row["reading"] != "antisense"]
    apart = sorted((row for row in rows if _is_apart(row)), key=lambda row: -abs(math.log(max(row["fold"], 1e-9))))
    more, fewer = ([row for row in apart if (row["fold"] > 1) is up] for up in (True, False))
    for word, own in (("more", more), ("less", fewer)):
        if own:
            yield f"Stage {stage} cuts {word} often than both random chunkers in {_named(own)}."
    if not apart:
        yield f"Stage {stage} cuts no class of bases more or less often than random chunkers do, beyond chance."
    else:
        left = [row for row in apart if _beyond_letters(row)]
        yield (
            f"Of these {len(apart)}, {len(left)} remain in the same direction when the six bases up to the boundary "
            f"are accounted for{': ' + _named(left, 'kmer_fold') if left else ''}."
        )
    same = [row for row in rows if not _is_apart(row)]
    if same and apart:
        yield f"No difference beyond chance: {', '.join(_words(row['feature']) for row in same)}."


def _beyond_letters(row: Row) -> bool:
    low, high = row.get("kmer_fold_low"), row.get("kmer_fold_high")
    return defined(low) and defined(high) and (low > 1 if row["fold"] > 1 else high < 1)


def _named(rows: Iterable[Row], figure: str = "fold") -> str:
    return ", ".join(f"{_words(row['feature'])} ({number(row.get(figure), 2)})" for row in rows)


def _table_of_classes(rows: Sequence[Row], stage: int) -> str:
    header = [
        "class",
        "sites",
        "rate",
        "paper",
        "fold",
        "fold over k-mers",
        "shifted",
        "shuffled",
        "grid",
        "q",
        "antisense",
    ]
    cells = []
    for row in rows:
        if row["level"] != "class" or row["stage"] != stage or row["reading"] == "antisense" or not row["num_sites"]:
            continue
        paper = PAPER.get((stage, row["feature"]))
        other = next(
            (r for r in rows if r["reading"] == "antisense" and (r["stage"], r["feature"]) == (stage, row["feature"])),
            {},
        )
        worse = [row[key] for key in ("shift_q", "shuffle_q") if defined(row.get(key))]
        cells.append(
            [
                _words(row["feature"]),
                number(row["num_sites"]),
                _percent(row),
                "" if paper is None else f"{paper} %",
                with_interval(row, "fold", 2),
                with_interval(row, "kmer_fold", 2),
                *(
                    f"{number(row.get(f'{k}_low'), 2)} to {number(row.get(f'{k}_high'), 2)}"
                    for k in ("shift", "shuffle", "grid")
                ),
                number(max(worse, default=None)),
                number(other.get("fold"), 2),
            ]
        )
    return f"Stage {stage}:\n\n" + table(header, cells)


def _reading_the_table() -> str:
    return (
        "*sites*: stretches of the class. *fold over k-mers*: rate over that expected from the last six bases alone. "
        "*shifted*, *shuffled*: 95 % range of the fold of the same boundaries moved round, and of chunks of the same "
        "lengths in random order. *grid*: least and greatest fold of chunks of equal length over their phases; its "
        "mean is 1. *q*: the larger of the two corrected p-values. *antisense*: fold in the reading of the other "
        "strand. Classes called predicted follow from simple rules, those called measured from tables of sites."
    )


def _points_in_words(points: Sequence[Row]) -> str:
    """Say which points are found more or less often than by shuffled chunks, and of which nothing can be said."""
    tested = [row for row in points if defined(row.get("recall_q"))]
    apart = [row for row in tested if row["recall_q"] < LEVEL]
    lines = [
        f"- Stage {row['stage']}, {_words(row['feature'])}, at most {row['tolerance']} away: "
        f"{100 * row['recall']:.1f} % of {row['num_sites']:,} found, "
        f"{'more' if row['recall'] > row['shuffle_recall'] else 'fewer'} than by shuffled chunks "
        f"({100 * row['shuffle_recall']:.1f} %, corrected {p_value(row['recall_q'])})."
        for row in apart
    ]
    head = (
        f"A point is found when a chunk opens at it, or so many bases away. In {len(apart)} of {len(tested)} cases "
        f"that differs from shuffled chunks beyond chance{':' if apart else '.'}"
    )
    return "\n\n".join([head, "\n".join(lines)]) if lines else head


def _table_of_points(points: Sequence[Row]) -> str:
    header = [
        "point",
        "stage",
        "points",
        "bases away",
        "recall",
        "shuffled",
        "grid",
        "precision",
        "shuffled",
        "q of recall",
    ]
    cells = [
        [
            _words(row["feature"]),
            number(row["stage"]),
            number(row["num_sites"]),
            number(row["tolerance"]),
            with_interval(row, "recall"),
            with_interval(row, "shuffle_recall"),
            number(row.get("grid_recall")),
            number(row.get("precision"), 5),
            number(row.get("shuffle_precision"), 5),
            number(row.get("recall_q")),
        ]
        for row in points
    ]
    return table(header, cells)


def _draw_classes(classes: Sequence[Row], stages: Sequence[int], path: Path) -> None:
    """Draw the fold of each class with its interval, over the ranges of the random chunkers."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["feature"] for row in classes))
    figure = Figure(figsize=(8, 1.4 + 0.32 * len(names)), dpi=110, layout="constrained")
    axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    for axis, stage in zip(axes, stages, strict=True):
        shown = []
        for row in classes:
            if row["stage"] != stage or row["reading"] == "antisense":
                continue
            at = len(names) - 1 - names.index(row["feature"])
            axis.plot([row["shift_low"], row["shift_high"]], [at, at], color=GREY, linewidth=9, solid_capstyle="butt")
            shown += _dot(axis, row, "fold", at + 0.13, BLUE, "o") + _dot(
                axis, row, "kmer_fold", at - 0.17, ORANGE, "s"
            )
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xscale("log")
        low, high = min(shown, default=1.0), max(shown, default=1.0)
        ticks = [tick for tick in (0.125, 0.25, 0.5, 0.7, 1, 1.4, 2, 4, 8) if 0.8 * low <= tick <= 1.25 * high]
        axis.set_xlim(min(0.8, 0.93 * low), max(1.25, 1.07 * high))
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set_title(f"stage {stage}", fontsize=10)
        axis.set_xlabel("fold", fontsize=9)
        axis.set_yticks(range(len(names)), [_words(name) for name in reversed(names)], fontsize=9)
    handles = [
        axes[0].plot([], [], color=GREY, linewidth=9, label="95 % of shifted boundaries")[0],
        axes[0].plot([], [], "o-", color=BLUE, markersize=4, label="over the stage's overall rate")[0],
        axes[0].plot([], [], "s-", color=ORANGE, markersize=4, label="over the rate expected from 6-mers")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path)


def _dot(axis: Any, row: Row, figure: str, at: float, colour: str, marker: str) -> list[float]:
    """Draw a figure with its interval; return what must be in sight."""
    if not defined(row.get(figure)) or not row[figure] > 0:
        return []
    ends = [end for end in (row.get(f"{figure}_low"), row.get(f"{figure}_high")) if defined(end)]
    if len(ends) == 2:
        axis.plot([max(ends[0], 0.05), ends[1]], [at, at], color=colour, linewidth=1.4)
    axis.plot([row[figure]], [at], marker, color=colour, markersize=4)
    return [row[figure], *(end for end in ends if 0.2 < end < 5)]


def _draw_points(points: Sequence[Row], stages: Sequence[int], path: Path) -> None:
    """Draw recall by tolerance, beside the shuffled chunks'."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["feature"] for row in points))
    figure = Figure(figsize=(8, 1.9 * len(stages) + 0.8), dpi=110, layout="constrained")
    grid = figure.subplots(len(stages), len(names), sharey=True, squeeze=False)
    for axes, stage in zip(grid, stages, strict=True):
        for axis, name in zip(axes, names, strict=True):
            rows = [
                r for r in points if (r["stage"], r["feature"]) == (stage, name) and r["tolerance"] in SHOWN_TOLERANCES
            ]
            at = [SHOWN_TOLERANCES.index(row["tolerance"]) for row in rows]
            for key, colour, marker, shift in (("shuffle_recall", GREY, "s", 0.08), ("recall", BLUE, "o", -0.08)):
                values = [row[key] for row in rows]
                errors = [
                    [row[key] - row[f"{key}_low"] for row in rows],
                    [row[f"{key}_high"] - row[key] for row in rows],
                ]
                errors = [[max(value, 0.0) for value in side] for side in errors]
                axis.errorbar(
                    [x + shift for x in at], values, errors, fmt=marker, color=colour, markersize=4, linewidth=1.4
                )
            axis.set_xticks(range(len(SHOWN_TOLERANCES)), [str(tolerance) for tolerance in SHOWN_TOLERANCES])
            axis.set_xlim(-0.5, len(SHOWN_TOLERANCES) - 0.5)
            axis.set_ylim(0, 1.05)
            axis.set_title(f"{_words(name)}, stage {stage}", fontsize=8)
    for axis in grid[-1]:
        axis.set_xlabel("bases away", fontsize=8)
    for axes in grid:
        axes[0].set_ylabel("points found", fontsize=8)
    handles = [
        grid[0][0].plot([], [], "o", color=BLUE, markersize=4, label="this model")[0],
        grid[0][0].plot([], [], "s", color=GREY, markersize=4, label="its chunks shuffled, 95 % of orders")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path)


def _percent(row: Row) -> str:
    return f"{100 * row['rate']:.1f} %" if defined(row.get("rate")) else number(None)


def _words(feature: str) -> str:
    """Return a class in words."""
    name, _, evidence = feature.rpartition("_")
    known = {"rna_gene": "RNA gene", "rbs": "RBS", "tss": "TSS"}
    if evidence in ("predicted", "measured"):
        return f"{known.get(name, name.replace('_', ' '))} ({evidence})"
    return known.get(feature, feature.replace("_", " "))
