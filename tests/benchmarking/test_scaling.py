"""What is made of runs: the better sizes, differences with intervals, the spread of seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dnahnet_cli.benchmarking.ladder import Spec
from dnahnet_cli.benchmarking.runs import Run
from dnahnet_cli.benchmarking.scaling import (
    Resampling,
    Spread,
    analyse,
    chosen_rates,
    columns,
    points,
    sweep_rows,
)
from tests.benchmarking.ladders import BASE, GENOMES, WINDOWS, made_up, small_plan


def rows_of(runs: list[Run], level: str) -> dict[str, dict]:  # type: ignore[type-arg]
    return {row["arch"]: row for row in analyse(runs, draws=400) if row["level"] == level}


def test_the_better_size_counts_by_its_mean_over_seeds() -> None:
    runs = [
        made_up("dnahnet", 0.00, seed=1),
        made_up("dnahnet", 0.04, seed=2),
        made_up("dnahnet", 0.01, seed=1, size="480k"),
        made_up("dnahnet", 0.01, seed=2, size="480k"),
    ]
    (point,) = points(runs)
    assert (point.size, sorted(point.runs)) == ("480k", [1, 2])
    assert point.bits == pytest.approx(BASE.mean() + 0.01)


def test_an_unfinished_or_diverged_size_does_not_count() -> None:
    both = [made_up("mamba2", 0.0, seed=1, size="480k"), *(made_up("mamba2", 0.1, seed=seed) for seed in (1, 2))]
    assert points(both)[0].size == "150k"  # the other has one seed of two so far
    broken = [*both, made_up("mamba2", 0, seed=2, size="480k", status="diverged")]
    assert points(broken)[0].size == "150k"
    assert points([made_up("mamba2", 0, status="diverged")]) == [] == analyse([made_up("mamba2", 0, status="diverged")])


def test_a_shift_of_all_windows_is_found_without_doubt() -> None:
    runs = [made_up(arch, shift) for arch, shift in (("dnahnet", 0.0), ("transformer", 0.01), ("mamba2", -0.02))]
    found = rows_of(runs, "comparison")
    for arch, shift in (("transformer", 0.01), ("mamba2", -0.02)):
        row = found[arch]  # paired: that windows differ by 0.05 makes no difference
        assert (row["difference"], row["difference_low"], row["difference_high"]) == pytest.approx((shift,) * 3)
        assert row["difference_p"] == pytest.approx(2 / 401) and row["seed_deviation"] is None
        assert row["difference_p_adjusted"] == pytest.approx(2 * row["difference_p"])
    point = rows_of(runs, "point")["dnahnet"]
    assert point["bits_low"] < point["bits"] < point["bits_high"] and point["flops"] == pytest.approx(1.01e12)


def test_windows_that_disagree_are_not_beyond_chance() -> None:
    runs = [made_up("dnahnet", 0.0), made_up("transformer", 0.0, noise=0.05)]
    row = rows_of(runs, "comparison")["transformer"]
    assert row["difference_low"] < 0 < row["difference_high"] and row["difference_p"] > 0.05


def test_seeds_that_disagree_widen_every_rung() -> None:
    def ladder(spread: float) -> list[Run]:
        runs = [made_up("dnahnet", 0.0, seed=seed) for seed in (1, 2, 3)]
        runs += [made_up("mamba2", 0.01 + spread * (seed - 2), seed=seed) for seed in (1, 2, 3)]
        return [*runs, made_up("dnahnet", 0.0, budget=1e13), made_up("mamba2", 0.01, budget=1e13)]

    def widths(spread: float) -> list[float]:
        rows = [row for row in analyse(ladder(spread), draws=2000) if row["level"] == "comparison"]
        assert [row["budget"] for row in rows] == [1e12, 1e13]
        assert rows[0]["seed_deviation"] == pytest.approx(spread, abs=1e-9)
        return [row["difference_high"] - row["difference_low"] for row in rows]

    certain, unsure = widths(0.0), widths(0.005)
    assert certain == pytest.approx([0, 0], abs=1e-9)
    # A t of 2 degrees of freedom has 4.303 at 97.5 %; the rung of one seed is unsurer by the root of three.
    assert unsure[0] == pytest.approx(2 * 4.303 * 0.005 / math.sqrt(3), rel=0.2)
    assert unsure[1] == pytest.approx(2 * 4.303 * 0.005, rel=0.2)


def test_seeds_are_paired() -> None:
    """A seed that is hard for both architectures says nothing against their difference."""
    runs = [made_up(arch, shift + 0.02 * seed, seed=seed) for seed in (1, 2, 3)
            for arch, shift in (("dnahnet", 0.0), ("transformer", 0.01))]  # fmt: skip
    row = rows_of(runs, "comparison")["transformer"]
    assert row["seed_deviation"] == pytest.approx(0, abs=1e-9) and row["difference_low"] > 0
    assert rows_of(runs, "point")["transformer"]["seed_deviation"] == pytest.approx(0.02)


def test_resampling_is_of_genomes_and_of_windows_within_them() -> None:
    bits = np.arange(12.0).reshape(3, 4) * 10.0
    bits[1, 2] = np.nan
    means = Resampling(3, 4, 500, 1).means(bits)
    assert means == pytest.approx(Resampling(3, 4, 500, 1).means(bits))
    assert np.isfinite(means).all() and means.std() > 0
    same = Resampling(3, 4, 200, 2).means(np.repeat([[1.0], [2.0], [4.0]], 4, axis=1))
    values = {round(3 * value) for value in same.tolist()}  # sums of three genomes, drawn with replacement
    assert values <= {a + b + c for a in (1, 2, 4) for b in (1, 2, 4) for c in (1, 2, 4)} and len(values) > 5


def test_a_pooled_spread_is_that_of_the_textbook() -> None:
    groups = [[1.0, 2.0, 3.0], [10.0, 14.0], [5.0]]
    spread = Spread.pooled(groups)
    assert (spread.degrees, spread.deviation) == (3, pytest.approx(math.sqrt((2 * 1.0 + 1 * 8.0) / 3)))
    assert Spread.pooled([[1.0], [2.0]]).degrees == 0


def test_curves_are_fitted_from_two_rungs_on() -> None:
    def ladder(num_rungs: int) -> list[Run]:
        return [made_up("dnahnet", 0.5 * (at + 1) ** -1.0, budget=10.0 ** (12 + at)) for at in range(num_rungs)]

    assert rows_of(ladder(1), "fit") == {}
    line, law = rows_of(ladder(5), "fit")["dnahnet"], rows_of(ladder(6), "fit")["dnahnet"]
    assert (line["kind"], law["kind"], law["num_points"]) == ("line", "power law", 6)
    assert line["exponent_low"] <= line["exponent"] <= line["exponent_high"] and law["exponent"] > 0 == line["floor"]


def test_the_best_rate_of_a_complete_sweep_is_chosen() -> None:
    plan = small_plan("dnahnet", "mamba2", rates=(1e-3, 2e-3))
    low, high = plan.sweep("dnahnet")
    found: dict[Spec, Run] = {low: made_up("dnahnet", 0.1, rate=1e-3)}
    assert chosen_rates(plan, found.get) == {}
    found[high] = made_up("dnahnet", 0.2, rate=2e-3)
    assert chosen_rates(plan, found.get) == {"dnahnet": 1e-3}
    found[low] = made_up("dnahnet", 0.1, rate=1e-3, status="diverged")
    assert chosen_rates(plan, found.get) == {"dnahnet": 2e-3}
    found[high] = made_up("dnahnet", 0.1, rate=2e-3, status="diverged")
    assert chosen_rates(plan, found.get) == {"dnahnet": 1e-3}
    assert chosen_rates(small_plan("mamba2"), {}.get) == {"mamba2": 2e-3}
    rows = sweep_rows(found.values(), {"dnahnet": 1e-3})
    assert [(row["chosen"], row["bits"]) for row in rows] == [(True, None), (False, None)]


def test_every_row_fits_the_table() -> None:
    runs = [made_up(arch, 0.01, budget=budget) for arch in ("dnahnet", "mamba2") for budget in (1e12, 1e13)]
    rows = [*analyse(runs, draws=50), *sweep_rows(runs, {})]
    names = {column.name: column for column in columns()}
    assert {row["level"] for row in rows} == {"point", "comparison", "fit", "sweep"}
    for row in rows:
        for name, value in row.items():
            names[name].check(value)
    assert BASE.shape == (GENOMES, WINDOWS)
