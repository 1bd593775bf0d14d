"""The section on fitness: how well `llr` ranks mutants, beside counts, tables of 1992 and published models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dnahnet_cli.evaluation.report.words import counted, defined, number, outcome, p_value, slug, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row = Mapping[str, Any]

LABEL: Final = {
    "model": "this model",
    "num_changes": "bases changed",
    "num_residues": "residues changed",
    "blosum62": "BLOSUM62",
    "hydropathy": "hydropathy",
    "volume": "volume",
    "markov": "Markov",
    "model_entropy": "model's entropy of the position",
}
# Mean absolute Spearman over 11 prokaryotic assays of proteins, as gLMBench publishes it: (model, parameters, value).
GENOME_MODELS: Final = (
    ("ProkBERT", 20e6, 0.115),
    ("LOAM", 25e6, 0.133),
    ("Nucleotide Transformer v3", 100e6, 0.107),
    ("LOAM", 100e6, 0.203),
    ("GenomeOcean", 500e6, 0.248),
    ("LOAM", 624e6, 0.318),
    ("gLM2", 650e6, 0.096),
    ("Evo 1.5", 7e9, 0.318),
    ("Evo 2", 7e9, 0.342),
)
CLASSES: Final = (("up to 25 M", 0, 25e6), ("100 M to 650 M", 100e6, 650e6), ("7 B", 7e9, 7e9))
BLUE, ORANGE, GREY, GREEN = "#0072b2", "#d55e00", "#7f7f7f", "#009e73"


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section, and draw its pictures into the folder `images`."""
    suffix = next((row["suffix"] for row in result.rows if row.get("level") == "assay"), None)
    rows = [row for row in result.rows if row.get("suffix") == suffix]  # the first; the others have a table
    assays = [row for row in rows if row["level"] == "assay"]
    name = slug(title(result))
    scored = [row for row in assays if defined(row.get("spearman"))]
    parts = [f"## {title(result)}", _what(result, assays)]
    if not scored:
        return "\n\n".join([*parts, "No assay has a correlation with the model's scores.", ""])
    parts += [_verdicts(overall(result) or scored[0], len(scored)), _draw_assays(scored, images / f"{name}.png")]
    means = [row for row in rows if row["level"] in ("protein", "mean") and row["num_averaged"] > 1]
    parts += [_table_of_assays([*assays, *means])]
    suffixes = [row for row in result.rows if row.get("level") == "mean"]
    if len(suffixes) > 1:
        cells = [[number(row["suffix"]), with_interval(row, "spearman")] for row in suffixes]
        parts.append("By the number of bases compared:\n\n" + table(["suffix", "mean Spearman"], cells))
    if is_protein(result):
        parts.append(_standing(result, [row for row in rows if row["level"] == "peer"], scored, images, name))
    return "\n\n".join(parts) + "\n"


def title(result: EvaluationResult) -> str:
    """Return the heading, which names the assay when there is only one."""
    names = sorted({row["assay"] for row in result.rows if row.get("level") == "assay"})
    kind = "Fitness of protein mutants" if is_protein(result) else "Measured variants of DNA"
    return f"{kind}: {names[0]}" if len(names) == 1 else kind


def is_protein(result: EvaluationResult) -> bool:
    """Tell whether any assay is one of a protein's mutants."""
    return any(defined(row.get("blosum62_spearman")) for row in result.rows)


def overall(result: EvaluationResult) -> Row | None:
    """Return the row of the mean over proteins, with the first suffix."""
    return next((row for row in result.rows if row.get("level") == "mean"), None)


def _what(result: EvaluationResult, assays: Sequence[Row]) -> str:
    drawn = result.settings.get("mutants", "all")
    few = (
        "" if drawn == "all" else f", at most {number(drawn)} of each assay, drawn with seed {result.settings['seed']}"
    )
    scored, total = (sum(row[key] for row in assays) for key in ("num_scored", "num_mutants"))
    text = f"{scored:,} of {total:,} measured variants in {counted(len(assays), 'assay')} have a score{few}. "
    text += "The figures are Spearman's correlation of `llr` with the measurement, signed; in brackets 95 % bootstrap "
    text += "intervals. Above 0, the model ranks as the experiment did."
    without = [f"{row['assay']} ({row['status']})" for row in assays if row.get("status") != "ok"]
    return text + (f"\n\nIn no mean: {', '.join(without)}." if without else "")


