"""What a forward pass costs, in floating-point operations counted from the shape of the network.

Decisions:
- counted are the matrix products, a multiply-add as 2: the linear maps, the four products of the SSD, the two of
  attention, and the convolutions of long filters, direct or by Fourier transform. Nothing else is:
  look-ups, norms, the convolution of four taps, rotations, softmax, gates, decays, the states carried from chunk to
  chunk, cosines and smoothing work element by element and cost memory traffic instead
- counted is what the architecture needs, not what a kernel executes: no padding, and in attention only the pairs of
  query and key that causality and the window allow. The SSD is an algorithm by chunks of Q positions and needs its
  Q x Q products whole
- the backward pass takes each product twice and recomputes none, so training costs three times the forward pass
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dnahnet_cli.model.config import NUM_BASES, NUM_POLES, AttentionSizes, LayerSizes, ModelConfig, parse_layers
from dnahnet_cli.model.hyena import MR_TAPS, SE_TAPS


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one part of the network, by what multiplies the matrices."""

    linear: float = 0.0
    ssd: float = 0.0
    attention: float = 0.0
    convolution: float = 0.0

    @property
    def total(self) -> float:
        """Return the sum over the kinds."""
        return self.linear + self.ssd + self.attention + self.convolution

    def __add__(self, other: Work) -> Work:
        return Work(
            self.linear + other.linear,
            self.ssd + other.ssd,
            self.attention + other.attention,
            self.convolution + other.convolution,
        )


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one sequence's forward pass.

    `parts` is keyed `stage1.encoder`, `stage1.router`, `stage1.residual`, `stage1.decoder`, the same for the stages
    within, `core` and `head`; a network without stages has parts of its own. The embedding is a look-up and has none.
    """

    length: int
    parts: dict[str, Work]

    @property
    def total(self) -> float:
        """Return the operations of the forward pass."""
        return sum(work.total for work in self.parts.values())

    @property
    def per_base(self) -> float:
        """Return the operations of the forward pass per token read."""
        return self.total / self.length

    @property
    def training(self) -> float:
        """Return the operations of forward and backward pass, without recomputation: three times the forward pass."""
        return 3 * self.total


def flops(config: ModelConfig, length: int, chunk_rates: Sequence[float], *, routed: bool = True) -> Flops:
    """Count the operations of one forward pass over one sequence of `length` tokens that starts without a state.

    `chunk_rates` has one entry per stage, outermost first: the share of that stage's own positions that open a
    chunk, as `boundary_rates` returns it. With (1/3, 1/2) the core sees a sixth of the tokens. What is not `routed` by
    a learned router has no such part. Raises ValueError for another number of rates.
    """
    if len(chunk_rates) != config.num_stages:
        raise ValueError(f"{len(chunk_rates)} chunk rates for {config.num_stages} stages")
    parts: dict[str, Work] = {}
    layout, positions = config.layout, float(length)
    for depth, rate in enumerate(chunk_rates):
        encoder, inner, decoder = layout
        assert isinstance(encoder, str) and isinstance(inner, list) and isinstance(decoder, str)
        stage, square = f"stage{depth + 1}", 2 * config.widths[depth] ** 2
        parts[f"{stage}.encoder"] = _stack(config, encoder, depth, positions)
        if routed:
            parts[f"{stage}.router"] = Work(linear=2 * square * positions)  # query and key
        parts[f"{stage}.residual"] = Work(linear=square * positions)
        parts[f"{stage}.decoder"] = _stack(config, decoder, depth, positions)
        layout, positions = inner, positions * rate
    (core,) = layout
    assert isinstance(core, str)
    parts["core"] = _stack(config, core, config.num_stages, positions)
    parts["head"] = Work(linear=2 * config.widths[0] * NUM_BASES * length)
    return Flops(length, parts)


def _stack(config: ModelConfig, layers: str, depth: int, positions: float) -> Work:
    """Count an encoder, a decoder or the core."""
    return layers_work(config, layers, config.widths[depth], config.windows[depth], positions)


def layers_work(config: LayerSizes, layers: str, width: int, window: int | None, positions: float) -> Work:
    """Count layers in a row, given by their letters."""
    work = Work()
    for letter in parse_layers(layers):
        match letter.lower():
            case "m":
                work += mamba_work(config, width, positions)
            case "t":
                work += attention_work(config, width, window, positions)
            case "l":
                work += Work(
                    linear=2 * 4 * width**2 * positions, convolution=long_conv_work(width, NUM_POLES, positions)
                )
            case kind:
                work += hyena_work(width, SE_TAPS if kind == "s" else MR_TAPS, positions)
        if letter.isupper():
            work += swiglu_work(config, width, positions)
    return work


def mamba_work(config: LayerSizes, width: int, positions: float) -> Work:
    """Count one Mamba-2 mixer."""
    inner, states, chunk = config.expand * width, config.state_size, config.ssd_chunk
    projected = 2 * inner + 2 * states + inner // config.mamba_head_size  # gate and x, b and c, one step per head
    scores = 2 * chunk * states  # c_i . b_j, shared by the heads
    inside = 2 * chunk * inner  # decayed scores times x
    through_states = 2 * (2 * states * inner)  # into the state at the chunk's end, and out of the one at its start
    return Work(
        linear=2 * width * (projected + inner) * positions,
        ssd=(scores + inside + through_states) * positions,
    )


def attention_work(config: AttentionSizes, width: int, window: int | None, positions: float) -> Work:
    """Count one attention mixer."""
    channels = width // config.attention_head_size * config.attention_head_size
    reach = positions if window is None else min(window, positions)
    pairs = reach * (reach + 1) / 2 + (positions - reach) * reach  # a query sees itself and reach - 1 before it
    return Work(
        linear=2 * width * 4 * channels * positions,  # query, key, value and output
        attention=2 * 2 * channels * pairs,  # query times key, weight times value
    )


def hyena_work(width: int, taps: int, positions: float) -> Work:
    """Count one hyena mixer with an explicit filter."""
    return Work(linear=8 * width**2 * positions, convolution=2.0 * width * taps * positions)


def long_conv_work(width: int, num_poles: int, positions: float) -> float:
    """Count a convolution as long as the sequence: three Fourier transforms and the filter's evaluation.

    A real transform of n values takes 2.5 n log2 n, half of a complex one. Three of n = 2L are needed for each channel:
    of the inputs, of the filter and back.
    """
    transform = 2.5 * 2 * positions * math.log2(max(2 * positions, 1))
    return width * (3 * transform + 2 * num_poles * positions)


def swiglu_work(config: LayerSizes, width: int, positions: float) -> Work:
    """Count one gated feed-forward layer, whatever its gate."""
    hidden = -(-8 * width // (3 * config.mlp_multiple)) * config.mlp_multiple
    return Work(linear=2 * width * 3 * hidden * positions)  # gate, up and down
