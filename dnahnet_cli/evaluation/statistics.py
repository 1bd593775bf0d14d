"""Rank statistics of scores against measurements, signed, with ties counted fairly, and bootstrap intervals.

A score that is missing is NaN. Pairs with a NaN in either column are left out; a statistic that is not defined for what
remains (a constant column, a single class, too few rows) is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]


def midranks(values: npt.ArrayLike) -> Floats:
    """Return ranks from 1 up, (N,); equal values share the mean of their ranks. NaN is not allowed."""
    _, group, count = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    mean_rank: Floats = np.cumsum(count) - (count - 1) / 2
    return mean_rank[group]


def spearman(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation, the Pearson correlation of midranks; NaN for a constant column."""
    x, y = _complete(one, other)
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return math.nan
    x, y = midranks(x), midranks(y)
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / math.sqrt((x @ x) * (y @ y)))


def auroc(score: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the area under the ROC curve; NaN when only one class is there.

    It is the chance that a random positive row scores above a random negative one, ties counting half: the
    Mann-Whitney U of the positives over the number of pairs.
    """
    values, label = _complete(score, positive)
    is_positive = label > 0
    num_positive = int(is_positive.sum())
    num_pairs = num_positive * (len(values) - num_positive)
    if num_pairs == 0:
        return math.nan
    rank_sum = float(midranks(values)[is_positive].sum())
    return (rank_sum - num_positive * (num_positive + 1) / 2) / num_pairs


def bootstrap(statistic: Callable[[Indices], float], num_rows: int, *, draws: int, seed: int) -> Floats:
    """Return a statistic of `draws` resamples, (draws,); it is called with the drawn rows' indices, (num_rows,).

    The draws depend on `num_rows` and `seed` alone, so that the draws of two statistics of the same rows are paired,
    and their difference has an interval too.
    """
    random = np.random.default_rng(seed)
    return np.array([statistic(random.integers(0, num_rows, num_rows)) for _ in range(draws)], dtype=np.float64)


def interval(draws: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws, (low, high); NaN where no draw is a number."""
    values = np.asarray(draws, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return math.nan, math.nan
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _complete(one: npt.ArrayLike, other: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return two columns without the rows in which either is NaN."""
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"two columns of equal length are needed, not {x.shape} and {y.shape}")
    known = ~(np.isnan(x) | np.isnan(y))
    return x[known], y[known]
