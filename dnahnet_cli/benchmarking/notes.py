"""What a reader of a ladder's rows must know, in sentences."""

from __future__ import annotations

from dnahnet_cli.benchmarking.climbing import Climb
from dnahnet_cli.benchmarking.fits import MIN_POINTS_WITH_FLOOR
from dnahnet_cli.benchmarking.ladder import Plan
from dnahnet_cli.benchmarking.runs import Setup
from dnahnet_cli.benchmarking.sizes import LABELS


def notes(plan: Plan, setup: Setup, climbed: Climb) -> list[str]:
    """Return how the figures of a ladder were made, what limits them, and what is missing."""
    lines = [
        "A budget is of training operations: three times the forward pass, its matrix products, convolutions and "
        "scans counted from the shapes, dnaHNet's at the chunk rates realised in training. Element-wise work is not "
        "counted, and it is no measure of time.",
        "All networks of a seed read the same windows in the same order, as many as their budget pays for: "
        f"{setup.tokens_per_step:,} bases a step in windows of {setup.length:,}. The sizes have like operations per "
        "base in all architectures, not like parameters.",
        "At each rung the better size of each architecture counts, by its mean over seeds on the held-out windows.",
        f"Bits per base are over {setup.heldout_windows} windows of {setup.heldout_length:,} bases of each held-out "
        "genome, forward strand, without context; windows count alike within a genome, and genomes alike.",
        "Intervals are 95 % percentile intervals over draws of genomes and of windows within them, the same draws for "
        "all, with the spread of seeds added: pooled over the rungs that have several, as a t of its degrees of "
        "freedom. A rung of one seed takes its spread from the others. With few genomes intervals are too narrow.",
        "difference: the rival's bits minus dnaHNet's, above 0 dnaHNet needs fewer; its p-values are adjusted for the "
        "number of rivals at the rung (Holm).",
        f"Curves: floor + scale (C / origin)^-exponent from {MIN_POINTS_WITH_FLOOR} rungs on; with fewer the floor is "
        "0, a line of log bits against log operations, which does not tell what more operations would reach.",
        _rates(plan, climbed),
    ]
    if diverged := [run.spec for run in [*climbed.runs, *climbed.sweeps] if run.status != "ok"]:
        lines.append(f"{len(diverged)} runs diverged and are in no figure, the first: {diverged[0]}.")
    if climbed.left_out:
        spec, reason = climbed.left_out[0]
        lines.append(f"{len(climbed.left_out)} runs of the plan were not made, the first: {spec} ({reason}).")
    return lines


def _rates(plan: Plan, climbed: Climb) -> str:
    """Say how the learning rates came about."""
    shown = ", ".join(f"{LABELS[arch]} {rate:g}" for arch, rate in climbed.rates.items())
    if not plan.sweeps():
        return f"Learning rates were given, not tuned: {shown}."
    tried = plan.rates[plan.architectures[0]]
    text = f"Learning rates: the best of {', '.join(f'{rate:g}' for rate in tried)} at the smallest rung and size, "
    text += f"by a seed used for nothing else, for each architecture: {shown}."
    ends = [LABELS[arch] for arch, rate in climbed.rates.items() if rate in (min(tried), max(tried))]
    return f"{text} At an end of those tried: {', '.join(ends)}." if ends else text
