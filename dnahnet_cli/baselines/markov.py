"""An order-k interpolated Markov model of nucleotides: the compression that needs no network.

1. Words of k + 1 bases are counted once, forward; the other strand's counts are the same table with the word
   reversed and complemented. So a model knows no strand.
2. Lower orders are sums of that table over the oldest base. They therefore miss the up to k bases that follow a
   contig's start or an N, and every order rests on the same words.
3. Interpolation runs from order 0 up: p_j(b|ctx) = (n(ctx,b) + w p_{j-1}(b|ctx')) / (n(ctx) + w), where ctx' is ctx
   without its oldest base and p_{-1} = 1/4.
4. A word is an integer of two bits a base, the oldest base the most significant, the predicted one the least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import N_CODE, Codes

Counts: TypeAlias = npt.NDArray[np.int64]
Float32: TypeAlias = npt.NDArray[np.float32]

MAX_ORDER: Final = 11  # 4^12 counts, 128 MB
# One weight for all orders, chosen with every tenth of 144 training genomes (480 Mb) held aside: within 0.0001 bits of
# the best at orders 5 to 10, within 0.001 at 11; fitted to half of one genome for the other half, within 0.001.
DEFAULT_WEIGHT: Final = 200.0
_BLOCK_BP: Final = 1 << 24  # bases counted at once: bounds memory, and makes a table of 4^12 worth its pass
_UNIFORM: Final = np.full((1, 4), 0.25)


@dataclass(frozen=True)
class MarkovModel:
    """Natural log probabilities of a base after each context of 0 to `order` bases."""

    order: int
    log_table: Float32  # the tables of orders 0..order one after another; order j holds 4^(j+1) words

    @classmethod
    def fit(cls, contigs: Iterable[Codes], order: int, weight: float = DEFAULT_WEIGHT) -> MarkovModel:
        """Fit to both strands of `contigs`. Raises UsageError for an order outside 0..11."""
        return cls.from_counts(count_words(contigs, order), weight)

    @classmethod
    def from_counts(cls, counts: Counts, weight: float = DEFAULT_WEIGHT) -> MarkovModel:
        """Interpolate the counts of all words of order + 1 bases, (4^(order+1),); `weight` > 0 in observations."""
        order = (len(counts).bit_length() - 1) // 2 - 1
        tables = []
        lower = _UNIFORM
        for j in range(order + 1):
            seen = counts.reshape(-1, 4**j, 4).sum(axis=0)
            prior = weight * np.tile(lower, (4**j // len(lower), 1))  # p_{j-1} once for each oldest base
            lower = (seen + prior) / (seen.sum(axis=1, keepdims=True) + weight)
            tables.append(np.log(lower).astype(np.float32).ravel())
        return cls(order, np.concatenate(tables))

    def log_probs(self, codes: Codes) -> Float32:
        """Return the natural log probability of each base given up to `order` bases before it, (L,).

        After the start and after an N only the bases since then are the context. N itself is NaN.
        """
        words, num_before = _words(codes, self.order)
        orders = np.arange(self.order + 1)
        offset = ((4 ** (orders + 1) - 4) // 3).astype(np.int32)
        mask = (4 ** (orders + 1) - 1).astype(np.int32)
        context = np.clip(num_before, 0, self.order)
        values = self.log_table[offset[context] + (words & mask[context])]
        values[num_before < 0] = np.nan
        return values

    def bits_per_base(self, codes: Codes) -> float:
        """Return the mean code length of the bases in bits, N left out; NaN where there is no base."""
        values = self.log_probs(codes)
        values = values[~np.isnan(values)]
        return -float(values.mean(dtype=np.float64)) / math.log(2) if len(values) else math.nan


def count_words(contigs: Iterable[Codes], order: int) -> Counts:
    """Count the words of order + 1 bases on both strands of `contigs`, (4^(order+1),); a word with an N is none.

    Raises UsageError for an order outside 0..11.
    """
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"Markov order {order} is not within 0..{MAX_ORDER}")
    counts = np.zeros(4 ** (order + 1), dtype=np.int64)
    for block in _blocks(contigs, order):
        words, num_before = _words(block, order)
        counts += np.bincount(words[num_before >= order], minlength=len(counts))
    by_base = counts.reshape((4,) * (order + 1))
    other_strand = np.flip(by_base.transpose())  # reversed axes reverse the word, 3 - code is the complement
    return (by_base + other_strand).ravel()


def _blocks(contigs: Iterable[Codes], overlap: int) -> Iterator[Codes]:
    """Yield the contigs joined by N in pieces of bounded length, each word of `overlap` + 1 bases in exactly one."""
    separator = np.array([N_CODE], dtype=np.uint8)
    pieces: list[Codes] = []
    size = 0
    for contig in contigs:
        for start in range(0, max(len(contig) - overlap, 0), _BLOCK_BP):
            piece = contig[start : start + _BLOCK_BP + overlap]
            pieces += [piece, separator]
            size += len(piece) + 1
            if size >= _BLOCK_BP:
                yield np.concatenate(pieces)
                pieces, size = [], 0
    if pieces:
        yield np.concatenate(pieces)


def _words(codes: Codes, order: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return for each position the word that ends there and the number of bases since the last N (-1 at an N).

    What a word holds from before the last N, or from before the start, means nothing.
    """
    bases = (codes & 3).astype(np.int32)
    words = bases.copy()
    for j in range(1, min(order, len(codes) - 1) + 1):
        words[j:] |= bases[:-j] << 2 * j
    position = np.arange(len(codes), dtype=np.int32)
    last_n = np.maximum.accumulate(np.where(codes >= N_CODE, position, np.int32(-1)))
    return words, np.where(last_n == position, np.int32(-1), position - last_n - 1)
