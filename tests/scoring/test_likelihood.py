"""Likelihoods add up, agree with the scan, swap with the strands."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.baselines.adaptive import adaptive_log_probs
from dnahnet_cli.baselines.markov import MAX_ORDER
from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import N_CODE, Interval, Strand, reverse_complement
from dnahnet_cli.scoring import likelihood
from dnahnet_cli.scoring.engine import BOTH_STRANDS, Engine, EngineOptions
from dnahnet_cli.scoring.likelihood import Likelihood, LikelihoodStatus, likelihoods
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes

OPTIONS = EngineOptions(grid=TileGrid(tile=64, context=50, max_scored=40))
MODEL = lively_model()
LENGTH = 700
SEQUENCE = random_codes(LENGTH, 5)
SEQUENCE[[30, 31, 32, 400, 699]] = N_CODE
GENOME = MemoryGenome({"c": SEQUENCE, "short": random_codes(90, 6), "unknown": "NNNNNNNN", "empty": ""})
WHOLE = Interval("c", 0, LENGTH)
NAMES = ("num_bases", "num_unknown", "order0", "markov")


def engine_of(genome: MemoryGenome = GENOME, *circular: str, strands: tuple[Strand, ...] = BOTH_STRANDS) -> Engine:
    return Engine(MODEL, genome, OPTIONS, frozenset(circular), strands)


def likelihood_of(engine: Engine, scope: Interval, order: int | None = None) -> Likelihood:
    [found] = likelihoods(engine, [scope], order)
    return found


def scanned(engine: Engine, contig: str, strand: Strand) -> np.ndarray:
    """Return log2 of the probability of each base at its forward coordinate, NaN for an N."""
    reading = engine.reading(contig, strand)
    log2 = np.full(len(reading), np.nan)
    for scan in engine.scan(reading, range(reading.num_tiles)):
        for offset, log_probs_4 in enumerate(scan.log_probs_L4.astype(np.float64)):
            base = reading.codes[scan.start + offset]
            if base != N_CODE:
                position = int(reading.to_forward(np.array([scan.start + offset]))[0])
                log2[position] = log_probs_4[base] / math.log(2)
    return log2


# --- the network ---


@pytest.mark.parametrize("circular", [(), ("c",)])
@pytest.mark.parametrize("scope", [(0, LENGTH), (10, 20), (29, 34), (64, 128), (350, 699), (1, LENGTH)])
def test_bits_are_the_mean_of_what_the_scan_says_of_known_bases(circular: tuple[str], scope: tuple[int, int]) -> None:
    engine = engine_of(GENOME, *circular)
    found = likelihood_of(engine, Interval("c", *scope))
    for strand in Strand:
        log2 = scanned(engine, "c", strand)[slice(*scope)]
        known = log2[~np.isnan(log2)]
        assert found.num_bases == len(known) and found.num_unknown == len(log2) - len(known)
        assert found.bits_per_base(strand) == pytest.approx(-known.mean(), abs=1e-6)
        assert found.log_likelihood(strand) == pytest.approx(known.sum() * math.log(2), abs=1e-4)
        assert found.perplexity(strand) == pytest.approx(2 ** -known.mean(), abs=1e-5)
    strands = [found.bits_per_base(strand) for strand in Strand]
    assert found.bits_per_base() == pytest.approx(np.mean(strands))


@settings(deadline=None, max_examples=12)
@given(st.sets(st.integers(1, LENGTH - 1), max_size=6), st.booleans(), st.randoms(use_true_random=False))
def test_regions_that_make_up_a_contig_add_up_to_it(cuts: set[int], circular: bool, random: Random) -> None:
    edges = [0, *sorted(cuts), LENGTH]
    scopes = [Interval("c", start, end) for start, end in itertools.pairwise(edges)]
    random.shuffle(scopes)
    engine = engine_of(GENOME, *(["c"] if circular else []))
    total = functools.reduce(operator.add, likelihoods(engine, scopes, 3), Likelihood())
    whole = likelihood_of(engine, WHOLE, 3)
    assert (total.num_bases, total.num_unknown) == (whole.num_bases, whole.num_unknown) == (LENGTH - 5, 5)
    for strand in Strand:
        assert total.log_likelihood(strand) == pytest.approx(whole.log_likelihood(strand), abs=1e-4)
    assert total.markov == pytest.approx(whole.markov, abs=1e-6)
    assert total.order0 >= whole.order0 - 1e-9  # a composition for each part fits no worse than one for all


@pytest.mark.parametrize("circular", [False, True])
def test_the_reverse_complement_swaps_the_strands(circular: bool) -> None:
    turned = MemoryGenome({"c": reverse_complement(SEQUENCE)})
    names = ["c"] if circular else []
    for start, end in ((0, LENGTH), (100, 333)):
        one = likelihood_of(engine_of(GENOME, *names), Interval("c", start, end), 4)
        other = likelihood_of(engine_of(turned, *names), Interval("c", LENGTH - end, LENGTH - start), 4)
        for strand in Strand:
            assert one.log_likelihood(strand) == pytest.approx(other.log_likelihood(strand.opposite), abs=1e-3)
        for name in NAMES:
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6)


def test_rotating_a_circle_changes_nothing() -> None:
    rotated = MemoryGenome({"c": np.roll(SEQUENCE, 137)})
    one, other = (likelihood_of(engine_of(genome, "c"), WHOLE, 4) for genome in (GENOME, rotated))
    assert one.log_likelihoods == pytest.approx(other.log_likelihoods, abs=1e-3)
    assert one.markov == pytest.approx(other.markov, abs=1e-6)


def test_a_region_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "_TILES_KEPT", 3)
    spans = [(0, 90), (60, 70), (0, LENGTH), (60, 70), (500, 650), (65, 66), (200, 200), (0, 90)]
    scopes = [Interval("c", *span) for span in spans] + [Interval("short", 5, 80)]
    done: list[int] = []
    engine = engine_of()
    together = list(likelihoods(engine, scopes, 2, done.append))
    assert sum(done) == 2 * sum(map(len, scopes))
    for scope, found in zip(scopes, together, strict=True):
        alone = likelihood_of(engine_of(), scope, 2)
        assert found.log_likelihoods == pytest.approx(alone.log_likelihoods, abs=1e-4)
        assert [getattr(found, name) for name in NAMES] == pytest.approx([getattr(alone, name) for name in NAMES])


def test_neighbouring_regions_scan_a_tile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()
    scanned_tiles: list[tuple[Strand, int]] = []
    scan = engine.scan

    def counting(reading, tiles):  # type: ignore[no-untyped-def]
        scanned_tiles.extend((reading.strand, tile) for tile in tiles)
        return scan(reading, tiles)

    monkeypatch.setattr(engine, "scan", counting)
    list(likelihoods(engine, [Interval("c", start, start + 20) for start in range(0, LENGTH, 20)]))
    tiles = range(-(-LENGTH // OPTIONS.grid.tile))
    assert Counter(scanned_tiles) == Counter((strand, tile) for strand in Strand for tile in tiles)


@pytest.mark.parametrize("strand", Strand)
def test_one_strand_alone_is_the_mean_itself(strand: Strand) -> None:
    both = likelihood_of(engine_of(), WHOLE)
    alone = likelihood_of(engine_of(strands=(strand,)), WHOLE, 2)
    assert alone.log_likelihood() == alone.log_likelihood(strand)
    assert alone.log_likelihood() == pytest.approx(both.log_likelihood(strand), abs=1e-4)
    assert alone.log_likelihood(strand.opposite) is None and alone.perplexity(strand.opposite) is None
    reading = engine_of().reading("c", strand)
    assert alone.markov == pytest.approx(sum(part.sum() for part in adaptive_log_probs(reading.codes[:], 2)))


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("scope", [("unknown", 0, 8), ("empty", 0, 0), ("c", 30, 33), ("c", 50, 50)])
def test_a_stretch_without_bases_has_no_numbers(scope: tuple[str, int, int], circular: bool) -> None:
    found = likelihood_of(engine_of(GENOME, *([scope[0]] if circular else [])), Interval(*scope), 3)
    assert found.status is LikelihoodStatus.NO_BASES
    assert (found.num_bases, found.num_unknown) == (0, scope[2] - scope[1])
    assert [found.log_likelihood(), found.bits_per_base(), found.perplexity()] == [None] * 3
    assert [found.bits_order0, found.bits_markov, found.log_likelihood(Strand.FORWARD)] == [None] * 3
    assert found + found + Likelihood() == Likelihood(0, 2 * found.num_unknown, {}, 0.0, 0.0)


# --- what needs no network ---


def test_order_0_of_a_hand_worked_example() -> None:
    """AACG: half A (1 bit each), a quarter each of C and G (2 bits each): 1.5 bits a base. N does not count."""
    genome = MemoryGenome({"c": "AANCGNN", "a": "AAAAAAA", "acgt": "ACGTTGCA"})
    scopes = [Interval(name, 0, length) for name, length in genome.lengths.items()]
    bits = {scope.contig: likelihood_of(engine_of(genome), scope).bits_order0 for scope in scopes}
    assert bits == pytest.approx({"c": 1.5, "a": 0.0, "acgt": 2.0})


@pytest.mark.parametrize("order", [-1, MAX_ORDER + 1])
def test_an_order_out_of_range_is_refused(order: int) -> None:
    with pytest.raises(UsageError, match="order"):
        next(likelihoods(engine_of(), [WHOLE], order))
