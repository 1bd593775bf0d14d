"""How operations grow with length, by part and by what multiplies: the figures behind the page on complexity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import torch

from dnahnet_cli.benchmarking.networks import known_rates
from dnahnet_cli.benchmarking.pictures import COLOURS, new_figure
from dnahnet_cli.benchmarking.sizes import LABELS, LEARNED
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.flops import Flops
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import build, read_config
from dnahnet_cli.networks.presets import PRESETS

LENGTHS: Final = tuple(1 << power for power in range(10, 21))
COMPARED: Final = ("dnahnet", "transformer", "striped-hyena2", "mamba2")
# The parts of dnaHNet as the picture stacks them: names, and which of `flops()` and of its kinds they are.
STACKED: Final[Mapping[str, tuple[str, ...]]] = {
    "stage 1": ("stage1", "head"),
    "stage 2, without attention": ("stage2",),
    "core, without attention": ("core",),
}
_SHADES: Final = ("#fdd0a2", "#fd8d3c", "#a63603", "#3182bd", "#08306b")


def count(config: Config, length: int) -> Flops:
    """Return the operations of a forward pass over `length` bases, at the chunk rates that training aims at."""
    return _network(config.to_json()).flops(length, known_rates(config))


@cache
def _network(config: str) -> Network:
    with torch.device("meta"):
        return build(read_config(config))


def parts(config: Config, length: int) -> dict[str, float]:
    """Return operations per base of a network with stages: its stages and core without attention, then attention."""
    found = count(config, length).parts
    sums = {
        label: sum(work.total - work.attention for name, work in found.items() if name.split(".")[0] in names)
        for label, names in STACKED.items()
    }
    sums["attention in stage 2"] = sum(work.attention for name, work in found.items() if name.startswith("stage2"))
    sums["attention in the core"] = found["core"].attention
    return {label: value / length for label, value in sums.items()}


def balance(config: Config, low: int = 1 << 4, high: int = 1 << 40) -> int:
    """Return the length from which full attention costs as much as all the rest, `high` where it never does."""
    while high - low > 1:
        middle = (low + high) // 2
        work = count(config, middle)
        # Windowed attention grows no faster than the length: what is quadratic is in the core, or in any other layer.
        attention = sum(w.attention for name, w in work.parts.items() if not name.startswith("stage"))
        low, high = (middle, high) if attention < work.total - attention else (low, middle)
    return high


def meeting(config: Config, rival: Config, low: int = 1 << 10, high: int = 1 << 24) -> int | None:
    """Return the length from which a rival needs fewer operations; None where it never, or always, does."""

    def behind(length: int) -> bool:
        return count(rival, length).total < count(config, length).total

    if behind(low) or not behind(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if behind(middle) else (middle, high)
    return high


def draw(preset: str, path: Path) -> None:
    """Draw operations per base against length: of all architectures, and of dnaHNet by part."""
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    for arch in COMPARED:
        config = PRESETS[arch][preset]
        left.plot(LENGTHS, [count(config, n).per_base for n in LENGTHS], color=COLOURS[arch], label=LABELS[arch])
    left.set_yscale("log")
    left.set_ylabel("operations per base")
    left.set_title(f"{preset}, like parameters", fontsize="medium")
    by_length = [parts(PRESETS[LEARNED][preset], n) for n in LENGTHS]
    labels = list(by_length[0])
    columns = [[found[label] / sum(found.values()) for found in by_length] for label in labels]
    right.stackplot(LENGTHS, columns, labels=labels, colors=_SHADES)
    right.set_ylim(0, 1)
    right.set_ylabel("share of the operations")
    right.set_title(f"dnaHNet {preset}, by part", fontsize="medium")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xlim(LENGTHS[0], LENGTHS[-1])
        axes.set_xlabel("length (bases)")
        axes.legend(fontsize="small", loc="upper left" if axes is left else "upper right")
    left.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
