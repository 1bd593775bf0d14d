"""The network's promises: any split, any padding, any capture, nothing from the future; traces and dtypes."""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.hnet import HNet, Output
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.model.state import AttentionState, StageState, State, stack, take
from dnahnet_cli.ops.capture import Capture
from tests.model.networks import CONFIGS, MARGIN, margin, network, run, tokens_for

BATCH, LENGTH = 2, 61
TOLERANCE = 1e-4
every_network = pytest.mark.parametrize("name", CONFIGS)


def near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


def tensors_of(tree: Any, *, with_keys: bool = True) -> list[Tensor]:
    """Return a state's tensors in order; without keys and values, of attention only how many tokens it has seen."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, AttentionState) and not with_keys:
        return [tree.num_seen_B]
    parts = [getattr(tree, f.name) for f in fields(tree)] if is_dataclass(tree) else tree
    return [tensor for part in parts for tensor in tensors_of(part, with_keys=with_keys)]


def size_of(state: State) -> int:
    return sum(tensor.numel() for tensor in tensors_of(state))


def assert_same_state(actual: State, expected: State) -> None:
    """Compare all but keys and values, whose layout is free: what follows from them is compared by continuing."""
    pairs = zip(tensors_of(actual, with_keys=False), tensors_of(expected, with_keys=False), strict=True)
    for one, other in pairs:
        near(one, other)


def assert_same_traces(parts: list[Output], whole: Output) -> None:
    """Compare what consecutive calls cut with what one call cut, row by row."""
    for stage, expected in enumerate(whole.traces):
        traces = [part.traces[stage] for part in parts]
        for row, length in enumerate(expected.length_B.tolist()):
            lengths = [int(trace.length_B[row]) for trace in traces]
            assert sum(lengths) == length
            pairs = list(zip(traces, lengths, strict=True))
            near(torch.cat([t.probability_BL[row, :n] for t, n in pairs]), expected.probability_BL[row, :length])
            masks = torch.cat([t.mask_BL[row, :n] for t, n in pairs])
            assert masks.tolist() == expected.mask_BL[row, :length].tolist()


# --- splits ---


@every_network
@settings(max_examples=12, deadline=None)
@given(cuts=st.sets(st.integers(1, LENGTH - 1), min_size=1, max_size=2))
def test_one_call_equals_any_split(name: str, cuts: set[int]) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    whole, end = run(name, token_BL)
    places = [0, *sorted(cuts), LENGTH]
    state: State | None = None
    parts = []
    for start, stop in pairwise(places):
        output, state = run(name, token_BL[:, start:stop], state)
        parts.append(output)
    near(torch.cat([part.logits_BL4 for part in parts], dim=1), whole.logits_BL4)
    assert_same_traces(parts, whole)
    assert state is not None
    assert_same_state(state, end)


@every_network
def test_one_call_equals_one_token_at_a_time(name: str) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    whole, end = run(name, token_BL)
    state: State | None = None
    parts = []
    for t in range(LENGTH):
        output, state = run(name, token_BL[:, t : t + 1], state)
        parts.append(output)
    near(torch.cat([part.logits_BL4 for part in parts], dim=1), whole.logits_BL4)
    assert_same_traces(parts, whole)
    assert state is not None
    assert_same_state(state, end)


@every_network
@settings(max_examples=12, deadline=None)
@given(
    ends=st.lists(st.integers(0, LENGTH), min_size=3, max_size=3),
    cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_rows_of_any_length_split_anywhere(name: str, ends: list[int], cuts: list[float]) -> None:
    """Each row has its own length and its own cut, even before its first or after its last token."""
    token_BL = tokens_for(name, 3, LENGTH)
    whole, _ = run(name, token_BL)
    first = [round(cut * end) for cut, end in zip(cuts, ends, strict=True)]
    second = [end - begin for begin, end in zip(first, ends, strict=True)]
    before = token_BL[:, : max(max(first), 1)]
    after = torch.zeros(3, max(max(second), 1), dtype=torch.long)
    for row in range(3):
        after[row, : second[row]] = token_BL[row, first[row] : ends[row]]
    one, state = run(name, before, lengths=first)
    other, _ = run(name, after, state, lengths=second)
    for row in range(3):
        near(one.logits_BL4[row, : first[row]], whole.logits_BL4[row, : first[row]])
        near(other.logits_BL4[row, : second[row]], whole.logits_BL4[row, first[row] : ends[row]])


# --- batches ---


@every_network
def test_a_row_knows_neither_its_neighbours_nor_its_padding(name: str) -> None:
    token_BL = tokens_for(name, 3, LENGTH)
    lengths = [LENGTH, 1, 30]
    padded, padded_state = run(name, token_BL, lengths=lengths)
    for padding in (0, 4):
        other_BL = token_BL.clone()
        for row, length in enumerate(lengths):
            other_BL[row, length:] = padding
        other, other_state = run(name, other_BL, lengths=lengths)
        assert_same_state(other_state, padded_state)
        for row, length in enumerate(lengths):
            near(other.logits_BL4[row, :length], padded.logits_BL4[row, :length])
    for row, length in enumerate(lengths):
        alone, state = run(name, token_BL[row : row + 1, :length])
        near(padded.logits_BL4[row, :length], alone.logits_BL4[0])
        for together, own in zip(padded.traces, alone.traces, strict=True):
            count = int(own.length_B[0])
            assert int(together.length_B[row]) == count
            assert together.mask_BL[row, :count].tolist() == own.mask_BL[0].tolist()[:count]
            assert not together.mask_BL[row, count:].any()
        assert_same_state(take(padded_state, torch.tensor([row])), state)


@every_network
@pytest.mark.parametrize("at", [1, 2, 30, LENGTH - 1])
def test_nothing_comes_from_the_future(name: str, at: int) -> None:
    token_BL = tokens_for(name, 1, LENGTH)
    whole, _ = run(name, token_BL)
    changed_BL = token_BL.clone()
    changed_BL[:, at] = (changed_BL[:, at] + 1) % 5
    changed, _ = run(name, changed_BL)
    near(changed.logits_BL4[:, :at], whole.logits_BL4[:, :at])
    assert float((changed.logits_BL4[:, at] - whole.logits_BL4[:, at]).abs().max()) > 100 * TOLERANCE
    for one, other in zip(changed.traces[:1], whole.traces[:1], strict=True):
        near(one.probability_BL[:, :at], other.probability_BL[:, :at])


# --- states ---


def continue_at(name: str, token_BL: Tensor, whole: Output, places: list[tuple[int, int]], state: State) -> None:
    """Feed each (row, position) of `places` the rest of its row, all in one batch, and compare with the whole run."""
    rest = [token_BL[row, position:] for row, position in places]
    lengths = [len(tokens) for tokens in rest]
    rest_KL = torch.nn.utils.rnn.pad_sequence([*rest, torch.zeros(1, dtype=torch.long)], batch_first=True)[:-1]
    output, _ = run(name, rest_KL, state, lengths=lengths)
    for k, (row, position) in enumerate(places):
        near(output.logits_BL4[k, : lengths[k]], whole.logits_BL4[row, position:])


@every_network
@settings(max_examples=6, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, BATCH - 1), st.integers(0, LENGTH)), min_size=1, max_size=8))
def test_captured_states_are_those_of_separate_runs(name: str, places: list[tuple[int, int]]) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    whole, states = run(name, token_BL, capture=Capture(*torch.tensor(places).unbind(1)))
    continue_at(name, token_BL, whole, places, states)
    for k, (row, position) in enumerate(places):
        if position:
            _, alone = run(name, token_BL[row : row + 1, :position])
            assert_same_state(take(states, torch.tensor([k])), alone)


@every_network
def test_capture_at_every_position_of_a_continued_call(name: str) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    whole, _ = run(name, token_BL)
    _, middle = run(name, token_BL[:, :20])
    places = [(row, position) for position in range(21, -1, -1) for row in range(BATCH)]
    _, states = run(name, token_BL[:, 20:41], middle, capture=Capture(*torch.tensor(places).unbind(1)))
    continue_at(name, token_BL, whole, [(row, 20 + position) for row, position in places], states)


@every_network
def test_a_state_before_the_first_token_is_no_state(name: str) -> None:
    token_BL = tokens_for(name, 1, LENGTH)
    whole, start = run(name, token_BL, capture=Capture(torch.tensor([0]), torch.tensor([0])))
    again, _ = run(name, token_BL, start)
    near(again.logits_BL4, whole.logits_BL4)
    assert_same_traces([again], whole)


@every_network
def test_capture_nowhere_returns_no_rows(name: str) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    output, states = run(name, token_BL, capture=Capture.nowhere())
    near(output.logits_BL4, run(name, token_BL)[0].logits_BL4)
    assert all(len(tensor) == 0 for tensor in tensors_of(states, with_keys=False))


@every_network
def test_states_of_different_origins_make_one_batch(name: str) -> None:
    """Rows from runs of 1, 9 and 40 tokens, of 2 different batches, some twice, in any order."""
    token_BL = tokens_for(name, BATCH, LENGTH)
    whole, _ = run(name, token_BL)
    origins = [run(name, token_BL[:, :length])[1] for length in (40, 1, 9)]
    joined = stack(origins)
    places = [(row, length) for length in (40, 1, 9) for row in range(BATCH)]
    continue_at(name, token_BL, whole, places, joined)
    order = [5, 2, 2, 0, 3]
    taken = take(joined, torch.tensor(order))
    continue_at(name, token_BL, whole, [places[k] for k in order], taken)
    short = take(joined, torch.tensor([3]))  # its cache is padded to the longest of the others
    continue_at(name, token_BL, whole, [places[3]], short)
    _, onwards = run(name, token_BL[:, 9:12], take(joined, torch.tensor([4, 5])))
    continue_at(name, token_BL, whole, [(0, 12), (1, 12)], onwards)


@every_network
def test_branches_from_one_state_equal_full_runs(name: str) -> None:
    token_BL = tokens_for(name, 1, LENGTH)
    _, states = run(name, token_BL, capture=Capture(torch.zeros(5, dtype=torch.long), torch.full((5,), 25)))
    branch_BL = torch.cat([torch.arange(5).unsqueeze(1), token_BL[:, 26:50].expand(5, -1)], dim=1)
    branched, _ = run(name, branch_BL, states)
    full_BL = torch.cat([token_BL[:, :25].expand(5, -1), branch_BL], dim=1)
    full, _ = run(name, full_BL)
    assert margin(full) > MARGIN / 100, "choose other tokens: a boundary here is within rounding of 0.5"
    near(branched.logits_BL4, full.logits_BL4[:, 25:])


@every_network
def test_forward_and_stacking_leave_states_alone(name: str) -> None:
    token_BL = tokens_for(name, BATCH, LENGTH)
    _, short = run(name, token_BL[:, :3])
    _, state = run(name, token_BL[:, :30])
    copies = [[tensor.clone() for tensor in tensors_of(s)] for s in (short, state)]
    run(name, token_BL[:, 30:], state)
    joined = stack([short, state])
    run(name, token_BL[:, :5].repeat(2, 1), joined)
    take(state, torch.tensor([1]))
    for s, kept in zip((short, state), copies, strict=True):
        for tensor, copied in zip(tensors_of(s), kept, strict=True):
            assert torch.equal(tensor, copied)


def test_windows_bound_the_memory_of_a_state() -> None:
    """With windows of 9, 5, 3 and 2 positions, a state after 120 tokens is as small as one after 60."""
    token_BL = tokens_for("3-windowed", BATCH, LENGTH).repeat(1, 2)
    sizes = []
    state: State | None = None
    for t in range(2 * LENGTH - 1):
        _, state = run("3-windowed", token_BL[:, t : t + 1], state)
        sizes.append(size_of(state))
    assert max(sizes[100:]) <= max(sizes[30:60])
    _, whole = run("3-windowed", token_BL[:1])
    assert size_of(whole) <= max(sizes[100:])


# --- outputs ---


@every_network
def test_every_stage_begins_with_a_boundary_and_feeds_the_next(name: str) -> None:
    output, _ = run(name, tokens_for(name, 3, LENGTH), lengths=[LENGTH, 40, 1])
    assert len(output.traces) == CONFIGS[name].num_stages
    lengths = [LENGTH, 40, 1]
    for trace in output.traces:
        assert trace.length_B.tolist() == lengths
        assert trace.probability_BL.dtype == torch.float32 and trace.mask_BL.dtype == torch.bool
        assert trace.mask_BL[:, 0].all()
        assert trace.probability_BL[:, 0].tolist() == [1.0] * 3
        valid_BL = torch.arange(trace.mask_BL.shape[1]) < trace.length_B.unsqueeze(1)
        assert torch.equal(trace.mask_BL, (trace.probability_BL > 0.5) & valid_BL)
        lengths = trace.mask_BL.sum(1).tolist()
        assert lengths[0] > 1  # or the test shows nothing
    assert lengths[0] < 0.7 * LENGTH


@every_network
def test_logits_are_float32_and_four(name: str) -> None:
    model = copy.deepcopy(network(name))
    token_BL = tokens_for(name, BATCH, LENGTH)
    for dtype in (torch.float32, torch.bfloat16):
        set_compute_dtype(model, dtype)
        output, state = model(token_BL)
        assert output.logits_BL4.dtype == torch.float32
        assert output.logits_BL4.shape == (BATCH, LENGTH, 4)
        assert output.traces[0].probability_BL.dtype == torch.float32
        assert isinstance(state.layers, StageState)
        assert state.layers.last_BD.dtype == state.layers.smooth_BD.dtype == torch.float32


@every_network
def test_bfloat16_stays_close_to_float32(name: str) -> None:
    """Most boundaries and most predictions survive rounding to 8 bits; a moved boundary may change the rest of its row.

    Hence many short rows, and medians.
    """
    model = copy.deepcopy(network(name))
    set_compute_dtype(model, torch.bfloat16)
    token_BL = tokens_for(name, 16, 25)
    exact, _ = run(name, token_BL)
    rounded, _ = model(token_BL)
    agree = (exact.traces[0].mask_BL == rounded.traces[0].mask_BL).float().mean()
    assert float(agree) > 0.97
    error_BL = (exact.logits_BL4.log_softmax(-1) - rounded.logits_BL4.log_softmax(-1)).abs().amax(-1)
    assert 0 < float(error_BL.median()) < 0.05


@every_network
def test_every_parameter_learns(name: str) -> None:
    """Each parameter, the routers' included, gets a gradient that is finite and not zero."""
    model = copy.deepcopy(network(name)).requires_grad_(True)
    output, _ = model(tokens_for(name, BATCH, LENGTH), capture=Capture.nowhere())
    output.logits_BL4.log_softmax(-1)[..., 0].sum().backward()
    for key, parameter in model.named_parameters():
        if parameter.numel():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().max() > 0, key


