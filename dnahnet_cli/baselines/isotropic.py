"""Networks without stages: every layer works on every base. Transformer++ and Mamba-2 are two of them.

Transformer++: full causal attention with rotary positions on the whole head, SwiGLU, RMSNorm before each and at the
end, no biases. Mamba-2 (arXiv 2405.21060): mixers only, as many layers as two to a Transformer's one. Layers and
their initialisation are the model's own, so that a comparison is one of arrangement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from torch import Tensor, nn

from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.config import NUM_BASES, Config, parse_layers
from dnahnet_cli.model.flops import Flops, Work, attention_work, mamba_work, swiglu_work
from dnahnet_cli.model.hnet import Stack
from dnahnet_cli.model.layers import Linear
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.model.state import LayerStates
from dnahnet_cli.ops.capture import Capture


@dataclass(frozen=True)
class IsotropicConfig(Config):
    """Layers in a row at one width. `layers` is runs of letter and count, as in `ModelConfig`."""

    layers: str
    width: int
    state_size: int = 64
    mamba_head_size: int = 64
    ssd_chunk: int = 64
    conv_width: int = 4
    expand: int = 2
    attention_head_size: int = 64
    mlp_multiple: int = 64

    letters: ClassVar[str]  # of which `layers` may consist
    rotary_share: ClassVar[float]

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name != "layers"):
            check_size(name, getattr(self, name))
        if others := set(parse_layers(self.layers)) - set(self.letters):
            raise ModelError(f"layers {self.layers!r}: {self.arch} has no {min(others)!r}")
        for kind, wide, head in (
            ("tT", self.width, self.attention_head_size),
            ("mM", self.expand * self.width, self.mamba_head_size),
        ):
            if set(kind) & set(self.letters) and wide % head:
                raise ModelError(f"width {self.width} makes {wide} channels, which heads of {head} do not divide")


def check_size(name: str, value: object) -> None:
    """Raise ModelError for what is not positive and whole."""
    if not isinstance(value, int) or value <= 0:
        raise ModelError(f"{name} must be positive and whole, not {value!r}")


@dataclass(frozen=True)
class TransformerConfig(IsotropicConfig):
    """The shape of a Transformer++."""

    arch = "transformer"
    description = "Transformer++, a nucleotide language model with full causal attention"
    letters = "tT"
    rotary_share = 1.0


@dataclass(frozen=True)
class Mamba2Config(IsotropicConfig):
    """The shape of an isotropic Mamba-2."""

    arch = "mamba2"
    description = "Mamba-2 (arXiv 2405.21060), a nucleotide language model with a selective state space"
    letters = "mM"
    rotary_share = 0.0


class Isotropic(Network):
    """Embedding, layers in a row, final norm, next-base logits."""

    config: IsotropicConfig

    def __init__(self, config: IsotropicConfig) -> None:
        super().__init__(config, config.width)
        self.stack = Stack(config, config.layers, config.width, None)
        self.head = Linear(config.width, NUM_BASES)
        self.reset()

    def reset(self) -> None:
        """Initialise all parameters from torch's global random state, as dnaHNet's."""
        self.reset_embedding(1.0)
        nn.init.normal_(self.head.weight, std=0.02)
        self.stack.reset(self.stack.num_residuals)

    def read(
        self, x_BLD: Tensor, length_B: Tensor, state: LayerStates | None, capture: Capture
    ) -> tuple[Output, LayerStates]:
        """Run the layers, as `Network.read` specifies."""
        assert state is None or isinstance(state, tuple)
        x_BLD, new_state = self.stack(x_BLD, state, capture)
        return Output(self.head(x_BLD).float(), ()), new_state

    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass, by `mixers`, `mlps` and `head`."""
        no_rates(chunk_rates)
        config, mixers, mlps = self.config, Work(), Work()
        for letter in parse_layers(config.layers):
            if letter in "mM":
                mixers += mamba_work(config, config.width, length)
            else:
                mixers += attention_work(config, config.width, None, length)
            if letter.isupper():
                mlps += swiglu_work(config, config.width, length)
        head = Work(linear=2 * config.width * NUM_BASES * length)
        return Flops(length, {"mixers": mixers, "mlps": mlps, "head": head})


def no_rates(chunk_rates: Sequence[float]) -> None:
    """Raise ValueError where a network without stages is given rates of chunks."""
    if len(chunk_rates):
        raise ValueError(f"{len(chunk_rates)} chunk rates for 0 stages")
