"""dnaHNet: a hierarchical autoregressive network over nucleotides (arXiv 2602.10603, after H-Net).

Decisions, from the outside in:
- tokens A C G T N and BOS; four logits, the prediction of the next base
- nested stages: encoder, router, keep the states at boundaries, inner stage, smoothing, spreading back to
  every position times a straight-through confidence, plus the encoder's residual, decoder
- width grows only inward: a learned vector is appended going in, the first channels are kept coming out
- pre-norm blocks on a float32 residual stream, one more RMSNorm at the end of every stack
- everything is causal and every state explicit: a call on a sequence equals any split into calls, padding on
  the right changes nothing before it, and states can be taken at many places of one pass

Shapes: B batch, L length, M chunks, D width, K captured places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dnahnet_cli.model.attention import Attention, SwiGLU
from dnahnet_cli.model.chunking import Chunker, Router, StageTrace, rooms
from dnahnet_cli.model.config import (
    CHANNELS_PER_FILTER,
    NUM_BASES,
    NUM_POLES,
    LayerSizes,
    Layout,
    ModelConfig,
    parse_layers,
)
from dnahnet_cli.model.flops import Flops, flops
from dnahnet_cli.model.hyena import Hyena
from dnahnet_cli.model.layers import Float32Linear, Linear, RMSNorm
from dnahnet_cli.model.mamba import Mamba2
from dnahnet_cli.model.network import Network
from dnahnet_cli.model.network import Output as Output
from dnahnet_cli.model.state import LayerState, LayerStates, StageState
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.ema import smooth_and_spread
from dnahnet_cli.ops.routing import cut, select_rows


def _mixer(config: LayerSizes, letter: str, width: int, window: int | None) -> Mamba2 | Attention | Hyena:
    match letter:
        case "m":
            return Mamba2(config, width)
        case "t":
            return Attention(config, width, window)
        case "l":
            return Hyena.unbounded(width, NUM_POLES)
        case "s":
            return Hyena.short(width, width // CHANNELS_PER_FILTER)
    return Hyena.medium(width, width // CHANNELS_PER_FILTER)


class Block(nn.Module):
    """Pre-norm mixer, and a pre-norm SwiGLU when the layer's letter is upper case."""

    def __init__(self, config: LayerSizes, letter: str, width: int, window: int | None) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.mixer = _mixer(config, letter.lower(), width, window)
        self.mlp_norm = RMSNorm(width) if letter.isupper() else None
        self.mlp = SwiGLU(config, width) if letter.isupper() else None

    def forward(self, x_BLD: Tensor, state: LayerState | None, capture: Capture) -> tuple[Tensor, LayerState]:
        y_BLD, new_state = self.mixer(self.norm(x_BLD), state, capture)
        x_BLD = x_BLD + y_BLD
        if self.mlp is not None and self.mlp_norm is not None:
            x_BLD = x_BLD + self.mlp(self.mlp_norm(x_BLD))
        return x_BLD, new_state


class Stack(nn.Module):
    """Blocks in a row and a final norm: an encoder, a decoder or the core."""

    def __init__(self, config: LayerSizes, layers: str, width: int, window: int | None) -> None:
        super().__init__()
        letters = parse_layers(layers)
        self.blocks = nn.ModuleList(Block(config, letter, width, window) for letter in letters)
        self.norm = RMSNorm(width)
        self.num_residuals = sum(2 if letter.isupper() else 1 for letter in letters)

    def reset(self, num_residuals: int) -> None:
        """Initialise: normal(0, sqrt(2 / 5 fan-in)), output projections over the root of `num_residuals`.

        H-Net's 0.02 is this at a width of 1,000. In narrow layers it is too small to begin with (docs/log.md).
        """
        for name, module in self.named_modules():
            if isinstance(module, Linear):
                std = (0.4 / module.in_features) ** 0.5 * (num_residuals**-0.5 if name.endswith("out_proj") else 1.0)
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, Mamba2 | Attention | Hyena):
                module.reset()

    def forward(
        self, x_BLD: Tensor, state: tuple[LayerState, ...] | None, capture: Capture
    ) -> tuple[Tensor, tuple[LayerState, ...]]:
        states = []
        for index, block in enumerate(self.blocks):
            x_BLD, new_state = block(x_BLD, None if state is None else state[index], capture)
            states.append(new_state)
        return self.norm(x_BLD), tuple(states)


