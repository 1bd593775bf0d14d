"""Which networks are trained to compare architectures at equal operations, and for how long.

Decisions:
- a rung is a budget of training operations: three times the forward pass, counted at the realised chunk rates
- every network of a seed reads the same windows in the same order, as many of them as its budget pays for
- at a rung each architecture has one or two sizes, the same operations per base for all, and the better one counts.
  The sizes follow the budget: the best network grows with the root of it, as does the number of bases it reads
- learning rates may be swept at the smallest rung, by architecture, with a seed that is used for nothing else
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import torch

from dnahnet_cli.benchmarking.sizes import ARCHITECTURES, LABELS, LEARNED, SIZES
from dnahnet_cli.errors import UsageError
from dnahnet_cli.model.config import Config
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import MATCHED_LENGTH

SWEEP_SEED: Final = 0  # the rungs count from 1
# The operations per base that are expected to be best at a budget, from short trials; they grow with its root.
REFERENCE_BUDGET: Final = 3e12
REFERENCE_SIZE: Final = 3e5
MAX_SIZES: Final = 2
REACH: Final = 4.0  # a second size is tried where it is at most this factor off


@dataclass(frozen=True)
class Rung:
    """A budget of training operations, and how many seeds are trained with it."""

    budget: float
    num_seeds: int

    def __post_init__(self) -> None:
        if not 0 < self.budget < math.inf or self.num_seeds < 1:
            raise UsageError(f"a rung needs a budget above 0 and a seed: {self.budget:g}:{self.num_seeds}")

    @classmethod
    def parse(cls, text: str) -> Rung:
        """Read such as `3e12:3`, a budget and the number of seeds, 1 unless given. Raises UsageError."""
        budget, _, seeds = text.partition(":")
        try:
            return cls(float(budget), int(seeds or 1))
        except ValueError as error:
            raise UsageError(f"rung {text!r}: expected a budget and a number of seeds, such as 3e12:3") from error

    def sizes(self, at_most: int = MAX_SIZES) -> tuple[str, ...]:
        """Return the names of the sizes that are trained, the nearest to the best expected size first."""
        best = REFERENCE_SIZE * math.sqrt(self.budget / REFERENCE_BUDGET)
        off = {size: abs(math.log(_size(size) / best)) for size in SIZES}
        nearest, *others = sorted(off, key=lambda size: off[size])[:at_most]
        return nearest, *(size for size in others if off[size] <= math.log(REACH))


@dataclass(frozen=True)
class Spec:
    """One network to be trained."""

    arch: str
    size: str
    budget: float
    seed: int
    learning_rate: float

    @property
    def config(self) -> Config:
        """Return the shape of the network."""
        return SIZES[self.size][self.arch]

    @property
    def name(self) -> str:
        """Return what its files are called."""
        return f"{self.arch}-{self.size}-{self.budget:.3g}-rate{self.learning_rate:g}-seed{self.seed}"

    def __str__(self) -> str:
        return (
            f"{LABELS[self.arch]} {self.size}, {self.budget:.3g} FLOPs, rate {self.learning_rate:g}, seed {self.seed}"
        )


def per_base(config: Config, length: int = MATCHED_LENGTH) -> float:
    """Return the operations of a forward pass per base, at the chunk rates that training aims at."""
    with torch.device("meta"):
        network = build(config)
    # One that is not routed knows its own rates.
    rates = [1 / ratio for ratio in config.targets] if config.arch == LEARNED else []
    return network.flops(length, rates).per_base


@cache
def _size(name: str) -> float:
    return per_base(SIZES[name][LEARNED])


def check_architectures(names: Sequence[str]) -> tuple[str, ...]:
    """Return architectures in the usual order, each once; all when none is named. Raises UsageError."""
    if unknown := [name for name in names if name not in ARCHITECTURES]:
        raise UsageError(f"unknown architecture {unknown[0]!r}; known are {', '.join(ARCHITECTURES)}")
    return tuple(arch for arch in ARCHITECTURES if arch in names or not names)


def check_rungs(texts: Iterable[str]) -> tuple[Rung, ...]:
    """Return rungs from the smallest budget up. Raises UsageError for none, or for one that comes twice."""
    rungs = sorted(map(Rung.parse, texts), key=lambda rung: rung.budget)
    if not rungs:
        raise UsageError("a ladder needs a rung, such as 3e12:3")
    twice = [one.budget for one, other in pairwise(rungs) if one.budget == other.budget]
    if twice:
        raise UsageError(f"the rung of {twice[0]:g} FLOPs is given twice")
    return tuple(rungs)


@dataclass(frozen=True)
class Plan:
    """All networks of a ladder. `rates` has the learning rates of each architecture: several are swept."""

    architectures: tuple[str, ...]
    rungs: tuple[Rung, ...]
    rates: Mapping[str, tuple[float, ...]]
    num_sizes: int = MAX_SIZES

    def sweep(self, arch: str) -> list[Spec]:
        """Return what is trained to choose an architecture's learning rate; nothing where there is but one."""
        rates, rung = self.rates[arch], self.rungs[0]
        return [Spec(arch, rung.sizes()[0], rung.budget, SWEEP_SEED, r) for r in rates] if len(rates) > 1 else []

    def sweeps(self) -> list[Spec]:
        """Return all of the sweeps, rate by rate, so that architectures come on together."""
        by_rate = zip(*(own for arch in self.architectures if (own := self.sweep(arch))), strict=False)
        return [spec for specs in by_rate for spec in specs]

    def climb(self, chosen: Mapping[str, float]) -> list[Spec]:
        """Return the networks of all rungs, of those architectures whose learning rate is chosen.

        Rung by rung from the smallest, seed by seed, so that a ladder that is stopped has compared all with all.
        """
        return [
            Spec(arch, size, rung.budget, seed, chosen[arch])
            for rung in self.rungs
            for seed in range(1, rung.num_seeds + 1)
            for size in rung.sizes(self.num_sizes)
            for arch in self.architectures
            if arch in chosen
        ]
