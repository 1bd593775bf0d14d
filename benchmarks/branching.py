"""Scan and branch against scoring the same variants by four full windows: variants per second, and whether they agree.

    python benchmarks/branching.py GENOME [--gene REGION] [--random 1000] [--sample 12] [--rounds 3] [--json OUT]

Two sets: every SNV of a stretch of 3,000 bases (`gene`), and SNVs drawn from the whole genome (`random`). Both are
scored as `score-variants` does. Of each set a sample is also scored the slow way, by the same network: reference and
alternative, on both strands, each in a window of its own of 8,192 bases; that cost is the same for every variant.

The windows are the oracle too. Each is the bases that the scan has read before the edit, as many as the tile grid
gives, and what follows, so that both ways answer the same question: their scores must be equal to 1e-4 in float32. With
--dtype bfloat16 they are compared with the float32 branches instead, by Spearman's rank correlation.

Rounds of both ways alternate in one process of one thread, and what is counted is the processor time of that thread, so
that the ratio holds on a machine that others use. The last line is one JSON object. Exit status 1: the scores differ.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from dnahnet_cli.genome import N_CODE, Codes, Edit, Variant, decode, encode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.regions import parse_region
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.allocator import keep_freed_memory
from dnahnet_cli.networks.weights import DEFAULT_MODEL, find_model, load_model
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.scoring.calibration import random_snvs
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.reading import Reading

WINDOW, GENE_BP = 8192, 3000
TOLERANCE, LEAST_SPEARMAN = 1e-4, 0.999


@dataclass(frozen=True)
class Timing:
    """One set of variants, both ways; seconds of processor time, medians over the rounds."""

    branch_variants_per_s: float
    window_variants_per_s: float
    num_variants: int
    num_sampled: int
    max_difference: float
    spearman: float

    @property
    def ratio(self) -> float:
        return self.branch_variants_per_s / self.window_variants_per_s


def gene_snvs(fasta: Fasta, contig: str, start: int, end: int) -> list[Variant]:
    """Return every SNV of a stretch."""
    codes = fasta.codes(contig, start, end)
    return [
        Variant(contig, start + at, decode(codes[at : at + 1]), letter)
        for at in range(len(codes))
        for letter in "ACGT"
        if codes[at] != N_CODE and letter != decode(codes[at : at + 1])
    ]


def branches(engine: Engine, variants: list[Variant]) -> np.ndarray:
    """Return the llr of each variant, mean of the strands, by scan and branch."""
    scores = engine.score([Edit(v.contig, v.start, v.end, encode(v.alt)) for v in variants])
    return np.array([np.mean([s.alt_logp - s.ref_logp for s in by_strand.values() if s]) for by_strand in scores])


def windows(engine: Engine, variant: Variant) -> float:
    """Return the llr of a variant, mean of the strands, by four windows of 8,192 bases."""
    edit = Edit(variant.contig, variant.start, variant.end, encode(variant.alt))
    return float(np.mean([_window_llr(engine, engine.reading(edit.contig, strand), edit) for strand in engine.strands]))


def _window_llr(engine: Engine, reading: Reading, edit: Edit) -> float:
    local = reading.localise(edit)
    begin, _, _ = reading.tile_bounds(reading.tile_of(local.start))
    before = reading.window(begin, local.start)
    after = reading.window(local.end, local.end + WINDOW - len(before) - 1)
    scored = slice(len(before), len(before) + 1 + engine.options.suffix)
    sums = []
    for allele in (reading.window(local.start, local.end), np.frombuffer(local.replacement, dtype=np.uint8)):
        sequence = np.concatenate([before, allele, after])
        sums.append(float(_log_probs(engine.model, sequence)[scored].sum(dtype=np.float64)))
    return sums[1] - sums[0]


def _log_probs(network: Network, sequence: Codes) -> np.ndarray:
    """Return the log-probability of each base of a sequence."""
    token_BL = torch.tensor([[BOS, *sequence[:-1].tolist()]])
    with torch.inference_mode():
        output, _ = network(token_BL, capture=Capture.nowhere())
    log_probs: np.ndarray = output.logits_BL4[0].log_softmax(-1).numpy()
    return log_probs[np.arange(len(sequence)), np.minimum(sequence, N_CODE - 1)]


def measure(engine: Engine, exact: Engine, variants: list[Variant], sample: int, rounds: int) -> Timing:
    """Time both ways in turn; compare the sample's windows, or the branches in float32, with the branches."""
    chosen = np.linspace(0, len(variants) - 1, min(sample, len(variants))).astype(int)
    per_round = np.array_split(chosen, rounds)
    branch_rates, window_rates, oracle = [], [], []
    for own in per_round:
        start = time.thread_time()
        llrs = branches(engine, variants)
        branch_rates.append(len(variants) / (time.thread_time() - start))
        start = time.thread_time()
        oracle += [windows(engine, variants[index]) for index in own]
        window_rates.append(len(own) / (time.thread_time() - start))
    if exact is engine:
        one, other = llrs[chosen], np.array(oracle)
    else:
        one, other = llrs, branches(exact, variants)
    return Timing(
        statistics.median(branch_rates),
        statistics.median(window_rates),
        len(variants),
        len(chosen),
        float(np.abs(one - other).max()),
        float(spearmanr(one, other).statistic),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument(
        "--gene", metavar="REGION", help="1-based; by default 3,000 bases in the longest contig's middle"
    )
    parser.add_argument("--random", type=int, default=1000, metavar="N", help="SNVs drawn from the whole genome")
    parser.add_argument("--sample", type=int, default=12, metavar="N", help="of each set, scored by windows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not 1 <= arguments.rounds <= arguments.sample:
        parser.error("--rounds must be from 1 to --sample")
    keep_freed_memory()  # as the program does
    torch.set_num_threads(1)
    file = find_model(arguments.model)
    with Fasta(arguments.genome) as fasta:
        longest = max(fasta.lengths, key=lambda name: fasta.lengths[name])
        middle = max(0, (fasta.lengths[longest] - GENE_BP) // 2)
        region = parse_region(arguments.gene or f"{longest}:{middle + 1}-{middle + GENE_BP}", fasta.lengths)
        sets = {
            "gene": gene_snvs(fasta, region.contig, region.start, region.end),
            "random": random_snvs(fasta, arguments.random, [arguments.seed]),
        }
        engine = exact = Engine(load_model(file, dtype=getattr(torch, arguments.dtype)), fasta)
        if arguments.dtype != "float32":
            exact = Engine(load_model(file), fasta)
        timings = {
            name: measure(engine, exact, variants, arguments.sample, arguments.rounds)
            for name, variants in sets.items()
            if variants
        }
    against = "windows" if exact is engine else "float32 branches"
    print(f"| set | variants | branches/s | windows/s | ratio | greatest difference from {against} | Spearman |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, t in timings.items():
        print(
            f"| {name} | {t.num_variants} | {t.branch_variants_per_s:.1f} | {t.window_variants_per_s:.3f} "
            f"| {t.ratio:.0f} | {t.max_difference:.1e} | {t.spearman:.5f} |"
        )
    options = {"context": engine.options.grid.context, "suffix": engine.options.suffix, "dtype": arguments.dtype}
    result = {
        "model": file.name,
        "sha256": file.sha256,
        **options,
        "strands": len(engine.strands),
        "threads": 1,
        "rounds": arguments.rounds,
        "sets": {name: {**vars(t), "ratio": t.ratio} for name, t in timings.items()},
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    agree = [
        t.max_difference <= TOLERANCE if exact is engine else t.spearman >= LEAST_SPEARMAN for t in timings.values()
    ]
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
