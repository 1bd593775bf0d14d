"""Climb a ladder: make the runs that are missing, in order, for as long as there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dnahnet_cli.benchmarking.ladder import Plan, Spec
from dnahnet_cli.benchmarking.runs import Run, RunFolder
from dnahnet_cli.benchmarking.scaling import chosen_rates

WAIT_SECONDS = 2.0


@dataclass
class Climb:
    """How far a ladder has come: the runs of the rungs and of the sweeps, and those that are left, with the reason."""

    rates: Mapping[str, float]
    runs: list[Run] = field(default_factory=list)
    sweeps: list[Run] = field(default_factory=list)
    left_out: list[tuple[Spec, str]] = field(default_factory=list)


def climb(
    plan: Plan,
    folder: RunFolder,
    minutes: float,
    *,
    say: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Climb:
    """Make every run of the plan that is not in the folder yet and fits into the time; return what is there then.

    A run is begun when it should end in time, judged by the runs there are; an unknown size is just tried. What
    another process works on is waited for. Raises InputError for a file in the folder that is no run.
    """
    began = clock()
    late: set[Spec] = set()
    while True:
        missing, _ = _missing(plan, folder)
        spent = (clock() - began) / 60
        late |= {spec for spec in missing if spent + _minutes(spec, plan, folder) >= minutes}
        todo = [spec for spec in missing if spec not in late]
        if not todo:
            return look(plan, folder, late)
        if not any(_made(spec, folder, say) for spec in todo):  # others work on all that is left
            wait(WAIT_SECONDS)


def _made(spec: Spec, folder: RunFolder, say: Callable[[str], None]) -> bool:
    """Make a run unless another process does, or did meanwhile; return whether anything has changed."""
    with folder.claim(spec) as mine:
        if not mine:
            return False
        if folder.find(spec) is None:
            say(f"{spec} ...")
            run = folder.make(spec)
            result = f"{run.mean:.4f} bits" if run.status == "ok" else "diverged"
            say(f"{spec}: {result}, {run.steps:,} steps, {run.bases / 1e6:.2f} Mb in {run.seconds:.0f} s")
        return True


def look(plan: Plan, folder: RunFolder, late: set[Spec] | None = None) -> Climb:
    """Return how far a ladder has come."""
    missing, rates = _missing(plan, folder)
    result = Climb(rates)
    for spec in plan.sweeps():
        if (run := folder.find(spec)) is not None:
            result.sweeps.append(run)
    for spec in plan.climb(rates):
        if (run := folder.find(spec)) is not None:
            result.runs.append(run)
    for spec in missing:
        result.left_out.append((spec, "no time left" if spec in (late or ()) else "not made yet"))
    waiting = [arch for arch in plan.architectures if arch not in rates]
    for spec in plan.climb({arch: plan.rates[arch][0] for arch in waiting}):
        result.left_out.append((spec, f"the learning rate of {spec.arch} is not chosen yet"))
    return result


def _missing(plan: Plan, folder: RunFolder) -> tuple[list[Spec], dict[str, float]]:
    """Return the runs that can be made now, in order, and the learning rates that are chosen."""
    rates = chosen_rates(plan, folder.find)
    wanted = [*plan.sweeps(), *plan.climb(rates)]
    return [spec for spec in wanted if folder.find(spec) is None], rates


def _minutes(spec: Spec, plan: Plan, folder: RunFolder) -> float:
    """Return how long a run should take: from runs of its architecture and size, or else of its architecture."""
    runs = [run for other in [*plan.sweeps(), *plan.climb(chosen_rates(plan, folder.find))]
            if other.arch == spec.arch and (run := folder.find(other)) is not None and run.flops]  # fmt: skip
    alike = [run for run in runs if run.spec.size == spec.size] or runs
    seconds = max((spec.budget * run.seconds / run.flops for run in alike), default=0.0)
    return seconds / 60
