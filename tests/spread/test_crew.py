"""The crew: order, few units at a time, lost workers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dnahnet_cli.errors import WorkerError
from dnahnet_cli.spread.crew import AHEAD, TRIES, Crew, WorkerLost


class Squarer:
    """A worker that squares numbers, and is lost now and then: `lives` are how many units each life lasts."""

    def __init__(self, name: str, lives: list[int] | None = None) -> None:
        self.name, self.lives, self.left, self.stopped = name, lives, 0, False
        self.done: list[int] = []

    def start(self) -> None:
        if self.lives is None:
            return
        if not self.lives:
            raise WorkerLost(f"{self.name} does not start")
        self.left = self.lives.pop(0)

    def do(self, unit: int) -> Any:
        time.sleep(random.random() / 1000)
        if self.lives is not None:
            self.left -= 1
            if self.left < 0:
                raise WorkerLost(f"{self.name} was lost")
        if unit < 0:
            raise ValueError(f"{unit} is negative")
        self.done.append(unit)
        return unit * unit

    def stop(self) -> None:
        self.stopped = True


def squares(workers: list[Squarer], number: int) -> list[int]:
    with Crew(workers) as crew:
        return list(crew.map(range(number)))


@pytest.mark.parametrize("number", [0, 1, 50])
def test_results_come_in_order_whatever_is_lost(number: int) -> None:
    for seed in range(5):
        draw = random.Random(seed)
        workers = [Squarer(str(n), [draw.randint(1, 4) for _ in range(draw.randint(0, 4))]) for n in range(3)]
        workers.append(Squarer("steady"))
        assert squares(workers, number) == [n * n for n in range(number)]
        assert all(worker.stopped for worker in workers)
        assert sorted(n for worker in workers for n in worker.done) == list(range(number))


def test_few_units_are_under_way() -> None:
    workers, drawn = [Squarer("1"), Squarer("2")], []

    def units() -> Iterator[int]:
        for unit in range(100):
            drawn.append(unit)
            yield unit

    with Crew(workers) as crew:
        for number, _ in enumerate(crew.map(units()), 1):
            time.sleep(0.002)
            assert len(drawn) - number < AHEAD * len(workers)
    assert len(drawn) == number == 100


def test_what_a_unit_raises_comes_in_its_turn() -> None:
    with Crew([Squarer("1"), Squarer("2")]) as crew:
        results = crew.map([3, 4, -5, 6])
        assert [next(results), next(results)] == [9, 16]
        with pytest.raises(ValueError, match="-5 is negative"):
            next(results)
        assert list(crew.map([7])) == [49]


def test_without_a_worker_there_is_an_error() -> None:
    said: list[str] = []
    with Crew([Squarer("1", [2]), Squarer("2", [1])], said.append) as crew:
        results, got = crew.map(range(10)), []
        with pytest.raises(WorkerError, match=r"no worker is left: \d does not start"):
            got.extend(results)
        with pytest.raises(WorkerError):
            list(crew.map([1]))
    # Each is started again after it did something, and once more after it did not start.
    assert sum("started again" in text for text in said) == 4 and sum("going on without" in text for text in said) == 1


def test_a_worker_that_cannot_be_used_is_given_up_at_once() -> None:
    class Unusable(Squarer):
        def start(self) -> None:
            raise ValueError("another version")

    said: list[str] = []
    with Crew([Unusable("1"), Squarer("2")], said.append) as crew:
        assert list(crew.map(range(5))) == [0, 1, 4, 9, 16]
    assert said == ["another version; going on without it"]
    with Crew([Unusable("1")]) as crew, pytest.raises(WorkerError, match="another version"):
        list(crew.map(range(5)))


def test_a_unit_that_ends_every_worker_is_an_error() -> None:
    class Fragile(Squarer):
        def do(self, unit: int) -> Any:
            if unit == 7:
                raise WorkerLost("gone")
            return super().do(unit)

    workers: list[Squarer] = [Fragile(str(number)) for number in range(TRIES + 1)]
    got = []
    with Crew(workers) as crew, pytest.raises(WorkerError, match=f"ended {TRIES} workers: gone"):
        for result in crew.map(range(100)):
            got.append(result)
    assert got == [n * n for n in range(7)]
