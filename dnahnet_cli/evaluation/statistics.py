"""Rank statistics of scores against measurements, signed, with ties counted fairly, and bootstrap intervals.

A score that is missing is NaN. Pairs with a NaN in either column are left out; a statistic that is not defined for what
remains (a constant column, a single class, too few rows) is NaN, never 0.

The `resampled_` functions give a statistic of many bootstrap resamples at once. A resample is how often each row was
drawn, so the columns are sorted once for all of them. D resamples, N rows, G groups of equal values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]

Z_95: Final = 1.959963984540054  # of the normal distribution, 2.5 % on either side
TOP: Final = 0.1  # the share of rows that NDCG looks at
_BLOCK: Final = 1 << 20  # cells of a matrix of counts that are worked on at once


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


def average_precision(score: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the average precision of the order from the highest score down; NaN when only one class is there.

    It is the precision among all rows that score at least as high as a positive one, averaged over the positive rows:
    the sum of precision times gain in recall over the distinct scores, without interpolation, so that rows of equal
    score come all at once. A score that knows nothing has about the share of positives.
    """
    values, label = _complete(score, positive)
    return float(resampled_average_precision(values, label, np.ones((1, len(values)), dtype=np.int64))[0])


@dataclass(frozen=True)
class DeLong:
    """Areas under the ROC curve of S scores of the same rows, (S,), and their estimated covariance, (S, S)."""

    auroc_S: Floats
    covariance_SS: Floats

    @classmethod
    def of(cls, score_SN: npt.ArrayLike, positive: npt.ArrayLike) -> DeLong:
        """Estimate from rows in which no score and no label is NaN; all is NaN with less than two rows of a class.

        DeLong, DeLong and Clarke-Pearson, Biometrics 44:837 (1988): each positive row's share of negatives below it,
        and each negative row's share of positives above it, vary over the rows of their class; the variances of their
        means add up. The shares are taken from midranks, as Sun and Xu do (IEEE Signal Process. Lett. 21:1389, 2014).
        """
        scores, label = np.asarray(score_SN, dtype=np.float64), np.asarray(positive, dtype=np.float64)
        if scores.ndim != 2 or scores.shape[1:] != label.shape:
            raise ValueError(f"scores of shape (S, {label.size}) are needed, not {scores.shape}")
        is_positive = label > 0
        num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
        if min(num_positive, num_negative) < 2:
            return cls(np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan))
        below_SP, above_SN = np.empty((len(scores), num_positive)), np.empty((len(scores), num_negative))
        for row, values in enumerate(scores):
            rank = midranks(values)
            below_SP[row] = (rank[is_positive] - midranks(values[is_positive])) / num_negative
            above_SN[row] = 1 - (rank[~is_positive] - midranks(values[~is_positive])) / num_positive
        covariance = np.atleast_2d(np.cov(below_SP)) / num_positive + np.atleast_2d(np.cov(above_SN)) / num_negative
        return cls(below_SP.mean(axis=1), covariance)

    def interval(self, score: int, z: float = Z_95) -> tuple[float, float]:
        """Return the normal interval of the area of one score, within 0..1; NaN where its variance is."""
        area, half = float(self.auroc_S[score]), z * math.sqrt(self.covariance_SS[score, score])
        return (math.nan, math.nan) if math.isnan(half) else (max(0.0, area - half), min(1.0, area + half))

    def p_value(self, one: int, other: int) -> float:
        """Return the two-sided p of two scores having the same area: 1 for scores that order the rows alike.

        NaN where there is no variance to hold a difference against, as when one score separates the classes and the
        other separates them the wrong way round.
        """
        difference = float(self.auroc_S[one] - self.auroc_S[other])
        covariance = self.covariance_SS
        variance = float(covariance[one, one] + covariance[other, other] - 2 * covariance[one, other])
        if math.isnan(variance):
            return math.nan
        if variance <= 1e-15:  # rounding
            return 1.0 if abs(difference) < 1e-9 else math.nan
        return math.erfc(abs(difference) / math.sqrt(2 * variance))


def ndcg(score: npt.ArrayLike, measured: npt.ArrayLike, top: float = TOP) -> float:
    """Return the normalised discounted cumulative gain of the rows that score highest, 0 to 1; NaN if not defined.

    As ProteinGym defines it (Notin et al., NeurIPS 2023): gains are the measurements scaled to 0..1 from their least to
    their greatest, the discount of rank r is 1 / log2(r + 1), only the first k = floor(top * N) ranks count, and the
    sum is divided by that of the best order. Rows of equal score share the mean of the gains of their ranks, as in
    scikit-learn, where ProteinGym leaves their order to the sort. NaN for constant measurements and when k is 0.
    """
    values, gains = _complete(score, measured)
    return float(resampled_ndcg(values, gains, np.ones((1, len(values)), dtype=np.int64), top)[0])


