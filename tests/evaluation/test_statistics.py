"""Statistics worked out by hand, then against scipy and scikit-learn on columns full of ties."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata, spearmanr
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from dnahnet_cli.evaluation.statistics import (
    DeLong,
    auroc,
    average_precision,
    bootstrap,
    holm,
    interval,
    midranks,
    ndcg,
    resampled_auroc,
    resampled_average_precision,
    resampled_ndcg,
    resampled_spearman,
    resamples,
    spearman,
    two_sided_p,
)

NAN = math.nan
columns = st.integers(2, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-3, 3).map(float), min_size=n, max_size=n)] * 2)
)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert midranks([10, 20, 20, 5]).tolist() == [2, 3.5, 3.5, 1]
    assert midranks([7, 7, 7]).tolist() == [2, 2, 2]
    assert midranks([]).tolist() == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 1 - 6 * 4 / (5 * 24)),  # squared differences of ranks: 1 + 1 + 1 + 1 + 0
        ([1, 2, 3], [0.1, 100, 1e9], 1.0),
        ([1, 2, 3], [-0.1, -100, -1e9], -1.0),
        # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4; less 2.5: products 2.25 + 0 + 0 + 2.25, squares 4.5 and 5
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / math.sqrt(4.5 * 5)),
        ([1, 2, NAN, 3], [1, 2, 0, 3], 1.0),
        ([1, 2, 0, 3], [1, 2, NAN, 3], 1.0),
    ],
)
def test_spearman_by_hand(one: list[float], other: list[float], expected: float) -> None:
    assert spearman(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(("one", "other"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, NAN], [5, 5, 6])])
def test_spearman_of_a_constant_is_not_a_number(one: list[float], other: list[float]) -> None:
    assert math.isnan(spearman(one, other))
    assert math.isnan(spearman(other, one))


@pytest.mark.parametrize(
    ("score", "positive", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 3 / 4),  # of four pairs only 0.35 against 0.4 is the wrong way round
        ([1, 1, 2, 2], [0, 1, 0, 1], (0.5 + 0 + 1 + 0.5) / 4),
        ([5, 5, 5], [0, 1, 1], 0.5),
        ([3, 2, 1], [True, False, False], 1.0),
        ([1, 2, 3], [True, False, False], 0.0),
        ([1, NAN, 0], [1, 0, 0], 1.0),
    ],
)
def test_auroc_by_hand(score: list[float], positive: list[float], expected: float) -> None:
    assert auroc(score, positive) == pytest.approx(expected)


@pytest.mark.parametrize(("score", "positive"), [([1, 2], [1, 1]), ([1, 2], [0, 0]), ([], []), ([1, NAN], [0, 1])])
def test_auroc_of_a_single_class_is_not_a_number(score: list[float], positive: list[float]) -> None:
    assert math.isnan(auroc(score, positive))


@settings(deadline=None)
@given(columns)
def test_agrees_with_scipy_and_scikit_learn(pair: tuple[list[float], list[float]]) -> None:
    one, other = pair
    np.testing.assert_array_equal(midranks(one), rankdata(one))
    if len(set(one)) > 1 and len(set(other)) > 1:
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    positive = [value > 0 for value in other]
    if len(set(positive)) == 2:
        assert auroc(one, positive) == pytest.approx(roc_auc_score(positive, one), abs=1e-12)


@settings(deadline=None)
@given(columns)
def test_the_sign_is_kept_and_only_order_matters(pair: tuple[list[float], list[float]]) -> None:
    one, other = (np.array(column) for column in pair)
    np.testing.assert_allclose(spearman(-one, other), -spearman(one, other), atol=1e-12)
    np.testing.assert_allclose(spearman(np.exp(one), other), spearman(one, other), atol=1e-12)
    np.testing.assert_allclose(auroc(-one, other > 0), 1 - auroc(one, other > 0), atol=1e-12)


@pytest.mark.parametrize("statistic", [spearman, auroc, ndcg])
def test_columns_of_different_length_are_refused(statistic: object) -> None:
    assert callable(statistic)
    with pytest.raises(ValueError, match="equal length"):
        statistic([1, 2, 3], [1, 0])


def test_bootstrap_draws_as_the_standard_error_says() -> None:
    values = np.random.default_rng(5).normal(size=400)
    draws = bootstrap(lambda rows: float(values[rows].mean()), 400, draws=500, seed=1)
    assert draws.shape == (500,)
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.15)
    low, high = interval(draws)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_draws_of_two_statistics_are_paired() -> None:
    values = np.random.default_rng(6).normal(size=50)
    one = bootstrap(lambda rows: float(values[rows].mean()), 50, draws=40, seed=3)
    other = bootstrap(lambda rows: float(values[rows].mean()) + 1, 50, draws=40, seed=3)
    np.testing.assert_allclose(other - one, 1)
    assert not np.allclose(one, bootstrap(lambda rows: float(values[rows].mean()), 50, draws=40, seed=4))


def test_intervals_by_hand() -> None:
    assert interval(np.arange(101)) == pytest.approx((2.5, 97.5))
    assert interval(np.arange(101), level=0.5) == pytest.approx((25, 75))
    assert interval([NAN, *range(101), NAN]) == pytest.approx((2.5, 97.5))
    assert all(map(math.isnan, interval([NAN, NAN])))


# --- average precision ---


@pytest.mark.parametrize(
    ("score", "positive", "expected"),
    [
        ([4, 3, 2, 1], [1, 0, 1, 0], (1 / 1 + 2 / 3) / 2),
        ([4, 3, 2, 1], [0, 0, 0, 1], 1 / 4),
        ([2, 2, 1, 1], [1, 0, 0, 1], (1 / 2 + 2 / 4) / 2),  # equal scores come all at once
        ([5, 5, 5, 5], [1, 0, 0, 0], 1 / 4),
        ([9, NAN, 1], [1, 1, 0], 1.0),
        ([9, 8, 1], [1, NAN, 0], 1.0),
    ],
)
def test_average_precision_by_hand(score: list[float], positive: list[float], expected: float) -> None:
    assert average_precision(score, positive) == pytest.approx(expected)


@pytest.mark.parametrize(("score", "positive"), [([1, 2], [1, 1]), ([1, 2], [0, 0]), ([], []), ([1, NAN], [0, 1])])
def test_average_precision_of_a_single_class_is_not_a_number(score: list[float], positive: list[float]) -> None:
    assert math.isnan(average_precision(score, positive))


@settings(deadline=None)
@given(columns)
def test_average_precision_agrees_with_scikit_learn(pair: tuple[list[float], list[float]]) -> None:
    score, other = pair
    positive = [value > 0 for value in other]
    if len(set(positive)) == 2:
        assert average_precision(score, positive) == pytest.approx(average_precision_score(positive, score), abs=1e-12)


# --- DeLong ---


def delong_by_pairs(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute areas and covariance from all pairs of rows, as the paper writes them."""
    wins = []
    for values in scores:
        p, n = values[positive][:, None], values[~positive][None, :]
        wins.append((p > n) + 0.5 * (p == n))
    area = np.array([w.mean() for w in wins])
    num_positive, num_negative = wins[0].shape
    covariance = np.empty((len(wins), len(wins)))
    for i, one in enumerate(wins):
        for j, other in enumerate(wins):
            by_positive = ((one.mean(axis=1) - area[i]) * (other.mean(axis=1) - area[j])).sum() / (num_positive - 1)
            by_negative = ((one.mean(axis=0) - area[i]) * (other.mean(axis=0) - area[j])).sum() / (num_negative - 1)
            covariance[i, j] = by_positive / num_positive + by_negative / num_negative
    return area, covariance


