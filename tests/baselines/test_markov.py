"""The Markov baseline against a dictionary of strings, on sequences small enough to count by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.baselines import markov
from dnahnet_cli.baselines.markov import MAX_ORDER, MarkovModel, count_words
from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import Codes, encode, reverse_complement

WEIGHT = 3.0
sequences = st.text(alphabet="ACGTACGTN", max_size=60)


def random_codes(length: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)


class SlowMarkov:
    """The definition in the module's docstring, one word at a time."""

    def __init__(self, contigs: Sequence[str], order: int) -> None:
        self.order = order
        self.counts: Counter[str] = Counter()  # every word of 1 to order + 1 bases, counted as an end of a full word
        complement = str.maketrans("ACGT", "TGCA")
        for contig in contigs:
            for strand in (contig, contig.translate(complement)[::-1]):
                for end in range(order + 1, len(strand) + 1):
                    word = strand[end - order - 1 : end]
                    if "N" not in word:
                        self.counts.update(word[i:] for i in range(order + 1))

    def probability(self, context: str, base: str) -> float:
        lower = self.probability(context[1:], base) if context else 0.25
        total = sum(self.counts[context + b] for b in "ACGT")
        return (self.counts[context + base] + WEIGHT * lower) / (total + WEIGHT)

    def log_probs(self, sequence: str) -> list[float]:
        values = []
        for i, base in enumerate(sequence):
            context = sequence[max(0, i - self.order) : i].rpartition("N")[2]
            values.append(math.nan if base == "N" else math.log(self.probability(context, base)))
        return values


@settings(deadline=None, max_examples=60)
@given(st.lists(sequences, max_size=3), sequences, st.integers(0, 4))
def test_agrees_with_the_definition(contigs: list[str], sequence: str, order: int) -> None:
    model = MarkovModel.fit([encode(contig) for contig in contigs], order, WEIGHT)
    expected = SlowMarkov(contigs, order).log_probs(sequence)
    np.testing.assert_allclose(model.log_probs(encode(sequence)), expected, rtol=1e-5, atol=1e-6)


def test_agrees_with_the_definition_at_the_largest_order() -> None:
    contig = "ACGTTGCANNACGGATTACAGATTACAGGATTACA" * 2
    model = MarkovModel.fit([encode(contig)], MAX_ORDER, WEIGHT)
    expected = SlowMarkov([contig], MAX_ORDER).log_probs(contig)
    np.testing.assert_allclose(model.log_probs(encode(contig)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_counting_in_blocks_loses_and_repeats_no_word(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    contigs = [random_codes(length, seed=length) for length in (0, 1, 3, 4, 5, 200, 31)]
    contigs[5][[20, 21, 90]] = 4
    whole = count_words(contigs, 3)
    monkeypatch.setattr(markov, "_BLOCK_BP", block)
    np.testing.assert_array_equal(count_words(contigs, 3), whole)


@pytest.mark.parametrize("order", [0, 1, 5])
def test_the_probabilities_after_every_context_sum_to_one(order: int) -> None:
    model = MarkovModel.fit([random_codes(500, seed=1)], order)
    assert len(model.log_table) == sum(4 ** (j + 1) for j in range(order + 1))
    np.testing.assert_allclose(np.exp(model.log_table).reshape(-1, 4).sum(axis=1), 1.0, rtol=1e-5)


def test_the_other_strand_gives_the_same_model() -> None:
    codes = random_codes(2000, seed=2)
    codes[[100, 1500]] = 4
    forward, reverse = MarkovModel.fit([codes], 4), MarkovModel.fit([reverse_complement(codes)], 4)
    np.testing.assert_array_equal(forward.log_table, reverse.log_table)


def test_random_dna_costs_two_bits_and_a_repeat_next_to_none() -> None:
    model = MarkovModel.fit([random_codes(400_000, seed=3)], 4)
    assert model.bits_per_base(random_codes(100_000, seed=4)) == pytest.approx(2.0, abs=0.01)
    repeat = encode("AACCAGT" * 3000)
    assert MarkovModel.fit([repeat], 6).bits_per_base(repeat) < 0.05


def test_a_model_of_nothing_is_uniform_and_a_sequence_without_bases_has_no_bits() -> None:
    model = MarkovModel.fit([], 2)
    assert model.bits_per_base(encode("ACGTNNAC")) == pytest.approx(2.0)
    assert math.isnan(model.bits_per_base(encode("NNN")))
    assert model.log_probs(encode("")).shape == (0,)
    assert model.log_probs(encode("ACN")).dtype == np.float32


@pytest.mark.parametrize("order", [-1, MAX_ORDER + 1])
def test_an_order_out_of_range_is_refused(order: int) -> None:
    with pytest.raises(UsageError, match="order"):
        MarkovModel.fit([], order)
