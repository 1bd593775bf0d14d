"""Does memory grow with the number of variants, or with the length of a contig? Peak memory of real runs, as a table.

    python benchmarks/long_runs.py [--only tsv vcf parquet boundaries score] [--many 1000000] [--scan BASES]

Every run is a process of its own with a network of a few hundred parameters, so that thousands of variants are scored
in a second: what grows would grow with any network. What a network needs on top does not depend on how long a run is.

- Variants: one at every fifth base of a random contig of 5 Mb, all in one run, and the first 10,000 of them in another.
- Contigs: random bases, 10 and 100 Mb, both strands, whole or (--scan) their last bases only: a contig is held whole
  whatever is read of it.

Peak memory is the kernel's `ru_maxrss` of the process. The last line is one JSON object. Exit status 1: something has
grown by more than a tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

FEW, EVERY, LONGEST = 10_000, 5, 10_000_000  # variants, bases from one to the next, bases of the shorter contig
ALLOWED = 1.1
SUFFIXES = {"tsv": "tsv", "vcf": "vcf.gz", "parquet": "parquet"}
OPTIONS = ("-t", "1", "-q", "--no-version", "--model", "micro.safetensors")
_BLOCK = 8_000_000


@dataclass(frozen=True)
class Run:
    """One process: `size` variants or bases, its wall clock in seconds and its peak memory in MiB."""

    what: str
    size: int
    seconds: float
    peak_mib: int


def make_weights(path: str) -> None:
    """Write random weights of a network with all parts and next to no parameters."""
    import torch

    from dnahnet_cli.model.config import ModelConfig
    from dnahnet_cli.model.hnet import HNet
    from dnahnet_cli.networks.weights import save_weights

    torch.manual_seed(0)
    sizes = {"state_size": 2, "mamba_head_size": 4, "attention_head_size": 4, "expand": 1, "mlp_multiple": 4}
    model = HNet(ModelConfig(["m1", ["m1"], "m1"], (4, 4), (3.0,), (None, None), period=3, **sizes))
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("residual", "router", "widening")):
            torch.nn.init.normal_(parameter, std=0.3)
    save_weights(model, Path(path), {"note": "random, for benchmarks/long_runs.py"})


def bases(length: int, seed: int) -> Iterator[np.ndarray]:
    """Yield random letters as bytes, block by block."""
    random = np.random.default_rng(seed)
    for start in range(0, length, _BLOCK):
        yield np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, min(_BLOCK, length - start))]


def write_contig(path: str, length: int) -> None:
    """Write a contig of random bases, 80 to a line."""
    with open(path, "wb") as file:
        file.write(b">c\n")
        for block in bases(length, 1):
            lines = block.reshape(-1, 80)
            file.write(np.concatenate([lines, np.full((len(lines), 1), ord("\n"), np.uint8)], axis=1).tobytes())


def write_variants(path: str, number: int) -> int:
    """Write SNVs of the contig that `write_contig` makes, and return its length."""
    length = -(-number * EVERY // 80) * 80
    other = dict(zip("ACGT", "CGTA", strict=True))
    with open(path, "w") as file:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        start, left = 0, number
        for block in bases(length, 1):
            for at, ref in enumerate(block[::EVERY][:left].tobytes().decode()):
                file.write(f"c\t{start + at * EVERY + 1}\t.\t{ref}\t{other[ref]}\t.\t.\t.\n")
            start, left = start + len(block), left - len(block[::EVERY])
    return length


def measure(what: str, size: int, *arguments: str) -> Run:
    """Run `dnahnet` in the current folder; raises CalledProcessError if it fails."""
    command = [sys.executable, "-m", "dnahnet_cli", *arguments, *OPTIONS]
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    run = Run(what, size, round(time.monotonic() - began, 1), round(peak))
    print(f"{what:<24} {size:>13,} {run.seconds:>10,.1f} s {run.peak_mib:>7,} MiB", flush=True)
    return run


def variant_runs(output: str, many: int) -> Iterator[Run]:
    """Score few and many variants into one format."""
    for number in (FEW, many):
        name = f"scores.{SUFFIXES[output]}"
        options = ("--suffix", "8", "--batch-size", "512", "-o", name)
        write_contig("genome.fa", write_variants("all.vcf", many))
        with open("all.vcf") as whole, open("some.vcf", "w") as some:
            some.writelines(line for line, _ in zip(whole, range(number + 2), strict=False))
        yield measure(f"score-variants, {output}", number, "score-variants", "genome.fa", "some.vcf", *options)


def contig_runs(command: str, scan: int | None) -> Iterator[Run]:
    """Read a long contig and one ten times as long, or the last `scan` bases of each."""
    for length in (LONGEST, 10 * LONGEST):
        write_contig("genome.fa", length)
        region = ("-r", f"c:{length - scan + 1}-{length}") if scan else ()
        name = "chunks.bed" if command == "boundaries" else "score.tsv"
        yield measure(command, length, command, "genome.fa", "-o", name, *region)


def main() -> int:
    known = [*SUFFIXES, "boundaries", "score"]
    parser = argparse.ArgumentParser(description="Peak memory of long runs")
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--scan", type=int, help="read this many bases of a contig; all of 100 Mb take hours")
    parser.add_argument("--folder", help="where files of about 1 GB may lie for a while")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    kept = given.json and given.json.absolute()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="dnahnet-long-", dir=given.folder) as folder:
        os.chdir(folder)
        # In a process of its own, because a child's peak begins with what its parent holds.
        weights = get_context("spawn").Process(target=make_weights, args=("micro.safetensors",))
        weights.start()
        weights.join()
        for what in given.only:
            runs += variant_runs(what, given.many) if what in SUFFIXES else contig_runs(what, given.scan)
        os.chdir("/")
    grown = {one.what: other.peak_mib / one.peak_mib for one, other in zip(runs[::2], runs[1::2], strict=True)}
    text = json.dumps({"runs": [asdict(run) for run in runs], "grown": {k: round(v, 3) for k, v in grown.items()}})
    print(text)
    if kept:
        kept.write_text(text + "\n")
    return int(any(ratio > ALLOWED for ratio in grown.values()))


if __name__ == "__main__":
    sys.exit(main())
