"""StripedHyena 2 (arXiv 2503.01868): hyena operators of three reaches, striped with attention.

Decisions, from the paper:
- layers in period 7, SE MR LI attention SE MR LI; each is u += mixer(norm(u)), u += mlp(norm(u)); RMSNorm, eps 1e-6
- the hyena mixers are those of `dnahnet_cli/model/hyena.py`; an explicit filter is shared within groups of channels
- attention: full, causal, rotary on the whole head. MLP: 8/3 D rounded up, gate through GELU in the first layer and
  as it is elsewhere. The head is the embedding of the four bases

Shapes: B batch, L length, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Final

import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.baselines.isotropic import check_size, no_rates
from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.attention import Attention
from dnahnet_cli.model.config import NUM_BASES, Config
from dnahnet_cli.model.flops import Flops, Work, attention_work, long_conv_work
from dnahnet_cli.model.hyena import MR_TAPS, SE_TAPS, Hyena
from dnahnet_cli.model.layers import Linear, RMSNorm
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.model.state import AttentionState, HyenaState, LayerState, LayerStates
from dnahnet_cli.ops.capture import Capture

PERIOD: Final = ("se", "mr", "li", "attention", "se", "mr", "li")
EPS: Final = 1e-6


@dataclass(frozen=True)
class StripedHyena2Config(Config):
    """The shape of a StripedHyena 2. `filter_groups` groups of channels share an explicit filter."""

    width: int
    num_layers: int
    attention_head_size: int = 64
    mlp_multiple: int = 64
    filter_groups: int = 64
    se_taps: int = SE_TAPS
    mr_taps: int = MR_TAPS
    num_poles: int = 16

    arch = "striped-hyena2"
    description = "StripedHyena 2 (arXiv 2503.01868), a nucleotide language model of convolutions and attention"
    rotary_share: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            check_size(name, getattr(self, name))
        for name in ("attention_head_size", "filter_groups"):
            if self.width % getattr(self, name):
                raise ModelError(f"width {self.width} is no multiple of {name}, {getattr(self, name)}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return what mixes in each layer."""
        return tuple(PERIOD[layer % len(PERIOD)] for layer in range(self.num_layers))

    @property
    def hidden(self) -> int:
        """Return the width of the MLP."""
        return -(-8 * self.width // (3 * self.mlp_multiple)) * self.mlp_multiple


def _mixer(config: StripedHyena2Config, kind: str) -> Hyena | Attention:
    match kind:
        case "se":
            return Hyena.short(config.width, config.filter_groups, config.se_taps)
        case "mr":
            return Hyena.medium(config.width, config.filter_groups, config.mr_taps)
        case "li":
            return Hyena.unbounded(config.width, config.num_poles)
    return Attention(config, config.width, None)


class Block(nn.Module):
    """Pre-norm mixer and pre-norm gated MLP."""

    def __init__(self, config: StripedHyena2Config, layer: int) -> None:
        super().__init__()
        kind, width = config.kinds[layer], config.width
        self.norm, self.mlp_norm = RMSNorm(width, EPS), RMSNorm(width, EPS)
        self.mixer = _mixer(config, kind)
        self.gate: Callable[[Tensor], Tensor] = F.gelu if layer == 0 else nn.Identity()
        self.mlp_in = Linear(width, 2 * config.hidden)
        self.out_proj = Linear(config.hidden, width)

    def forward(
        self, x_BLD: Tensor, state: HyenaState | AttentionState | None, capture: Capture
    ) -> tuple[Tensor, HyenaState | AttentionState]:
        y_BLD, new_state = self.mixer(self.norm(x_BLD), state, capture)
        x_BLD = x_BLD + y_BLD
        gate, up = self.mlp_in(self.mlp_norm(x_BLD)).chunk(2, dim=-1)
        return x_BLD + self.out_proj(self.gate(gate) * up), new_state


class StripedHyena2(Network):
    """Embedding, striped blocks, final norm, logits from the embedding of the bases."""

    config: StripedHyena2Config

    def __init__(self, config: StripedHyena2Config) -> None:
        super().__init__(config, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = RMSNorm(config.width, EPS)
        self.reset()

    def reset(self) -> None:
        """Initialise all parameters from torch's global random state."""
        width, layers = self.config.width, self.config.num_layers
        self.reset_embedding(math.sqrt(2 / (5 * width)))
        for name, module in self.blocks.named_modules():
            if isinstance(module, Linear):
                std = 2 / (layers * math.sqrt(width)) if name.endswith("out_proj") else math.sqrt(2 / (5 * width))
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, Hyena):
                module.reset()

    def read(
        self, x_BLD: Tensor, length_B: Tensor, state: LayerStates | None, capture: Capture
    ) -> tuple[Output, LayerStates]:
        """Run the blocks, as `Network.read` specifies."""
        assert state is None or isinstance(state, tuple)
        states: list[LayerState] = []
        for index, block in enumerate(self.blocks):
            x_BLD, new_state = block(x_BLD, None if state is None else state[index], capture)
            states.append(new_state)
        logits_BL4 = F.linear(self.norm(x_BLD), self.embedding.weight[:NUM_BASES])
        return Output(logits_BL4, ()), tuple(states)

    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass, by kind of mixer, `mlps` and `head`."""
        no_rates(chunk_rates)
        config, width = self.config, self.config.width
        parts = {kind: Work() for kind in dict.fromkeys(config.kinds)}
        for kind in config.kinds:
            if kind == "attention":
                parts[kind] += attention_work(config, width, None, length)
            else:
                parts[kind] += Work(linear=2 * 4 * width**2 * length, convolution=self._convolution(kind, length))
        parts["mlps"] = Work(linear=config.num_layers * 2 * 3 * width * config.hidden * length)
        parts["head"] = Work(linear=2 * width * NUM_BASES * length)
        return Flops(length, parts)

    def _convolution(self, kind: str, length: int) -> float:
        """Count the convolution between the gates: 2 per tap, or Fourier transforms and the filter's evaluation."""
        config = self.config
        if kind == "li":
            return long_conv_work(config.width, config.num_poles, length)
        return 2.0 * config.width * (config.se_taps if kind == "se" else config.mr_taps) * length
