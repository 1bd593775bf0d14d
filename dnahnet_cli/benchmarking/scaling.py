"""What a ladder says: which architecture needs fewer bits at equal operations, and how bits fall with operations.

Where the uncertainty comes from:
- genomes and windows: resampled together, genomes first and then windows within each, the same draws for all networks,
  so that differences are paired
- seeds: too few to resample. Their spread, pooled over the rungs that have several, is added to each draw as a t of
  as many degrees of freedom as there are. For a difference it is the spread of the differences, since networks of one
  seed read the same windows. Without a rung of several seeds there is none, and the intervals say nothing of seeds
The better of two sizes at a rung is chosen by the same bits, which flatters all architectures alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from dnahnet_cli.benchmarking.fits import FITS, Fit, best_fit
from dnahnet_cli.benchmarking.ladder import Plan, Spec
from dnahnet_cli.benchmarking.runs import Run
from dnahnet_cli.benchmarking.sizes import LEARNED
from dnahnet_cli.evaluation.statistics import Floats, holm, interval, two_sided_p
from dnahnet_cli.io.table import Column

Row: TypeAlias = dict[str, Any]
DRAWS: Final = 2000


@dataclass(frozen=True)
class Point:
    """An architecture at a rung: the runs of its better size, by seed."""

    arch: str
    size: str
    budget: float
    runs: Mapping[int, Run]

    @property
    def bits(self) -> float:
        """Return the mean over seeds."""
        return float(np.mean([run.mean for run in self.runs.values()]))


def chosen_rates(plan: Plan, find: Callable[[Spec], Run | None]) -> dict[str, float]:
    """Return the learning rates of the architectures whose sweep is complete; a run that diverged is never chosen.

    Where all diverged the smallest rate is taken, and its runs will tell.
    """
    chosen: dict[str, float] = {}
    for arch in plan.architectures:
        specs = plan.sweep(arch)
        found = [run for spec in specs if (run := find(spec)) is not None]
        if not specs:
            chosen[arch] = plan.rates[arch][0]
        elif len(found) == len(specs):
            usable = [run for run in found if run.status == "ok"]
            best = min(usable, key=lambda run: run.mean, default=None)
            chosen[arch] = best.spec.learning_rate if best else min(plan.rates[arch])
    return chosen


def points(runs: Iterable[Run]) -> list[Point]:
    """Return the better size of each architecture at each rung, by the mean over seeds.

    A size at which a seed diverged is left out; so is one that has fewer seeds than another, being unfinished.
    """
    cells: dict[tuple[str, float, str], dict[int, Run]] = {}
    for run in runs:
        cells.setdefault((run.spec.arch, run.spec.budget, run.spec.size), {})[run.spec.seed] = run
    by_rung: dict[tuple[str, float], list[Point]] = {}
    for (arch, budget, size), own in cells.items():
        if all(run.status == "ok" for run in own.values()):
            by_rung.setdefault((arch, budget), []).append(Point(arch, size, budget, own))
    best = []
    for candidates in by_rung.values():
        most = max(len(point.runs) for point in candidates)
        best.append(min((p for p in candidates if len(p.runs) == most), key=lambda point: point.bits))
    return sorted(best, key=lambda point: (point.budget, point.arch))


class Resampling:
    """Draws of genomes and of windows within them, the same for every network: weights of windows, (D, G, W)."""

    def __init__(self, num_genomes: int, num_windows: int, draws: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.random = random
        genome_DG = random.integers(0, num_genomes, (draws, num_genomes))
        window_DGW = random.integers(0, num_windows, (draws, num_genomes, num_windows))
        weight_DGW = np.zeros((draws, num_genomes, num_windows))
        rows = np.arange(draws)[:, None, None]
        np.add.at(weight_DGW, (rows, genome_DG[:, :, None], window_DGW), 1.0)
        self._weight_DGW = weight_DGW / (num_genomes * num_windows)

    def means(self, bits_GW: Floats) -> Floats:
        """Return the resampled means, (D,). A window without bases has no weight."""
        known_GW = ~np.isnan(bits_GW)
        sums: Floats = np.einsum("dgw,gw->d", self._weight_DGW, np.where(known_GW, bits_GW, 0.0))
        weights: Floats = np.einsum("dgw,gw->d", self._weight_DGW, known_GW.astype(float))
        return sums / weights

    def of_seeds(self, spread: Spread, num_seeds: int) -> Floats:
        """Return draws of the error of a mean over seeds, (D,)."""
        draws = len(self._weight_DGW)
        if spread.degrees == 0:
            return np.zeros(draws)
        noise: Floats = self.random.standard_t(spread.degrees, draws) * spread.deviation / math.sqrt(num_seeds)
        return noise


@dataclass(frozen=True)
class Spread:
    """A standard deviation over seeds, pooled over rungs, and its degrees of freedom."""

    deviation: float
    degrees: int

    @classmethod
    def pooled(cls, groups: Iterable[Sequence[float]]) -> Spread:
        """Pool groups of values that each have a mean of their own; NaN and 0 degrees where all have one value."""
        several = [np.asarray(values) for values in groups if len(values) > 1]
        degrees = sum(len(values) - 1 for values in several)
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
        return cls(math.sqrt(squares / degrees) if degrees else math.nan, degrees)


def _bits(run: Run) -> Floats:
    """Return the bits of each window, (G, W), genomes in the order of their names."""
    return np.array([run.bits[name] for name in sorted(run.bits)], dtype=np.float64)


def analyse(runs: Sequence[Run], *, draws: int = DRAWS, seed: int = 1) -> list[Row]:
    """Return the rows of a ladder from its finished runs, those of sweeps not among them.

    By level: `point` for each architecture at each rung, `comparison` of the learned chunks with each rival there, and
    `fit` for each architecture. Differences are the rival's bits minus dnaHNet's: above 0 dnaHNet needs fewer.
    """
    found = points(runs)
    if not found:
        return []
    num_genomes, num_windows = _mean_bits(found[0]).shape
    sample = Resampling(num_genomes, num_windows, draws, seed)
    drawn = {(p.arch, p.budget): sample.means(_mean_bits(p)) for p in found}
    spreads = {arch: _spread(runs, arch) for arch in dict.fromkeys(point.arch for point in found)}
    noisy = {(p.arch, p.budget): drawn[p.arch, p.budget] + sample.of_seeds(spreads[p.arch], len(p.runs)) for p in found}
    rows = [_point_row(point, noisy[point.arch, point.budget], spreads[point.arch]) for point in found]
    rows += _comparisons(found, drawn, sample)
    return rows + _fits(found, noisy)


def _mean_bits(point: Point) -> Floats:
    mean: Floats = np.mean([_bits(run) for run in point.runs.values()], axis=0)
    return mean


def _spread(runs: Sequence[Run], arch: str) -> Spread:
    groups: dict[tuple[str, float], list[float]] = {}
    for run in runs:
        if run.spec.arch == arch and run.status == "ok":
            groups.setdefault((run.spec.size, run.spec.budget), []).append(run.mean)
    return Spread.pooled(groups.values())


def _point_row(point: Point, drawn: Floats, spread: Spread) -> Row:
    runs = list(point.runs.values())
    low, high = interval(drawn)
    return {
        "level": "point",
        "arch": point.arch,
        "budget": point.budget,
        "size": point.size,
        "num_seeds": len(runs),
        "flops": float(np.mean([run.flops for run in runs])),
        "parameters": runs[0].parameters,
        "bases": round(float(np.mean([run.bases for run in runs]))),
        "learning_rate": runs[0].spec.learning_rate,
        "bits": point.bits,
        "bits_low": low,
        "bits_high": high,
        "seed_deviation": None if spread.degrees == 0 else spread.deviation,
        "cuts": " ".join(f"{share:.3f}" for share in np.mean([run.cuts for run in runs], axis=0)) or None,
        "seconds": float(np.mean([run.seconds for run in runs])),
    }


def _comparisons(found: Sequence[Point], drawn: Mapping[tuple[str, float], Floats], sample: Resampling) -> list[Row]:
    by_place = {(point.arch, point.budget): point for point in found}
    rivals = [arch for arch in dict.fromkeys(point.arch for point in found) if arch != LEARNED]
    pairs: dict[str, list[tuple[Point, Point]]] = {
        arch: [
            (by_place[LEARNED, budget], by_place[arch, budget])
            for budget in sorted({point.budget for point in found})
            if (LEARNED, budget) in by_place and (arch, budget) in by_place
        ]
        for arch in rivals
    }
    rows: list[Row] = []
    for arch, own in pairs.items():
        spread = Spread.pooled([_seed_differences(learned, rival) for learned, rival in own])
        for learned, rival in own:
            shared = max(1, len(_seed_differences(learned, rival)))
            noise = sample.of_seeds(spread, shared)
            draws = drawn[arch, rival.budget] - drawn[LEARNED, learned.budget] + noise
            low, high = interval(draws)
            rows.append(
                {
                    "level": "comparison",
                    "arch": arch,
                    "budget": rival.budget,
                    "size": rival.size,
                    "learned_size": learned.size,
                    "num_seeds": shared,
                    "difference": rival.bits - learned.bits,
                    "difference_low": low,
                    "difference_high": high,
                    "difference_p": two_sided_p(draws),
                    "seed_deviation": None if spread.degrees == 0 else spread.deviation,
                }
            )
    rows.sort(key=lambda row: row["budget"])
    for budget in dict.fromkeys(row["budget"] for row in rows):
        own_rows = [row for row in rows if row["budget"] == budget]
        for row, p in zip(own_rows, holm([row["difference_p"] for row in own_rows]), strict=True):
            row["difference_p_adjusted"] = p
    return rows


def _seed_differences(learned: Point, rival: Point) -> list[float]:
    return [rival.runs[seed].mean - learned.runs[seed].mean for seed in sorted(learned.runs.keys() & rival.runs.keys())]


def _fits(found: Sequence[Point], drawn: Mapping[tuple[str, float], Floats]) -> list[Row]:
    """Fit each architecture's bits against its operations, with as many parameters as all the ladders carry."""
    rows = []
    for arch in dict.fromkeys(point.arch for point in found):
        own = [point for point in found if point.arch == arch]
        if len(own) < 2:
            continue
        flops = np.array([np.mean([run.flops for run in point.runs.values()]) for point in own])
        kind = best_fit(len(own))
        fit = FITS[kind](flops, np.array([[point.bits for point in own]]))
        draws = FITS[kind](flops, np.stack([drawn[arch, point.budget] for point in own], axis=1))
        rows.append(_fit_row(arch, kind, len(own), fit, draws))
    return rows


