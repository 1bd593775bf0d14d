"""Sizes with like operations, rungs, and the order in which a ladder is climbed."""

from __future__ import annotations

import math

import pytest

from dnahnet_cli.benchmarking.ladder import (
    SWEEP_SEED,
    Plan,
    Rung,
    check_architectures,
    check_rungs,
    per_base,
)
from dnahnet_cli.benchmarking.sizes import ARCHITECTURES, LABELS, SIZES
from dnahnet_cli.errors import UsageError
from dnahnet_cli.networks.presets import PERIOD


@pytest.mark.parametrize("size", SIZES)
def test_a_size_costs_the_same_in_every_architecture(size: str) -> None:
    assert tuple(SIZES[size]) == ARCHITECTURES == tuple(LABELS)
    cost = {arch: per_base(config) for arch, config in SIZES[size].items()}
    for arch, value in cost.items():
        assert value == pytest.approx(cost["dnahnet"], rel=0.06), arch
        assert SIZES[size][arch].arch == arch
        assert SIZES[size][arch].period == PERIOD  # none is told more than another


def test_sizes_are_named_after_what_they_cost_and_grow() -> None:
    cost = [per_base(SIZES[size]["dnahnet"]) for size in SIZES]
    assert cost == sorted(cost)
    units = {"k": 1e3, "M": 1e6}
    for size, value in zip(SIZES, cost, strict=True):
        assert value == pytest.approx(float(size[:-1]) * units[size[-1]], rel=0.03)


def test_the_sizes_of_a_rung_follow_the_root_of_its_budget() -> None:
    assert set(Rung(3e12, 1).sizes()) == {"150k", "480k"}
    assert set(Rung(3e13, 1).sizes()) == {"480k", "1.5M"}
    assert Rung(1e11, 1).sizes() == ("150k",)  # the next one is too far off
    assert Rung(1e13, 1).sizes(1) == Rung(1e13, 1).sizes()[:1]
    names = list(SIZES)
    first = [names.index(Rung(10.0**power, 1).sizes()[0]) for power in range(9, 19)]
    assert first == sorted(first) and first[-1] == len(names) - 1


@pytest.mark.parametrize("text", ["", "x", "1e12:0", "1e12:-1", "-1e12", "0:1", "inf:1", "nan", "1e12:1.5", "1e12:1:2"])
def test_a_rung_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Rung.parse(text)


def test_rungs_come_in_order_and_once() -> None:
    assert check_rungs(["1e13", "3e12:3"]) == (Rung(3e12, 3), Rung(1e13, 1))
    with pytest.raises(UsageError, match="twice"):
        check_rungs(["1e12:1", "1e12:3"])
    with pytest.raises(UsageError):
        check_rungs([])


def test_architectures_are_checked_and_ordered() -> None:
    assert check_architectures([]) == ARCHITECTURES
    assert check_architectures(["mamba2", "dnahnet", "mamba2"]) == ("dnahnet", "mamba2")
    with pytest.raises(UsageError, match="'rwkv'"):
        check_architectures(["rwkv"])


def test_a_plan_has_every_cell_once_and_seeds_before_higher_rungs() -> None:
    architectures = ("dnahnet", "mamba2")
    plan = Plan(architectures, (Rung(3e12, 2), Rung(1e13, 1)), dict.fromkeys(architectures, (1e-3,)))
    assert plan.sweeps() == []
    specs = plan.climb({"dnahnet": 1e-3, "mamba2": 1e-3})
    assert len(specs) == len(set(specs)) == 2 * (2 * len(Rung(3e12, 1).sizes()) + len(Rung(1e13, 1).sizes()))
    order = [(spec.budget, spec.seed) for spec in specs]
    assert order == sorted(order)
    assert plan.climb({"mamba2": 5e-4}) == [spec for spec in plan.climb({"dnahnet": 1, "mamba2": 5e-4})
                                            if spec.arch == "mamba2"]  # fmt: skip


def test_a_sweep_has_a_seed_of_its_own_at_the_smallest_rung() -> None:
    plan = Plan(("dnahnet", "mamba2"), (Rung(3e12, 3), Rung(1e13, 1)), {"dnahnet": (1e-3, 2e-3), "mamba2": (1e-3,)})
    sweeps = plan.sweeps()
    assert {(s.arch, s.learning_rate) for s in sweeps} == {("dnahnet", 1e-3), ("dnahnet", 2e-3)}
    assert {(s.seed, s.budget, s.size) for s in sweeps} == {(SWEEP_SEED, 3e12, Rung(3e12, 1).sizes()[0])}
    assert all(spec.seed != SWEEP_SEED for spec in plan.climb(dict.fromkeys(plan.architectures, 1e-3)))
    assert len({spec.name for spec in sweeps}) == len(sweeps) and math.isclose(sweeps[0].budget, 3e12)
