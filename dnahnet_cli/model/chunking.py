"""Dynamic chunking: cut a sequence where neighbouring states differ, and spread chunk vectors back.

Shapes: B batch, L positions, M chunks, D width, K captures.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dnahnet_cli.model.layers import Float32Linear
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.routing import boundary_probability

SPARE, FEW = 1.25, 16  # room for chunks: how many times what is aimed at, and the least step of it


@dataclass(frozen=True)
class StageTrace:
    """Where one stage cut its sequence. Positions past a row's `length_B` mean nothing.

    `overflow` is that of `ops.routing.Cuts`: where it is true, so is nothing else of this pass.
    """

    probability_BL: Tensor  # float32
    mask_BL: Tensor  # bool
    length_B: Tensor  # tokens of this stage's sequence in this call
    overflow: Tensor | None = None


class Chunker(nn.Module, ABC):
    """What decides where a stage cuts its sequence."""

    @abstractmethod
    def reset(self) -> None:
        """Initialise the parameters, if there are any."""

    @abstractmethod
    def forward(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        """Return the boundary probability p (B, L), 1 where a sequence begins; a chunk opens where it is above 0.5.

        `memory` is what `remember` returned, row by row; None or 0 where the sequence begins here.
        """

    @abstractmethod
    def remember(self, x_BLD: Tensor, memory: Tensor | None, capture: Capture) -> Tensor:
        """Return what going on from each captured position needs, (K, ...); 0 before a sequence's first token."""


class Router(Chunker):
    """Boundary probability from the cosine between neighbouring encoder states; float32 throughout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = Float32Linear(width, width)
        self.key = Float32Linear(width, width)

    def reset(self) -> None:
        """Start from the identity: before training, p is the distance between neighbouring states."""
        nn.init.eye_(self.query.weight)
        nn.init.eye_(self.key.weight)

    def forward(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        """Return p (B, L). `memory` is the vector before the first; without it, or where it is zero, p_0 = 1.

        A zero vector is what a state holds that was taken before a sequence's first token; RMSNorm makes no other.
        """
        x_BLD = x_BLD.float()
        before_B1D = torch.zeros_like(x_BLD[:, :1]) if memory is None else memory.float().unsqueeze(1)
        previous_BLD = torch.cat([before_B1D, x_BLD[:, :-1]], dim=1)
        p_BL = boundary_probability(self.query(previous_BLD), self.key(x_BLD))
        first_B1 = p_BL[:, :1].masked_fill(~before_B1D.any(-1), 1.0)
        return torch.cat([first_B1, p_BL[:, 1:]], dim=1)

    def remember(self, x_BLD: Tensor, memory: Tensor | None, capture: Capture) -> Tensor:
        """Return the vector just before each captured position, (K, D)."""
        before = torch.zeros_like(x_BLD[:, 0]) if memory is None else memory
        return torch.cat([before.unsqueeze(1), x_BLD], dim=1)[capture.rows, capture.positions]


def rooms(ratios: Sequence[float], length: int) -> tuple[int, ...]:
    """Return how many chunks to make room for in each stage, given the positions of the outermost one.

    A quarter more than the target ratios ask for, and rounded up so that few different sizes occur: four from one
    power of two to the next.
    """
    reserved = []
    for ratio in ratios:
        length = min(length, rounded_up(math.ceil(SPARE * length / ratio) + FEW, FEW))
        reserved.append(length)
    return tuple(reserved)


def rounded_up(number: int, least: int) -> int:
    """Return the next of few sizes: multiples of `least`, then four from one power of two to the next."""
    step = max(least, 1 << max(number.bit_length() - 3, 0))
    return -(-number // step) * step


def ratio_loss(trace: StageTrace, ratio: float) -> Tensor:
    """Return the H-Net ratio loss, N/(N-1) ((N-1) F G + (1-F)(1-G)); at its minimum, 1, when F = G = 1/N.

    F is the fraction of boundaries and G the mean probability over valid positions (arXiv 2507.07955).
    """
    f, g = boundary_rates(trace)
    return ratio / (ratio - 1) * ((ratio - 1) * f * g + (1 - f) * (1 - g))


def boundary_rates(trace: StageTrace) -> tuple[Tensor, Tensor]:
    """Return F (fraction of boundaries) and G (mean boundary probability) over valid positions."""
    steps = torch.arange(trace.mask_BL.shape[1], device=trace.mask_BL.device)
    valid_BL = steps < trace.length_B.unsqueeze(1)
    total = valid_BL.sum()
    return (trace.mask_BL & valid_BL).sum() / total, (trace.probability_BL * valid_BL).sum() / total
