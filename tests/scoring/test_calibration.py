"""phred: ranks by hand, ties and bounds; the null is uniform over bases and alternatives, scored as variants are."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import N_CODE
from dnahnet_cli.scoring.calibration import Null, null_snvs, random_snvs, score_snvs
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.scoring.variants import Status, VariantScorer
from tests.conftest import MemoryGenome, lively_model, random_codes

OPTIONS = EngineOptions(grid=TileGrid(tile=64, context=50, max_scored=40), suffix=20)
SEQUENCE = random_codes(300, 3)
SEQUENCE[100:130] = N_CODE
GENOME = MemoryGenome({"a": SEQUENCE, "n": "NNN", "b": random_codes(60, 4), "empty": ""})


def test_phred_by_hand() -> None:
    """Damage 4, 3, 2, 2 in the null: of five ranks, 5 is the first, 3 the second, 2 the last, 1 below all."""
    null = Null.of(np.array([-2.0, -4.0, -3.0, -2.0]))
    ranks = {-5.0: 1, -4.0: 2, -3.5: 2, -3.0: 3, -2.5: 3, -2.0: 5, 1.0: 5}
    for llr, rank in ranks.items():
        assert float(null.phred(llr)) == pytest.approx(-10 * math.log10(rank / 5))
    found = null.phred(np.array(list(ranks)))
    np.testing.assert_allclose(found, [-10 * math.log10(rank / 5) for rank in ranks.values()])
    assert str(float(null.phred(1.0))) == "0.0"
    assert [null.expected(t) for t in (0, 0.9, 1, 3.9, 4, 6.98, 7)] == [1, 0.8, 0.6, 0.4, 0.2, 0.2, 0]
    with pytest.raises(ValueError, match="at least one"):
        Null.of(np.array([]))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.integers(-6, 6))
def test_phred_is_the_rank_counted_one_by_one(llrs: list[int], llr: int) -> None:
    null = Null.of(np.array(llrs, dtype=float))
    at_least = sum(-other >= -llr for other in llrs)
    assert float(null.phred(float(llr))) == pytest.approx(-10 * math.log10((1 + at_least) / (len(llrs) + 1)))
    assert 0 <= float(null.phred(float(llr))) <= 10 * math.log10(len(llrs) + 1) + 1e-9


def test_the_expected_share_is_that_of_exchangeable_scores() -> None:
    """Any of N + 1 exchangeable scores is the test: count those with that phred or more."""
    for size in (9, 10, 99):
        for threshold in (0, 1, 3, 9.99, 10, 13, 20, 25):
            phreds = [-10 * math.log10(rank / (size + 1)) for rank in range(1, size + 2)]
            share = sum(p >= threshold - 1e-9 for p in phreds) / (size + 1)
            assert Null(np.zeros(size)).expected(threshold) == pytest.approx(share)


def test_random_snvs_are_uniform_over_bases_and_alternatives() -> None:
    known = {name: np.flatnonzero(codes < N_CODE) for name, codes in GENOME.sequences.items()}
    every = random_snvs(GENOME, 10**6, [1])
    assert len(set(every)) == len(every) == 3 * sum(map(len, known.values()))
    assert random_snvs(GENOME, 20, [1, 0]) == random_snvs(GENOME, 20, [1, 0]) != random_snvs(GENOME, 20, [1, 1])
    counts: Counter[object] = Counter()
    for seed in range(400):
        drawn = random_snvs(GENOME, 30, [seed])
        assert len(set(drawn)) == 30 and drawn == sorted(drawn, key=every.index)
        for snv in drawn:
            assert "ACGTN"[GENOME.sequences[snv.contig][snv.start]] == snv.ref != snv.alt
        counts.update((snv.contig, snv.start // 30) for snv in drawn)
    bins = Counter((snv.contig, snv.start // 30) for snv in every)
    expected = np.array([bins[key] for key in bins]) * 400 * 30 / len(every)
    assert chisquare([counts[key] for key in bins], expected).pvalue > 0.001
    with pytest.raises(InputError, match="A, C, G or T"):
        random_snvs(MemoryGenome({"n": "NNNN"}), 5, [1])


def test_the_null_is_scored_as_variants_are() -> None:
    engine = Engine(lively_model(), GENOME, OPTIONS)
    snvs = random_snvs(GENOME, 40, [7, 0])
    done: list[int] = []
    llrs = score_snvs(engine, snvs, done.append)
    assert sum(done) == 2 * len(snvs)
    rows = list(VariantScorer(engine).score(snvs))
    assert {row.status for row in rows} == {Status.OK}
    np.testing.assert_allclose(llrs, [row.llr for row in rows], atol=1e-5)
    assert null_snvs(GENOME, 40, 7) == snvs
