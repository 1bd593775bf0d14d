"""Drawn sequences: with the probabilities that a scan of the result gives them, reproducibly, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import Codes, Strand, encode
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.state import AttentionState
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.generate import Generated, GenerateOptions, generate, probabilities
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, random_codes

GRID = TileGrid(tile=48, context=20, max_scored=32)
NONE = encode("")


def draw(model: HNet, *prompts: Codes, **options: Any) -> list[Generated]:
    return list(generate(model, prompts, GenerateOptions(**{"length": 20, "grid": GRID, **options})))


@pytest.mark.parametrize("size", [0, 1, 17, 47, 48, 49, 100])
def test_bases_are_drawn_with_the_probabilities_of_a_scan(model: HNet, size: int) -> None:
    """Step by step, over the ends of tiles, from prompts of any length: as one pass over the whole."""
    prompt = random_codes(size, 3)
    for drawn in draw(model, prompt, length=70, number=2):
        whole = np.concatenate([prompt, drawn.codes])
        engine = Engine(model, MemoryGenome({"c": whole}), EngineOptions(GRID), strands=[Strand.FORWARD])
        reading = engine.reading("c", Strand.FORWARD)
        log_probs_L4 = np.concatenate([scan.log_probs_L4 for scan in engine.scan(reading, range(reading.num_tiles))])
        expected = log_probs_L4[np.arange(len(whole)), whole][size:]
        assert np.allclose(drawn.log_probs, expected, atol=2e-5)


def test_at_temperature_0_the_likeliest_base_is_taken(model: HNet) -> None:
    prompt = random_codes(30, 4)
    (drawn,) = draw(model, prompt, temperature=0.0, length=15)
    so_far = prompt.tolist()
    for base in drawn.codes.tolist():  # each time the whole sequence anew, without any state
        with torch.inference_mode():
            output, _ = model(torch.tensor([[BOS, *so_far]]))
        assert base == int(output.logits_BL4[0, -1].argmax())
        so_far.append(base)
    (almost,) = draw(model, prompt, temperature=1e-4, length=15)
    assert almost.codes.tolist() == drawn.codes.tolist()


def test_a_sequence_depends_on_seed_prompt_and_number_alone(model: HNet) -> None:
    prompts = [NONE, random_codes(10, 1), NONE]
    together = draw(model, *prompts, number=4, batch=3, temperature=2.0)
    one_by_one = draw(model, *prompts, number=4, batch=1, temperature=2.0)
    assert [(d.prompt, d.number) for d in together] == [(p, n) for p in range(3) for n in range(4)]
    texts = [d.codes.tobytes() for d in together]
    assert texts == [d.codes.tobytes() for d in one_by_one]
    assert len(set(texts)) == 12  # even of the same prompt given twice
    assert draw(model, *prompts, number=2, temperature=2.0)[1].codes.tobytes() == texts[1]
    assert draw(model, *prompts, number=1, seed=2, temperature=2.0)[0].codes.tobytes() != texts[0]
    assert draw(model, NONE, length=9, temperature=2.0)[0].codes.tobytes() == texts[0][:9]


def test_first_bases_are_as_frequent_as_the_network_says(model: HNet) -> None:
    with torch.inference_mode():
        p_4 = model(torch.tensor([[BOS]]))[0].logits_BL4[0, -1].softmax(-1).numpy()
    number = 2000
    for options, expected in (
        ({}, p_4),
        ({"temperature": 2.0}, np.sqrt(p_4) / np.sqrt(p_4).sum()),
        ({"top_p": 1e-6}, np.eye(4)[p_4.argmax()]),
    ):
        found = [int(d.codes[0]) for d in draw(model, NONE, length=1, number=number, batch=500, **options)]
        share = np.bincount(found, minlength=4) / number
        assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / number)  # four standard deviations at most


@given(st.lists(st.floats(-12, 0), min_size=4, max_size=4), st.floats(0.05, 5), st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_of_the_likeliest(log_probs: list[float], temperature: float, top_p: float) -> None:
    log_probs_B4 = np.array([log_probs])
    everything = probabilities(log_probs_B4, temperature, 1.0)[0]
    p_4 = probabilities(log_probs_B4, temperature, top_p)[0]
    assert np.isclose(everything.sum(), 1) and np.isclose(p_4.sum(), 1) and p_4.argmax() == everything.argmax()
    assert np.allclose(everything, torch.tensor(log_probs, dtype=torch.float64).div(temperature).softmax(0).numpy())
    kept = np.flatnonzero(p_4)
    left_out = np.setdiff1d(np.arange(4), kept)
    assert everything[kept].sum() >= top_p - 1e-12
    assert everything[kept].sum() - everything[kept].min() < top_p  # without its least likely it would not do
    assert not len(left_out) or everything[left_out].max() <= everything[kept].min()
    assert np.allclose(p_4[kept] / p_4[kept][0], everything[kept] / everything[kept][0], rtol=1e-9)


def test_memory_does_not_grow_with_the_length(model: HNet, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward = model.forward

    def watched(token_BL: torch.Tensor, state: Any = None, **options: Any) -> Any:
        output, new_state = forward(token_BL, state, **options)
        sizes.append(sum(layer.key_RHSP.numel() for layer in _attention(new_state)))
        return output, new_state

    monkeypatch.setattr(model, "forward", watched)
    draw(model, NONE, length=48 * 5)
    by_tile = [max(sizes[at : at + 48]) for at in range(0, len(sizes), 48)]
    assert (
        len(by_tile) == 5 and min(by_tile) > 0 and max(by_tile[3:]) <= 1.5 * max(by_tile[1:3])
    )  # only the chunks of a tile vary


def _attention(state: Any) -> Iterator[AttentionState]:
    if isinstance(state, AttentionState):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from _attention(part)
    elif hasattr(state, "layers"):
        yield from _attention(state.layers)
    elif hasattr(state, "inner"):
        for part in (state.encoder, state.inner, state.decoder):
            yield from _attention(part)


def test_options_that_cannot_be(model: HNet) -> None:
    for wrong in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"temperature": float("nan")}):
        with pytest.raises(UsageError):
            draw(model, NONE, **wrong)


def test_an_n_in_the_prompt_is_context_and_never_drawn(model: HNet) -> None:
    (drawn,) = draw(model, encode("ACGNNNNACG"))
    assert set(drawn.codes.tolist()) <= {0, 1, 2, 3}
