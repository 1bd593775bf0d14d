"""Weights that a run begins with in place of random ones, in a network that may have more layers than they have."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dnahnet_cli.errors import InputError, ModelError
from dnahnet_cli.model.config import Config, ModelConfig
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import read_config
from dnahnet_cli.networks.weights import find_model, load_model
from dnahnet_cli.training.checkpoint import load_checkpoint

_LAYERS = ("layout", "layers", "num_layers")  # the fields of configurations in which a deeper network differs
_BLOCK = re.compile(r"(^|\.)blocks\.\d+\.")


@dataclass(frozen=True)
class Origin:
    """Trained weights, and what a card says of them."""

    config: Config
    tensors: dict[str, Tensor]  # by the names of the network's parameters
    record: dict[str, Any]  # name, sha256 or step, bases_seen
    genera: frozenset[str]  # that they were trained on, as far as is known

    @property
    def name(self) -> str:
        """Return the model's name, or that of the checkpoint's folder."""
        return str(next(iter(self.record.values())))

    @property
    def num_parameters(self) -> int:
        """Return how many numbers were trained."""
        return sum(tensor.numel() for tensor in self.tensors.values())


def read_origin(name: str) -> Origin:
    """Read a bundled model by its name, a weights file, or a checkpoint's folder. Raises InputError or ModelError."""
    folder = Path(name)
    if folder.is_dir():
        checkpoint = load_checkpoint(folder)
        try:
            config = read_config(checkpoint.facts["config"])
            record = {"checkpoint": folder.name, **{key: checkpoint.facts[key] for key in ("step", "bases_seen")}}
            genera = frozenset(checkpoint.facts.get("genera", ()))
        except (KeyError, TypeError, ModelError) as error:
            raise InputError(f"{name}: not a checkpoint of this program, or one of another version") from error
        tensors = {
            key.removeprefix("model."): tensor for key, tensor in checkpoint.tensors.items() if key.startswith("model.")
        }
        return Origin(config, tensors, record, genera)
    file = find_model(name)
    model = load_model(file)
    try:
        training, data = file.card.get("training", {}), file.card.get("data", {})
        record = {"model": file.name, "sha256": file.sha256, "bases_seen": training.get("bases_seen")}
        genera = frozenset(str(each["genus"]) for each in data.get("manifest", ()) if each["split"] == "train")
        genera |= frozenset(map(str, data.get("genera_before", ())))  # and those of the weights that these began with
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelError(
            f"{file.path.with_suffix('.json')}: an entry of the model card is missing or of another kind: {error}"
        ) from error
    return Origin(model.config, dict(model.named_parameters()), record, genera)


@torch.no_grad()
def begin_with(model: Network, origin: Origin) -> None:
    """Copy the weights into `model`.

    `model` may have blocks, or parts of blocks, that the weights have not, behind those that they have. Their output
    projections become 0, so that at first the network computes what it did. Raises InputError for any other difference.
    """
    ours, theirs = asdict(model.config), asdict(origin.config)
    name = origin.name
    if type(model.config) is not type(origin.config):
        raise InputError(f"{name} is a network of architecture {origin.config.arch}, not {model.config.arch}")
    if isinstance(model.config, ModelConfig) and isinstance(origin.config, ModelConfig):
        attending = origin.config.attending_stages  # elsewhere no weight knows of a window
        for config in (ours, theirs):
            config["windows"] = tuple(window for depth, window in enumerate(config["windows"]) if depth in attending)
    for field in ours:
        if field not in _LAYERS and ours[field] != theirs[field]:
            raise InputError(
                f"{name} has {field} {theirs[field]}, the preset {ours[field]}: only layers can be added to weights"
            )
    parameters = dict(model.named_parameters())
    lost = [key for key in origin.tensors if key not in parameters]
    new = [key for key in parameters if key not in origin.tensors]
    if lost or not all(_BLOCK.search(key) for key in new):
        raise InputError(f"{name} has layers {_layers(origin.config)}, which do not fit in {_layers(model.config)}")
    for key, parameter in parameters.items():
        if key in origin.tensors:
            parameter.copy_(origin.tensors[key])
        elif key.endswith("out_proj.weight"):
            parameter.zero_()


def _layers(config: Config) -> str:
    return str(next(value for key, value in asdict(config).items() if key in _LAYERS))
