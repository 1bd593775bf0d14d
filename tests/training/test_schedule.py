"""Warm-up, stable, decay to zero; or a cosine."""

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


# --- cosine ---

COSINE = Schedule(warmup_steps=10, decay_fraction=0.25, kind="cosine")


@given(st.floats(0, 1.3))
def test_a_cosine_falls_from_the_start(progress: float) -> None:
    expected = math.cos(math.pi * min(progress, 1) / 2) ** 2  # the same curve, by the half-angle formula
    assert COSINE.factor(100, progress) == pytest.approx(expected, abs=1e-12)


def test_a_cosine_warms_up_too_and_has_the_same_last_phase() -> None:
    """In which the windows are longer, whatever the learning rate does."""
    assert [COSINE.factor(step, 0.0) for step in range(11)] == pytest.approx([min(1, (k + 1) / 10) for k in range(11)])
    assert COSINE.factor(4, 0.5) == pytest.approx(0.25)
    assert [COSINE.decaying(progress) for progress in (0.0, 0.75, 0.76, 1.0)] == [False, False, True, True]


def test_no_warm_up_begins_at_the_full_rate() -> None:
    assert Schedule(warmup_steps=0).factor(0, 0.0) == 1