class Stage(nn.Module):
    """Encoder, router, inner stage or core on the chunks, smoothing, spreading, residual, decoder."""

    def __init__(self, config: ModelConfig, layout: Layout, depth: int, chunker: Callable[[int], Chunker]) -> None:
        super().__init__()
        width, inner_width = config.widths[depth], config.widths[depth + 1]
        encoder, inner, decoder = layout
        assert isinstance(encoder, str) and isinstance(inner, list) and isinstance(decoder, str)
        self.encoder = Stack(config, encoder, width, config.windows[depth])
        self.router = chunker(depth)
        self.widening = nn.Parameter(torch.zeros(inner_width - width))
        self.inner: Stage | Stack
        if len(inner) == 1:
            assert isinstance(inner[0], str)
            self.inner = Stack(config, inner[0], inner_width, config.windows[depth + 1])
        else:
            self.inner = Stage(config, inner, depth + 1, chunker)
        self.residual = Float32Linear(width, width)
        self.decoder = Stack(config, decoder, width, config.windows[depth])

    def reset(self, num_residuals: int = 0) -> None:
        """Initialise this stage and all within; `num_residuals` counts the residual additions of the parents.

        The residual starts as the identity, so that encoder and decoder are one network from the beginning. H-Net's
        starts at 0, which in networks as small as these costs some thousandths of a bit (docs/log.md).
        """
        num_residuals += self.encoder.num_residuals + self.decoder.num_residuals
        self.encoder.reset(num_residuals)
        self.decoder.reset(num_residuals)
        self.router.reset()
        nn.init.zeros_(self.widening)
        nn.init.eye_(self.residual.weight)
        inner_residuals = self.inner.num_residuals if isinstance(self.inner, Stack) else 0
        self.inner.reset(num_residuals + inner_residuals)

    def forward(
        self, x_BLD: Tensor, length_B: Tensor, state: StageState | None, capture: Capture, room: Sequence[int] = ()
    ) -> tuple[Tensor, StageState, tuple[StageTrace, ...]]:
        """Run the stage. `room` is how many chunks this stage and those within have room for; without it, all."""
        x_BLD, encoder_state = self.encoder(x_BLD, state and state.encoder, capture)
        last = None if state is None else state.last_BD
        p_BL = self.router(x_BLD, last)
        cuts = cut(p_BL, length_B, room[0] if room else None)
        count_before = torch.cat([torch.zeros_like(cuts.count_BL[:, :1]), cuts.count_BL], dim=1)
        inner_capture = capture.moved(count_before[capture.rows, capture.positions])
        chunks_BMD = select_rows(x_BLD, cuts.position_BM)
        widening = self.widening.expand(*chunks_BMD.shape[:2], -1)
        chunks_BMD, inner_state, traces = self._run_inner(
            torch.cat([chunks_BMD, widening], dim=-1),
            cuts.count_BL[:, -1],
            state and state.inner,
            inner_capture,
            room[1:],
        )

        smooth_BD = None if state is None else state.smooth_BD
        inner_BMD = chunks_BMD[..., : x_BLD.shape[-1]]
        y_BLD, smooth_KD = smooth_and_spread(inner_BMD, p_BL, cuts, smooth_BD, self.residual(x_BLD), inner_capture)
        y_BLD, decoder_state = self.decoder(y_BLD, state and state.decoder, capture)

        new_state = StageState(
            encoder_state, self.router.remember(x_BLD, last, capture), smooth_KD, inner_state, decoder_state
        )
        return y_BLD, new_state, (StageTrace(p_BL, cuts.mask_BL, length_B, cuts.overflow), *traces)

    def _run_inner(
        self,
        x_BMD: Tensor,
        length_B: Tensor,
        state: StageState | tuple[LayerState, ...] | None,
        capture: Capture,
        room: Sequence[int],
    ) -> tuple[Tensor, StageState | tuple[LayerState, ...], tuple[StageTrace, ...]]:
        if isinstance(self.inner, Stage):
            assert state is None or isinstance(state, StageState)
            return self.inner(x_BMD, length_B, state, capture, room)  # type: ignore[no-any-return]
        y_BMD, new_state = self.inner(x_BMD, state, capture)
        return y_BMD, new_state, ()


class HNet(Network):
    """The whole network: embedding, nested stages, next-base logits."""

    config: ModelConfig
    reserves: bool | None = None  # room for chunks before they are counted; None: on a GPU, for inference

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.widths[0])
        self.stage = Stage(config, config.layout, 0, self.chunker)
        self.head = Linear(config.widths[0], NUM_BASES)
        self.reset()

    def chunker(self, depth: int) -> Chunker:
        """Return what cuts the stage at `depth`, 0 for the outermost. A rival replaces it."""
        return Router(self.config.widths[depth])

    def reset(self) -> None:
        """Initialise all parameters from torch's global random state."""
        self.reset_embedding(1.0)
        nn.init.normal_(self.head.weight, std=0.02)
        self.stage.reset()

    def read(
        self, x_BLD: Tensor, length_B: Tensor, state: LayerStates | None, capture: Capture
    ) -> tuple[Output, LayerStates]:
        """Run the stages, as `Network.read` specifies."""
        assert state is None or isinstance(state, StageState)
        reserves = x_BLD.is_cuda and not torch.is_grad_enabled() if self.reserves is None else self.reserves
        room = rooms(self.config.ratios, x_BLD.shape[1]) if reserves else ()
        y_BLD, new_state, traces = self.stage(x_BLD, length_B, state, capture, room)
        # The only time that the host waits, when all work is queued: rarely, there are more chunks than room for them.
        if room and self.looks_back and any(bool(trace.overflow) for trace in traces):
            y_BLD, new_state, traces = self.stage(x_BLD, length_B, state, capture)
        return Output(self.head(y_BLD).float(), traces), new_state

    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass, as `Network.flops` specifies."""
        return flops(self.config, length, chunk_rates)
