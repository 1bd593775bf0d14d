"""What a card says, and which weights may replace which."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from dnahnet_cli import __version__
from dnahnet_cli.errors import InputError, ModelError, OutputError
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.networks.weights import find_model, load_model, save_weights
from dnahnet_cli.training.card import Baselines, boundary_table, heldout_table, make_card, promote
from dnahnet_cli.training.evaluation import HeldOut, evaluate
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.packed import Corpus, Genome
from tests.conftest import lively_model, random_codes
from tests.model.networks import CONFIGS, network
from tests.training.runs import CONFIG, CORPUS, HELD, MOTIF, RANDOM, TINY, files_limited_to, make_steps, trainer

RESULT = HeldOut({"one": 1.5, "two": 2.0}, (0.25, 0.5), (0.3, 0.4))


# --- the card ---


@pytest.fixture
def run(tmp_path: Path) -> Trainer:
    about = {"accession": "GCF_1", "organism": "M. motif", "source": str(tmp_path)}
    motif = Genome("motif", "Motif", MOTIF.contigs, about, origin=str(tmp_path / "motif.fa"))
    made = trainer(tmp_path / "run", corpus=Corpus((motif, RANDOM), (HELD,)), hardware="one CPU")
    make_steps(made, 1)
    made.made_on = ["one CPU", "another"]
    return made


def test_the_card_tells_where_the_weights_come_from(run: Trainer) -> None:
    card = json.loads(json.dumps(make_card(run, RESULT, Baselines(9, {"one": 1.9, "two": 1.98}))))
    assert ModelConfig.from_json(json.dumps(card["config"])) == TINY
    assert card["dnahnet_version"] == __version__
    training = card["training"]
    assert (training["steps_made"], training["bases_seen"], training["minutes_spent"]) == (1, 128, 0.0)
    assert training["hardware"] == "one CPU; then another"
    assert training["learning_rate"] == CONFIG.learning_rate and training["schedule"]["warmup_steps"] == 3
    data = card["data"]
    assert (data["genomes"], data["genera"], data["bases"]) == (2, 2, 9500)
    assert data["manifest"] == [
        {"name": "motif", "genus": "Motif", "split": "train", "accession": "GCF_1", "bases": 6000,
         "sha256": MOTIF.sha256},
        {"name": "random", "genus": "Random", "split": "train", "accession": None, "bases": 3500,
         "sha256": RANDOM.sha256},
        {"name": "held", "genus": "Held", "split": "val", "accession": None, "bases": 600, "sha256": HELD.sha256},
    ]  # fmt: skip
    assert card["heldout_bits_per_base"]["markov9"] == {"mean": pytest.approx(1.94), "one": 1.9, "two": 1.98}


def test_the_card_claims_only_what_is_known(run: Trainer, tmp_path: Path) -> None:
    measured = make_card(run, RESULT, Baselines(9, {"one": 1.9, "two": 1.98}))
    assert "beside the zero-parameter baselines" in measured["limits"]
    assert measured["data"]["split"].startswith("held out by species: no genus")
    assert "baselines" not in make_card(run, RESULT, None)["limits"]
    alone = make_card(trainer(tmp_path / "alone", corpus=Corpus((MOTIF,))), HeldOut({}, (), ()), None)
    assert alone["data"]["split"] == "nothing was held out" and "Nothing was held out" in alone["limits"]
    known = [Genome(g.name, g.genus, g.contigs, {"domain": "bacteria"}) for g in (MOTIF, RANDOM)]
    told = trainer(tmp_path / "told", corpus=Corpus(tuple(known), (HELD,)))
    make_steps(told, 1)
    assert "the genomes listed under data (bacteria); no other" in make_card(told, RESULT, None)["limits"]
    for card in (measured, alone):
        assert "Apache" not in card["licence"]
        assert not any(kind in card["limits"] for kind in ("bacteria", "viruses", "few bases"))


def test_the_card_holds_no_path_of_the_machine(run: Trainer, tmp_path: Path) -> None:
    text = json.dumps(make_card(run, RESULT, None))
    assert str(tmp_path) not in text and str(Path.home()) not in text and str(Path.cwd()) not in text


def test_the_order_of_genomes_does_not_matter_to_the_card(tmp_path: Path) -> None:
    cards = [
        make_card(trainer(tmp_path, corpus=Corpus(genomes, (HELD,))), RESULT, None)
        for genomes in ((MOTIF, RANDOM), (RANDOM, MOTIF))
    ]
    assert cards[0] == cards[1]


def test_heldout_figures_stand_beside_the_baselines() -> None:
    assert heldout_table(CONFIG, RESULT, Baselines(5, {"one": 1.9, "two": 1.98})) == {
        "measured_on": "4 windows of 100 bases per species, each without context",
        "uniform": 2.0,
        "network": {"mean": 1.75, "one": 1.5, "two": 2.0},
        "markov5": {"mean": pytest.approx(1.94), "one": 1.9, "two": 1.98},
    }
    assert "markov5" not in heldout_table(CONFIG, RESULT, None)
    assert heldout_table(CONFIG, HeldOut({}, (), ()), None) == {}


def test_boundaries_are_counted_per_stage_and_in_bases() -> None:
    """A quarter of the bases open a chunk, and half of those one of the second stage: 4 and 8 bases."""
    assert boundary_table(TINY, RESULT) == [
        {"target": 1 / 3, "cuts": 0.25, "mean_probability": 0.3, "bases_per_chunk": 4.0},
        {"target": 1 / 2, "cuts": 0.5, "mean_probability": 0.4, "bases_per_chunk": 8.0},
    ]
    assert boundary_table(TINY, HeldOut({}, (), ())) == []
    assert all(math.isfinite(row["bases_per_chunk"]) for row in boundary_table(TINY, HeldOut({}, (0, 0), (0, 0))))


def test_the_card_lies_beside_the_weights_and_fits_them(run: Trainer, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(run.model, path, make_card(run, RESULT, None))
    file = find_model(str(path))
    assert file.card["parameters"] == run.model.num_parameters() and file.sha256 == file.card["sha256"]
    assert file.card["boundaries"][0]["cuts"] == 0.25


# --- promotion ---

WORSE = lively_model(seed=1)


@pytest.fixture(scope="module")
def better() -> HNet:
    """Return a network that says 1/4 of every base, which a random one does not reach on random DNA."""
    model = lively_model(seed=0)
    torch.nn.init.zeros_(model.head.weight)
    return model


def bits_on_disk(path: Path) -> float:
    model = load_model(find_model(str(path)), dtype=torch.float32)
    return evaluate(model, [HELD], CONFIG.heldout_windows, CONFIG.heldout_length).mean


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return where weights lie that are bad at random DNA."""
    path = tmp_path / "model.safetensors"
    save_weights(WORSE, path, {"note": "before"})
    return path


