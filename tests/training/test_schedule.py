"""Warm-up, stable, decay to zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.training.schedule import Schedule

SCHEDULE = Schedule(warmup_steps=10, decay_fraction=0.25)


def test_warm_up_is_linear_in_steps() -> None:
    assert [SCHEDULE.factor(step, 0.0) for step in range(12)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0]
    )


@given(st.integers(9, 10**6), st.floats(0, 0.75))
def test_stable_in_between(step: int, progress: float) -> None:
    assert SCHEDULE.factor(step, progress) == 1
    assert not SCHEDULE.decaying(progress)


@given(st.floats(0, 1, exclude_min=True))
def test_decay_is_one_minus_a_root(share: float) -> None:
    progress = 0.75 + 0.25 * share
    assert SCHEDULE.factor(100, progress) == pytest.approx(1 - math.sqrt(share), abs=1e-6)
    assert SCHEDULE.decaying(progress) == (progress > 0.75)


@pytest.mark.parametrize("schedule", [SCHEDULE, Schedule(), Schedule(1, 1.0), Schedule(5, 0.01)])
def test_reaches_zero_and_never_rises_again(schedule: Schedule) -> None:
    factors = [schedule.factor(10**6, progress / 1000) for progress in range(1001)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 0
    assert schedule.factor(10**6, 1.2) == 0  # a step that ends late


def test_a_run_too_short_to_warm_up_still_ends_at_zero() -> None:
    assert SCHEDULE.factor(3, 1.0) == 0
    assert 0 < SCHEDULE.factor(3, 0.8) < SCHEDULE.factor(3, 0.5)