def bootstrap(statistic: Callable[[Indices], float], num_rows: int, *, draws: int, seed: int) -> Floats:
    """Return a statistic of `draws` resamples, (draws,); it is called with the drawn rows' indices, (num_rows,).

    The draws depend on `num_rows` and `seed` alone, so that the draws of two statistics of the same rows are paired,
    and their difference has an interval too.
    """
    random = np.random.default_rng(seed)
    return np.array([statistic(random.integers(0, num_rows, num_rows)) for _ in range(draws)], dtype=np.float64)


def resamples(num_rows: int, *, draws: int, seed: int | Sequence[int]) -> Indices:
    """Return how often each row is drawn in each resample, (D, N): the same resamples as `bootstrap` makes."""
    random = np.random.default_rng(seed)
    counts = np.empty((draws, num_rows), dtype=np.int64)
    for row in counts:
        row[:] = np.bincount(random.integers(0, num_rows, num_rows), minlength=num_rows)
    return counts


def resampled_spearman(one: npt.ArrayLike, other: npt.ArrayLike, counts_DN: Indices) -> Floats:
    """Return Spearman's correlation in each resample, (D,); NaN where a column is constant."""
    x, y, counts_DN = _known(one, other, counts_DN)
    x_groups, y_groups = _Groups.of(x), _Groups.of(y)

    def of(counts_DN: Indices) -> Floats:
        middle_D1 = (counts_DN.sum(axis=1, keepdims=True) + 1) / 2
        x_DN = x_groups.midranks(counts_DN) - middle_D1
        y_DN = y_groups.midranks(counts_DN) - middle_D1
        scale_D = np.sqrt((counts_DN * x_DN**2).sum(axis=1) * (counts_DN * y_DN**2).sum(axis=1))
        return _ratio((counts_DN * x_DN * y_DN).sum(axis=1), scale_D)

    return _in_blocks(of, counts_DN)


def resampled_auroc(score: npt.ArrayLike, positive: npt.ArrayLike, counts_DN: Indices) -> Floats:
    """Return the area under the ROC curve in each resample, (D,); NaN where one class is missing."""
    values, label, counts_DN = _known(score, positive, counts_DN)
    groups, is_positive = _Groups.of(values), label > 0

    def of(counts_DN: Indices) -> Floats:
        positives_DN = counts_DN * is_positive
        num_positive_D = positives_DN.sum(axis=1)
        num_pairs_D = num_positive_D * (counts_DN.sum(axis=1) - num_positive_D)
        rank_sum_D = (positives_DN * groups.midranks(counts_DN)).sum(axis=1)
        return _ratio(rank_sum_D - num_positive_D * (num_positive_D + 1) / 2, num_pairs_D)

    return _in_blocks(of, counts_DN)


def resampled_average_precision(score: npt.ArrayLike, positive: npt.ArrayLike, counts_DN: Indices) -> Floats:
    """Return `average_precision` in each resample, (D,); NaN where one class is missing."""
    values, label, counts_DN = _known(score, positive, counts_DN)
    groups, is_positive = _Groups.of(-values), label > 0

    def of(counts_DN: Indices) -> Floats:
        positives_DG, size_DG = groups.sums(counts_DN * is_positive), groups.sums(counts_DN)
        rows_DG = np.maximum(np.cumsum(size_DG, axis=1), 1)
        precision_DG = np.cumsum(positives_DG, axis=1) / rows_DG
        num_positive_D = positives_DG.sum(axis=1)
        both_D = (num_positive_D > 0) & (num_positive_D < counts_DN.sum(axis=1))
        return _ratio((positives_DG * precision_DG).sum(axis=1), np.where(both_D, num_positive_D, 0))

    return _in_blocks(of, counts_DN)


def resampled_ndcg(score: npt.ArrayLike, measured: npt.ArrayLike, counts_DN: Indices, top: float = TOP) -> Floats:
    """Return `ndcg` in each resample, (D,), the measurements scaled anew in each."""
    values, gains, counts_DN = _known(score, measured, counts_DN)
    gains = gains - gains.min() if len(gains) else gains  # so that little is left to rounding
    by_score, by_gain = _Groups.of(-values), _Groups.of(-gains)
    most = int(counts_DN.sum(axis=1).max(initial=0))
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, most + 2)))])  # of the first r ranks

    def of(counts_DN: Indices) -> Floats:
        num_top_D = np.floor(counts_DN.sum(axis=1) * top + 1e-9).astype(np.int64)
        least_D = np.where(counts_DN > 0, gains, np.inf).min(axis=1, initial=np.inf)
        # Scaling to 0..1 takes the least gain off; by how much it divides cancels out.
        offset_D = np.where(np.isfinite(least_D), least_D, 0.0) * discounts[num_top_D]
        found_D = np.maximum(by_score.discounted(gains, counts_DN, discounts, num_top_D) - offset_D, 0.0)
        best_D = by_gain.discounted(gains, counts_DN, discounts, num_top_D) - offset_D
        tiny_D = 1e-12 * (1 + np.abs(offset_D))  # what rounding leaves of constant measurements
        return _ratio(found_D, np.where(best_D > tiny_D, best_D, 0.0))

    return _in_blocks(of, counts_DN)