def test_the_first_weights_are_put_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    promotion = promote(WORSE, {"note": "x"}, path, CORPUS, CONFIG)
    assert promotion.done and math.isnan(promotion.old)
    assert promotion.new == bits_on_disk(path) > 2
    card = find_model(str(path)).card
    assert card["note"] == "x"
    assert card["promotion"]["before"] is None and card["promotion"]["mean"] == promotion.new
    assert sorted(contents(tmp_path)) == ["model.json", "model.safetensors"]


def test_better_weights_replace_those_that_are_there(place: Path, better: HNet) -> None:
    old = find_model(str(place)), bits_on_disk(place)
    promotion = promote(better, {"note": "after"}, place, CORPUS, CONFIG)
    assert promotion.done and promotion.new == bits_on_disk(place) == pytest.approx(2) and promotion.old == old[1] > 2
    card = find_model(str(place)).card
    assert card["note"] == "after"
    assert card["promotion"]["before"] == {"sha256": old[0].sha256, "mean": old[1]}
    assert "had to be smaller" in card["promotion"]["rule"]
    assert sorted(contents(place.parent)) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("which", ["worse", "equal"])
def test_weights_that_are_no_better_leave_every_byte(place: Path, better: HNet, which: str) -> None:
    save_weights(better, place, {"note": "before"})
    before = contents(place.parent)
    promotion = promote(WORSE if which == "worse" else better, {}, place, CORPUS, CONFIG)
    assert not promotion.done
    assert promotion.new > promotion.old if which == "worse" else promotion.new == promotion.old
    assert contents(place.parent) == before


