"""A Markov model of nucleotides that learns as it reads: what a genome tells about itself, without hindsight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.baselines.markov import DEFAULT_WEIGHT, MAX_ORDER
from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import N_CODE, Codes

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]

_BLOCK_BP: Final = 1 << 16  # bases whose words are counted at once; no result depends on it


def adaptive_log_probs(codes: Codes, order: int, weight: float = DEFAULT_WEIGHT) -> Iterator[Float64]:
    """Yield the natural log-probability of each base of `codes` block by block, 0 for an N.

    The model is that of `markov`, interpolated from order 0 up, but it learns as it reads: a base is
    predicted from the words of the bases before it, on both strands, and counted afterwards. Up to `order` bases since
    the start, or since an N, are its context. Memory: 4^(order + 1) counts. Raises UsageError for an order outside
    0..11.
    """
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"Markov order {order} is not within 0..{MAX_ORDER}")
    num_words = [np.zeros(4 ** (j + 1), dtype=np.uint32) for j in range(order + 1)]
    num_contexts = [np.zeros(4**j, dtype=np.uint32) for j in range(order + 1)]
    before = np.full(order, N_CODE, dtype=np.uint8)
    for start in range(0, len(codes), _BLOCK_BP):
        window = np.concatenate([before, codes[start : start + _BLOCK_BP]])
        size = len(window) - order
        word = other_strand = np.zeros(size, dtype=np.int32)
        known = np.ones(size, dtype=np.bool_)
        probability = np.full(size, 0.25)
        for j in range(order + 1):
            base = window[order - j :][:size]  # the one j bases upstream
            known = known & (base < N_CODE)
            code = (base & 3).astype(np.int32)
            word = word | code << 2 * j  # the predicted base is the least significant, the oldest the most
            other_strand = other_strand << 2 | 3 - code
            # In the order of reading; a word and its reverse complement become known together.
            words = np.stack([word[known], other_strand[known]], axis=1).ravel()
            seen = _count(words, num_words[j])[::2]
            total = _count(words >> 2, num_contexts[j])[::2]
            probability[known] = (seen + weight * probability[known]) / (total + weight)
        yield np.where(window[order:] < N_CODE, np.log(probability), 0.0)
        before = window[size:]


def _count(words: npt.NDArray[np.int32], table: npt.NDArray[np.uint32]) -> Int64:
    """Return how often each word came before, in `table` or earlier in `words`; then add `words` to `table`."""
    key = words.astype(np.int64) * len(words) + np.arange(len(words))
    key.sort()  # by word, then by place
    word, place = np.divmod(key, len(words))
    first = np.flatnonzero(np.diff(word, prepend=-1))
    size = np.diff(first, append=len(words))
    result = np.empty(len(words), dtype=np.int64)
    result[place] = np.arange(len(words)) - np.repeat(first, size)
    result += table[words]
    table[word[first]] += size.astype(np.uint32)
    return result