def _fit_row(arch: str, kind: str, num_points: int, fit: Fit, draws: Fit) -> Row:
    row: Row = {"level": "fit", "arch": arch, "kind": kind, "num_points": num_points, "origin": fit.origin}
    for name in ("floor", "scale", "exponent"):
        value, drawn = getattr(fit, name), getattr(draws, name)
        low, high = interval(drawn)
        row |= {name: float(value[0]), f"{name}_low": low, f"{name}_high": high}
    return row


def sweep_rows(sweeps: Iterable[Run], chosen: Mapping[str, float]) -> list[Row]:
    """Return a row of level `sweep` for each learning rate that was tried."""
    return [
        {
            "level": "sweep",
            "arch": run.spec.arch,
            "budget": run.spec.budget,
            "size": run.spec.size,
            "learning_rate": run.spec.learning_rate,
            "bits": run.mean if run.status == "ok" else None,
            "chosen": chosen.get(run.spec.arch) == run.spec.learning_rate,
        }
        for run in sweeps
    ]


def columns() -> list[Column]:
    """Return the columns of a ladder's table."""
    texts = {"level", "arch", "size", "learned_size", "kind", "cuts"}
    whole = {"num_seeds", "num_points", "parameters", "bases"}
    names = [
        *("level", "arch", "budget", "size", "learned_size", "num_seeds", "learning_rate", "chosen", "flops"),
        *("parameters", "bases", "cuts", "seconds", "bits", "bits_low", "bits_high", "difference", "difference_low"),
        *("difference_high", "difference_p", "difference_p_adjusted", "seed_deviation", "kind", "num_points"),
        *(f"{name}{end}" for name in ("floor", "scale", "exponent") for end in ("", "_low", "_high")),
        "origin",
    ]
    return [
        Column(name, "str" if name in texts else "int" if name in whole else "bool" if name == "chosen" else "float")
        for name in names
    ]
