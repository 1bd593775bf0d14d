"""A ladder goes on where it was stopped, ends in time, chooses rates, and says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnahnet_cli.benchmarking.climbing import climb, look
from dnahnet_cli.benchmarking.ladder import Plan, Rung, Spec
from dnahnet_cli.benchmarking.notes import notes
from dnahnet_cli.benchmarking.runs import Run, RunFolder
from tests.benchmarking.ladders import BUDGET, SETUP, made_up, small_folder, small_plan


class Counted(RunFolder):
    """A folder that makes its runs up, each in `seconds` of a clock of its own."""

    seconds = 60.0
    worse_from: float = 1e9  # learning rates above it do badly

    def prepare(self) -> Counted:
        self.made: list[Spec] = []
        self.now = 0.0
        self.others: dict[Spec, int] = {}  # how often each is still found to be another's
        return self

    def make(self, spec: Spec, say: object = None) -> Run:
        self.made.append(spec)
        self.now += self.seconds
        shift = 0.1 if spec.learning_rate > self.worse_from else 0.0
        run = made_up(spec.arch, shift, budget=spec.budget, seed=spec.seed, size=spec.size, rate=spec.learning_rate)
        run = replace(run, seconds=self.seconds, flops=spec.budget)
        self.path(spec).write_text(run.to_json())
        return run


def counted(folder: Path) -> Counted:
    return Counted(folder, SETUP, small_folder(folder).corpus).prepare()


def test_a_ladder_that_was_stopped_goes_on(tmp_path: Path) -> None:
    plan = small_plan("dnahnet", "mamba2", seeds=2)
    folder = counted(tmp_path)
    first = climb(plan, folder, 2.5, clock=lambda: folder.now)
    assert len(first.runs) == len(folder.made) == 2
    assert [reason for _, reason in first.left_out] == ["no time left"] * 2
    again = counted(tmp_path)
    second = climb(plan, again, 10, clock=lambda: again.now)
    assert [*folder.made, *again.made] == plan.climb({"dnahnet": 2e-3, "mamba2": 2e-3})
    assert len(second.runs) == 4 and second.left_out == []


def test_no_minutes_make_no_run_that_is_known_to_take_time(tmp_path: Path) -> None:
    plan, folder = small_plan("dnahnet", seeds=2), counted(tmp_path)
    folder.make(plan.climb({"dnahnet": 2e-3})[0])
    result = climb(plan, folder, 0, clock=lambda: folder.now)
    assert len(result.runs) == len(folder.made) == 1 and len(result.left_out) == 1


def test_no_minutes_make_no_run_at_all(tmp_path: Path) -> None:
    plan, folder = small_plan("dnahnet", seeds=2), counted(tmp_path)
    assert climb(plan, folder, 0, clock=lambda: folder.now).runs == [] == folder.made


def test_rates_are_swept_first_and_the_best_is_used(tmp_path: Path) -> None:
    plan, folder = small_plan("dnahnet", "mamba2", rates=(1e-3, 4e-3)), counted(tmp_path)
    folder.worse_from = 2e-3
    result = climb(plan, folder, 100, clock=lambda: folder.now)
    assert [spec.seed for spec in folder.made] == [0, 0, 0, 0, 1, 1]
    assert result.rates == {"dnahnet": 1e-3, "mamba2": 1e-3} == {run.spec.arch: run.spec.learning_rate
                                                                 for run in result.runs}  # fmt: skip
    text = notes(plan, SETUP, result)[-1]
    assert "best of 0.001, 0.004" in text and "At an end of those tried: dnaHNet (learned chunks), Mamba-2" in text


def test_a_sweep_that_is_not_done_leaves_its_rungs_out(tmp_path: Path) -> None:
    plan, folder = small_plan("dnahnet", rates=(1e-3, 4e-3)), counted(tmp_path)
    result = climb(plan, folder, 1.5, clock=lambda: folder.now)
    assert len(result.sweeps) == 1 and result.runs == []
    assert [reason for _, reason in result.left_out] == [
        "no time left",
        "the learning rate of dnahnet is not chosen yet",
    ]
    assert "2 runs of the plan were not made" in notes(plan, SETUP, result)[-1]


def test_what_another_process_makes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, folder = small_plan("dnahnet", "mamba2"), counted(tmp_path)
    theirs = plan.climb({"dnahnet": 2e-3, "mamba2": 2e-3})[0]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        counted(tmp_path).make(theirs)  # it finishes

    from contextlib import contextmanager

    @contextmanager
    def claim(spec: Spec) -> Iterator[bool]:
        yield spec != theirs or bool(waits)

    monkeypatch.setattr(folder, "claim", claim)
    result = climb(plan, folder, 100, clock=lambda: folder.now, wait=wait)
    assert len(waits) == 1 and [spec.arch for spec in folder.made] == ["mamba2"] and len(result.runs) == 2


def test_two_climbs_of_real_networks_share_the_work(tmp_path: Path) -> None:
    plan = small_plan("fixed-stride", "transformer")
    lines: list[str] = []
    result = climb(plan, small_folder(tmp_path), 100, say=lines.append)
    assert len(result.runs) == 2 and len(lines) == 4 and "bits" in lines[1]
    assert climb(plan, small_folder(tmp_path), 0).runs == result.runs or look(plan, small_folder(tmp_path)).runs


def test_larger_rungs_are_judged_by_smaller_ones(tmp_path: Path) -> None:
    plan = Plan(("dnahnet",), (Rung(BUDGET, 1), Rung(3 * BUDGET, 1)), {"dnahnet": (2e-3,)})
    folder = counted(tmp_path)
    result = climb(plan, folder, 3.5, clock=lambda: folder.now)  # 1 minute, then 3 by its budget
    assert len(result.runs) == 1 and len(result.left_out) == 1
