"""Lengths for Fourier transforms."""

from __future__ import annotations

from functools import lru_cache
from itertools import product


@lru_cache(maxsize=1024)
def quick_length(at_least: int) -> int:
    """Return the smallest even length from `at_least` on without a prime factor above 5.

    A transform over a length with a large one takes four times as long: a tile with its context and BOS is 5,121 bases,
    and twice that has the factor 569.
    """
    found = []
    for threes, fives in product(range(at_least.bit_length()), repeat=2):
        odd: int = 3**threes * 5**fives
        found.append(odd << max(1, (-(-at_least // odd) - 1).bit_length()))
    return min(found)
