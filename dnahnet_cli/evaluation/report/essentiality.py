"""The section on essential genes: what knock-out scores say beside the length of a gene and its codons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from dnahnet_cli.evaluation.report.words import defined, number, outcome, p_value, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row: TypeAlias = Mapping[str, Any]

LABEL: Final[Mapping[str, str]] = {
    "single": "stop codons once (single)",
    "multi": "stop codons along the gene (multi)",
    "bits": "bits per base of the gene",
    "single_given_length": "single, less its trend with length",
    "multi_given_length": "multi, less its trend with length",
    "single_and_length": "single and length, mean rank",
    "multi_and_length": "multi and length, mean rank",
    "bits_and_length": "bits and length, mean rank",
    "bits_beyond_markov": "bits saved over Markov",
    "length": "gene length",
    "gc": "GC content",
    "cai": "codon adaptation",
    "markov": "Markov model of the genome",
}
COLOURS: Final = {"model": "#0072b2", "combined": "#56b4e9", "baseline": "#d55e00"}
LEVEL: Final = 0.05
MARKS: Final = "sD^vP*X<>"


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section, and draw its picture into the folder `images`."""
    own = [row for row in result.rows if row["level"] == "organism"]
    sets = {(row["organism"], row["labels"]): row for row in own}
    parts = ["## Essential genes", _what(result, list(sets.values()))]
    means = [row for row in result.rows if row["level"] == "mean" and defined(row["auroc"])]
    if means:
        count = means[0]["num_averaged"]
        parts += [
            f"Mean over {count} organisms:" if count > 1 else "In the only organism with figures:",
            _verdicts(means),
            _draw(means, [row for row in own if row.get("in_mean")], images / "essentiality.png"),
            _table_of_scores(means),
        ]
    else:
        parts.append("No organism has enough genes of both classes for a figure.")
    parts += [_table_of_sets(list(sets.values()), own), _caveats(list(sets.values()))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(result: EvaluationResult, sets: Sequence[Row]) -> str:
    drawn = result.settings.get("genes", "all")
    organisms = len({row["organism"] for row in sets})
    few = f" Of each organism {number(drawn)} genes were drawn, labels unseen." if drawn != "all" else ""
    counts = ((organisms, "organism"), (len(sets), "set"))
    some = ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in counts)
    return (
        f"{some} of labels.{few} AUROC is the chance that an essential gene scores above another; 0.5 is guessing, and "
        "below it a score ranks the wrong way round. Every score was turned before labels were looked at. Organisms "
        "are averaged, never pooled."
    )


def _verdicts(means: Sequence[Row]) -> str:
    lines = []
    for row in means:
        if row["kind"] != "model":
            continue
        text = f"- {_named(row['score'])}: AUROC {with_interval(row, 'auroc')}."
        if defined(row.get("vs_length")):
            text += f" It {_compared(row, 'vs_length', 'length')}."
        if defined(row.get("vs_best")) and row["best_baseline"] != "length":
            text += " Against the best score without a model: it "
            text += f"{_compared(row, 'vs_best', row['best_baseline'])}."
        lines.append(text)
    combined = [row for row in means if row["kind"] == "combined" and defined(row.get("vs_best"))]
    if combined:
        best = max(combined, key=lambda row: float(row["auroc"]))
        lines.append(
            f"- Best of {len(combined)} combinations, chosen on these very figures: {LABEL[best['score']]}, AUROC "
            f"{with_interval(best, 'auroc')}. It {_compared(best, 'vs_best', best['best_baseline'])}."
        )
    return "\n".join(lines)


def _named(score: str) -> str:
    return LABEL[score][0].upper() + LABEL[score][1:]


def _compared(row: Row, name: str, other: str) -> str:
    """Return what interval and adjusted p say of a difference; they may disagree, as the p allows for all scores."""
    found = outcome(*(row.get(f"{name}{end}") for end in ("", "_low", "_high")))
    p = row.get(f"{name}_p_adjusted")
    text = f"{found} {LABEL[other]}: difference {with_interval(row, name)}, adjusted {p_value(p)}"
    clear = found in ("beats", "is behind")
    return text + (", so not once it is corrected for several tests" if clear and defined(p) and p >= LEVEL else "")


def _table_of_scores(means: Sequence[Row]) -> str:
    header = ["score", "kind", "AUROC", "average precision", "AUROC over length", "adjusted p"]
    cells = []
    for row in means:
        p = row.get("vs_length_p_adjusted")
        figures = [with_interval(row, name) for name in ("auroc", "ap", "vs_length")]
        cells.append([LABEL[row["score"]], row["kind"], *figures, p_value(p) if defined(p) else "-"])
    return table(header, cells, num_texts=2)


