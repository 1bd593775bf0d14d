"""All networks that can be trained and loaded: dnaHNet and its rivals, each told by the type of its configuration."""

from __future__ import annotations

import json
from typing import Final

from dnahnet_cli.baselines.chunkers import FixedStrideConfig, FixedStrideHNet, RandomChunksConfig, RandomChunksHNet
from dnahnet_cli.baselines.isotropic import Isotropic, IsotropicConfig, Mamba2Config, TransformerConfig
from dnahnet_cli.baselines.striped_hyena2 import StripedHyena2, StripedHyena2Config
from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.config import Config, ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.network import Network

CONFIGS: Final[dict[str, type[Config]]] = {
    kind.arch: kind
    for kind in (
        ModelConfig,
        FixedStrideConfig,
        RandomChunksConfig,
        TransformerConfig,
        StripedHyena2Config,
        Mamba2Config,
    )
}


def build(config: Config) -> Network:
    """Return the network of a configuration, initialised from torch's global random state."""
    match config:
        case FixedStrideConfig():
            return FixedStrideHNet(config)
        case RandomChunksConfig():
            return RandomChunksHNet(config)
        case ModelConfig():
            return HNet(config)
        case StripedHyena2Config():
            return StripedHyena2(config)
        case IsotropicConfig():
            return Isotropic(config)
    raise ModelError(f"no network for a configuration of type {type(config).__name__}")


def read_config(text: str) -> Config:
    """Parse the JSON of any architecture's configuration; without `arch` it is a dnaHNet's. Raises ModelError."""
    try:
        arch = json.loads(text).get("arch", ModelConfig.arch)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"unreadable model configuration: {error}") from error
    if arch not in list(CONFIGS):  # it may be anything
        raise ModelError(f"unknown architecture {arch!r}; known are {', '.join(CONFIGS)}")
    return CONFIGS[arch].from_json(text)
