"""Chunks that are not learned: where exactly they open, and what random ones are distributed like."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, spearmanr

from dnahnet_cli.baselines.chunkers import (
    FixedStrideConfig,
    FixedStrideHNet,
    RandomChunks,
    RandomChunksConfig,
    RandomChunksHNet,
    hashed,
    length_distributions,
    mean_length,
)
from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.chunking import StageTrace
from dnahnet_cli.model.network import Output
from dnahnet_cli.networks.presets import LEARNED_LENGTHS, PRESETS
from dnahnet_cli.ops.capture import Capture
from tests.baselines.networks import LENGTHS, network, tokens
from tests.model.networks import CONFIGS as MODELS

SHARES = LEARNED_LENGTHS[0]


def test_a_fixed_stride_cuts_every_third_base_and_every_second_chunk() -> None:
    model = FixedStrideHNet(PRESETS["fixed-stride"]["tiny"]).eval()  # type: ignore[arg-type]
    output, _ = model(tokens(2, 31))
    first, second = output.traces
    assert [row.nonzero().flatten().tolist() for row in first.mask_BL] == [list(range(0, 31, 3))] * 2
    assert second.length_B.tolist() == [11, 11]
    assert [row.nonzero().flatten().tolist() for row in second.mask_BL] == [[0, 2, 4, 6, 8, 10]] * 2


def test_random_chunks_are_a_function_of_seed_and_stage_alone() -> None:
    output, _ = network("random-chunks")(tokens(2, 80))
    other, _ = network("random-chunks", seed=3)(tokens(2, 80, seed=9))
    for one, two in zip(output.traces, other.traces, strict=True):
        assert torch.equal(one.mask_BL, two.mask_BL) and torch.equal(one.mask_BL[0], one.mask_BL[1])
    first, second = (hashed(np.arange(1000), 1, stage) for stage in (0, 1))
    assert abs(spearmanr(first, second).statistic) < 0.1
    assert abs(spearmanr(first, hashed(np.arange(1000), 2, 0)).statistic) < 0.1
    assert abs(spearmanr(first[:-1], first[1:]).statistic) < 0.1


@given(st.integers(0, 2**40), st.integers(-5, 2**31), st.integers(0, 2))
def test_hashes_lie_in_the_unit_interval_and_depend_on_the_number_alone(number: int, seed: int, stage: int) -> None:
    values = hashed(np.array([[number, number + 1], [number, 0]]), seed, stage)
    assert (values >= 0).all() and (values < 1).all()
    assert values[0, 0] == values[1, 0] != values[0, 1]


def lengths_of(chunker: RandomChunks, length: int) -> list[int]:
    p_L = chunker(torch.zeros(1, length, 1), None)[0]
    assert set(p_L.unique().tolist()) <= {0.0, 1.0} and p_L[0] == 1
    return p_L.nonzero().flatten().diff().tolist()


def test_random_chunks_follow_their_distribution() -> None:
    counts = np.bincount(lengths_of(RandomChunks(SHARES, 1, 0), 30_000), minlength=len(SHARES) + 1)[1:]
    expected = np.array(SHARES) / sum(SHARES) * counts.sum()
    assert chisquare(counts[:10], expected[:10] * counts[:10].sum() / expected[:10].sum()).pvalue > 1e-3
    assert len(counts) == len(SHARES)
    never = RandomChunks(LENGTHS[0], 1, 0)
    assert set(lengths_of(never, 500)) == {1, 2, 3, 5}  # of which 4 has no share


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 9))
def test_random_chunks_go_on_from_any_place(parts: list[int], seed: int) -> None:
    """With captures at every position; the state says how many chunks are complete and how old the open one is."""
    chunker = RandomChunks(SHARES, seed, 1)
    length = sum(parts)
    whole = chunker(torch.zeros(1, length, 1), None)
    opens = [0, *(end for end in accumulate([*lengths_of(chunker, length + 20)]))]
    capture = Capture(torch.zeros(length + 1, dtype=torch.long), torch.arange(length + 1))
    memory_K2 = chunker.remember(torch.zeros(1, length, 1), None, capture)
    for at in range(length + 1):
        number = sum(open_ <= at for open_ in opens) - 1
        assert memory_K2[at].tolist() == [number, at - opens[number]]
    memory, begin = None, 0
    for part in parts:
        x_BLD = torch.zeros(1, part, 1)
        assert torch.equal(chunker(x_BLD, memory), whole[:, begin : begin + part])
        memory = chunker.remember(x_BLD, memory, Capture.at_ends(torch.tensor([part])))
        begin += part


def test_lengths_are_counted_from_traces() -> None:
    def output(*masks: list[int], lengths: list[int]) -> Output:
        mask_BL = torch.tensor(masks, dtype=torch.bool)
        trace = StageTrace(mask_BL.float(), mask_BL, torch.tensor(lengths))
        return Output(torch.zeros(len(masks), mask_BL.shape[1], 4), (trace,))

    one = output([1, 0, 1, 1, 0, 0], [1, 1, 0, 1, 1, 1], lengths=[6, 4])  # 2 1 (3), and 1 2 (1)
    two = output([1, 0, 0, 1], lengths=[4])  # 3 (1)
    assert length_distributions([one, two]) == ((0.4, 0.4, 0.2),)
    for none in ([], [output([1, 0, 0], lengths=[3])]):
        with pytest.raises(ValueError, match="no complete chunk"):
            length_distributions(none)


def test_counted_lengths_make_the_same_chunks_again() -> None:
    config = RandomChunksConfig(**asdict(MODELS["2-mixed"]), lengths=LENGTHS)
    output, _ = RandomChunksHNet(config).eval()(tokens(1, 4000))
    counted = length_distributions([output])
    again, _ = RandomChunksHNet(replace(config, lengths=counted, chunk_seed=5)).eval()(tokens(1, 4000))
    for shares, trace, other in zip(counted, output.traces, again.traces, strict=True):
        rates = [float(t.mask_BL[0, : t.length_B[0]].float().mean()) for t in (trace, other)]
        assert rates == pytest.approx([1 / mean_length(shares)] * 2, rel=0.05)


@pytest.mark.parametrize(
    "lengths", [(), ((1.0,),), ((0.5, 0.4), (1.0,)), ((1.5, -0.5), (1.0,)), ((1.0,), (1.0,), (1.0,)), ((), (1.0,))]
)
def test_other_distributions_are_refused(lengths: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ModelError, match="lengths"):
        RandomChunksConfig(**asdict(MODELS["2-mixed"]), lengths=lengths)


def test_a_stride_is_whole() -> None:
    with pytest.raises(ModelError, match="whole"):
        FixedStrideConfig(**{**asdict(MODELS["2-mixed"]), "ratios": (2.5, 2.0)})
