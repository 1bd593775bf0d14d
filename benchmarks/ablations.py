"""What one choice of the network or its training is worth: short runs that differ in nothing else.

    python benchmarks/ablations.py SOURCES... [--only NAME ...] [--steps N] [--preset tiny]

SOURCES are what `dnahnet train` takes, with held-out species. Every run sees the same windows in the same order (except
those that change the windows), decays over its last 30 %, and is evaluated on four windows of 4,096 bases of each
held-out species, without context. stdout: a TSV of name, parameters, million bases, bits, and F of each stage. A run of
150 steps takes about a minute of one core with `tiny`; what holds there need not hold in a run a hundred times as long.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from dnahnet_cli.genome import N_CODE
from dnahnet_cli.model.config import Config, ModelConfig
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.training.corpus import read_corpus
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Corpus
from dnahnet_cli.training.schedule import Schedule

SAMPLER = "dnahnet_cli.training.sampler"
WARMUP = 100  # steps


@dataclass(frozen=True)
class Change:
    """What a run has that the reference has not: architecture, fields of the two configurations, names patched."""

    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    patched: dict[str, Any] = field(default_factory=dict)
    arch: str = ModelConfig.arch
    matched: str = ""  # "-flops": a rival with the reference's operations per base, not its parameters


def _inner(layers: str, core: str = "T1") -> list[Any]:
    """Return the inner stage with these layers before and, in reverse, after the core."""
    runs = [layers[at : at + 2] for at in range(0, len(layers), 2)]
    return [layers, [core], "".join(reversed(runs))]


def _same(codes: Any) -> Any:
    return codes


CHANGES: dict[str, Change] = {
    "reference": Change(),
    "seed 2": Change(training={"seed": 2}),
    "seed 3": Change(training={"seed": 3}),
    "chunks of fixed lengths": Change(arch="fixed-stride"),
    "chunks of random lengths": Change(arch="random-chunks"),
    "chunks of fixed lengths, seed 2": Change(arch="fixed-stride", training={"seed": 2}),
    "chunks of random lengths, seed 2": Change(arch="random-chunks", training={"seed": 2}),
    "chunks of fixed lengths, seed 3": Change(arch="fixed-stride", training={"seed": 3}),
    "chunks of random lengths, seed 3": Change(arch="random-chunks", training={"seed": 3}),
    "Transformer++": Change(arch="transformer"),
    "StripedHyena 2": Change(arch="striped-hyena2"),
    "Mamba-2": Change(arch="mamba2"),
    "Transformer++, same operations": Change(arch="transformer", matched="-flops"),
    "StripedHyena 2, same operations": Change(arch="striped-hyena2", matched="-flops"),
    "Mamba-2, same operations": Change(arch="mamba2", matched="-flops"),
    "no clock": Change({"period": 1}),
    "no clock, fixed lengths": Change({"period": 1}, arch="fixed-stride"),
    "a clock of six": Change({"period": 6}),
    "outer stage m2": Change({"layout": ["m2", _inner("T1m1"), "m2"]}),
    "outer stage m4": Change({"layout": ["m4", _inner("T1m1"), "m4"]}),
    "outer stage m4, seed 2": Change({"layout": ["m4", _inner("T1m1"), "m4"]}, {"seed": 2}),
    "outer stage m3T1": Change({"layout": ["m3T1", _inner("T1m1"), "m4"], "windows": (512, 64, None)}),
    "outer stage m3T1, seed 2": Change(
        {"layout": ["m3T1", _inner("T1m1"), "m4"], "windows": (512, 64, None)}, {"seed": 2}
    ),
    "inner stage m3 (equal size)": Change({"layout": ["m1", _inner("m3"), "m1"]}),
    "inner stage M1m1": Change({"layout": ["m1", _inner("M1m1"), "m1"]}),
    "heads and SSD chunks of 32": Change({"mamba_head_size": 32, "ssd_chunk": 32}),
    "state 32": Change({"state_size": 32}),
    "ratio weight 0.005": Change(training={"ratio_weight": 0.005}),
    "ratio weight 0.03": Change(training={"ratio_weight": 0.03}),
    "ratios 3, 3": Change({"ratios": (3.0, 3.0)}),
    "rates 1, 1, 1": Change(training={"stage_rates": (1.0, 1.0, 1.0)}),
    "windows of 1,024": Change(training={"length": 1024}),
    "windows of 4,096": Change(training={"length": 4096}),
    "windows of 8,192 at the end": Change(training={"final_length": 8192}),
    "one strand": Change(patched={"reverse_complement": _same}),
    "N in place of BOS": Change(patched={"BOS": N_CODE}),
}


def main() -> None:
    """Run the ablations that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCES")
    parser.add_argument("--only", action="append", choices=list(CHANGES), metavar="NAME", help="repeatable")
    parser.add_argument("--preset", default="tiny", choices=["tiny", "small", "base"])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    corpus = read_corpus(args.sources)
    config = TrainConfig(steps=args.steps, learning_rate=args.learning_rate, final_length=2048, heldout_windows=4,
                         final_tokens_per_step=8192, checkpoint_minutes=1e9, schedule=Schedule(WARMUP))  # fmt: skip
    print("change\tparameters\tmillion_bases\tbits\tF", flush=True)
    for name in args.only or CHANGES:
        change = CHANGES[name]
        preset = PRESETS[change.arch][args.preset + change.matched]
        row = _run(change, preset, config, corpus, getattr(torch, args.dtype))
        print(name, *row, sep="\t", flush=True)


def _run(
    change: Change, model: Config, config: TrainConfig, corpus: Corpus, dtype: torch.dtype
) -> tuple[int, str, str, str]:
    config = replace(config, **change.training)
    if "length" in change.training:
        config = replace(config, final_length=config.length)
    with _patched(change.patched), tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(replace(model, **change.model), config, corpus, Path(folder), dtype=dtype, log=_to_stderr)
        result = trainer.run()
    assert result is not None, "it has no time limit"
    cuts = " ".join(f"{cut:.3f}" for cut in result.cuts)
    return trainer.model.num_parameters(), f"{trainer.bases_seen / 1e6:.2f}", f"{result.mean:.4f}", cuts


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def _patched(names: dict[str, Callable[..., Any] | int]) -> Iterator[None]:
    patches = [patch(f"{SAMPLER}.{name}", value) for name, value in names.items()]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


if __name__ == "__main__":
    main()
