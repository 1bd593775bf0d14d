"""The adaptive Markov model agrees with its definition, learns, and never looks ahead."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.baselines import adaptive as module
from dnahnet_cli.baselines.adaptive import adaptive_log_probs
from dnahnet_cli.baselines.markov import DEFAULT_WEIGHT, MAX_ORDER
from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import N_CODE, Codes, encode, reverse_complement
from tests.conftest import random_codes

sequences = st.text(alphabet="ACGTACGTN", max_size=60)


def adaptive(codes: Codes, order: int, weight: float = DEFAULT_WEIGHT) -> np.ndarray:
    return np.concatenate([np.empty(0), *adaptive_log_probs(codes, order, weight)])


def slow_adaptive(sequence: str, order: int, weight: float) -> list[float]:
    """The definition: predict each base from the words of both strands read so far, then count its words."""
    counts: Counter[str] = Counter()  # by word, the last letter the predicted one
    complement = str.maketrans("ACGT", "TGCA")
    values = []
    for i, base in enumerate(sequence):
        if base == "N":
            values.append(0.0)
            continue
        context = sequence[max(0, i - order) : i].rpartition("N")[2]
        words = [context[len(context) - j :] + base for j in range(len(context) + 1)]
        probability = 0.25
        for word in words:
            total = sum(counts[word[:-1] + letter] for letter in "ACGT")
            probability = (counts[word] + weight * probability) / (total + weight)
        values.append(math.log(probability))
        for word in words:
            counts.update([word, word.translate(complement)[::-1]])
    return values


@settings(deadline=None, max_examples=60)
@given(sequences, st.integers(0, 4), st.sampled_from([0.5, 200.0]), st.sampled_from([1, 7, 1 << 16]))
def test_the_adaptive_model_agrees_with_its_definition(sequence: str, order: int, weight: float, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BP", block)
        found = adaptive(encode(sequence), order, weight)
    np.testing.assert_allclose(found, slow_adaptive(sequence, order, weight), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(sequences.filter(bool), st.integers(0, 4), st.data())
def test_the_adaptive_model_never_looks_ahead(sequence: str, order: int, data: st.DataObject) -> None:
    """Change a base: no earlier prediction moves by a bit, and the four letters' probabilities there sum to one."""
    codes = encode(sequence)
    place = data.draw(st.integers(0, len(codes) - 1))
    total = 0.0
    for letter in range(N_CODE):
        changed = codes.copy()
        changed[place] = letter
        found = adaptive(changed, order)
        np.testing.assert_array_equal(found[:place], adaptive(codes, order)[:place])
        total += math.exp(found[place])
    assert total == pytest.approx(1.0)


def test_the_adaptive_model_learns_but_random_dna_stays_at_two_bits() -> None:
    def bits(codes: Codes) -> float:
        return -float(adaptive(codes, 6).mean()) / math.log(2)

    assert bits(random_codes(300_000, 1)) == pytest.approx(2.0, abs=0.01)
    repeat = encode("AACCAGT" * 40_000)
    assert bits(repeat) < 0.05
    both = np.concatenate([random_codes(20_000, 2), reverse_complement(random_codes(20_000, 2))])
    second_half = adaptive(both, MAX_ORDER)[20_000:]  # known already, from the other strand
    assert -float(second_half.mean()) / math.log(2) < 1.9


@pytest.mark.parametrize("order", [-1, MAX_ORDER + 1])
def test_an_order_out_of_range_is_refused(order: int) -> None:
    with pytest.raises(UsageError, match="order"):
        next(adaptive_log_probs(random_codes(10, 1), order))