def test_a_network_of_another_shape_is_compared_by_the_same_figure(place: Path) -> None:
    other = network("1-mamba")
    promotion = promote(other, {}, place, CORPUS, CONFIG)
    assert promotion.done == (promotion.new < promotion.old)
    assert load_model(find_model(str(place))).config == (CONFIGS["1-mamba"] if promotion.done else TINY)


def test_nothing_is_promoted_without_held_out_species(place: Path, better: HNet) -> None:
    before = contents(place.parent)
    with pytest.raises(InputError, match="nothing is held out"):
        promote(better, {}, place, Corpus((MOTIF,)), CONFIG)
    assert contents(place.parent) == before


def test_nothing_is_promoted_that_was_trained_on_what_is_held_out(place: Path, better: HNet) -> None:
    before = contents(place.parent)
    with pytest.raises(InputError, match="weights are not put there that were trained on Held, which is held out here"):
        promote(better, {}, place, CORPUS, CONFIG, ["Held"])
    assert contents(place.parent) == before


def test_weights_that_give_no_number_are_not_promoted(place: Path, tmp_path: Path) -> None:
    broken = lively_model(seed=3)
    torch.nn.init.constant_(broken.head.weight, math.nan)
    before = contents(place.parent)
    assert not promote(broken, {}, place, CORPUS, CONFIG).done
    assert contents(place.parent) == before
    free = tmp_path / "free"
    free.mkdir()
    assert not promote(broken, {}, free / "model.safetensors", CORPUS, CONFIG).done
    assert contents(free) == {}


@pytest.mark.parametrize("damage", ["card", "weights", "no card"])
def test_weights_that_cannot_be_read_are_named_and_kept(place: Path, better: HNet, damage: str) -> None:
    if damage == "weights":
        place.write_bytes(place.read_bytes()[:-100])
    elif damage == "card":
        place.with_suffix(".json").write_text("{}")
    else:
        place.with_suffix(".json").unlink()
    before = contents(place.parent)
    with pytest.raises(ModelError, match=r"model\.(safetensors|json)"):
        promote(better, {}, place, CORPUS, CONFIG)
    assert contents(place.parent) == before


def test_a_full_disk_leaves_the_weights_that_are_there(place: Path, better: HNet) -> None:
    before = contents(place.parent)
    with files_limited_to(50_000), pytest.raises(OutputError, match="cannot be written"):
        promote(better, {}, place, CORPUS, CONFIG)
    assert contents(place.parent) == before


def test_what_is_promoted_was_evaluated_as_it_lies_on_disk(tmp_path: Path) -> None:
    """In bfloat16, not with the digits that the network had in memory."""
    torch.manual_seed(0)
    model = lively_model(seed=2)
    in_memory = evaluate(model, [HELD], CONFIG.heldout_windows, CONFIG.heldout_length).mean
    promotion = promote(model, {}, tmp_path / "model.safetensors", CORPUS, CONFIG)
    assert promotion.new != in_memory
    assert promotion.new == pytest.approx(in_memory, abs=0.1)


def test_random_dna_is_where_random_networks_fail() -> None:
    """Or the comparisons above would show nothing."""
    assert evaluate(WORSE, [Genome("g", "G", [random_codes(600, 9)])], 4, 100).mean > 2.01