@every_network
def test_every_boundary_probability_learns(name: str) -> None:
    """At a boundary through the smoother, elsewhere through the straight-through confidence alone."""
    model = copy.deepcopy(network(name)).requires_grad_(True)
    output, _ = model(tokens_for(name, 1, LENGTH), capture=Capture.nowhere())
    loss = output.logits_BL4.log_softmax(-1)[..., 0].sum()
    probabilities = [trace.probability_BL for trace in output.traces]
    for gradient_BL in torch.autograd.grad(loss, probabilities):
        assert bool((gradient_BL != 0).all())
    assert not output.traces[0].mask_BL.all()  # or the test shows nothing


def test_number_of_parameters_is_counted() -> None:
    model: HNet = network("1-mamba")
    assert model.num_parameters() == sum(len(p.flatten()) for p in model.parameters()) > 1000


def test_the_clock_counts_from_where_the_sequence_begins() -> None:
    """Three letters further, a sequence without a beginning looks the same; one letter further it does not."""
    model = network("2-clock")
    _, state = model(torch.tensor([[BOS]]))
    later = [replace(state, num_read_B=state.num_read_B + passed) for passed in (0, 1, 3)]
    outputs = [model(tokens_for("2-clock"), each)[0].logits_BL4 for each in later]
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[1], atol=0.01)


def test_bos_differs_from_bases_and_n() -> None:
    logits = [run("1-mamba", torch.tensor([[token, 0, 1]]))[0].logits_BL4 for token in range(BOS + 1)]
    for one in range(BOS + 1):
        for other in range(one):
            assert float((logits[one] - logits[other]).abs().max()) > 0.01
