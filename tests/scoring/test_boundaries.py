"""Chunks tile every stage and strand, agree with the scan, and do not depend on how they are asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dnahnet_cli.genome import Interval, Strand, reverse_complement
from dnahnet_cli.scoring.boundaries import Chunks, chunks_of, join
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes

OPTIONS = EngineOptions(grid=TileGrid(tile=64, context=50, max_scored=40))
MODEL = lively_model()
GENOME = MemoryGenome({"c": random_codes(1500, 5)})


def all_chunks(engine: Engine, scope: Interval) -> Chunks:
    blocks = list(chunks_of(engine, scope))
    starts = np.concatenate([block.start for block in blocks])
    assert (np.diff(starts) >= 0).all()
    return join(blocks)


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("scope", [(0, 1500), (100, 700), (63, 64), (1400, 1500)])
def test_chunks_tile_the_scope_at_the_networks_boundaries(circular: bool, scope: tuple[int, int]) -> None:
    engine = Engine(MODEL, GENOME, OPTIONS, frozenset({"c"}) if circular else frozenset())
    chunks = all_chunks(engine, Interval("c", *scope))
    for strand in Strand:
        reading = engine.reading("c", strand)
        for stage in (1, 2):
            own = chunks[np.flatnonzero((chunks.stage == stage) & (chunks.reverse == (strand is Strand.REVERSE)))]
            assert own.start[0] == scope[0] and own.end[-1] == scope[1]
            np.testing.assert_array_equal(own.start[1:], own.end[:-1])
            opening = own.start if strand is Strand.FORWARD else own.end - 1
            expected = np.zeros(1500, dtype=bool)
            for scan in engine.scan(reading, range(reading.num_tiles)):
                local = scan.start + np.flatnonzero(scan.mask_SL[stage - 1])
                expected[reading.to_forward(local)] = True
            forced = scope[0] if strand is Strand.FORWARD else scope[1] - 1
            expected[forced] = True
            np.testing.assert_array_equal(opening, np.flatnonzero(expected[scope[0] : scope[1]]) + scope[0])
            assert ((own.probability > 0.5) & (own.probability <= 1)).all()


def test_reverse_complement_mirrors_the_chunks() -> None:
    turned = MemoryGenome({"c": reverse_complement(GENOME.sequences["c"])})
    one = all_chunks(Engine(MODEL, GENOME, OPTIONS), Interval("c", 0, 1500))
    other = all_chunks(Engine(MODEL, turned, OPTIONS), Interval("c", 0, 1500))
    mirrored = Chunks(1500 - other.end, 1500 - other.start, other.stage, ~other.reverse, other.probability)
    mirrored = join([mirrored])
    for name in ("start", "end", "stage", "reverse"):
        np.testing.assert_array_equal(getattr(one, name), getattr(mirrored, name))
    np.testing.assert_allclose(one.probability, mirrored.probability, atol=1e-5)


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("edges", [(500, 501, 700), (63, 64, 65, 128), (1499,), (400, 1100)])
def test_parts_of_a_scope_have_its_chunks_and_its_bases(circular: bool, edges: tuple[int, ...]) -> None:
    """To the last bit, whichever part, and although a chunk may end in the next."""
    options = EngineOptions(grid=OPTIONS.grid, batch_tokens=250)  # two tiles at once
    engine = Engine(MODEL, GENOME, options, frozenset({"c"}) if circular else frozenset())
    scope = Interval("c", 20, 1500)
    parts: list[Chunks] = []
    watched: list[tuple[str, int, int]] = []
    for start, end in pairwise((20, *edges, 1500)):
        done: list[int] = []
        parts += chunks_of(
            engine,
            scope,
            done.append,
            lambda scan, begin, end: watched.append((scan.reading.strand.value, begin, end)),
            part=Interval("c", start, end),
        )
        assert sum(done) == 2 * (end - start)
    whole, joined = all_chunks(engine, scope), join(parts)
    for name in ("start", "end", "stage", "reverse", "probability"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(joined, name))
    for strand in "+-":
        bases = sorted(base for own, begin, end in watched if own == strand for base in range(begin, end))
        assert bases == list(range(20, 1500))
