"""The model card, and the rule by which new weights replace old ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dnahnet_cli import __version__
from dnahnet_cli.errors import InputError
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.weights import find_model, load_model, save_weights
from dnahnet_cli.training.evaluation import HeldOut, evaluate
from dnahnet_cli.training.loop import Trainer
from dnahnet_cli.training.objective import TrainConfig
from dnahnet_cli.training.packed import Corpus


@dataclass(frozen=True)
class Baselines:
    """Bits per base of the held-out windows without a network: an order-`order` Markov model, by genome."""

    order: int
    markov: Mapping[str, float]


def make_card(trainer: Trainer, result: HeldOut, baselines: Baselines | None) -> dict[str, Any]:
    """Return a JSON-able card of a finished run."""
    config, history = trainer.model.config, trainer.history
    train, genera = history.genomes, {record["genus"] for record in history.genomes}
    heldout = [record for record in trainer.corpus.records() if record["split"] == "val"]
    return {
        "description": config.description,
        "note": "an independent implementation: not the weights or the figures of the paper's authors",
        "licence": "none stated: that is for those who trained the weights",
        "limits": _limits(result, baselines, {str(record.get("domain") or "").rstrip("?") for record in train}),
        "dnahnet_version": __version__,
        "config": json.loads(config.to_json()),
        "training": {
            **asdict(trainer.config),
            **history.settings,
            "changed_settings": history.changes(),
            "steps_made": trainer.step,
            "bases_seen": trainer.bases_seen,
            "minutes_spent": round(trainer.minutes, 1),
            "flops": float(f"{trainer.flops:.3g}"),
            "hardware": "; then ".join(trainer.made_on),
            "begun_from": trainer.begun_from,
        },
        "heldout_bits_per_base": heldout_table(trainer.config, result, baselines),
        "boundaries": boundary_table(config, result),
        "data": {
            "genomes": len(train),
            "genera": len(genera),
            "bases": sum(record["bases"] for record in train),
            "genera_before": sorted(history.genera - genera),  # of the weights that the run began with
            "split": _split(trainer),
            "manifest": [*train, *heldout],
        },
    }


def _split(trainer: Trainer) -> str:
    heldout = trainer.corpus.heldout
    if not heldout:
        return "nothing was held out"
    seen = trainer.history.seen_of(heldout)
    if seen:
        return f"held out by species, but the weights that the run began with were trained on {', '.join(seen)}"
    return "held out by species: no genus of the held-out species occurs in training"


def _limits(result: HeldOut, baselines: Baselines | None, domains: Set[str]) -> str:
    """Say what the weights are good for, as far as the run itself can tell; `domains` of life, some perhaps unknown."""
    if not result.bits:
        measured = "Nothing was held out, so nothing tells what the model has learned: its scores are no evidence yet."
    elif baselines is None:
        measured = "Its scores are weak evidence: set them beside those of a model without parameters first."
    else:
        measured = (
            "Its scores are weak evidence. See the evaluation beside the zero-parameter baselines before relying on "
            "any of them."
        )
    kinds = "" if not domains or "" in domains else f" ({', '.join(sorted(domains))})"
    return f"{measured} Trained on the genomes listed under data{kinds}; no other kinds of DNA were looked at."


def heldout_table(config: TrainConfig, result: HeldOut, baselines: Baselines | None) -> dict[str, Any]:
    """Return the held-out figures with the baselines beside them; empty when nothing was held out."""
    if not result.bits:
        return {}
    columns: dict[str, Any] = {"network": {"mean": result.mean, **result.bits}}
    if baselines is not None:
        mean = sum(baselines.markov.values()) / len(baselines.markov)
        columns[f"markov{baselines.order}"] = {"mean": mean, **baselines.markov}
    windows = f"{config.heldout_windows} windows of {config.heldout_length} bases per species, each without context"
    return {"measured_on": windows, "uniform": 2.0, **columns}


def boundary_table(config: Config, result: HeldOut) -> list[dict[str, float]]:
    """Return how each stage cuts the held-out windows: chunks over the stage's own positions, and over bases."""
    table, bases_per_chunk = [], 1.0
    for ratio, cuts, probability in zip(config.targets, result.cuts, result.probabilities, strict=False):
        bases_per_chunk /= max(cuts, 1e-9)
        table.append(
            {
                "target": 1 / ratio,
                "cuts": round(cuts, 4),
                "mean_probability": round(probability, 4),
                "bases_per_chunk": round(bases_per_chunk, 2),
            }
        )
    return table


def no_test(seen: Sequence[str]) -> str:
    """Say what held-out figures are worth when the weights have been trained on genera that are held out."""
    return f"trained on {', '.join(seen)}, which is held out here: no test of unseen genera"


@dataclass(frozen=True)
class Promotion:
    """Whether weights were put in their place, and the two means that decided: NaN where there were none before."""

    done: bool
    new: float
    old: float


def promote(
    model: Network,
    card: dict[str, Any],
    path: Path,
    corpus: Corpus,
    config: TrainConfig,
    seen: Sequence[str] = (),
) -> Promotion:
    """Write weights and card to `path` if nothing is there, or if they are better than those that are.

    Better is a smaller mean of bits per base over the held-out species, both networks evaluated here, in float32, as
    they lie on disk. Raises InputError without held-out species, or when the weights were trained on `seen` of their
    genera, ModelError when what is there cannot be read.
    """
    if not corpus.heldout:
        raise InputError(f"{path}: weights are only put there when they were evaluated, and nothing is held out")
    if seen:
        raise InputError(f"{path}: weights are not put there that were {no_test(seen)}")

    def mean(candidate: Path) -> float:
        network = load_model(find_model(str(candidate)), dtype=torch.float32)
        return evaluate(network, corpus.heldout, config.heldout_windows, config.heldout_length).mean

    trial = path.with_name(f".trial-{path.name}")
    try:
        save_weights(model, trial, card)
        new, old = mean(trial), mean(path) if path.exists() else math.nan
    finally:
        trial.unlink(missing_ok=True)
        trial.with_suffix(".json").unlink(missing_ok=True)
    better = math.isfinite(new) if math.isnan(old) else new < old
    if not better:
        return Promotion(False, new, old)
    rule = "the mean over held-out species, in float32 and as saved, had to be smaller than that of the weights before"
    before = {} if math.isnan(old) else {"sha256": find_model(str(path)).sha256, "mean": old}
    save_weights(model, path, {**card, "promotion": {"rule": rule, "mean": new, "before": before or None}})
    return Promotion(True, new, old)
