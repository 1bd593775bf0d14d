"""Graphs of branch batches, with recordings that a CPU can play: what is padded, kept and compared is that of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from dnahnet_cli.genome import Edit
from dnahnet_cli.model import chunking
from dnahnet_cli.model.network import Output
from dnahnet_cli.scoring import graphs
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.graphs import Graphs, branch_pass
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes
from tests.device import OnDevice

GENOME = MemoryGenome({"chr": random_codes(1500, 1), "two": random_codes(730, 3)})
OPTIONS = EngineOptions(TileGrid(tile=200, context=100, max_scored=90), suffix=20, batch_branches=5)
EDITS = [
    Edit(name, at, at + 1, (GENOME.codes(name, at, at + 1) + shift) % 4)
    for name in GENOME.lengths
    for at in range(40, 700, 12)
    for shift in (1, 3)
]
EDITS += [Edit("chr", at, at + 3, np.zeros(number, dtype=np.uint8)) for at in (310, 800) for number in (0, 2, 40)]


class Player:
    """Records by keeping what is to be run, and replays by running it anew, into the memory of the first time."""

    def __init__(self, error: float = 0.0) -> None:
        self.error, self.recorded, self.replayed = error, 0, 0
        self.waits: list[str] = []

    def __call__(self, run: Callable[[], Output]) -> tuple[Output, Callable[[], None]]:
        kept = run()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with OnDevice() as device:
                found = run()
            self.waits += device.waits
            kept.logits_BL4.copy_(found.logits_BL4 + self.error)
            for old, new in zip(kept.traces, found.traces, strict=True):
                if old.overflow is not None and new.overflow is not None:
                    old.overflow.copy_(new.overflow)

        return kept, replay


def scores(record: graphs.Record | None) -> np.ndarray:
    """Score all edits, as on a device, with graphs or without."""
    with OnDevice():
        engine = Engine(lively_model(), GENOME, OPTIONS)
        if record is not None:
            engine.branch_pass = Graphs(engine.model, OPTIONS.batch_branches, record)
        found = engine.score(EDITS)
    return np.array([[s.alt_logp - s.ref_logp if s else np.nan for s in row.values()] for row in found])


@pytest.fixture(scope="module")
def without() -> np.ndarray:
    return scores(None)


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(graphs, "LEAST_TOKENS", 64)
    yield


def test_scores_are_those_without_graphs(without: np.ndarray) -> None:
    player = Player()
    np.testing.assert_allclose(scores(player), without, atol=2e-5)
    assert 0 < player.recorded < player.replayed / 3
    assert player.waits == []


def test_few_graphs_are_kept(without: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 1)
    monkeypatch.setattr(graphs, "LEAST_TOKENS", 16)
    monkeypatch.setattr(graphs, "LEAST_KEYS", 16)
    player = Player()
    np.testing.assert_allclose(scores(player), without, atol=2e-5)
    assert player.recorded > 1


def test_too_little_room_is_noticed(without: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "SPARE", 0.05)
    monkeypatch.setattr(chunking, "FEW", 1)
    player = Player()
    np.testing.assert_allclose(scores(player), without, atol=2e-5)
    assert player.replayed > 3


def test_a_graph_that_computes_something_else_is_not_used(without: np.ndarray) -> None:
    player = Player(error=0.5)
    with pytest.warns(UserWarning, match="computes other logits than the network, by 0.5; going on without"):
        found = scores(player)
    np.testing.assert_allclose(found, without, atol=2e-5)
    assert player.replayed == 1


def test_a_pass_that_cannot_be_recorded_is_run(without: np.ndarray) -> None:
    def refuse(run: Callable[[], Output]) -> tuple[Output, Callable[[], None]]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.warns(UserWarning, match=r"could not be recorded \(operation not permitted .* capturing\); going on"):
        np.testing.assert_allclose(scores(refuse), without, atol=2e-5)


def test_they_are_for_devices_and_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively_model()
    monkeypatch.setenv(graphs.VARIABLE, "1")
    assert not isinstance(branch_pass(model, 5), Graphs)
    with OnDevice():
        assert isinstance(branch_pass(model, 5), Graphs)
        monkeypatch.delenv(graphs.VARIABLE)
        assert not isinstance(branch_pass(model, 5), Graphs)
    assert model.looks_back


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_device() -> None:
    model = lively_model().cuda()
    found = []
    for use in (False, True):
        engine = Engine(model, GENOME, OPTIONS)
        if use:
            engine.branch_pass = own = Graphs(model, OPTIONS.batch_branches)
        found.append([[s.alt_logp if s else np.nan for s in row.values()] for row in engine.score(EDITS)])
    assert own.graphs and not own.failed
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
