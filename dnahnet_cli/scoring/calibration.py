"""How unusual is a score for this genome? Ranks among random SNVs of the same genome, in phred units.

The null is N distinct SNVs, each equally likely: any A, C, G or T of any contig, any of the three other bases, scored
by the same engine. phred = -10 log10((1 + number of null SNVs at least as damaging) / (N + 1)), so 10 says: of random
SNVs one in ten would score like that or worse, and 20, one in a hundred. It cannot exceed 10 log10(N + 1). Among random
SNVs the share with a phred of t or more is 10^(-t/10), apart from the granularity of N; that says nothing about harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import N_CODE, Edit, GenomeSource, Variant, decode, encode
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.variants import UNIT, ScoreUnits

Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Null:
    """The damage (-llr) of random SNVs of a genome, ascending, (N,)."""

    damage: Float64

    @classmethod
    def of(cls, llrs: Float64) -> Null:
        """Make a null of the llr of N SNVs. Raises ValueError when there is none."""
        if not len(llrs):
            raise ValueError("a null needs at least one SNV")
        return cls(np.sort(-llrs))

    def phred(self, llr: float | Float64) -> Float64:
        """Return how unusual a score is, or several; at least 0, higher is more damaging than more of the null."""
        size = len(self.damage)
        num_at_least = size - np.searchsorted(self.damage, -np.asarray(llr), side="left")
        phred: Float64 = -10 * np.log10((1 + num_at_least) / (size + 1)) + 0.0  # no -0
        return phred

    def expected(self, phred: float) -> float:
        """Return the share of random SNVs with at least this phred; a step function of its argument."""
        size = len(self.damage)
        return min(1.0, int((size + 1) * 10 ** (-phred / 10) * (1 + 1e-12)) / (size + 1))


def null_snvs(genome: GenomeSource, number: int, seed: int) -> list[Variant]:
    """Draw the SNVs of a null. The same for a genome, number and seed wherever phred is computed."""
    return random_snvs(genome, number, [seed, 0])


def random_snvs(genome: GenomeSource, number: int, seed: Sequence[int]) -> list[Variant]:
    """Draw `number` distinct SNVs, each of the genome's equally likely, in the order of the genome.

    All of them where it has no more. Raises InputError when no base is A, C, G or T.
    """
    places = {name: np.flatnonzero(genome.codes(name, 0, length) < N_CODE) for name, length in genome.lengths.items()}
    total = 3 * sum(map(len, places.values()))
    if not total:
        raise InputError("no random SNV can be drawn: no base of the genome is A, C, G or T")
    random = np.random.default_rng(seed)
    drawn = np.sort(random.choice(total, number, replace=False)) if number < total else np.arange(total)
    snvs: list[Variant] = []
    first = 0
    for name, own in places.items():
        here = drawn[(drawn >= first) & (drawn < first + 3 * len(own))] - first
        for place, step in zip(own[here // 3].tolist(), (here % 3 + 1).tolist(), strict=True):
            ref = genome.codes(name, place, place + 1)
            snvs.append(Variant(name, place, decode(ref), decode((ref + np.uint8(step)) % 4)))
        first += 3 * len(own)
    return snvs


def score_snvs(
    engine: Engine,
    snvs: Sequence[Variant],
    progress: Callable[[int], None] = lambda strand_edits: None,
    score_units: ScoreUnits | None = None,
) -> Float64:
    """Return the llr of each SNV, mean of the strands read, (N,). `progress` is told of strand-edits done.

    `score_units` takes the place of the engine's own, where scores may be known already.
    """
    edits = [Edit(snv.contig, snv.start, snv.end, encode(snv.alt)) for snv in snvs]
    units = (edits[first : first + UNIT] for first in range(0, len(edits), UNIT))
    scored = (score_units or engine.score_units)(units, progress)
    return np.array(
        [np.mean([s.alt_logp - s.ref_logp for s in own.values() if s]) for scores in scored for own in scores]
    )