def _verdicts(row: Row, num_assays: int) -> str:
    over = f"Mean over {row['num_averaged']} proteins ({num_assays} assays)"
    if row["level"] != "mean" or row["num_averaged"] == 1:
        over = "The assay" if num_assays == 1 else f"Mean over {num_assays} assays"
    lines = [f"- {over}: {with_interval(row, 'spearman')}."]
    lines += [f"- {verdict(row, score)}" for score in ("num_changes", "blosum62") if verdict(row, score)]
    best = row.get("best_baseline")
    if best:
        names = ("difference", "difference_low", "difference_high")
        text = f"- Best of the scores without a model, chosen on this very row: {LABEL[best]}, "
        text += f"{with_interval(row, f'{best}_spearman')}. The model {outcome(*(row.get(n) for n in names))} it: "
        lines.append(text + f"{with_interval(row, 'difference')}, {p_value(row.get('difference_p'))}.")
    return "\n".join(lines)


def verdict(row: Row, score: str) -> str:
    """Return a sentence on the model against one score; empty where the two were not compared."""
    name = f"{score}_difference"
    if not defined(row.get(name)):
        return ""
    found = outcome(*(row.get(key) for key in (name, f"{name}_low", f"{name}_high")))
    against = "counting changed bases" if score == "num_changes" else LABEL[score]
    text = f"The model {found} {against}: difference {with_interval(row, name)}, {p_value(row.get(f'{name}_p'))}."
    if row["level"] != "assay" and not defined(row.get(f"{score}_spearman")):
        text += " (Over the assays in which that score is not the same for all.)"
    return text


def _table_of_assays(rows: Sequence[Row]) -> str:
    shown = [s for s in LABEL if s != "model" and any(defined(row.get(f"{s}_spearman")) for row in rows)]
    with_peers = any(row.get("num_peers") for row in rows)
    header = ["assay", "scored", "this model", *(LABEL[score] for score in shown), "over the best"]
    header += ["rank among peers"] * with_peers
    cells = []
    for row in rows:
        name = row.get("assay") or (f"**{row['protein']}**" if row["level"] == "protein" else "**mean over proteins**")
        rank = f"{number(row.get('peer_rank'))} of {row['num_peers'] + 1}" if row.get("peer_rank") else "-"
        best = f"{with_interval(row, 'difference')}, {p_value(row['difference_p'])}" if "difference" in row else "-"
        figures = [number(row.get(f"{score}_spearman")) for score in shown]
        cells.append(
            [name, number(row["num_scored"]), with_interval(row, "spearman"), *figures, best, *[rank] * with_peers]
        )
    return table(header, cells)


def standing(result: EvaluationResult) -> list[str]:
    """Return sentences on where the model stands: among genome models by size, and among protein models."""
    row = overall(result)
    if row is None or not is_protein(result):
        return []
    suffix = row["suffix"]
    ours = _mean_absolute([r for r in result.rows if r.get("level") == "assay" and r["suffix"] == suffix])
    size = result.model.get("parameters")
    lines = [f"This model{f' ({size / 1e6:.1f} M parameters)' if defined(size) else ''}, absolute values: {ours:.3f}."]
    for label, least, most in CLASSES:
        others = [(name, value) for name, parameters, value in GENOME_MODELS if least <= parameters <= most]
        lines.append(f"Above {_ranked(ours, others)} genome models of {label} parameters.")
    peers = [r for r in result.rows if r.get("level") == "peer" and r["suffix"] == suffix]
    statistic = str(row.get("peer_statistic"))
    own = row.get(statistic)
    if peers and defined(own):
        alone = [r for r in peers if r["peer_reads"] == "sequence"]
        small = [(r["peer_name"], r[statistic]) for r in alone if 0 < (r["peer_parameters"] or 0) <= CLASSES[0][2]]
        text = f"Signed, {statistic} {own:.3f} with the same assays and averaging: above {_ranked(own, small)} protein "
        text += f"models of {CLASSES[0][0]} parameters that read one sequence; above "
        text += f"{sum(r[statistic] < own for r in alone)} of {len(alone)} of any size; above "
        text += f"{sum(r[statistic] < own for r in peers)} of all {len(peers)}, whose median is "
        lines.append(text + f"{number(row['peer_median'])}.")
    return lines


