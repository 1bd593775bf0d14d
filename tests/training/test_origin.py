"""Runs that begin with trained weights: the same network at first, deeper ones too, and nothing that does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dnahnet_cli.errors import InputError, ModelError
from dnahnet_cli.model.config import Config, Layout, ModelConfig
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.networks.weights import save_weights
from dnahnet_cli.training.card import make_card
from dnahnet_cli.training.evaluation import HeldOut
from dnahnet_cli.training.origin import Origin, begin_with, read_origin
from dnahnet_cli.training.packed import Corpus, Genome
from tests.conftest import lively_model, random_codes
from tests.training.runs import CORPUS, HELD, MOTIF, TINY, make_steps, trainer

TOKENS = torch.from_numpy(random_codes(200, 4)).long().unsqueeze(0)


def origin_of(model: Network) -> Origin:
    return Origin(model.config, dict(model.named_parameters()), {"model": "m", "bases_seen": 7}, frozenset())


def logits(model: Network) -> Tensor:
    with torch.no_grad():
        return model(TOKENS)[0].logits_BL4


def lively(config: Config) -> Network:
    torch.manual_seed(3)
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def deeper(*layouts: Layout) -> list[ModelConfig]:
    return [replace(TINY, layout=layout) for layout in layouts]


GROWN = [
    TINY,
    *deeper(
        ["m3", ["T1m1", ["T1"], "m1T1"], "m1"],
        ["m1", ["T1m1", ["T4"], "m1T1m2"], "m1"],
        ["M1", ["T1m1t1", ["T1M1"], "m1T1"], "m1T2"],  # an MLP where there was none, and other letters behind
    ),
    # Attention in a stage that had none, so that its window is new too.
    replace(TINY, layout=["m1t1", ["T1m1", ["T1"], "m1T1"], "m1T1"], windows=(16, 64, None)),
]


@pytest.mark.parametrize("config", GROWN)
def test_a_deeper_network_computes_at_first_what_the_weights_did(config: ModelConfig) -> None:
    model, grown = lively(TINY), build(config)
    assert not torch.allclose(logits(model), logits(grown), atol=1e-2)
    begin_with(grown, origin_of(model))
    assert torch.allclose(logits(model), logits(grown), atol=1e-5)


@pytest.mark.parametrize("config", GROWN[1:])
def test_what_is_added_learns(config: ModelConfig, tmp_path: Path) -> None:
    run = trainer(tmp_path, model=config, origin=origin_of(lively(TINY)))
    zeros = {
        name
        for name, parameter in run.model.named_parameters()
        if name.endswith("out_proj.weight") and not parameter.any()
    }
    assert zeros
    make_steps(run, 1)
    assert all(parameter.any() for name, parameter in run.model.named_parameters() if name in zeros)


@pytest.mark.parametrize("arch", list(PRESETS))
def test_every_architecture_begins_with_its_own_weights(arch: str) -> None:
    config = PRESETS[arch]["tiny"]
    model, other = lively(config), build(config)
    begin_with(other, origin_of(model))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (replace(TINY, widths=(32, 48, 80)), r"m has widths \(32, 48, 64\), the preset \(32, 48, 80\): only layers"),
        (replace(TINY, period=1), "m has period 3, the preset 1"),
        (replace(TINY, windows=(None, 32, None)), r"m has windows \(64, None\), the preset \(32, None\)"),
        (replace(TINY, layout=["t1", ["T1m1", ["T1"], "m1T1"], "m1"]), "m has layers .*, which do not fit in "),
        (replace(TINY, layout=["m1", ["T1", ["T1"], "m1T1"], "m1"]), "which do not fit in"),
        (replace(TINY, layout=["m1", ["T1m1", ["t1"], "m1T1"], "m1"]), "which do not fit in"),
        (PRESETS["mamba2"]["tiny"], "m is a network of architecture dnahnet, not mamba2"),
        (PRESETS["fixed-stride"]["tiny"], "m is a network of architecture dnahnet, not fixed-stride"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_copied(config: Config, says: str) -> None:
    model = build(config)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(InputError, match=says):
        begin_with(model, origin_of(lively(TINY)))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_weights_files_and_checkpoints_are_read(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    make_steps(run, 2)
    run.save(tmp_path / "stable")
    card = make_card(run, HeldOut({}, (), ()), None)
    save_weights(run.model, tmp_path / "mine.safetensors", card)
    from_checkpoint, from_file = read_origin(str(tmp_path / "stable")), read_origin(str(tmp_path / "mine.safetensors"))
    assert from_checkpoint.record == {"checkpoint": "stable", "step": 2, "bases_seen": 256}
    assert from_file.record["model"] == "mine" and from_file.record["bases_seen"] == 256
    assert from_checkpoint.genera == from_file.genera == {"Motif", "Random"}
    assert from_checkpoint.num_parameters == from_file.num_parameters == run.model.num_parameters()
    for name, parameter in run.model.named_parameters():
        assert torch.equal(from_checkpoint.tensors[name], parameter)
        assert torch.allclose(from_file.tensors[name], parameter, rtol=1e-2)  # kept in bfloat16


def test_genera_are_known_through_several_runs(tmp_path: Path) -> None:
    origin = replace(origin_of(lively(TINY)), genera=frozenset({"Held", "Motif"}))
    run = trainer(tmp_path / "run", origin=origin)
    make_steps(run, 1)
    card = make_card(run, HeldOut({}, (), ()), None)
    assert card["data"]["genera_before"] == ["Held"]
    save_weights(run.model, tmp_path / "tuned.safetensors", card)
    assert read_origin(str(tmp_path / "tuned.safetensors")).genera == {"Held", "Motif", "Random"}


def test_a_card_of_another_kind_is_named(tmp_path: Path) -> None:
    save_weights(lively_model(), tmp_path / "odd.safetensors", {"data": {"manifest": [{"split": "train"}]}})
    with pytest.raises(
        ModelError, match=r"odd.json: an entry of the model card is missing or of another kind: 'genus'"
    ):
        read_origin(str(tmp_path / "odd.safetensors"))


def test_a_resumed_run_remembers_what_it_began_with(tmp_path: Path) -> None:
    origin = replace(origin_of(lively(TINY)), genera=frozenset({"Held", "Other"}))
    run = trainer(tmp_path / "one", origin=origin)
    make_steps(run, 1)
    run.save(tmp_path / "checkpoint")
    again = trainer(tmp_path / "two")
    again.resume(tmp_path / "checkpoint")
    for made in (run, again):
        card = make_card(made, HeldOut({}, (), ()), None)
        assert card["training"]["begun_from"] == {"model": "m", "bases_seen": 7}
        assert card["data"]["split"].endswith("the weights that the run began with were trained on Held")
    other = trainer(tmp_path / "three", origin=origin, corpus=Corpus((MOTIF,), (Genome("h", "New", HELD.contigs),)))
    assert "no genus" in make_card(other, HeldOut({}, (), ()), None)["data"]["split"]
    assert (
        make_card(trainer(tmp_path / "four", corpus=CORPUS), HeldOut({}, (), ()), None)["training"]["begun_from"]
        is None
    )
