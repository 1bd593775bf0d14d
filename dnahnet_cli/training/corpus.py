"""Genomes to train on: random windows of both strands, no genus dominating, never across contigs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, encode, reverse_complement
from dnahnet_cli.model.config import BOS

N = 4


@dataclass(frozen=True)
class Genome:
    """One genome in memory: its name, the genus it is sampled under, and its contigs as codes."""

    name: str
    genus: str
    contigs: tuple[Codes, ...]

    @property
    def length(self) -> int:
        return sum(len(contig) for contig in self.contigs)


@dataclass(frozen=True)
class Batch:
    """Windows ready for the network: `tokens` begin with BOS, `targets` are the bases themselves (N is no target)."""

    tokens: npt.NDArray[np.int64]  # (B, L)
    targets: npt.NDArray[np.int64]  # (B, L)


def read_genome(path: Path, name: str, genus: str) -> Genome:
    """Read a 2bit file or a FASTA (plain or compressed) whole. Raises InputError."""
    if path.suffix == ".2bit":
        return Genome(name, genus, tuple(_twobit_contigs(path)))
    from dnahnet_cli.io.fasta import Fasta

    with Fasta(path) as fasta:
        return Genome(name, genus, tuple(fasta.codes(contig, 0, length) for contig, length in fasta.lengths.items()))


def _twobit_contigs(path: Path) -> Iterable[Codes]:
    try:
        import py2bit
    except ImportError as error:
        raise InputError(f"{path}: 2bit files need py2bit; install it with: pip install 'dnahnet[train]'") from error
    try:
        file = py2bit.open(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: not a readable 2bit file") from error
    try:
        for name in file.chroms():
            yield encode(file.sequence(name))
    finally:
        file.close()


def read_manifest(path: Path, split: str) -> list[Genome]:
    """Read the genomes that a manifest (TSV with columns name, genus, split, file) lists under `split`."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable manifest") from error
    header, *rows = [line.split("\t") for line in lines if line] or [[""]]
    missing = {"name", "genus", "split", "file"} - set(header)
    if missing:
        raise InputError(f"{path}: the manifest lacks the columns {', '.join(sorted(missing))}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} has {len(row)} columns, its header {len(header)}")
    records = [dict(zip(header, row, strict=True)) for row in rows]
    genomes = [read_genome(path.parent / r["file"], r["name"], r["genus"]) for r in records if r["split"] == split]
    if not genomes:
        raise InputError(f"{path}: no genome in split {split!r}")
    return genomes


def check_held_out(train: Sequence[Genome], heldout: Sequence[Genome]) -> None:
    """Raise InputError when a held-out genome's genus occurs in training: its figures would say nothing."""
    seen = {genome.genus for genome in train}
    for genome in heldout:
        if genome.genus in seen:
            raise InputError(f"{genome.name} is held out, but genus {genome.genus} is trained on; move one of them")


class Sampler:
    """Draws training batches; the batch of a step depends on seed and step alone, so a run resumes exactly.

    A genus is drawn in proportion to the square root of its bases, a contig within it in proportion to its
    length, then a uniform start and a strand.
    """

    def __init__(self, genomes: Sequence[Genome], seed: int) -> None:
        self.seed = seed
        self.contigs = [contig for genome in genomes for contig in genome.contigs]
        genera = np.array([genome.genus for genome in genomes for _ in genome.contigs])
        lengths = np.array([len(contig) for contig in self.contigs], dtype=np.float64)
        _, index = np.unique(genera, return_inverse=True)
        totals = np.bincount(index, lengths)
        weights = lengths / np.sqrt(totals[index])
        self.cumulative = np.cumsum(weights / weights.sum())

    def batch(self, step: int, num_windows: int, length: int) -> Batch:
        """Return the batch of `step`: windows of `length` bases, padded with N where a contig is shorter."""
        random = np.random.default_rng((self.seed, step))
        windows = np.full((num_windows, length), N, dtype=np.uint8)
        for row in windows:
            contig = self.contigs[min(int(np.searchsorted(self.cumulative, random.random())), len(self.contigs) - 1)]
            start = int(random.integers(0, max(len(contig) - length, 0) + 1))
            window = contig[start : start + length]
            if random.random() < 0.5:
                window = reverse_complement(window)
            row[: len(window)] = window
        return to_batch(windows)


def to_batch(windows: Codes) -> Batch:
    """Turn windows of codes (B, L) into network input and targets."""
    targets = windows.astype(np.int64)
    tokens = np.concatenate([np.full((len(targets), 1), BOS), targets[:, :-1]], axis=1)
    return Batch(tokens, targets)


def heldout_windows(genome: Genome, num_windows: int, length: int) -> Codes:
    """Return evenly spaced windows of a genome's longest contig, (B, L): the same ones every time."""
    contig = max(genome.contigs, key=len)
    if len(contig) < length:
        raise InputError(f"{genome.name}: its longest contig has {len(contig)} bases, fewer than {length}")
    starts = np.linspace(0, len(contig) - length, num_windows).astype(int)
    return np.stack([contig[start : start + length] for start in starts])
