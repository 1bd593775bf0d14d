"""What workers are given and what they compute: what the engine of one process would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnahnet_cli.genome import Edit, Strand, encode
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.scoring.engine import BOTH_STRANDS, Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.spread.crew import Crew
from dnahnet_cli.spread.engine import SpreadEngine
from dnahnet_cli.spread.processes import portable
from dnahnet_cli.spread.work import PackedGenome, compute, pack, packed
from tests.conftest import MemoryGenome, random_codes

OPTIONS = EngineOptions(TileGrid(tile=200, context=50, max_scored=60), suffix=10, batch_tokens=600)


class Here:
    """A worker that computes in this process."""

    name = "here"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def start(self) -> None:
        torch.set_num_threads(1)

    def do(self, unit: Any) -> Any:
        return compute(self.engine, unit)

    def stop(self) -> None:
        pass


def test_a_packed_genome_is_the_genome(tmp_path: Path) -> None:
    for lengths in ([], [0], [5, 0, 300, 1]):
        genome = MemoryGenome({f"c{n}": random_codes(length, n) for n, length in enumerate(lengths)})
        pack(genome, tmp_path / "genome")
        copy = PackedGenome(genome.lengths, packed(tmp_path / "genome"))
        for name, length in genome.lengths.items():
            for start, end in ((0, length), (length // 3, length // 2), (length, length)):
                assert np.array_equal(copy.codes(name, start, end), genome.codes(name, start, end))


def test_a_crew_computes_what_one_engine_does(model: HNet) -> None:
    genome = MemoryGenome({"c1": random_codes(900, 1), "c2": random_codes(450, 2)})
    one = Engine(model, genome, OPTIONS, frozenset({"c2"}))
    edits = [Edit(name, at, at + 1, encode("ACGTTT"[at % 5 :])) for name in ("c1", "c2") for at in range(3, 440, 29)]
    units = [edits[:4], [], edits[4:20], edits[20:]]
    with Crew([Here(Engine(model, genome, OPTIONS, frozenset({"c2"}))) for _ in range(2)]) as crew:
        spread = SpreadEngine(model, genome, OPTIONS, frozenset({"c2"}), BOTH_STRANDS, device="cpu", crew=crew)
        counted: list[int] = []
        assert list(spread.score_units(units, counted.append)) == list(one.score_units(units))
        assert sum(counted) == 2 * len(edits)
        assert spread.score(edits[:3]) == one.score(edits[:3])
        for name in genome.lengths:
            for strand in Strand:
                reading = one.reading(name, strand)
                tiles = range(reading.num_tiles)
                for found, expected in zip(spread.scan(reading, tiles), one.scan(reading, tiles), strict=True):
                    assert (found.start, found.reading.contig) == (expected.start, name)
                    assert np.array_equal(found.log_probs_L4, expected.log_probs_L4)
                    assert np.array_equal(found.probability_SL, expected.probability_SL, equal_nan=True)
                    assert np.array_equal(found.mask_SL, expected.mask_SL)


def test_an_error_that_cannot_travel_is_told_all_the_same() -> None:
    class Local(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    for error in (Local(1, 2), ValueError("1 and 2")):
        assert str(portable(error)).endswith("1 and 2")
    assert isinstance(portable(ValueError()), ValueError)
