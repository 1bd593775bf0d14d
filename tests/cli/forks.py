"""Commands in real processes that can be killed, many times: forked off one that has loaded everything already."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow.parquet
import pybigtools
import pysam  # noqa: F401  with all below, so that a forked process need not load it
import torch

import dnahnet_cli.cli.variant_run
import dnahnet_cli.evaluation.boundaries
import dnahnet_cli.rows.genes
import dnahnet_cli.scoring.inserts  # noqa: F401
from dnahnet_cli.cli.main import run
from dnahnet_cli.genome import decode
from tests.conftest import random_codes

assert pyarrow.parquet and pybigtools and torch

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c1,length=1500>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CONTIGS = {"c1": decode(random_codes(1500, 7)), "c2": decode(random_codes(6000, 8))}
CASES = {
    **{
        f"variants.{format}": f"score-variants genome.fa calls.vcf --null 8 --suffix 32 -o FOLDER/out.{format}"
        for format in ("tsv", "tsv.gz", "parquet", "vcf", "vcf.gz", "bcf")
    },
    **{
        f"genes.{format}": f"essentiality genome.fa genes.bed --suffix 32 -o FOLDER/out.{format}"
        for format in ("tsv", "tsv.gz", "parquet")
    },
    "details": "essentiality genome.fa genes.bed --suffix 32 -o FOLDER/out.tsv --detail FOLDER/detail.tsv --top 4",
    "chunks.bed": "boundaries genome.fa -o FOLDER/out.bed",
    "tracks": "boundaries genome.fa -o FOLDER/out.bed.gz --bigwig FOLDER/p",
}


def write_inputs(folder: Path, seed: int = 1) -> None:
    """Write a genome, variants of which some cannot be scored, and genes of which some cannot either."""
    draw = random.Random(seed)
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    lines = [HEADER]
    for start in sorted(draw.sample(range(100, 1300), 40)):
        alts = draw.sample([base for base in "ACGT" if base != CONTIGS["c1"][start]], draw.choice((1, 1, 2, 3)))
        alt = ",".join(alts) if draw.random() < 0.9 else draw.choice(("<DEL>", ".", "*"))
        lines.append(f"c1\t{start + 1}\t.\t{CONTIGS['c1'][start]}\t{alt}\t.\tPASS\t.\n")
    (folder / "calls.vcf").write_text("".join(lines))
    starts = [(name, start) for name in CONTIGS for start in sorted(draw.sample(range(100, 1300), 66))]
    genes = [
        f"{name}\t{start}\t{start + draw.choice((21, 60, 90))}\tg{number}\t0\t{draw.choice('+-')}\n"
        for number, (name, start) in enumerate(starts)
    ]
    (folder / "genes.bed").write_text("".join([*genes, genes[0].replace("c", "z", 1)]))


def _command(arguments: list[str], folder: Path, stderr: Path, largest_file: int | None) -> None:
    """Do what the console script does, in a process of its own."""
    os.chdir(folder)
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["dnahnet", *arguments]
    run()


@dataclass
class Started:
    """A command that runs."""

    process: BaseProcess
    stderr_file: Path

    def ends(self, seconds: float) -> bool:
        """Wait, and tell whether it has ended by itself."""
        self.process.join(seconds)
        return self.process.exitcode is not None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit code, negative for that of the signal itself."""
        if self.process.pid is not None and self.process.exitcode is None:
            os.kill(self.process.pid, number)
        return self.code()

    def code(self) -> int:
        assert self.ends(300)
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text()


class Runs:
    """Starts commands of CASES over and over in one folder, each with its own folder for what it writes."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self._options = folder, ["--model", str(model), "-t", "1", "--no-version"]
        self._started = 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pytest", __name__])
        write_inputs(folder)

    def command(self, case: str, place: str) -> list[str]:
        return [word.replace("FOLDER", place) for word in CASES[case].split()]

    def start(self, case: str, place: str, *options: str, largest_file: int | None = None) -> Started:
        (self.folder / place).mkdir(exist_ok=True)
        self._started += 1
        stderr = self.folder / f"stderr{self._started}"
        arguments = [*self.command(case, place), *options, *self._options]
        process = self._context.Process(target=_command, args=(arguments, self.folder, stderr, largest_file))
        process.start()
        return Started(process, stderr)

    def finish(self, case: str, place: str, *options: str) -> str:
        started = self.start(case, place, *options)
        assert started.code() == 0, started.stderr
        return started.stderr

    def whole(self, case: str) -> dict[str, bytes]:
        """Return what a run that is left alone writes."""
        if not (self.folder / f"whole {case}").exists():
            self.finish(case, f"whole {case}")
        return self.files(f"whole {case}")

    def files(self, place: str) -> dict[str, bytes]:
        """Return what is in a folder."""
        return {path.name: path.read_bytes() for path in (self.folder / place).iterdir()}

    def wait(self, place: str, lines: int) -> None:
        """Wait until the journal has some lines, or the output is there."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            journals = [*(self.folder / place).glob("*.partial")]
            if any(path.read_bytes().count(b"\n") >= lines for path in journals if path.exists()):
                return
            if any(path.name.startswith("out.") and path not in journals for path in (self.folder / place).iterdir()):
                return
            time.sleep(0.001)