def _ranked(own: float, others: Sequence[tuple[str, float]]) -> str:
    names = ", ".join(f"{name} {value:.3f}" for name, value in sorted(others, key=lambda item: (-item[1], item[0])))
    return f"{sum(value < own for _, value in others)} of {len(others)} ({names})" if others else "0 of 0"


def _mean_absolute(assays: Sequence[Row]) -> float:
    values = [abs(float(row["spearman"])) for row in assays if defined(row.get("spearman"))]
    return sum(values) / len(values)


def _standing(result: EvaluationResult, peers: Sequence[Row], scored: Sequence[Row], images: Path, name: str) -> str:
    text = "### Among published models\n\n" + "\n".join(f"- {line}" for line in standing(result))
    text += (
        "\n\nThe values of genome models are those of gLMBench: the mean of absolute correlations over 11 prokaryotic "
    )
    text += (
        f"assays, which are not the same as the {len(scored)} here, and not recomputed. An absolute value forgives a "
    )
    text += (
        "wrong sign and is above 0 by chance alone, so it flatters every model, ours too. Published values are of all "
    )
    text += "mutants of an assay; sizes that are not in a name are approximate."
    row, statistic = overall(result), "spearman"
    if row is None or row.get("peer_statistic") != statistic or not peers:
        return text
    return text + "\n\n" + _draw_peers(row, peers, result.model.get("parameters"), images / f"{name}-peers.png")


def _draw_assays(rows: Sequence[Row], path: Path) -> str:
    """Draw the model's correlations with their intervals, and those of what needs no model beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.42 * len(rows)), dpi=110, layout="constrained")
    axes = figure.subplots()
    marks = {"num_changes": ("s", GREY), "blosum62": ("D", ORANGE), "markov": ("^", GREEN)}
    for at, row in enumerate(reversed(rows)):
        axes.plot([row["spearman_low"], row["spearman_high"]], [at, at], color=BLUE, linewidth=2.5)
        axes.plot(row["spearman"], at, "o", color=BLUE, markersize=8, label="this model" if at == 0 else None)
    for score, (mark, colour) in marks.items():
        points = [(row.get(f"{score}_spearman"), at) for at, row in enumerate(reversed(rows))]
        known = [(value, at) for value, at in points if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), mark, color=colour, markersize=6, alpha=0.9, label=LABEL[score])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["assay"] for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("Spearman's correlation with the measurement (bar: 95 % interval)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
    return _saved(figure, path, "correlations of each assay")


def _draw_peers(row: Row, peers: Sequence[Row], size: Any, path: Path) -> str:
    """Draw published models by size, with ours and two scores that need no model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for reads, mark, colour, label in (
        ("sequence", "o", GREY, "protein models that read one sequence"),
        ("more", "^", GREEN, "with alignments, structures or relatives"),
    ):
        known = [r for r in peers if r["peer_reads"] == reads and r.get("peer_parameters")]
        x, y = [r["peer_parameters"] for r in known], [r["spearman"] for r in known]
        axes.plot(x, y, mark, color=colour, alpha=0.75, label=label)
    if defined(size):
        axes.plot([size, size], [row["spearman_low"], row["spearman_high"]], color=BLUE, linewidth=2.5)
        axes.plot(size, row["spearman"], "o", color=BLUE, markersize=9, label="this model, reading DNA")
    else:
        axes.axhline(row["spearman"], color=BLUE, label="this model, reading DNA")
    if defined(row.get("blosum62_spearman")):
        axes.axhline(row["blosum62_spearman"], color=ORANGE, linestyle="--", label=LABEL["blosum62"])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("parameters")
    axes.set_ylabel("Spearman, mean over proteins")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return _saved(figure, path, "published models by size")


def _saved(figure: Any, path: Path, description: str) -> str:
    figure.savefig(path, metadata={"Software": None})  # so that the same figures are the same bytes
    return f"![{description[0].upper()}{description[1:]}]({path.parent.name}/{path.name})"
