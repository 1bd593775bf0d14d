"""Counting by class: against plain masks; chunkers keep what they promise; p-values against scipy and by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest, norm

from dnahnet_cli.evaluation.enrichment import (
    SHIFTS_PER_SHUFFLE,
    Atoms,
    Mask,
    Positions,
    block_draws,
    grid,
    permutation_p,
    point_figures,
    shifted,
    shuffled,
)
from dnahnet_cli.evaluation.statistics import benjamini_hochberg

SIZE = 400
RANDOM = np.random.default_rng(1)
MASKS: list[Mask] = [np.ones(SIZE, dtype=bool), *(RANDOM.random((3, SIZE)) < 0.3), np.zeros(SIZE, dtype=bool)]
OPENS: Positions = np.flatnonzero(RANDOM.random(SIZE) < 0.3)
ATOMS = Atoms.of(iter(MASKS), SIZE)


def rolled(opens: Positions, by: int) -> Mask:
    mask = np.zeros(SIZE, dtype=bool)
    mask[opens] = True
    return np.roll(mask, by)


def test_counts_of_atoms_are_counts_of_masks() -> None:
    weights = RANDOM.random(SIZE)
    np.testing.assert_array_equal(ATOMS.count(), [mask.sum() for mask in MASKS])
    np.testing.assert_allclose(ATOMS.count(weights), [weights[mask].sum() for mask in MASKS])
    block = np.arange(SIZE) // 150
    by_block = ATOMS.count_by_block(block, 3, weights)
    np.testing.assert_allclose(by_block, [[weights[mask & (block == b)].sum() for mask in MASKS] for b in range(3)])
    some = np.arange(10, 300, 7)
    np.testing.assert_array_equal(ATOMS.at(some).count(), [mask[some].sum() for mask in MASKS])
    draws = block_draws(by_block, 5, 1)
    assert draws.shape == (5, len(MASKS)) and (draws[:, -1] == 0).all()


def test_many_classes() -> None:
    masks = RANDOM.random((70, SIZE)) < 0.1  # more than the bits of a word
    np.testing.assert_array_equal(Atoms.of(masks, SIZE).count(), masks.sum(axis=1))


@pytest.mark.parametrize("chunker", [shifted, shuffled])
def test_versions_are_counted_where_they_lie(chunker: type) -> None:
    versions = list(chunker(OPENS, SIZE, 40, 3))
    assert len(versions) == 40
    counts = ATOMS.count_of(versions)
    expected = [[(mask & rolled(opens, by)).sum() for mask in MASKS] for opens, by in versions]
    np.testing.assert_array_equal(counts, expected)
    assert (counts[:, 0] == len(OPENS)).all()
    np.testing.assert_array_equal(ATOMS.count_of(chunker(OPENS, SIZE, 40, 3)), counts)  # seeded


def test_a_shift_is_never_none_and_a_shuffle_keeps_the_lengths() -> None:
    assert {by for _, by in shifted(OPENS, SIZE, 5000, 1)} == set(range(1, SIZE))
    lengths = sorted(np.diff(OPENS, append=OPENS[0] + SIZE).tolist())
    versions = list(shuffled(OPENS, SIZE, 2 * SHIFTS_PER_SHUFFLE, 1))
    for opens, _ in versions:
        assert opens.min() >= 0 and opens.max() < SIZE
        assert sorted(np.diff(opens, append=opens[0] + SIZE).tolist()) == lengths
    assert not np.array_equal(versions[0][0], versions[-1][0])


def test_grid_has_equal_chunks_and_its_mean_is_no_preference() -> None:
    versions = list(grid(100, SIZE))
    assert len(versions) == 4
    np.testing.assert_allclose(ATOMS.count_of(versions).mean(axis=0), [mask.sum() / 4 for mask in MASKS])
    uneven = np.diff(next(iter(grid(130, SIZE)))[0])
    assert set(uneven.tolist()) == {3, 4} and list(grid(0, SIZE)) == []


def nearest(opens: Positions, points: Positions) -> Positions:
    """Return how far each point is from a boundary on the circle."""
    apart = np.abs(points[:, None] - opens[None])
    return np.minimum(apart, SIZE - apart)


def test_precision_and_recall_by_all_pairs() -> None:
    points, tolerances = np.array([12, 13, 60, 200, 205, 388]), (0, 1, 3, 10)
    for opens in (OPENS, np.array([14, 57, 399]), np.array([0])):
        versions = [(opens, 0), (opens, 17), (opens, SIZE - 1)]
        precision, recall = point_figures(versions, SIZE, points, tolerances)
        for v, (own, by) in enumerate(versions):
            apart = nearest((own + by) % SIZE, points)
            for t, tolerance in enumerate(tolerances):
                assert recall[v, t] == pytest.approx((apart.min(axis=1) <= tolerance).mean())
                assert precision[v, t] == pytest.approx((apart.min(axis=0) <= tolerance).mean())


def test_no_points_and_no_boundaries() -> None:
    none = np.array([], dtype=np.int64)
    precision, recall = point_figures([(OPENS, 0)], SIZE, none, (0, 1))
    assert np.isnan(precision).all() and np.isnan(recall).all()
    precision, recall = point_figures([(none, 0)], SIZE, np.array([5]), (0, 1))
    assert np.isnan(precision).all() and (recall == 0).all()
    assert list(shuffled(none, SIZE, 5, 1)) == []


def test_permutation_p_by_hand() -> None:
    null = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    # Twice (one at least as far out + the observed one) of 4; a tie with everything is no evidence.
    np.testing.assert_allclose(permutation_p(np.array([3.0, 1.0]), null), [1.0, 1.0])
    versions = np.arange(1.0, 1000)[:, None]
    assert permutation_p(np.array([998.0]), versions)[0] == pytest.approx(2 * 3 / 1000)
    assert permutation_p(np.array([9.0]), np.ones((99, 1)))[0] == pytest.approx(2 / 100)  # no deviation, no tail


def test_permutation_p_beyond_all_versions_is_a_normal_tail() -> None:
    null = np.random.default_rng(2).normal(5, 2, (999, 1))
    for observed in (17.0, -9.0):
        z = (observed - null.mean()) / null.std()
        assert permutation_p(np.array([observed]), null)[0] == pytest.approx(2 * norm.sf(abs(z)), rel=1e-9)
    just = permutation_p(np.array([null.max() + 1e-9]), null)[0]
    assert just <= 2 / 1000


def test_permutation_p_is_uniform_when_nothing_is_there() -> None:
    random, p_values = np.random.default_rng(5), []
    in_class = Atoms.of([random.random(1500) < 0.2], 1500)
    for seed in range(100):
        opens = np.flatnonzero(random.random(1500) < 0.3)
        observed = in_class.at(opens).count()
        p_values.append(float(permutation_p(observed, in_class.count_of(shuffled(opens, 1500, 99, seed)))[0]))
    assert kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03, 0.2], [0.5, 0.5, 0.001], [1.0], [0.05] * 4])
def test_benjamini_hochberg_as_scipy(p_values: Sequence[float]) -> None:
    expected = false_discovery_control(p_values)
    found = benjamini_hochberg([p_values[0], None, *p_values[1:]])
    assert found[1] is None
    np.testing.assert_allclose([q for q in found if q is not None], expected)
    assert benjamini_hochberg([]) == [] and not math.isnan(expected[0])
