"""Shapes of every architecture with like operations per base: the steps that a ladder of budgets is climbed on.

The steps lie about a factor of three apart. A size is named after its floating-point operations per base in a forward
pass over `MATCHED_LENGTH` bases, dnaHNet's at the compression it is trained for; the others are within 6 % of it. A
rival is matched by operations, not by parameters: it has as many of those as the operations pay for. All have the clock
of the presets, so that no architecture is told more than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dnahnet_cli.baselines.isotropic import Mamba2Config, TransformerConfig
from dnahnet_cli.baselines.striped_hyena2 import StripedHyena2Config
from dnahnet_cli.model.config import Config, ModelConfig
from dnahnet_cli.networks.presets import PERIOD, PRESETS, fixed_stride, random_chunks

LEARNED: Final = ModelConfig.arch
ARCHITECTURES: Final = tuple(PRESETS)
# The architectures in words, as tables and pictures have them.
LABELS: Final[Mapping[str, str]] = {
    "dnahnet": "dnaHNet (learned chunks)",
    "fixed-stride": "dnaHNet, fixed stride",
    "random-chunks": "dnaHNet, random chunks",
    "transformer": "Transformer++",
    "striped-hyena2": "StripedHyena 2",
    "mamba2": "Mamba-2",
}


def _hierarchies(config: ModelConfig) -> dict[str, Config]:
    return {"dnahnet": config, "fixed-stride": fixed_stride(config), "random-chunks": random_chunks(config)}


def _presets(name: str) -> dict[str, Config]:
    """Return the presets of a name, those of the rivals without chunks that are matched by operations."""
    return {arch: presets.get(f"{name}-flops", presets[name]) for arch, presets in PRESETS.items()}


SIZES: Final[Mapping[str, Mapping[str, Config]]] = {
    "150k": _presets("tiny"),
    "480k": {
        **_hierarchies(
            ModelConfig(
                layout=["m2", ["T1m1", ["T2"], "m1T1"], "m2"],
                widths=(48, 64, 96),
                ratios=(3.0, 2.0),
                windows=(None, 128, None),
                period=PERIOD,
                state_size=32,
                mamba_head_size=32,
                ssd_chunk=32,
                attention_head_size=16,
            )
        ),
        "transformer": TransformerConfig("T3", 32, attention_head_size=16, mlp_multiple=16, period=PERIOD),
        "striped-hyena2": StripedHyena2Config(
            36, 9, attention_head_size=12, mlp_multiple=32, filter_groups=4, period=PERIOD
        ),
        "mamba2": Mamba2Config("m5", 64, state_size=32, mamba_head_size=32, ssd_chunk=64, period=PERIOD),
    },
    "1.5M": _presets("small"),
    "3.9M": {
        **_hierarchies(
            ModelConfig(
                layout=["m2", ["T1m2", ["T4"], "m2T1"], "m2"],
                widths=(128, 192, 256),
                ratios=(3.0, 2.0),
                windows=(None, 128, None),
                period=PERIOD,
                state_size=32,
                mamba_head_size=128,
            )
        ),
        "transformer": TransformerConfig("T4", 128, attention_head_size=32, period=PERIOD),
        "striped-hyena2": StripedHyena2Config(
            128, 8, attention_head_size=16, mlp_multiple=32, filter_groups=16, period=PERIOD
        ),
        "mamba2": Mamba2Config("m6", 192, state_size=64, mamba_head_size=128, period=PERIOD),
    },
    "11M": _presets("base"),
}