@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_delong_is_what_all_pairs_say(levels: int) -> None:
    random = np.random.default_rng(levels)
    positive = np.arange(40) < 13
    scores = random.integers(0, levels, (3, 40)) + positive * random.integers(0, 2, (3, 40))
    found = DeLong.of(scores, positive)
    area, covariance = delong_by_pairs(scores, positive)
    np.testing.assert_allclose(found.auroc_S, area, atol=1e-12)
    np.testing.assert_allclose(found.covariance_SS, covariance, atol=1e-12)
    np.testing.assert_allclose(found.auroc_S, [roc_auc_score(positive, values) for values in scores], atol=1e-12)
    z = (area[0] - area[2]) / math.sqrt(covariance[0, 0] + covariance[2, 2] - 2 * covariance[0, 2])
    assert found.p_value(0, 2) == pytest.approx(2 * norm.sf(abs(z))) == found.p_value(2, 0)
    low, high = found.interval(1)
    assert (low, high) == pytest.approx(np.clip(norm.interval(0.95, area[1], math.sqrt(covariance[1, 1])), 0, 1))


def test_delong_by_hand() -> None:
    # Positives 3 and 1 against negatives 2 and 0: shares below 1 and 1/2; shares above 1/2 and 1. Variances 1/8.
    found = DeLong.of([[3, 1, 2, 0], [3, 1, 2, 0]], [1, 1, 0, 0])
    assert found.auroc_S.tolist() == [0.75, 0.75]
    np.testing.assert_allclose(found.covariance_SS, 1 / 8)
    assert found.p_value(0, 1) == 1.0


