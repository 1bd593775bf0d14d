"""The yardsticks of the tool itself: five pieces of work, fixed so that results compare over time.

Each is a real command in a process of its own, start-up included. A scale below 1 shortens them alike, for trying out
and for slow machines; figures of different scales do not compare, since start-up weighs more in a small one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import decode
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column

Row: TypeAlias = dict[str, Any]
SEED: Final = 1
GENE_BP: Final = 3000
RANDOM_SNVS: Final = 100_000
SPARSE_SNVS: Final = 1000
MIN_BP: Final = 10_000
COLUMNS: Final = (
    Column("yardstick", "str"),
    Column("what", "str"),
    Column("amount", "int"),
    Column("unit", "str"),
    Column("status", "str"),
    Column("seconds", "float"),
    Column("cpu_seconds", "float"),
    Column("per_second", "float"),
    Column("memory_bytes", "int"),
    Column("command", "str"),
    Column("reason", "str"),
)


@dataclass(frozen=True)
class Yardstick:
    """One piece of work: the arguments of a command, and how much it is of what."""

    name: str
    what: str
    arguments: tuple[str, ...]
    amount: int
    unit: str


def yardsticks(genome: Path, genes: Path | None, scale: float, folder: Path) -> list[Yardstick]:
    """Return the five yardsticks for a genome, their inputs written to `folder`.

    `scale` multiplies how much each is of: variants, the gene's bases, the chromosome's, its genes by the region that
    they lie in. Raises InputError for a genome whose longest contig is too short.
    """
    with Fasta(genome) as fasta:
        contig = max(fasta.lengths, key=lambda name: fasta.lengths[name])
        codes = fasta.codes(contig, 0, fasta.lengths[contig])
    if len(codes) < MIN_BP:
        raise InputError(f"{genome}: its longest contig has {len(codes):,} bases; the yardsticks need {MIN_BP:,}")
    sequence, random = decode(codes).upper(), np.random.default_rng(SEED)
    gene_bp = max(30, round(GENE_BP * scale))
    start = (len(codes) - gene_bp) // 2  # in the middle of the contig
    region_bp = len(codes) if scale >= 1 else max(MIN_BP // 2, round(len(codes) * scale))
    region = ("--region", f"{contig}:1-{min(region_bp, len(codes))}")
    inputs = {
        "random": _random(sequence, max(1, round(RANDOM_SNVS * scale)), random),
        "gene": [(at, alt) for at in range(start, start + gene_bp) for alt in _others(sequence[at])],
        "sparse": _random(sequence, max(1, round(SPARSE_SNVS * scale)), random),
    }
    paths = {name: _write(folder / f"{name}.tsv", contig, sequence, found) for name, found in inputs.items()}
    score = ("score-variants", str(genome))
    annotation = () if genes is None else (str(genes),)
    return [
        Yardstick("a", "random SNVs", (*score, paths["random"]), len(inputs["random"]), "variants"),
        Yardstick("b", f"all SNVs of {gene_bp:,} bases", (*score, paths["gene"]), len(inputs["gene"]), "variants"),
        Yardstick("c", "boundaries", ("boundaries", str(genome), *region), region_bp, "bases"),
        Yardstick("d", "essentiality", ("essentiality", str(genome), *annotation, *region), region_bp, "bases"),
        Yardstick("e", "sparse SNVs", (*score, paths["sparse"]), len(inputs["sparse"]), "variants"),
    ]


def run(yardstick: Yardstick, options: Sequence[str], output: Path, environment: Mapping[str, str]) -> Row:
    """Run a yardstick as a process; return its row. A command that fails is a row with the last line it said."""
    command = [sys.executable, "-m", "dnahnet_cli", *yardstick.arguments, *options, "-o", str(output)]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    row: Row = {
        "yardstick": yardstick.name,
        "what": yardstick.what,
        "amount": yardstick.amount,
        "unit": yardstick.unit,
        "status": "ok" if process.returncode == 0 else "failed",
        "command": " ".join(["dnahnet", *(Path(word).name if "/" in word else word for word in yardstick.arguments)]),
    }
    if process.returncode != 0:
        lines = said.strip().splitlines()
        return row | {"reason": lines[-1] if lines else f"ended with {process.returncode}"}
    return row | {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "per_second": yardstick.amount / seconds,
        "memory_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def run_all(
    work: Sequence[Yardstick],
    options: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Run yardsticks one after another; return their rows."""
    rows = []
    for yardstick in work:
        suffix = "bed" if yardstick.name == "c" else "tsv"
        row = run(yardstick, options, folder / f"out-{yardstick.name}.{suffix}", environment)
        took = f"{row['seconds']:.1f} s" if row["status"] == "ok" else row["reason"]
        say(f"{yardstick.name}, {yardstick.what} ({yardstick.amount:,} {yardstick.unit}): {took}")
        rows.append(row)
    return rows


def _random(sequence: str, number: int, random: np.random.Generator) -> list[tuple[int, str]]:
    """Draw SNVs at different places that are no N, in the order of the genome."""
    usable = np.flatnonzero(np.frombuffer(sequence.encode(), dtype="S1") != b"N")
    drawn = np.sort(random.choice(usable, min(number, len(usable)), replace=False))
    return [(int(at), _others(sequence[at])[int(random.integers(3))]) for at in drawn]


def _others(base: str) -> str:
    return "ACGT".replace(base, "") if base in "ACGT" else ""


def _write(path: Path, contig: str, sequence: str, variants: Sequence[tuple[int, str]]) -> str:
    lines = [f"{contig}\t{at + 1}\t{sequence[at]}\t{alt}\n" for at, alt in variants]
    path.write_text("chrom\tpos\tref\talt\n" + "".join(lines))
    return str(path)
