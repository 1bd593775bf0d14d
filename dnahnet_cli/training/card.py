"""The model card, and the rule by which new weights replace old ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
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

LIMITS = (
    "Trained on few bases for a genomic language model: its scores are weak evidence. See the evaluation beside the "
    "zero-parameter baselines before relying on any of them. Trained on bacteria and archaea; eukaryotes, viruses and "
    "plasmids were not looked at."
)


@dataclass(frozen=True)
class Baselines:
    """Bits per base of the held-out windows without a network: an order-`order` Markov model, by genome."""

    order: int
    markov: Mapping[str, float]


def make_card(trainer: Trainer, result: HeldOut, baselines: Baselines | None) -> dict[str, Any]:
    """Return a JSON-able card of a finished run."""
    config, records = trainer.model.config, trainer.corpus.records()
    train = [record for record in records if record["split"] == "train"]
    return {
        "description": config.description,
        "note": "an independent implementation: not the weights or the figures of the paper's authors",
        "licence": "Apache-2.0, as the code",
        "limits": LIMITS,
        "dnahnet_version": __version__,
        "config": json.loads(config.to_json()),
        "training": {
            **asdict(trainer.config),
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
            "genera": len({record["genus"] for record in train}),
            "bases": sum(record["bases"] for record in train),
            "split": _split(trainer),
            "manifest": records,
        },
    }


def _split(trainer: Trainer) -> str:
    seen = sorted({genome.genus for genome in trainer.corpus.heldout} & trainer.seen_genera)
    if seen:
        return f"held out by species, but the weights that the run began with were trained on {', '.join(seen)}"
    return "held out by species: no genus of the held-out species occurs in training"


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


@dataclass(frozen=True)
class Promotion:
    """Whether weights were put in their place, and the two means that decided: NaN where there were none before."""

    done: bool
    new: float
    old: float


def promote(model: Network, card: dict[str, Any], path: Path, corpus: Corpus, config: TrainConfig) -> Promotion:
    """Write weights and card to `path` if nothing is there, or if they are better than those that are.

    Better is a smaller mean of bits per base over the held-out species, both networks evaluated here, in float32, as
    they lie on disk. Raises InputError without held-out species, ModelError when what is there cannot be read.
    """
    if not corpus.heldout:
        raise InputError(f"{path}: weights are only put there when they were evaluated, and nothing is held out")

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
