"""Which windows are drawn, alone and among several processes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.training.packed import Genome
from dnahnet_cli.training.sampler import Sampler, heldout_windows, to_batch
from tests.training.genomes import N, genome

# Distinct random contigs: a window of 50 bases says where it comes from.
BIG = genome("Big", 30_000, 10_000, seed=1)
SECOND_OF_BIG = genome("Big", 50_000, seed=2, name="second")
SMALL = genome("Small", 10_000, seed=3)
CONTIGS = [*BIG.contigs, *SECOND_OF_BIG.contigs, *SMALL.contigs]


def origins(windows: Codes, contigs: list[Codes]) -> list[tuple[int, bool, int]]:
    """Return (contig, whether reversed, forward start) of every window; fail for one that is nowhere."""
    found = []
    texts = [contig.tobytes() for contig in contigs]
    for window in windows.astype(np.uint8):
        hits = [
            (index, turned, text.find(piece))
            for index, text in enumerate(texts)
            for turned, piece in ((False, window.tobytes()), (True, reverse_complement(window).tobytes()))
            if piece in text
        ]
        assert len(hits) == 1, "a window must be a stretch of exactly one contig"
        found += hits
    return found


def draw(sampler: Sampler, num_windows: int, length: int = 50) -> Codes:
    return sampler.batch(0, num_windows, length).targets.astype(np.uint8)


# --- batches ---


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    one, other = (Sampler([BIG, SMALL], seed=5) for _ in range(2))
    for step in (7, 0, 3):  # the first sampler has been used, in another order
        one.batch(step, 4, 100)
    for step in (0, 3, 7):
        assert np.array_equal(one.batch(step, 4, 100).tokens, other.batch(step, 4, 100).tokens)
    assert not np.array_equal(one.batch(0, 4, 100).tokens, one.batch(1, 4, 100).tokens)
    assert not np.array_equal(one.batch(0, 4, 100).tokens, Sampler([BIG, SMALL], seed=6).batch(0, 4, 100).tokens)


def test_windows_lie_within_one_contig_on_either_strand() -> None:
    found = origins(draw(Sampler([BIG, SECOND_OF_BIG, SMALL], 1), 600), CONTIGS)
    num_reversed = sum(turned for _, turned, _ in found)
    assert 300 - 50 < num_reversed < 300 + 50  # 4 standard deviations


def test_no_window_crosses_from_one_contig_to_the_next() -> None:
    """Contigs scarcely longer than a window leave few starts: any other would cross."""
    fragments = genome("Fragments", *range(50, 60), seed=4)
    found = origins(draw(Sampler([fragments], 1), 300), list(fragments.contigs))
    assert {index for index, _, _ in found} == set(range(10))
    for index, contig in enumerate(fragments.contigs):
        starts = {start for where, _, start in found if where == index}
        assert starts <= set(range(len(contig) - 50 + 1))
    assert {start for where, _, start in found if where == 1} == {0, 1}  # first and last start both occur


def test_genera_are_drawn_by_the_root_of_their_bases() -> None:
    """Big has 90,000 bases in two genomes, Small 10,000: 3 to 1, and within Big by contig length."""
    found = origins(draw(Sampler([BIG, SECOND_OF_BIG, SMALL], 1), 2000), CONTIGS)
    counts = np.bincount([index for index, _, _ in found], minlength=4)
    expected = 2000 * np.array([0.75 * 3 / 9, 0.75 * 1 / 9, 0.75 * 5 / 9, 0.25])
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected))


def test_starts_are_spread_over_the_contig() -> None:
    starts = [start for _, _, start in origins(draw(Sampler([SMALL], 1), 500), list(SMALL.contigs))]
    tenths = np.bincount([10 * start // 9951 for start in starts], minlength=10)
    assert tenths.min() > 20 and tenths.max() < 90


def test_short_contigs_are_padded_with_n() -> None:
    short = genome("Short", 30, seed=6)
    batch = Sampler([short], 1).batch(0, 20, 50)
    assert np.all(batch.targets[:, 30:] == N) and np.all(batch.targets[:, :30] < N)
    forward, backward = short.contigs[0], reverse_complement(short.contigs[0])
    seen = {bytes(row[:30].astype(np.uint8)) for row in batch.targets}
    assert seen == {bytes(forward), bytes(backward)}


def test_n_in_a_genome_stays_n() -> None:
    codes = np.full(100, N, dtype=np.uint8)
    codes[50] = 0
    batch = Sampler([Genome("g", "g", (codes,))], 1).batch(0, 3, 40)
    assert np.all((batch.targets == N).sum(1) >= 39)


def test_contigs_without_bases_are_never_drawn() -> None:
    empty = np.empty(0, dtype=np.uint8)
    holey = Genome("h", "H", (empty, *SMALL.contigs, empty))
    origins(draw(Sampler([Genome("e", "E", (empty,)), holey], 1), 100), list(SMALL.contigs))
    with pytest.raises(InputError, match="no A, C, G or T"):
        Sampler([Genome("e", "E", (empty,))], 1)
    with pytest.raises(InputError, match="no A, C, G or T"):
        Sampler([], 1)


@given(st.integers(1, 5), st.integers(1, 30))
def test_tokens_are_bos_and_the_bases_before(num_windows: int, length: int) -> None:
    windows = np.random.default_rng(length).integers(0, 5, (num_windows, length)).astype(np.uint8)
    batch = to_batch(windows)
    assert batch.tokens.shape == batch.targets.shape == (num_windows, length)
    assert batch.tokens.dtype == batch.targets.dtype == np.int64
    assert np.all(batch.tokens[:, 0] == BOS)
    assert np.array_equal(batch.tokens[:, 1:], windows[:, :-1])
    assert np.array_equal(batch.targets, windows)


# --- growing data, several processes ---


@given(st.permutations(range(4)), st.integers(0, 4))
def test_what_was_added_later_counts_the_same(order: list[int], num_first: int) -> None:
    """A run that met its parts one by one, and one that resumes with all of them, draw the same batches."""
    genomes = [BIG, SECOND_OF_BIG, SMALL, genome("Tiny", 60, 70, seed=9)]
    shuffled = [genomes[index] for index in order]
    grown = Sampler(shuffled[: max(num_first, 1)], seed=3)
    grown.batch(0, 4, 80)
    for added in shuffled[max(num_first, 1) :]:
        grown.add([added])
    at_once = Sampler(genomes, seed=3)
    for step in (1, 2):
        assert np.array_equal(grown.batch(step, 8, 80).targets, at_once.batch(step, 8, 80).targets)


def test_added_genomes_are_drawn() -> None:
    sampler = Sampler([SMALL], 1)
    before = draw(sampler, 400)
    sampler.add([BIG, SECOND_OF_BIG])
    found = origins(draw(sampler, 400), CONTIGS)
    assert {index for index, _, _ in origins(before, CONTIGS)} == {3}
    assert {index for index, _, _ in found} == {0, 1, 2, 3}


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_processes_share_the_batch_of_one(num_windows: int, world_size: int, step: int) -> None:
    sampler = Sampler([BIG, SMALL], 1)
    whole = sampler.batch(step, num_windows, 60)
    rebuilt = np.zeros_like(whole.tokens)
    for rank in range(world_size):
        share = sampler.batch(step, num_windows, 60, rank=rank, world_size=world_size)
        assert share.tokens.shape == share.targets.shape
        rebuilt[rank::world_size] = share.tokens
    assert np.array_equal(rebuilt, whole.tokens)


def test_drawing_does_not_touch_the_global_generators() -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    Sampler([SMALL], 1).batch(0, 3, 50)
    assert (random.random(), np.random.random()) == before


# --- held-out windows ---


def test_heldout_windows_span_the_longest_contig_evenly() -> None:
    windows = heldout_windows(BIG, 4, 90)
    assert [start for _, _, start in origins(windows, list(BIG.contigs))] == [0, 9970, 19940, 29910]
    assert np.array_equal(windows, heldout_windows(BIG, 4, 90))
    assert np.array_equal(heldout_windows(genome("g", 50), 1, 50)[0], genome("g", 50).contigs[0])


def test_a_heldout_genome_must_fill_a_window() -> None:
    with pytest.raises(InputError, match=r"Big sp\.: its longest contig has 30000 bases, fewer than 30001"):
        heldout_windows(BIG, 4, 30_001)


def test_held_out_windows_are_where_bases_are() -> None:
    unknown, known = np.full(500, N, np.uint8), genome("x", 200).contigs[0]
    holey = Genome("g", "g", [unknown, known, np.concatenate([known[:50], unknown[:300]])])
    assert holey.contigs.known_lengths.tolist() == [0, 200, 50]
    assert np.array_equal(heldout_windows(holey, 1, 200)[0], known)
    with pytest.raises(InputError, match="nothing but N"):
        heldout_windows(Genome("g", "g", [unknown]), 2, 100)
    with pytest.raises(InputError, match="no A, C, G or T"):
        Sampler([Genome("g", "g", [unknown])], 1)


def test_padding_is_not_counted_as_bases() -> None:
    short = Genome("g", "g", [genome("x", 70).contigs[0]])
    batches = [Sampler([short], 1).batch(0, 6, 100, rank=rank, world_size=2) for rank in range(2)]
    assert [batch.num_bases for batch in batches] == [6 * 70, 6 * 70]
