"""Named shapes of all architectures, those of the rivals matched to dnaHNet's.

`tiny`, `small` and `base` have the parameters of the dnaHNet of that name, within 3 %. `tiny-flops` and so on have its
floating-point operations per base in one forward pass over `MATCHED_LENGTH` bases, within 3 %, dnaHNet's counted at the
compression that it is trained for. The two rivals that differ from dnaHNet by their chunks alone are matched in both.
They alone have `small-hyena` and `small-deep`, whose layers are in part another rival's, so that they are none to
compare rivals with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from dnahnet_cli.baselines.chunkers import FixedStrideConfig, RandomChunksConfig
from dnahnet_cli.baselines.isotropic import Mamba2Config, TransformerConfig
from dnahnet_cli.baselines.striped_hyena2 import StripedHyena2Config
from dnahnet_cli.model import config as model
from dnahnet_cli.model.config import Config, ModelConfig

MATCHED_LENGTH: Final = 2048
PERIOD: Final = 3  # the clock of all of them: that of the codons

# Shares of chunks of 1, 2, 3 .. positions, counted with `length_distributions` in a trained `small` dnaHNet on genomes
# that were held out: means of 3 bases and of 2 chunks.
LEARNED_LENGTHS: Final = (
    (0.322, 0.226, 0.158, 0.099, 0.067, 0.044, 0.028, 0.018, 0.013, 0.008, 0.006, 0.004, 0.002, 0.002, 0.001, 0.002),
    (0.441, 0.317, 0.135, 0.058, 0.026, 0.011, 0.006, 0.003, 0.002, 0.001),
)


def fixed_stride(config: ModelConfig) -> FixedStrideConfig:
    """Return the same network with chunks of its target lengths."""
    return FixedStrideConfig(**asdict(config))


def random_chunks(config: ModelConfig, lengths: tuple[tuple[float, ...], ...] = LEARNED_LENGTHS) -> RandomChunksConfig:
    """Return the same network with chunks of random lengths."""
    return RandomChunksConfig(**asdict(config), lengths=lengths)


def _transformer(layers: str, width: int, head: int, multiple: int = 32) -> TransformerConfig:
    return TransformerConfig(layers, width, attention_head_size=head, mlp_multiple=multiple, period=PERIOD)


def _mamba2(layers: str, width: int, head: int, states: int, chunk: int = 64) -> Mamba2Config:
    return Mamba2Config(layers, width, state_size=states, mamba_head_size=head, ssd_chunk=chunk, period=PERIOD)


def _striped(layers: int, width: int, head: int, multiple: int = 32) -> StripedHyena2Config:
    # As in the published 50 M model, about ten channels share a filter.
    return StripedHyena2Config(
        width, layers, attention_head_size=head, mlp_multiple=multiple, filter_groups=width // 8, period=PERIOD
    )


PRESETS: Final[Mapping[str, Mapping[str, Config]]] = {
    "dnahnet": model.PRESETS,
    "fixed-stride": {name: fixed_stride(config) for name, config in model.PRESETS.items()},
    "random-chunks": {name: random_chunks(config) for name, config in model.PRESETS.items()},
    "transformer": {
        "tiny": _transformer("T6", 48, 16, 16),
        "small": _transformer("T7", 160, 32, 16),
        "base": _transformer("T12", 320, 64),
        "tiny-flops": _transformer("T2", 16, 16),
        "small-flops": _transformer("T4", 64, 32, 16),
        "base-flops": _transformer("T4", 256, 64),
    },
    "striped-hyena2": {
        "tiny": _striped(12, 32, 16),
        "small": _striped(10, 128, 32, 64),
        "base": _striped(12, 320, 64),
        "tiny-flops": _striped(8, 16, 16),
        "small-flops": _striped(10, 64, 32),
        "base-flops": _striped(8, 224, 32),
    },
    "mamba2": {
        "tiny": _mamba2("m6", 64, 16, 16, 16),
        "small": _mamba2("m9", 192, 128, 32),
        "base": _mamba2("m16", 384, 128, 64),
        "tiny-flops": _mamba2("m7", 32, 16, 16, 16),
        "small-flops": _mamba2("m5", 128, 64, 32),
        "base-flops": _mamba2("m10", 256, 128, 64),
    },
}