def two_sided_p(draws: npt.ArrayLike) -> float:
    """Return twice the share of bootstrap draws on the rarer side of 0, at most 1; NaN where no draw is a number.

    One is added to the draws and to those on either side, so that p is never below what so many draws can tell.
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return math.nan
    rarer = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(values) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, in their order; NaN is no test and stays.

    Holm, Scand. J. Statist. 6:65 (1979): valid however the tests depend on each other.
    """
    adjusted = [math.nan] * len(p_values)
    tested = sorted((at for at, p in enumerate(p_values) if not math.isnan(p)), key=lambda at: p_values[at])
    least = 0.0
    for place, at in enumerate(tested):
        least = adjusted[at] = max(least, min(1.0, (len(tested) - place) * p_values[at]))
    return adjusted


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for the rate of false discoveries (Benjamini and Hochberg 1995); None stays None."""
    known = [at for at, p in enumerate(p_values) if p is not None]
    order = sorted(known, key=lambda at: p_values[at] or 0.0, reverse=True)
    corrected: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank, at in zip(range(len(order), 0, -1), order, strict=True):
        least = min(least, (p_values[at] or 0.0) * len(order) / rank)
        corrected[at] = least
    return corrected


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


class _Groups:
    """Rows in the order of a column, in groups of equal values."""

    def __init__(self, order_N: Indices, first_G: Indices, group_N: Indices) -> None:
        self._order_N, self._first_G, self._group_N = order_N, first_G, group_N

    @classmethod
    def of(cls, column: Floats) -> _Groups:
        order = np.argsort(column, kind="stable")
        first = np.flatnonzero(np.diff(column[order], prepend=np.nan) != 0)  # NaN differs from anything
        group = np.empty(len(column), dtype=np.int64)
        group[order] = np.repeat(np.arange(len(first)), np.diff(first, append=len(column)))
        return cls(order, first, group)

    def midranks(self, counts_DN: Indices) -> Floats:
        """Return the rank of each row in each resample, equal values sharing the mean of theirs."""
        size_DG = self.sums(counts_DN)
        rank_DG = np.cumsum(size_DG, axis=1) - (size_DG - 1) / 2
        ranks: Floats = rank_DG[:, self._group_N]
        return ranks

    def discounted(self, gains: Floats, counts_DN: Indices, discounts: Floats, num_top_D: Indices) -> Floats:
        """Return the sum of gains times discounts over the first ranks of each resample."""
        size_DG = self.sums(counts_DN)
        last_DG = np.minimum(np.cumsum(size_DG, axis=1), num_top_D[:, None])
        first_DG = np.minimum(np.cumsum(size_DG, axis=1) - size_DG, num_top_D[:, None])
        mean_DG = self.sums(counts_DN * gains) / np.maximum(size_DG, 1)
        total: Floats = (mean_DG * (discounts[last_DG] - discounts[first_DG])).sum(axis=1)
        return total

    def sums(self, values_DN: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sum over each group, (D, G)."""
        if len(self._first_G) == 0:
            return np.zeros((len(values_DN), 0), dtype=values_DN.dtype)
        sums: npt.NDArray[Any] = np.add.reduceat(values_DN[:, self._order_N], self._first_G, axis=1)
        return sums


def _in_blocks(of: Callable[[Indices], Floats], counts_DN: Indices) -> Floats:
    """Apply `of` to a few resamples at a time, which bounds memory."""
    size = max(1, _BLOCK // max(counts_DN.shape[1], 1))
    return np.concatenate([of(counts_DN[at : at + size]) for at in range(0, max(len(counts_DN), 1), size)])


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    """Return a quotient, NaN where it would be by 0."""
    numerator, denominator = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    quotient: Floats = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0)
    return quotient


def _known(one: npt.ArrayLike, other: npt.ArrayLike, counts_DN: Indices) -> tuple[Floats, Floats, Indices]:
    """Return two columns and their counts without the rows in which either column is NaN."""
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if counts_DN.ndim != 2 or counts_DN.shape[1:] != x.shape:
        raise ValueError(f"counts of {x.shape} rows are needed, not {counts_DN.shape}")
    known = ~np.isnan(x) & ~np.isnan(y) if x.shape == y.shape else np.ones(len(x), dtype=np.bool_)
    return *_complete(x, y), counts_DN[:, known]
