"""What every network here has in common: tokens and state in, logits and state out.

Shapes: B batch, L length, K captured places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dnahnet_cli.model.chunking import StageTrace
from dnahnet_cli.model.config import VOCABULARY, Config
from dnahnet_cli.model.flops import Flops
from dnahnet_cli.model.state import LayerStates, State
from dnahnet_cli.ops.capture import Capture


@dataclass(frozen=True)
class Output:
    """What one call computes: float32 logits (B, L, 4) of the next base, and one trace per stage, outermost first."""

    logits_BL4: Tensor
    traces: tuple[StageTrace, ...]


class Network(nn.Module, ABC):
    """An autoregressive network over nucleotides: dnaHNet or one of its rivals.

    Every token becomes the vector of its letter. With a `period` above 1, the vector of its place in the period is
    added, counted from where the sequence begins: a clock that ticks with the codons, whatever their frame. A state
    space whose decays are real and positive cannot count to three by itself, and chunks of varying length hide how many
    bases lie between them.
    """

    config: Config
    looks_back: bool = True  # at the end of a pass, for chunks that had no room; who does it himself turns it off

    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(len(VOCABULARY), width)
        self.clock = nn.Embedding(config.period, width) if config.period > 1 else None

    def reset_embedding(self, std: float) -> None:
        """Initialise the vectors of letters, and those of the clock, which begin smaller."""
        nn.init.normal_(self.embedding.weight, std=std)
        if self.clock is not None:
            nn.init.normal_(self.clock.weight, std=std / 2)

    def forward(
        self,
        token_BL: Tensor,
        state: State | None = None,
        *,
        length_B: Tensor | None = None,
        capture: Capture | None = None,
    ) -> tuple[Output, State]:
        """Predict the base after each token.

        `token_BL` is int64, padded on the right beyond `length_B`. `state` is what an earlier call returned
        (None: the sequences begin here, which a BOS should mark). The returned state is taken after each
        row's last token, or at every place of `capture`, as a batch in that order.
        """
        if length_B is None:
            length_B = torch.full((len(token_BL),), token_BL.shape[1], device=token_BL.device)
        if capture is None:
            capture = Capture.at_ends(length_B)
        num_read_B = torch.zeros_like(length_B) if state is None else state.num_read_B
        x_BLD = self.embedding(token_BL).float()
        if self.clock is not None:
            place_BL = num_read_B.unsqueeze(1) + torch.arange(token_BL.shape[1], device=token_BL.device)
            x_BLD = x_BLD + self.clock(place_BL % self.config.period).float()
        output, layers = self.read(x_BLD, length_B, None if state is None else state.layers, capture)
        return output, State(num_read_B[capture.rows] + capture.positions, layers)

    @abstractmethod
    def read(
        self, x_BLD: Tensor, length_B: Tensor, state: LayerStates | None, capture: Capture
    ) -> tuple[Output, LayerStates]:
        """Run the layers over the tokens' vectors, float32, and predict."""

    @abstractmethod
    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass over a sequence of `length` tokens that starts without a state.

        `chunk_rates` has one entry per stage: the share of its positions that open a chunk. Raises ValueError for
        another number of rates.
        """

    def num_parameters(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())