def test_delong_of_scores_that_separate_the_classes() -> None:
    found = DeLong.of([[4, 3, 2, 1], [8, 7, 2, 1], [1, 2, 3, 4]], [1, 1, 0, 0])
    assert found.p_value(0, 1) == 1.0 and math.isnan(found.p_value(0, 2))
    assert found.interval(0) == (1.0, 1.0)


@pytest.mark.parametrize("positive", [[1, 1, 1], [0, 0, 0], [1, 0, 0]])
def test_delong_needs_two_rows_of_each_class(positive: list[int]) -> None:
    found = DeLong.of([[1, 2, 3], [3, 2, 1]], positive)
    assert np.isnan(found.auroc_S).all() and math.isnan(found.p_value(0, 1)) and math.isnan(found.interval(0)[0])


def test_delong_agrees_with_the_bootstrap() -> None:
    random = np.random.default_rng(3)
    positive = random.random(400) < 0.2
    one = positive + random.normal(size=400)
    other = 0.5 * one + random.normal(size=400)
    found = DeLong.of([one, other], positive)
    counts = resamples(400, draws=1000, seed=1)
    draws = resampled_auroc(one, positive, counts) - resampled_auroc(other, positive, counts)
    sd = math.sqrt(found.covariance_SS[0, 0] + found.covariance_SS[1, 1] - 2 * found.covariance_SS[0, 1])
    assert draws.std() == pytest.approx(sd, rel=0.1)


def test_delong_refuses_rows_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="are needed"):
        DeLong.of([[1, 2, 3]], [1, 0])


# --- several tests ---


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    one, missing, other = holm([0.02, NAN, 0.04])
    assert math.isnan(missing) and (one, other) == pytest.approx((0.04, 0.04))


# --- NDCG ---

longer_columns = st.integers(10, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-4, 4).map(float), min_size=n, max_size=n)] * 2)
)


def gains_of(measured: list[float]) -> np.ndarray:
    values = np.array(measured)
    return (values - values.min()) / (values.max() - values.min())


@settings(deadline=None)
@given(longer_columns, st.sampled_from([0.1, 0.3, 1.0]))
def test_ndcg_agrees_with_scikit_learn(pair: tuple[list[float], list[float]], top: float) -> None:
    score, measured = pair
    if len(set(measured)) == 1:
        assert math.isnan(ndcg(score, measured, top))
        return
    k = math.floor(len(score) * top + 1e-9)
    assert ndcg(score, measured, top) == pytest.approx(ndcg_score([gains_of(measured)], [score], k=k), abs=1e-9)


def test_ndcg_by_hand() -> None:
    measured = [-5.0] * 10 + [0.0] * 8 + [1.0, 5.0]
    score = list(range(20))
    assert ndcg(score, measured) == pytest.approx(1.0)
    score[18], score[19] = score[19], score[18]  # gains 0.6 and 1 in the wrong order, k = 2
    assert ndcg(score, measured) == pytest.approx((0.6 + 1 / math.log2(3)) / (1 + 0.6 / math.log2(3)))
    assert ndcg([-value for value in score], measured) == 0.0
    mean_gain = np.mean(gains_of(measured))  # nothing is ranked, so any rank has the mean gain
    assert ndcg([7.0] * 20, measured) == pytest.approx(mean_gain * (1 + 1 / math.log2(3)) / (1 + 0.6 / math.log2(3)))


