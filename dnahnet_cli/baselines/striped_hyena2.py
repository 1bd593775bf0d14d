"""StripedHyena 2 (arXiv 2503.01868): hyena operators of three reaches, striped with attention.

Decisions, from the paper:
- layers in period 7, SE MR LI attention SE MR LI; each is u += mixer(norm(u)), u += mlp(norm(u)); RMSNorm, eps 1e-6
- a hyena mixer projects to 3D channels, passes a causal depthwise filter of 3 taps, takes the channels by index mod 3
  as x2, x1 and v, and returns out(x2 * (h conv (x1 * v) + skip * x1 * v)); no biases
- SE: 7 explicit taps, shared within groups of channels, no skip. MR: 128 explicit taps, shared likewise, times
  exp(-a t), with a from 10^-2 to 10^2 over the groups and t the tap over 8192. LI: a filter as long as the sequence,
  sum of 16 real poles, one per channel, h_t = sum_n R_n exp(t log lambda_n), log lambda_n = -exp(p_n) gamma_n
- attention: full, causal, rotary on the whole head. MLP: 8/3 D rounded up, gate through GELU in the first layer and
  as it is elsewhere. The head is the embedding of the four bases
- initial values of the filters as published; the skips, of which nothing is said, start at 1

Shapes: B batch, L length, D width, G groups, T taps, N poles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnahnet_cli.baselines.isotropic import check_size, no_rates
from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.attention import Attention
from dnahnet_cli.model.config import NUM_BASES, Config
from dnahnet_cli.model.flops import Flops, Work, attention_work
from dnahnet_cli.model.layers import Linear, RMSNorm
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.model.state import AttentionState, HyenaState, LayerState, LayerStates
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.hyena import explicit_conv, long_conv

PERIOD: Final = ("se", "mr", "li", "attention", "se", "mr", "li")
EPS: Final = 1e-6
SHORT_TAPS: Final = 3  # of the filter on the projections
DECAY_TAPS: Final = 8192  # taps over which the decays of MR are spread, whatever its own number


@dataclass(frozen=True)
class StripedHyena2Config(Config):
    """The shape of a StripedHyena 2. `filter_groups` groups of channels share an explicit filter."""

    width: int
    num_layers: int
    attention_head_size: int = 64
    mlp_multiple: int = 64
    filter_groups: int = 64
    se_taps: int = 7
    mr_taps: int = 128
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


class Explicit(nn.Module):
    """A filter of given taps, shared within groups of channels, that may decay."""

    def __init__(self, width: int, groups: int, taps: int, *, decays: bool) -> None:
        super().__init__()
        self.shared = width // groups
        self.decays = decays
        self.filter_GT = nn.Parameter(torch.empty(groups, taps))

    def reset(self) -> None:
        """Initialise: what decays begins near zero."""
        taps = self.filter_GT.shape[1]
        if self.decays:
            nn.init.normal_(self.filter_GT, std=1e-5 * taps**-0.5)
        else:
            nn.init.uniform_(self.filter_GT, -(taps**-0.5), taps**-0.5)

    def forward(self, u_BLD: Tensor, memory: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
        filter_GT: Tensor = self.filter_GT
        if self.decays:
            groups, taps = filter_GT.shape
            rate_G1 = torch.logspace(-2, 2, groups, device=filter_GT.device).unsqueeze(1)
            # The 8192 taps of the original lie at even steps from 0 to 1, both included.
            filter_GT = filter_GT * torch.exp(-rate_G1 * torch.arange(taps, device=filter_GT.device) / (DECAY_TAPS - 1))
        return explicit_conv(u_BLD, filter_GT.repeat_interleave(self.shared, dim=0), memory, capture)


class Implicit(nn.Module):
    """A filter as long as the sequence: for each channel a sum of decaying powers."""

    def __init__(self, width: int, num_poles: int) -> None:
        super().__init__()
        self.filter_residue_DN = nn.Parameter(torch.empty(width, num_poles))
        self.filter_p_DN = nn.Parameter(torch.empty(width, num_poles))
        self.filter_log_gamma_DN = nn.Parameter(torch.empty(width, num_poles))

    def reset(self) -> None:
        """Initialise: poles that forget within 30 to 300 positions."""
        nn.init.normal_(self.filter_residue_DN, std=0.1 * self.filter_residue_DN.shape[1] ** -0.5)
        nn.init.constant_(self.filter_p_DN, -1)
        with torch.no_grad():
            self.filter_log_gamma_DN.uniform_(0.01, 0.1).log_()

    def forward(self, u_BLD: Tensor, memory: Tensor | None, capture: Capture) -> tuple[Tensor, Tensor]:
        log_pole_DN = -torch.exp(self.filter_p_DN + self.filter_log_gamma_DN)
        y_BLD, states = long_conv(u_BLD, self.filter_residue_DN, log_pole_DN, memory, capture)
        return y_BLD.to(u_BLD.dtype), states


class Hyena(nn.Module):
    """Two gates around a causal convolution."""

    def __init__(self, config: StripedHyena2Config, kind: str) -> None:
        super().__init__()
        width = config.width
        self.in_proj = Linear(width, 3 * width)
        self.filter_short = nn.Parameter(torch.empty(3 * width, SHORT_TAPS))
        self.long: Explicit | Implicit
        if kind == "li":
            self.long = Implicit(width, config.num_poles)
        else:
            taps = config.se_taps if kind == "se" else config.mr_taps
            self.long = Explicit(width, config.filter_groups, taps, decays=kind == "mr")
        self.skip = None if kind == "se" else nn.Parameter(torch.ones(width))
        self.out_proj = Linear(width, width)

    def reset(self) -> None:
        """Initialise what is not a linear map."""
        bound = SHORT_TAPS**-0.5
        nn.init.uniform_(self.filter_short, -bound, bound)
        self.long.reset()

    def forward(self, x_BLD: Tensor, state: HyenaState | None, capture: Capture) -> tuple[Tensor, HyenaState]:
        """Mix along the sequence; return the output and the states at `capture`."""
        tail, memory = (None, None) if state is None else (state.tail_BWC, state.memory)
        z_BLC, tail = explicit_conv(self.in_proj(x_BLD), self.filter_short, tail, capture)
        x2_BLD, x1_BLD, v_BLD = z_BLC.unflatten(-1, (-1, 3)).unbind(-1)
        u_BLD = x1_BLD * v_BLD
        y_BLD, memory = self.long(u_BLD, memory, capture)
        if self.skip is not None:
            y_BLD = y_BLD + self.skip.to(u_BLD.dtype) * u_BLD
        return self.out_proj(x2_BLD * y_BLD), HyenaState(tail, memory)


class Block(nn.Module):
    """Pre-norm mixer and pre-norm gated MLP."""

    def __init__(self, config: StripedHyena2Config, layer: int) -> None:
        super().__init__()
        kind, width = config.kinds[layer], config.width
        self.norm, self.mlp_norm = RMSNorm(width, EPS), RMSNorm(width, EPS)
        self.mixer: Hyena | Attention = Attention(config, width, None) if kind == "attention" else Hyena(config, kind)
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
        """Count the convolution between the gates: 2 per tap, or Fourier transforms and the filter's evaluation.

        A real transform of n values takes 2.5 n log2 n, half of a complex one. Three of n = 2L are needed for each
        channel: of the inputs, of the filter and back.
        """
        config = self.config
        if kind == "li":
            transform = 2.5 * 2 * length * math.log2(2 * length)
            return config.width * (3 * transform + 2 * config.num_poles * length)
        return 2.0 * config.width * (config.se_taps if kind == "se" else config.mr_taps) * length
