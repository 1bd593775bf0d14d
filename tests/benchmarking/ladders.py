"""Made-up runs of a ladder, and one small enough to be climbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dnahnet_cli.benchmarking.ladder import Plan, Rung, Spec
from dnahnet_cli.benchmarking.runs import Run, RunFolder, Setup
from dnahnet_cli.training.packed import Corpus, Genome
from tests.conftest import random_codes

GENOMES, WINDOWS = 5, 6
BASE = 1.95 + 0.05 * np.random.default_rng(7).standard_normal((GENOMES, WINDOWS))  # windows differ far more than runs

MOTIF = Genome("motif", "Motif", [np.tile(random_codes(300, 0), 20)])
HELD = Genome("held", "Held", [random_codes(600, 3)])
OTHER = Genome("other", "Other", [random_codes(700, 4)])
CORPUS = Corpus((MOTIF,), (HELD, OTHER))
SETUP = Setup(tokens_per_step=128, length=64, heldout_windows=3, heldout_length=100, dtype="float32")
# About ten steps of the smallest size.
BUDGET = 3 * 150e3 * 128 * 10


def made_up(
    arch: str,
    shift: float,
    *,
    budget: float = 1e12,
    seed: int = 1,
    size: str = "150k",
    status: str = "ok",
    noise: float = 0.0,
    rate: float = 2e-3,
) -> Run:
    """Return a run whose bits are those of all others plus `shift`, and per window a little of its own."""
    own = noise * np.random.default_rng((len(arch), seed, int(budget / 1e9))).standard_normal(BASE.shape)
    bits: Mapping[str, Sequence[float | None]] = {
        f"g{genome}": row.tolist() for genome, row in enumerate(BASE + shift + own)
    }
    if status != "ok":
        bits = {}
    cuts = (0.34, 0.5) if arch == "dnahnet" else ()
    spec = Spec(arch, size, budget, seed, rate)
    return Run(spec, status, 1000, 10, 81920, 1.01 * budget, 2.0, bits, cuts, {"hardware": "a machine"})  # type: ignore[arg-type]


def small_plan(*architectures: str, rates: Sequence[float] = (2e-3,), seeds: int = 1) -> Plan:
    """Return a ladder of one rung that takes seconds."""
    return Plan(architectures, (Rung(BUDGET, seeds),), dict.fromkeys(architectures, tuple(rates)))


def small_folder(folder: Path, setup: Setup = SETUP, corpus: Corpus = CORPUS) -> RunFolder:
    """Return a folder for its runs."""
    return RunFolder(folder, setup, corpus)