@pytest.mark.parametrize(
    ("score", "measured"),
    [([], []), ([1.0] * 9, list(range(9))), (list(range(20)), [0.3] * 20), ([NAN] * 20, [1] * 20)],
)
def test_ndcg_of_too_few_or_constant_rows_is_not_a_number(score: list[float], measured: list[float]) -> None:
    assert math.isnan(ndcg(score, measured))


def test_only_the_top_counts_and_missing_rows_do_not() -> None:
    random = np.random.default_rng(2)
    score, measured = random.normal(size=50), random.normal(size=50)
    order = np.argsort(-score)
    shuffled = score.copy()
    shuffled[order[5:]] = random.permutation(score[order[5:]])
    assert ndcg(shuffled, measured) == pytest.approx(ndcg(score, measured))
    assert ndcg([*score, NAN, 9.0], [*measured, 9.0, NAN]) == ndcg(score, measured)


# --- many resamples at once ---


@pytest.mark.parametrize(
    ("statistic", "resampled"),
    [
        (spearman, resampled_spearman),
        (auroc, resampled_auroc),
        (average_precision, resampled_average_precision),
        (ndcg, resampled_ndcg),
    ],
)
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_resampled_statistics_are_those_of_the_rows_drawn(
    statistic: Callable[..., float], resampled: Callable[..., np.ndarray], levels: int
) -> None:
    random = np.random.default_rng(levels)
    score = random.integers(0, levels, 40).astype(float)
    other = (
        (score + random.integers(0, 2 * levels, 40) > 1.5 * levels).astype(float)
        if statistic in (auroc, average_precision)
        else (score + random.normal(size=40).round(1) * levels)
    )
    score[[3, 17]] = NAN
    other[[5, 17]] = NAN
    slow = bootstrap(lambda rows: statistic(score[rows], other[rows]), 40, draws=50, seed=9)
    np.testing.assert_allclose(resampled(score, other, resamples(40, draws=50, seed=9)), slow, atol=1e-9)
    assert np.isfinite(slow).any()


def test_resampled_statistics_that_are_not_defined_are_not_numbers() -> None:
    counts = resamples(12, draws=7, seed=1)
    rising, same = np.arange(12.0), np.full(12, 0.1)
    assert np.isnan(resampled_spearman(rising, same, counts)).all()
    assert np.isnan(resampled_auroc(rising, np.ones(12), counts)).all()
    assert np.isnan(resampled_ndcg(rising, same, counts)).all()
    for resampled in (resampled_spearman, resampled_auroc, resampled_ndcg):
        assert np.isnan(resampled([], [], resamples(0, draws=3, seed=1))).tolist() == [True] * 3
        with pytest.raises(ValueError, match="counts of"):
            resampled(rising, rising, counts[:, :5])
        with pytest.raises(ValueError, match="equal length"):
            resampled(rising, rising[:5], counts)


def test_resampling_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(8)
    score, measured, counts = random.normal(size=30), random.normal(size=30), resamples(30, draws=11, seed=2)
    whole = [f(score, measured, counts) for f in (resampled_spearman, resampled_ndcg)]
    monkeypatch.setattr("dnahnet_cli.evaluation.statistics._BLOCK", 60)
    for one, other in zip(
        whole, [f(score, measured, counts) for f in (resampled_spearman, resampled_ndcg)], strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_two_sided_p() -> None:
    assert two_sided_p(np.arange(1, 100)) == pytest.approx(2 / 100)
    assert two_sided_p([-1, 1] * 50) == 1.0
    assert two_sided_p([-3, *range(1, 99), NAN]) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(-np.arange(1, 100)) == two_sided_p(np.arange(1, 100))
    assert math.isnan(two_sided_p([NAN]))
