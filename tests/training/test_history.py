"""What a card says of all calls of a run: genomes that are no longer given, settings that were others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dnahnet_cli.training import loop
from dnahnet_cli.training.card import make_card
from dnahnet_cli.training.evaluation import HeldOut
from dnahnet_cli.training.history import History, differences, settings_of
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Corpus, Genome
from tests.conftest import random_codes
from tests.training.runs import CONFIG, CORPUS, HELD, MOTIF, RANDOM, make_steps, trainer

OTHER = Genome("other", "Other", [random_codes(2000, 5)])


def card(run: Trainer) -> Any:
    return json.loads(json.dumps(make_card(run, HeldOut({}, (), ()), None)))


def trained_on(run: Trainer) -> list[str]:
    return [record["name"] for record in card(run)["data"]["manifest"] if record["split"] == "train"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a checkpoint of two steps on `motif` and `random`."""
    run = trainer(tmp_path / "run")
    make_steps(run, 2)
    run.save(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def resumed(checkpoint: Path, config: TrainConfig = CONFIG, corpus: Corpus = CORPUS, **options: Any) -> Trainer:
    run = trainer(checkpoint.parent / "elsewhere", config, corpus=corpus, **options)
    run.resume(checkpoint)
    return run


def test_genomes_that_no_step_was_made_on_are_not_listed(checkpoint: Path) -> None:
    run = resumed(checkpoint, corpus=Corpus((OTHER,), (HELD,)))
    assert trained_on(run) == ["motif", "random"]
    data = card(run)["data"]
    assert (data["genomes"], data["genera"], data["bases"]) == (2, 2, 9500)
    make_steps(run, 1)
    assert trained_on(run) == ["motif", "other", "random"]
    assert card(run)["data"]["bases"] == 11_500


def test_genomes_that_are_no_longer_given_are_listed_still(checkpoint: Path, tmp_path: Path) -> None:
    run = resumed(checkpoint, corpus=Corpus((MOTIF,), (HELD,)))
    make_steps(run, 1)
    run.save(tmp_path / "again")
    run = resumed(tmp_path / "again", corpus=Corpus((Genome("motif", "Motif", RANDOM.contigs),), (HELD,)))
    make_steps(run, 1)
    assert trained_on(run) == ["motif", "motif", "random"]  # two of a name, which differ in their bases


def test_a_held_out_genus_that_was_trained_on_is_known(checkpoint: Path) -> None:
    run = resumed(checkpoint, corpus=Corpus((OTHER,), (RANDOM, HELD)))
    assert run.history.seen_of(run.corpus.heldout) == ["Random"]
    assert card(run)["data"]["split"].endswith("were trained on Random")


def test_settings_stand_by_the_steps_that_they_made(checkpoint: Path, tmp_path: Path) -> None:
    """Those of a call that trains no further are nothing to the weights."""
    slow = replace(CONFIG, learning_rate=1e-4, length=32)
    run = resumed(checkpoint, slow, dtype=torch.bfloat16)
    training = card(run)["training"]
    assert (training["learning_rate"], training["length"], training["dtype"]) == (CONFIG.learning_rate, 64, "float32")
    assert training["changed_settings"] == []
    make_steps(run, 3)
    run.save(tmp_path / "slow")
    same = resumed(tmp_path / "slow", slow, dtype=torch.bfloat16)
    make_steps(same, 1)
    again = resumed(tmp_path / "slow", replace(slow, length=64), dtype=torch.bfloat16)
    make_steps(again, 1)
    first = {"from_step": 0, "length": 64, "learning_rate": CONFIG.learning_rate, "dtype": "float32"}
    second = {"from_step": 2, "length": 32, "learning_rate": 1e-4, "dtype": "bfloat16"}
    assert card(same)["training"]["changed_settings"] == [first, second]
    training = card(again)["training"]
    assert training["changed_settings"] == [first, second, {**second, "from_step": 5, "length": 64}]
    assert (training["learning_rate"], training["length"], training["dtype"]) == (1e-4, 64, "bfloat16")


def test_other_settings_are_said(checkpoint: Path) -> None:
    lines: list[str] = []
    config = replace(CONFIG, learning_rate=1e-4, schedule=replace(CONFIG.schedule, decay_fraction=0.5), part_mib=7)
    resumed(checkpoint, config, dtype=torch.bfloat16, log=lines.append)
    (line,) = lines
    assert line.startswith("from step 2 on with other settings than ")
    for text in ("learning_rate 0.0001 (was 0.003)", "dtype bfloat16 (was float32)", "decay_fraction 0.5 (was 0.3)"):
        assert text in line
    assert line.count("was") == 3
    resumed(checkpoint, log=lines.append)
    resumed(checkpoint, replace(config, steps=2), log=lines.append)  # which makes no step
    assert len(lines) == 1


def test_checkpoints_of_earlier_versions_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(tmp_path / "run", replace(CONFIG, learning_rate=1e-4))
    make_steps(run, 2)
    tensors, facts = run._state()
    for key in ("genomes", "stretches"):
        del facts[key]
    loop.save_checkpoint(tmp_path / "old", tensors, facts, 100)
    lines: list[str] = []
    again = resumed(tmp_path / "old", log=lines.append)
    assert "old is of an earlier version and lists no genomes: those given now are taken for them" in lines[0]
    assert "learning_rate 0.003 (was 0.0001)" in lines[1] and "dtype" not in lines[1] and len(lines) == 2
    assert trained_on(again) == ["motif", "random"]
    assert card(again)["training"]["learning_rate"] == 1e-4
    make_steps(again, 1)
    assert card(again)["training"]["changed_settings"] == [
        {"from_step": 0, "learning_rate": 1e-4, "dtype": None},
        {"from_step": 2, "learning_rate": 0.003, "dtype": "float32"},
    ]


def test_a_history_survives_as_json() -> None:
    history = History(genera=frozenset({"Before"})).made_with(settings_of(CONFIG, torch.float32), 0)
    history = history.trained_on([record for record in CORPUS.records() if record["split"] == "train"])
    assert History.of_facts({**json.loads(json.dumps(history.facts())), "train": {}}) == history
    assert history.genera == {"Before", "Motif", "Random"}
    assert differences(history.settings, history.settings) == ""
