"""What dnaHNet promises, every rival keeps: any split, any padding, any capture, nothing from the future."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.errors import InputError, ModelError
from dnahnet_cli.genome import Edit, Interval
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.model.network import Output
from dnahnet_cli.model.state import stack, take
from dnahnet_cli.networks.weights import find_model, load_model, save_weights
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.scoring.boundaries import chunks_of
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.training.card import boundary_table, make_card
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import parameter_groups
from dnahnet_cli.training.packed import Corpus, Genome
from tests.baselines.networks import CONFIGS, network, tokens
from tests.conftest import MemoryGenome, random_codes
from tests.training.runs import CONFIG, CORPUS, HELD, make_steps
from tests.training.runs import trainer as trainer_of

BATCH, LENGTH = 2, 90
EASY = Corpus((Genome("easy", "Easy", [np.tile(random_codes(11, 4), 200)]),), (HELD,))  # soon learned by heart
every_rival = pytest.mark.parametrize("name", CONFIGS)


def trainer(folder: Path, model: Config, corpus: Corpus = CORPUS) -> Trainer:
    return trainer_of(folder, replace(CONFIG, learning_rate=3e-3), model, corpus)


def near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


def assert_same_cuts(parts: list[Output], whole: Output) -> None:
    for stage, trace in enumerate(whole.traces):
        masks = [part.traces[stage].mask_BL for part in parts]
        lengths = [part.traces[stage].length_B for part in parts]
        for row in range(len(trace.mask_BL)):
            joined = torch.cat([mask[row, : n[row]] for mask, n in zip(masks, lengths, strict=True)])
            assert torch.equal(joined, trace.mask_BL[row, : trace.length_B[row]])


@every_rival
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, LENGTH - 1), max_size=4, unique=True))
def test_any_split_equals_one_call(name: str, cuts: list[int]) -> None:
    token_BL = tokens(BATCH, LENGTH)
    whole, _ = network(name)(token_BL)
    state, parts = None, []
    for start, end in pairwise([0, *sorted(cuts), LENGTH]):
        output, state = network(name)(token_BL[:, start:end], state)
        parts.append(output)
    near(torch.cat([part.logits_BL4 for part in parts], dim=1), whole.logits_BL4)
    assert_same_cuts(parts, whole)


@every_rival
def test_token_by_token_equals_one_call(name: str) -> None:
    token_BL = tokens(BATCH, LENGTH)
    whole, _ = network(name)(token_BL)
    state, parts = None, []
    for at in range(LENGTH):
        output, state = network(name)(token_BL[:, at : at + 1], state)
        parts.append(output)
    near(torch.cat([part.logits_BL4 for part in parts], dim=1), whole.logits_BL4)
    assert_same_cuts(parts, whole)


@every_rival
@pytest.mark.parametrize("at", [1, 40, LENGTH - 1])
def test_nothing_comes_from_the_future(name: str, at: int) -> None:
    token_BL = tokens(BATCH, LENGTH)
    changed_BL = token_BL.clone()
    changed_BL[:, at:] = (changed_BL[:, at:] + 1) % 4
    whole, changed = network(name)(token_BL)[0].logits_BL4, network(name)(changed_BL)[0].logits_BL4
    near(changed[:, :at], whole[:, :at])
    assert float((changed[:, at] - whole[:, at]).abs().max()) > 0.01


@every_rival
def test_padding_changes_nothing(name: str) -> None:
    token_BL = tokens(3, LENGTH)
    lengths = [LENGTH, 31, 1]
    output, states = network(name)(token_BL, length_B=torch.tensor(lengths))
    follow_BL = tokens(3, 12, seed=1)
    after, _ = network(name)(follow_BL, states)
    for row, length in enumerate(lengths):
        alone, state = network(name)(token_BL[row : row + 1, :length])
        near(output.logits_BL4[row, :length], alone.logits_BL4[0])
        near(after.logits_BL4[row], network(name)(follow_BL[row : row + 1], state)[0].logits_BL4[0])


@every_rival
@settings(max_examples=6, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, BATCH - 1), st.integers(0, LENGTH - 1)), min_size=1, max_size=6))
def test_states_taken_anywhere_go_on_as_one_batch(name: str, places: list[tuple[int, int]]) -> None:
    """In a call that itself goes on from a state, then shuffled, joined with others, and fed the rest."""
    token_BL = tokens(BATCH, 2 * LENGTH)
    whole, _ = network(name)(token_BL)
    _, middle = network(name)(token_BL[:, :LENGTH])
    capture = Capture(*torch.tensor(places).unbind(1))
    _, states = network(name)(token_BL[:, LENGTH:], middle, capture=capture)
    order = list(reversed(range(len(places))))
    states = stack([take(states, torch.tensor(order)), middle])
    begins = [(places[k][0], LENGTH + places[k][1]) for k in order] + [(row, LENGTH) for row in range(BATCH)]
    rest = [token_BL[row, begin:] for row, begin in begins]
    rest_KL = torch.nn.utils.rnn.pad_sequence(rest, batch_first=True)
    output, _ = network(name)(rest_KL, states, length_B=torch.tensor([len(r) for r in rest]))
    for k, (row, begin) in enumerate(begins):
        near(output.logits_BL4[k, : len(rest[k])], whole.logits_BL4[row, begin:])


@every_rival
def test_a_state_before_the_first_token_is_no_state(name: str) -> None:
    token_BL = tokens(1, LENGTH)
    whole, start = network(name)(token_BL, capture=Capture(torch.tensor([0]), torch.tensor([0])))
    near(network(name)(token_BL, start)[0].logits_BL4, whole.logits_BL4)


@every_rival
def test_every_parameter_learns(name: str) -> None:
    model = copy.deepcopy(network(name)).requires_grad_(True)
    output, _ = model(tokens(BATCH, LENGTH), capture=Capture.nowhere())
    output.logits_BL4.log_softmax(-1)[..., 0].sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@every_rival
def test_bfloat16_stays_close_to_float32(name: str) -> None:
    model = copy.deepcopy(network(name))
    set_compute_dtype(model, torch.bfloat16)
    token_BL = tokens(4, LENGTH)
    exact, rounded = network(name)(token_BL)[0].logits_BL4, model(token_BL)[0].logits_BL4
    assert rounded.dtype == torch.float32
    assert 0 < float((exact - rounded).abs().median()) < 0.03 * float(exact.std())


# --- the trainer, weights and the engine ---


@every_rival
def test_a_few_steps_lower_the_loss_and_a_checkpoint_goes_on(name: str, tmp_path: Path) -> None:
    run = trainer(tmp_path / "run", CONFIGS[name], EASY)
    bits = make_steps(run, 30)
    assert sum(bits[-5:]) < 0.7 * sum(bits[:5])
    run.save(tmp_path / "kept")
    again = trainer(tmp_path / "again", CONFIGS[name], EASY)
    again.resume(tmp_path / "kept")
    assert make_steps(run, 2) == make_steps(again, 2)
    other = trainer(tmp_path / "other", CONFIGS["transformer" if name != "transformer" else "mamba2"])
    with pytest.raises(InputError, match=rf"another network; give the --arch \({name}\)"):
        other.resume(tmp_path / "kept")


@every_rival
def test_a_whole_run_leaves_its_curve(name: str, tmp_path: Path) -> None:
    run = trainer(tmp_path, CONFIGS[name])
    result = run.run()
    assert result is not None and math.isfinite(result.mean) and run.flops > 0
    assert len(result.cuts) == CONFIGS[name].num_stages
    columns = (tmp_path / "curve.csv").read_text().splitlines()[0].split(",")
    assert ("F1" in columns) == bool(CONFIGS[name].num_stages)
    assert len(boundary_table(CONFIGS[name], result)) == CONFIGS[name].num_stages


@every_rival
def test_filters_and_norms_do_not_decay_and_all_learn_at_the_rate_of_the_core(name: str, tmp_path: Path) -> None:
    run = trainer(tmp_path, CONFIGS[name])
    groups = parameter_groups(run.model, run.config)
    names = {id(parameter): key for key, parameter in run.model.named_parameters()}
    still = {names[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    assert {key for key in names.values() if "filter" in key or "norm" in key} <= still
    if not CONFIGS[name].num_stages:
        assert {group["base_lr"] for group in groups} == {run.config.learning_rate}


@every_rival
def test_weights_come_back_as_the_network_that_was_saved(name: str, tmp_path: Path) -> None:
    run = trainer(tmp_path, CONFIGS[name])
    path = tmp_path / "model.safetensors"
    card = make_card(run, run.evaluate(), None)
    save_weights(run.model, path, card)
    loaded = load_model(find_model(str(path)))
    assert loaded.config == CONFIGS[name] and find_model(str(path)).card["config"]["arch"] == name
    token_BL = tokens(1, LENGTH)
    with torch.no_grad():
        expected = run.model(token_BL)[0].logits_BL4
    torch.testing.assert_close(loaded(token_BL)[0].logits_BL4, expected, rtol=0, atol=0.02)


@every_rival
def test_branches_of_the_engine_equal_whole_windows(name: str) -> None:
    codes = random_codes(400, 1)
    engine = Engine(network(name), MemoryGenome({"c": codes}), EngineOptions(TileGrid(tile=128, context=64), suffix=40))
    edits = [Edit("c", at, at + 1, (codes[at : at + 1] + 1) % 4) for at in (100, 103, 260)]
    for edit, scores in zip(edits, engine.score(edits), strict=True):
        for strand, score in scores.items():
            assert score is not None and score.scored_bp == 41
            reading = engine.reading("c", strand)
            local = reading.localise(edit)
            begin, _, _ = reading.tile_bounds(reading.tile_of(local.start))
            for base, expected in (
                (reading.window(local.start, local.start + 1).tobytes(), score.ref_logp),
                (local.replacement, score.alt_logp),
            ):
                window = torch.tensor(
                    [5, *reading.window(begin, local.start), *base, *reading.window(local.end, local.end + 40)]
                )
                logp_L4 = network(name)(window.unsqueeze(0))[0].logits_BL4[0].log_softmax(-1)
                first = local.start - begin
                total = sum(float(logp_L4[i, window[i + 1]]) for i in range(first, first + 41))
                assert total == pytest.approx(expected, abs=2e-3)


@every_rival
def test_boundaries_are_those_of_the_stages_or_refused(name: str) -> None:
    genome = MemoryGenome({"c": random_codes(400, 1)})
    engine = Engine(network(name), genome, EngineOptions(TileGrid(tile=128, context=64)))
    reading = engine.reading("c", engine.strands[0])
    (scan,) = engine.scan(reading, [0])
    assert scan.mask_SL.shape == (CONFIGS[name].num_stages, 128)
    if not CONFIGS[name].num_stages:
        with pytest.raises(ModelError, match="makes no chunks"):
            next(chunks_of(engine, Interval("c", 0, 400)))
