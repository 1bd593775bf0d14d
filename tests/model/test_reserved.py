"""Room for chunks that is reserved before they are counted changes no result, and too little of it is noticed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnahnet_cli.model import chunking
from dnahnet_cli.model.chunking import rooms
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.network import Output
from dnahnet_cli.ops.capture import Capture
from tests.conftest import lively_model

LENGTH = 150


@pytest.fixture
def reserving() -> HNet:
    network = lively_model()
    network.reserves = True
    return network


def tokens(batch: int = 3) -> Tensor:
    return torch.randint(0, 4, (batch, LENGTH), generator=torch.Generator().manual_seed(0))


def run(network: HNet) -> tuple[Output, Output]:
    """Run rows of different lengths, and go on from odd places of them."""
    length_B = torch.tensor([LENGTH, 91, 17])
    capture = Capture(torch.tensor([1, 0, 2, 0]), torch.tensor([40, 149, 0, 77]))
    first, state = network(tokens(), length_B=length_B, capture=capture)
    second, _ = network(tokens(4)[:, :60], state)
    return first, second


def assert_same(actual: Output, expected: Output, lengths: list[int]) -> None:
    for row, length in enumerate(lengths):
        torch.testing.assert_close(
            actual.logits_BL4[row, :length], expected.logits_BL4[row, :length], rtol=1e-5, atol=1e-5
        )
    for one, other in zip(actual.traces, expected.traces, strict=True):
        assert torch.equal(one.length_B, other.length_B)
        for row, length in enumerate(one.length_B.tolist()):
            assert torch.equal(one.mask_BL[row, :length], other.mask_BL[row, :length])


@pytest.mark.parametrize("spare", [0.05, 1.25, 10.0])
def test_results_are_those_of_exact_counts(reserving: HNet, spare: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is too little room for the chunks, and where there is room for more than there are positions."""
    monkeypatch.setattr(chunking, "SPARE", spare)
    monkeypatch.setattr(chunking, "FEW", 1)
    actual = run(reserving)
    reserving.reserves = False
    expected = run(reserving)
    assert_same(actual[0], expected[0], [LENGTH, 91, 17])
    assert_same(actual[1], expected[1], [60] * 4)


def test_a_pass_without_enough_room_says_so_and_is_made_again(reserving: HNet, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    monkeypatch.setattr(
        reserving.stage, "forward", lambda *a, run=reserving.stage.forward: passes.append(run(*a)) or passes[-1]
    )
    monkeypatch.setattr(chunking, "SPARE", 2.5)
    reserving(tokens())
    assert len(passes) == 1
    monkeypatch.setattr(chunking, "SPARE", 0.05)
    monkeypatch.setattr(chunking, "FEW", 1)
    reserving(tokens())
    assert len(passes) == 3
    overflow = [[trace.overflow for trace in traces] for _, _, traces in passes]
    assert [any(bool(o) for o in each if o is not None) for each in overflow] == [False, True, False]
    assert overflow[2] == [None, None]


def test_training_counts_exactly_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    network = lively_model()
    output, _ = network(tokens())
    assert all(trace.overflow is None for trace in output.traces)


def test_rooms_are_few_sizes_that_hold_a_quarter_more_than_the_target() -> None:
    assert rooms((3.0, 2.0), 8192) == (3584, 2560)
    sizes = {rooms((3.0,), length)[0] for length in range(200, 8193)}
    assert len(sizes) < 30
    for length in range(1, 3000, 7):
        outer, inner = rooms((3.0, 2.0), length)
        assert min(length, 1.25 * length / 3) <= outer <= length
        assert min(outer, 1.25 * outer / 2) <= inner <= outer
