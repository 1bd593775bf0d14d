"""The section on compression: bits per base beside what needs no network, by class, and how sure the model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dnahnet_cli.evaluation.report.words import defined, number, p_value, slug, table, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row = Mapping[str, Any]

LABEL: Final = {
    "bits_per_base": "this model",
    "markov_adaptive": "adaptive Markov",
    "markov_background": "Markov of the background genomes",
    "compressor": "best compressor",
    "uniform": "uniform guessing",
    "order0": "own base composition",
    "markov_hindsight": "Markov with hindsight",
}
BESIDE: Final = ("markov_adaptive", "markov_background", "compressor", "markov_hindsight")
COLOUR: Final = dict(
    zip(("bits_per_base", *BESIDE), ("#0072b2", "#d55e00", "#009e73", "#7f7f7f", "#cc79a7"), strict=True)
)
MARK: Final = dict(zip(("bits_per_base", *BESIDE), "osDx+", strict=True))
_FEW: Final = 200  # predictions of a bin below which its frequency says little


def section(result: EvaluationResult, images: Path) -> str:
    """Return the section, and draw its pictures into the folder `images`."""
    genomes = [row for row in _level(result, "genome") if defined(row.get("bits_per_base"))]
    title = f"Bits per base of {_title(genomes)}"
    if not genomes:
        return f"## {title}\n\nNo base of any genome could be measured.\n"
    means = _level(result, "mean")
    overall = next((row for row in means if row.get("region") is None), genomes[0])
    name = slug(title)
    parts = [f"## {title}", _what(result), _verdict(overall, result), _table(genomes, overall)]
    parts.append(_draw_genomes([*genomes, *([overall] if overall not in genomes else [])], images, f"{name}.png"))
    regions = [row for row in (means if means else _level(result, "region")) if row.get("region")]
    regions = [row for row in regions if defined(row.get("bits_per_base"))]
    if regions:
        parts += [_of_regions(regions), _draw_regions(regions, images, f"{name}-classes.png")]
    bins = [row for row in _level(result, "bin") if row["num_predictions"] >= _FEW]
    parts.append(_sureness(overall))
    if bins:
        parts.append(_draw_bins(bins, images, f"{name}-reliability.png"))
    return "\n\n".join(parts) + "\n"


def _level(result: EvaluationResult, level: str) -> list[Row]:
    return [row for row in result.rows if row.get("level") == level]


def _title(genomes: Sequence[Row]) -> str:
    return f"{len(genomes)} genomes" if len(genomes) != 1 else str(genomes[0]["genome"])


def _what(result: EvaluationResult) -> str:
    settings = result.settings
    drawn = "every base"
    if settings["windows"] != "all":
        drawn = f"{settings['windows']} windows of {settings['window_bp']:,} bases of each genome, drawn with seed "
        drawn += f"{settings['seed']}"
    return (
        f"How many bits the model needs to say which base comes next, over {drawn}; uniform guessing needs 2. The "
        f"adaptive Markov model (order {settings['markov']}) learns each genome while it reads it, and the compressor "
        "has the whole genome at once. Compressors made for DNA (GeCo, cmix) would do better and were not run. "
        "The Markov model with hindsight was fitted to the very genome: it is no fair rival."
    )


def _verdict(row: Row, result: EvaluationResult) -> str:
    best, difference = row.get("best_baseline"), row.get("difference")
    text = f"The model needs {with_interval(row, 'bits_per_base')} bits"
    text += " on average." if row.get("level") == "mean" else "."
    seen = [genome["genome"] for genome in _level(result, "genome") if genome.get("in_training")]
    if seen:
        text += f" Of these genomes {len(seen)} were trained on ({', '.join(seen)}): this is no test on them."
    if not best or not defined(difference):
        return text
    low, high = row.get("difference_low"), row.get("difference_high")
    size = f"{number(abs(difference))} bits"
    if not (defined(low) and defined(high)):
        word = "fewer" if difference < 0 else "more"
        few = "genomes" if row.get("level") == "mean" else "windows"
        return f"{text} That is {size} {word} than {LABEL[best]}, the best without a network; too few {few} for a test."
    if low <= 0 <= high:
        verdict = f"It shows no difference beyond chance from {LABEL[best]}"
    else:
        verdict = f"It {'beats' if high < 0 else 'does not beat'} {LABEL[best]}"
    span = f"difference {with_interval(row, 'difference')}, {p_value(row.get('difference_p'))}"
    return f"{text} {verdict}, the best without a network ({span}; below 0 the model needs fewer)."


def _table(genomes: Sequence[Row], overall: Row) -> str:
    shown = [name for name in BESIDE if any(defined(row.get(name)) for row in genomes)]
    lines = []
    for row in [*genomes, *([overall] if overall not in genomes else [])]:
        cells = [str(row.get("genome") or "mean"), with_interval(row, "bits_per_base")]
        cells += [number(row.get(name)) for name in shown]
        lines.append([*cells, str(row.get("compressor_name") or "-"), with_interval(row, "difference")])
    header = ["genome", "this model", *(LABEL[name] for name in shown), "compressor", "difference to the best fair one"]
    return table(header, lines)


def _of_regions(regions: Sequence[Row]) -> str:
    """Say where the model gains, and where it does not, and list all classes."""
    single = [row for row in regions if row["region"] != "coding" and defined(row.get("difference_p_adjusted"))]
    better = [row["region"] for row in single if row["difference_p_adjusted"] < 0.05 and row["difference"] < 0]
    worse = [row["region"] for row in single if row["difference_p_adjusted"] < 0.05 and row["difference"] > 0]
    rest = [row["region"] for row in single if row["region"] not in (*better, *worse)]
    says = [
        ("It beats the best fair rival on", better),
        ("It is behind on", worse),
        ("No difference beyond chance on", rest),
    ]
    text = "By class of base, as the strand reads it. " + " ".join(f"{s} {', '.join(r)}." for s, r in says if r)
    if single:
        text += " The p-values behind this are corrected for the number of classes (Holm)."
    lines = [
        [
            row["region"],
            with_interval(row, "bits_per_base"),
            number(row.get("markov_adaptive")),
            with_interval(row, "excess"),
            with_interval(row, "difference"),
            number(row.get("difference_p_adjusted")),
        ]
        for row in regions
    ]
    header = ["class", "this model", "adaptive Markov", "excess over expected", "difference to the best", "p (Holm)"]
    return text + "\n\n" + table(header, lines)


def _sureness(row: Row) -> str:
    low, high = row.get("excess_low"), row.get("excess_high")
    text = f"The model expected to need {number(row.get('entropy'))} bits (the entropy of its predictions); it needed "
    text += f"{with_interval(row, 'excess')} more."
    if defined(low) and defined(high):
        how = "surer than it should be" if low > 0 else "less sure than it could be"
        how = "neither too sure nor too unsure, beyond chance" if low <= 0 <= high else how
        text += f" Over all bases it is {how}."
    text += f" The base that it finds likeliest has a mean probability of {number(row.get('confidence'))} and is there "
    text += f"in {number(row.get('accuracy'))} of the cases; the mean distance of the two over bins (ECE) is "
    return text + f"{number(row.get('ece'), 4)}."


def _draw_genomes(rows: Sequence[Row], images: Path, file: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(rows)))[::-1]
    for name in reversed(("bits_per_base", *BESIDE)):
        known = [(row, place) for row, place in zip(rows, places, strict=True) if defined(row.get(name))]
        if not known:
            continue
        values = [row[name] for row, _ in known]
        ends = [
            [
                abs(row.get(f"{name}_{end}", v) - v) if defined(row.get(f"{name}_{end}")) else 0.0
                for (row, _), v in zip(known, values, strict=True)
            ]
            for end in ("low", "high")
        ]
        axes.errorbar(
            values,
            [place for _, place in known],
            xerr=ends if name == "bits_per_base" else None,
            fmt=MARK[name],
            color=COLOUR[name],
            label=LABEL[name],
            capsize=3,
        )
    axes.axvline(2, color="#444444", linestyle=":", linewidth=1, label="uniform guessing")
    axes.set_yticks(places, [_short(row.get("genome") or "mean") for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("bits per base (fewer is better)")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return _save(figure, images, file, "Bits per base by genome")


def _draw_regions(rows: Sequence[Row], images: Path, file: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for offset, name in ((-0.12, "bits_per_base"), (0.12, "markov_adaptive")):
        known = [(at, row) for at, row in enumerate(rows) if defined(row.get(name))]
        values = [row[name] for _, row in known]
        ends = [
            [abs(row[f"{name}_{end}"] - row[name]) if defined(row.get(f"{name}_{end}")) else 0.0 for _, row in known]
            for end in ("low", "high")
        ]
        axes.errorbar(
            [at + offset for at, _ in known],
            values,
            yerr=ends,
            fmt=MARK[name],
            color=COLOUR[name],
            label=LABEL[name],
            capsize=3,
        )
    axes.axhline(2, color="#444444", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(rows)), [row["region"] for row in rows], rotation=30, ha="right")
    axes.set_ylabel("bits per base")
    axes.legend(fontsize="small")
    return _save(figure, images, file, "Bits per base by class of base")


def _draw_bins(bins: Sequence[Row], images: Path, file: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    genomes = list(dict.fromkeys(row["genome"] for row in bins))
    for axes, strand in zip(both, "+-", strict=True):
        for genome in genomes:
            own = [row for row in bins if row["genome"] == genome and row["strand"] == strand]
            axes.plot(
                [row["confidence"] for row in own],
                [row["accuracy"] for row in own],
                marker=".",
                color=COLOUR["bits_per_base"],
                alpha=0.8 if len(genomes) == 1 else 0.45,
                linewidth=1,
            )
        axes.plot([0.25, 1], [0.25, 1], color="#444444", linestyle=":", linewidth=1)
        axes.set_title(f"{'forward' if strand == '+' else 'reverse'} strand", fontsize="medium")
        axes.set_xlabel("probability of the likeliest base")
    both[0].set_ylabel("how often it is there")
    alt = (
        f"Predicted probability against observed frequency, a line for each genome, bins of {_FEW} predictions or more"
    )
    return _save(figure, images, file, alt)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"


def _save(figure: Any, images: Path, file: str, alt: str) -> str:
    figure.savefig(images / file, dpi=110)
    return f"![{alt}]({images.name}/{file})"
