"""The pictures of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from dnahnet_cli.benchmarking.fits import Fit
from dnahnet_cli.benchmarking.sizes import ARCHITECTURES, LABELS
from dnahnet_cli.errors import InputError

COLOURS: Final = dict(
    zip(ARCHITECTURES, ("#d62728", "#ff9896", "#e377c2", "#1f77b4", "#2ca02c", "#9467bd"), strict=True)
)
MARKS: Final = dict(zip(ARCHITECTURES, "os^DvP", strict=True))


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure. Raises InputError where matplotlib, an extra, is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("a picture needs matplotlib: pip install 'dnahnet[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def draw_scaling(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw bits per base against training operations, a curve for each architecture, from the rows of a ladder."""
    figure = new_figure(8, 5)
    axes = figure.subplots()
    shown = [arch for arch in ARCHITECTURES if any(row["arch"] == arch for row in rows)]
    for place, arch in enumerate(shown):
        own = [row for row in rows if row["level"] == "point" and row["arch"] == arch]
        aside = 1.02 ** (place - (len(shown) - 1) / 2)  # or the bars would cover one another
        flops = np.array([row["flops"] for row in own]) * aside
        bits = np.array([row["bits"] for row in own])
        ends = np.abs(np.array([[row["bits_low"], row["bits_high"]] for row in own]).T - bits)
        axes.errorbar(flops, bits, ends, fmt=MARKS[arch], color=COLOURS[arch], capsize=2, markersize=5, elinewidth=0.7,
                      label=LABELS[arch])  # fmt: skip
        for row in rows:
            if row["level"] == "fit" and row["arch"] == arch and len(flops):
                x = np.geomspace(flops.min(), flops.max(), 100)
                parameters = (np.array([row[name]]) for name in ("floor", "scale", "exponent"))
                axes.plot(x, Fit(row["origin"], *parameters).at(x)[0], color=COLOURS[arch], linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("training operations (FLOPs)")
    axes.set_ylabel("bits per base, held-out species")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


PANELS: Final = (
    ("seconds", "seconds", 1.0),
    ("memory_bytes", "memory beside the network (GiB)", 2.0**30),
    ("flops", "operations (FLOPs)", 1.0),
    ("share_of_matmul", "share of the matmul ceiling", 1.0),
)


def draw_passes(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw time, memory, operations and utilisation of forward passes against length, a curve for each architecture."""
    figure = new_figure(10, 7)
    figure.suptitle(title, fontsize="medium")
    for axes, (name, label, unit) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for arch in ARCHITECTURES:
            own = [row for row in rows if row["arch"] == arch and row["pass"] == "forward" and row.get("seconds")]
            shown = [(row["length"], row[name] / unit) for row in own if row[name]]
            if shown:
                axes.plot(*zip(*shown, strict=True), color=COLOURS[arch], marker=MARKS[arch], markersize=4,
                          label=LABELS[arch])  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("length (bases)")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=110)
