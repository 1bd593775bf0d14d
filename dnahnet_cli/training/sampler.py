"""Training batches: random windows of both strands, no genus dominating, never across contigs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import N_CODE, Codes, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.training.packed import Genome


@dataclass(frozen=True)
class Batch:
    """Windows ready for the network: `tokens` begin with BOS, `targets` are the bases themselves (N is no target)."""

    tokens: npt.NDArray[np.int64]  # (B, L)
    targets: npt.NDArray[np.int64]  # (B, L)
    num_bases: int  # of contigs, without the padding, in the rows of all processes


class Sampler:
    """Draws training batches; a batch depends on the seed, the step and the genomes alone, so a run resumes exactly.

    A genus is drawn in proportion to the square root of its bases, a contig within it in proportion to its
    length, then a uniform start and a strand. The order in which genomes were added makes no difference.
    """

    def __init__(self, genomes: Iterable[Genome], seed: int) -> None:
        self.seed = seed
        self._genomes: list[Genome] = []
        self.add(genomes)

    def add(self, genomes: Iterable[Genome]) -> None:
        """Sample from these genomes too, from the next batch on. Raises InputError while there is no base at all."""
        self._genomes = sorted([*self._genomes, *genomes], key=lambda genome: (genome.genus, genome.name))
        if not any(genome.contigs.known_lengths.any() for genome in self._genomes):
            raise InputError("there is nothing to train on: the genomes hold no A, C, G or T")
        num_contigs = [len(genome.contigs) for genome in self._genomes]
        self._genome_of = np.repeat(np.arange(len(self._genomes)), num_contigs)
        self._contig_of = np.concatenate([np.arange(count) for count in num_contigs])
        self._lengths = np.concatenate([genome.contigs.lengths for genome in self._genomes])
        _, genus_of_genome = np.unique([genome.genus for genome in self._genomes], return_inverse=True)
        genus = genus_of_genome[self._genome_of]
        totals = np.bincount(genus, self._lengths)
        cumulative = np.cumsum(self._lengths / np.sqrt(np.maximum(totals, 1))[genus])
        self._cumulative = cumulative / cumulative[-1]

    def batch(self, step: int, num_windows: int, length: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Return the batch of `step`: windows of `length` bases, padded with N where a contig is shorter.

        Of `num_windows` in all, process `rank` of `world_size` gets the rows rank, rank + world_size, and so on:
        together the processes get the rows that a single one would.
        """
        random = np.random.default_rng((self.seed, step))
        contigs = np.searchsorted(self._cumulative, random.random(num_windows), side="right")
        starts = random.integers(0, np.maximum(self._lengths[contigs] - length, 0), endpoint=True)
        turned = random.random(num_windows) < 0.5
        mine = slice(rank, None, world_size)
        windows = np.full((len(contigs[mine]), length), N_CODE, dtype=np.uint8)
        drawn = (self._genome_of[contigs], self._contig_of[contigs], starts, self._lengths[contigs], turned)
        rows = zip(windows, *(values[mine].tolist() for values in drawn), strict=True)
        for row, genome, contig, start, contig_length, is_turned in rows:
            window = self._genomes[genome].contigs.codes(contig, start, min(start + length, contig_length))
            row[: len(window)] = reverse_complement(window) if is_turned else window
        return to_batch(windows, int(np.minimum(self._lengths[contigs], length).sum()))


def to_batch(windows: Codes, num_bases: int | None = None) -> Batch:
    """Turn windows of codes (B, L) into network input and targets; without `num_bases` nothing of them is padding."""
    targets = windows.astype(np.int64)
    tokens = np.concatenate([np.full((len(targets), 1), BOS), targets[:, :-1]], axis=1)
    return Batch(tokens, targets, windows.size if num_bases is None else num_bases)


def heldout_windows(genome: Genome, num_windows: int, length: int) -> Codes:
    """Return evenly spaced windows of the contig with most A, C, G and T, (B, L): the same ones every time.

    Raises InputError where that is shorter than a window, and where the windows hold nothing but N.
    """
    contig = int(np.argmax(genome.contigs.known_lengths))
    contig_length = int(genome.contigs.lengths[contig])
    if contig_length < length:
        raise InputError(f"{genome.name}: its longest contig has {contig_length} bases, fewer than {length}")
    starts = np.linspace(0, contig_length - length, num_windows).astype(int)
    windows = np.stack([genome.contigs.codes(contig, start, start + length) for start in starts])
    if (windows == N_CODE).all():
        raise InputError(f"{genome.name} has nothing but N where it would be evaluated: hold out another genome")
    return windows
