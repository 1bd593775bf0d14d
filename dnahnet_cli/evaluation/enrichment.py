"""Do boundaries prefer some classes of bases? Counts by class, and the same counts of chunkers that know nothing.

A stage chooses among M candidates in reading order: stage 1 among all bases, each further stage among the chunks of the
stage before. All passes (a stretch of a contig read on one strand) follow one another on one circle. Classes overlap,
so each candidate is labelled by its *atom*, the set of classes it has; counting atoms counts all classes at once.

Three chunkers stand beside the network's, all cutting as often as it does:

- shift: the very boundaries, moved round the circle by a random number of candidates. That keeps the lengths of the
  chunks, their order and any rhythm, and takes away only where on the sequence they lie. A shift by a multiple of three
  keeps no more than another: genes lie in all frames, so a boundary falls into another gene's frame by chance.
- shuffle: the lengths of the chunks in random order. That keeps how long chunks are, and nothing else.
- grid: chunks of one length, the mean, in every phase. Its mean over phases is 1 for every class by construction; how
  far single phases stray is what is of interest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.evaluation.statistics import Floats, resamples

Positions: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Chunker: TypeAlias = Iterable[tuple[Positions, int]]  # boundaries, and how far round the circle they are moved

SHIFTS_PER_SHUFFLE: Final = 25  # moving a shuffled order is as random as shuffling anew, and far cheaper


@dataclass(frozen=True)
class Atoms:
    """Labels (M,) of candidates, and which classes each label stands for, `member_AC`."""

    label: npt.NDArray[np.int32]
    member_AC: Mask

    @classmethod
    def of(cls, masks: Iterable[Mask], num_candidates: int) -> Atoms:
        """Label candidates by the classes that hold them; `masks` (M,) are looked at one after the other."""
        label = np.zeros(num_candidates, dtype=np.int32)
        member = np.zeros((1, 0), dtype=np.bool_)
        for mask in masks:
            label = 2 * label + mask
            used = np.bincount(label, minlength=2 * len(member)) > 0
            label = (np.cumsum(used, dtype=np.int32) - 1)[label]
            doubled = np.repeat(member, 2, axis=0)
            is_in = np.arange(len(doubled)) % 2 == 1
            member = np.column_stack([doubled, is_in])[used]
        return cls(label, member)

    def at(self, candidates: Positions) -> Atoms:
        """Return the labels of some of the candidates."""
        return Atoms(self.label[candidates], self.member_AC)

    def count(self, weights: npt.NDArray[np.generic] | None = None) -> Floats:
        """Return how many candidates each class has, (C,), or the sum of their weights."""
        counts: Floats = np.bincount(self.label, weights, minlength=len(self.member_AC)) @ self.member_AC.astype(float)
        return counts

    def count_by_block(self, block: Positions, num_blocks: int, weights: npt.NDArray[np.generic] | None) -> Floats:
        """Return the same for each block of the genome, (B, C)."""
        num_atoms = len(self.member_AC)
        counts = np.bincount(block * num_atoms + self.label, weights, minlength=num_blocks * num_atoms)
        by_block: Floats = counts.reshape(num_blocks, num_atoms) @ self.member_AC.astype(float)
        return by_block

    def count_of(self, chunker: Chunker) -> Floats:
        """Return how many boundaries of each version of a chunker each class has, (D, C)."""
        size, num_atoms = len(self.label), len(self.member_AC)
        twice = np.tile(self.label.astype(np.min_scalar_type(num_atoms)), 2)  # small, for the cache
        counts = [np.bincount(twice[by : by + size].take(opens), minlength=num_atoms) for opens, by in chunker]
        by_version: Floats = np.array(counts).reshape(-1, len(self.member_AC)) @ self.member_AC.astype(float)
        return by_version


def shifted(opens: Positions, size: int, draws: int, seed: int) -> Chunker:
    """Yield boundaries with random distances, 1 to size - 1, by which they are to be moved round a circle."""
    for by in np.random.default_rng(seed).integers(1, max(size, 2), draws).tolist():
        yield opens, by % max(size, 1)


def shuffled(opens: Positions, size: int, draws: int, seed: int) -> Chunker:
    """Yield the boundaries of chunks of the same lengths in random order, and by how much they are to be moved."""
    random = np.random.default_rng(seed)
    lengths = np.diff(opens, append=opens[:1] + size)
    for draw in range(draws if len(opens) else 0):
        if draw % SHIFTS_PER_SHUFFLE == 0:
            order = np.cumsum(random.permutation(lengths)) - 1
        yield order, int(random.integers(size))


def grid(number: int, size: int) -> Chunker:
    """Yield the boundaries of `number` chunks as even as whole candidates allow, in each of their phases."""
    opens = np.arange(number, dtype=np.int64) * size // max(number, 1)
    for by in range(-(-size // number) if number else 0):
        yield opens, by % size


def point_figures(chunker: Chunker, size: int, points: Positions, tolerances: Sequence[int]) -> tuple[Floats, Floats]:
    """Return precision and recall of a chunker's versions, each (D, T).

    Recall is the share of `points` (ascending, (P,)) with a boundary at most so many bases away, precision the share of
    boundaries that close to any point. NaN where there are no points, or no boundaries.
    """
    most = max(tolerances)
    apart = np.diff(points, prepend=points[:1] - size)
    precision, recall = [], []
    known: Positions | None = None
    for opens, by in chunker:
        if opens is not known:
            known, cumulative = opens, _cumulative(opens, size, most)
        middle = (points - by) % size + most
        for tolerance in tolerances:
            beyond = cumulative[middle + tolerance + 1]
            near = beyond - cumulative[middle - tolerance] > 0
            new = beyond - cumulative[middle + np.maximum(-tolerance, tolerance + 1 - apart)]  # not of the point before
            recall.append(near.mean() if len(points) else np.nan)
            precision.append(new.sum() / len(opens) if len(points) and len(opens) else np.nan)
    shape = (-1, len(tolerances))
    return np.array(precision).reshape(shape), np.array(recall).reshape(shape)


def _cumulative(opens: Positions, size: int, margin: int) -> npt.NDArray[np.int32]:
    """Return how many boundaries lie before each base of a circle, of which `margin` more are given on either side."""
    is_open = np.zeros(size, dtype=np.bool_)
    is_open[opens] = True
    cumulative = np.zeros(size + 2 * margin + 1, dtype=np.int32)
    np.cumsum(np.pad(is_open, margin, mode="wrap"), out=cumulative[1:])
    return cumulative


def block_draws(values_BC: Floats, draws: int, seed: int) -> Floats:
    """Return the sums over blocks in each bootstrap resample of the blocks, (D, C)."""
    counts_DB = resamples(len(values_BC), draws=draws, seed=seed)
    sums: Floats = counts_DB.astype(float) @ values_BC
    return sums


def permutation_p(observed: Floats, null_DC: Floats) -> Floats:
    """Return two-sided p-values, (C,): twice the share of versions at least as far out, the observed one counted in.

    Where not one of the D versions is as far out, so that the share only says how many there are, the tail is taken to
    be that of a normal distribution with the mean and the deviation of the versions, if that is smaller.
    """
    rarer = np.minimum((null_DC >= observed).sum(axis=0), (null_DC <= observed).sum(axis=0))
    p: Floats = np.minimum(1.0, 2 * (rarer + 1) / (len(null_DC) + 1))
    for c in np.flatnonzero(rarer == 0) if len(null_DC) else ():
        deviation = null_DC[:, c].std()
        if deviation > 0:
            z = abs(observed[c] - null_DC[:, c].mean()) / deviation
            p[c] = min(p[c], math.erfc(z / math.sqrt(2)))
    return p