def _table_of_sets(sets: Sequence[Row], rows: Sequence[Row]) -> str:
    scores = [score for score in LABEL if any(row["score"] == score and row["kind"] != "combined" for row in rows)]
    short = {"single": "single", "multi": "multi", "bits": "bits", "length": "length", "gc": "GC", "cai": "codons"}
    header = ["organism", "labels", "genes", "essential", "trained on", *(short.get(s, "Markov") for s in scores)]
    cells = []
    for one in sets:
        by_score = {row["score"]: row for row in rows if _key(row) == _key(one)}
        share = f"{number(one['num_essential'])} ({number(one['base_rate'])})"
        known = {"genome": "this genome", "genus": "its genus"}.get(one.get("in_training") or "", "not known")
        figures = [
            with_interval(row, "auroc", 2) if (row := by_score.get(score)) and defined(row["auroc"]) else "-"
            for score in scores
        ]
        labels = f"**{one['labels']}**" if one.get("in_mean") else one["labels"]
        cells.append([one["organism"], labels, number(one["num_genes"]), share, known, *figures])
    text = (
        "AUROC by organism and set of labels; sets in bold go into the mean, and essential genes come with their share:"
    )
    return text + "\n\n" + table(header, cells, num_texts=2)


def _key(row: Row) -> tuple[Any, Any]:
    return row["organism"], row["labels"]


def _caveats(sets: Sequence[Row]) -> str:
    lines = []
    for row in sets:
        lost = row["num_essential_skipped"]
        if lost:
            share = f"{lost:,} essential gene{'s' if lost != 1 else ''} of {row['organism']} ({row['labels']})"
            lines.append(f"- {share} could not be compared; all rows left out: {row['skipped'].replace(',', ', ')}.")
    if any("ribosomal" in (row.get("cai_reference") or "") for row in sets):
        lines.append(
            "- Codon adaptation is measured against genes named as ribosomal proteins. They are among the genes "
            "compared, and many are essential: it knows something of annotation that no other score here does."
        )
    lines += [
        f"- {row['organism']} ({row['labels']}) has {'no' if not row['num_essential'] else row['num_essential']} "
        f"essential among {row['num_genes']:,} genes, too few of a class for figures."
        for row in sets
        if row["status"] == "too_few"
    ]
    return "\n".join(lines)


def _draw(means: Sequence[Row], organisms: Sequence[Row], path: Path) -> str:
    """Draw the mean of each score with its interval, and the organisms behind it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.8 + 0.36 * len(means)), dpi=110, layout="constrained")
    axes = figure.subplots()
    place = {row["score"]: len(means) - 1 - at for at, row in enumerate(means)}
    names = list(dict.fromkeys(row["organism"] for row in organisms))
    for at, name in enumerate(names if len(names) > 1 else []):
        own = [row for row in organisms if row["organism"] == name and defined(row["auroc"]) and row["score"] in place]
        x, y = [row["auroc"] for row in own], [place[row["score"]] - 0.22 for row in own]
        axes.plot(x, y, MARKS[at % len(MARKS)], color="#7f7f7f", markersize=5, label=name)
    for row in means:
        colour, at = COLOURS[row["kind"]], place[row["score"]]
        axes.plot([row["auroc_low"], row["auroc_high"]], [at, at], color=colour, linewidth=2.5)
        axes.plot(row["auroc"], at, "o", color=colour, markersize=8)
    for kind, text in (("model", "model"), ("combined", "put together"), ("baseline", "without a model")):
        if any(row["kind"] == kind for row in means):
            axes.plot([], [], "o-", color=COLOURS[kind], linewidth=2.5, label=text)
    axes.axvline(0.5, color="black", linewidth=0.8)
    length = next((row for row in means if row["score"] == "length"), None)
    if length is not None:
        axes.axvline(length["auroc"], color=COLOURS["baseline"], linewidth=1, linestyle="--")
    axes.set_yticks(list(place.values()), [LABEL[score] for score in place])
    axes.set_ylim(-0.7, len(means) - 0.4)
    axes.set_xlabel("AUROC, mean over organisms (bar: 95 % interval; dashed: gene length)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.35, 1.0), ncols=3, frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Software": None})  # so that the same figures are the same bytes
    return f"![How each score ranks essential genes]({path.parent.name}/{path.name})"
