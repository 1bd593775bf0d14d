"""What every network here has in common: tokens and state in, logits and state out.

Shapes: B batch, L length, K captured places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from dnahnet_cli.model.chunking import StageTrace
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.flops import Flops
from dnahnet_cli.model.state import State
from dnahnet_cli.ops.capture import Capture


@dataclass(frozen=True)
class Output:
    """What one call computes: float32 logits (B, L, 4) of the next base, and one trace per stage, outermost first."""

    logits_BL4: Tensor
    traces: tuple[StageTrace, ...]


class Network(nn.Module, ABC):
    """An autoregressive network over nucleotides: dnaHNet or one of its rivals."""

    config: Config

    @abstractmethod
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

    @abstractmethod
    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass over a sequence of `length` tokens that starts without a state.

        `chunk_rates` has one entry per stage: the share of its positions that open a chunk. Raises ValueError for
        another number of rates.
        """

    def num_parameters(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())
