"""Draw new sequences from the network, base by base.

The network's state is carried from base to base, so a base costs the same wherever it stands. A sequence is drawn with
the tiles in which a scan would read it on its forward strand: at the start of each tile the state is made anew from BOS
and the tile's context. So memory does not grow with the length, and the log-probabilities with which bases are drawn
are those that a scan of the result gives them.

Shapes: B sequences drawn together, L length, 4 bases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import Codes, decode
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.network import Network
from dnahnet_cli.model.state import State, take
from dnahnet_cli.scoring.engine import NumericalError
from dnahnet_cli.scoring.reading import TileGrid

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GenerateOptions:
    """How bases are drawn. `temperature` 0 takes the likeliest base, 1 the network's own probabilities.

    `top_p` draws among the likeliest bases whose probabilities first reach it, after the temperature; 1 is all of them.
    A sequence depends on `seed`, the number of its prompt and its own number, not on how many are drawn (`batch`).
    """

    length: int
    number: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 1
    batch: int = 16
    grid: TileGrid = field(default_factory=TileGrid)

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UsageError(f"the temperature is {self.temperature}: it must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top-p is {self.top_p}: it must be more than 0, and 1 at most")


@dataclass(frozen=True)
class Generated:
    """A drawn sequence, without its prompt. `log_probs` (L,) are the network's own, natural log, temperature 1."""

    prompt: int
    number: int  # of this prompt's sequences, from 0
    codes: Codes
    log_probs: Floats

    @property
    def sequence(self) -> str:
        """Return the bases as letters."""
        return decode(self.codes)

    @property
    def bits_per_base(self) -> float:
        """Return the mean of -log2 p over the bases."""
        return -float(self.log_probs.mean()) / math.log(2)


def generate(
    model: Network,
    prompts: Sequence[Codes],
    options: GenerateOptions,
    progress: Callable[[int], None] = lambda bases: None,
) -> Iterator[Generated]:
    """Yield `options.number` sequences that go on from each prompt, which may be empty. `progress` counts bases."""
    for index, prompt in enumerate(prompts):
        for first in range(0, options.number, options.batch):
            numbers = range(first, min(first + options.batch, options.number))
            codes_BL, log_probs_BL = _draw(model, prompt, index, numbers, options, progress)
            for row, number in enumerate(numbers):
                yield Generated(index, number, codes_BL[row], log_probs_BL[row])


def probabilities(log_probs_B4: Floats, temperature: float, top_p: float) -> Floats:
    """Return the probabilities with which bases are drawn, (B, 4), from the network's log-probabilities."""
    if temperature == 0:
        greedy: Floats = np.eye(4)[log_probs_B4.argmax(axis=1)]
        return greedy
    scaled_B4 = log_probs_B4 / temperature
    p_B4 = np.exp(scaled_B4 - scaled_B4.max(axis=1, keepdims=True))
    p_B4 /= p_B4.sum(axis=1, keepdims=True)
    order_B4 = np.argsort(-p_B4, axis=1, kind="stable")
    sorted_B4 = np.take_along_axis(p_B4, order_B4, axis=1)
    # A base is left out when those likelier than it reach top_p without it.
    sorted_B4[np.cumsum(sorted_B4, axis=1) - sorted_B4 >= top_p] = 0.0
    np.put_along_axis(p_B4, order_B4, sorted_B4, axis=1)
    kept: Floats = p_B4 / p_B4.sum(axis=1, keepdims=True)
    return kept


@torch.inference_mode()
def _draw(
    model: Network,
    prompt: Codes,
    prompt_index: int,
    numbers: Sequence[int],
    options: GenerateOptions,
    progress: Callable[[int], None],
) -> tuple[Codes, Floats]:
    """Draw some sequences of one prompt in lock-step; return bases and their log-probabilities, (B, L)."""
    batch = len(numbers)
    randoms = [np.random.default_rng([options.seed, prompt_index, number]) for number in numbers]
    codes_BL = np.empty((batch, len(prompt) + options.length), dtype=np.uint8)
    codes_BL[:, : len(prompt)] = prompt
    log_probs_BL = np.empty((batch, options.length))
    state: State | None = None
    for position in range(len(prompt), codes_BL.shape[1]):
        if state is None or position % options.grid.tile == 0:
            log_probs_B4, state = _begin(model, codes_BL[:, :position], options.grid, same=state is None)
        else:
            log_probs_B4, state = _step(model, codes_BL[:, position - 1 : position], state)
        threshold_B = np.array([random.random() for random in randoms])
        cumulative_B4 = probabilities(log_probs_B4, options.temperature, options.top_p).cumsum(axis=1)
        # Rounding may leave the last sum below 1; the last base with any probability then takes the rest.
        chosen_B = (threshold_B[:, None] * cumulative_B4[:, -1:] >= cumulative_B4).sum(axis=1)
        codes_BL[:, position] = chosen_B
        log_probs_BL[:, position - len(prompt)] = log_probs_B4[np.arange(batch), chosen_B]
        progress(batch)
    return codes_BL[:, len(prompt) :], log_probs_BL


def _begin(model: Network, codes_BL: Codes, grid: TileGrid, *, same: bool) -> tuple[Floats, State]:
    """Read the tile that the next base belongs to, up to it; rows that are all the `same` are read once."""
    batch, length = codes_BL.shape
    begin = max(0, length // grid.tile * grid.tile - grid.context)
    read_BL = codes_BL[: 1 if same else batch, begin:].astype(np.int64)
    log_probs_B4, state = _step(model, np.pad(read_BL, ((0, 0), (1, 0)), constant_values=BOS), None)
    if same:
        state = take(state, torch.zeros(batch, dtype=torch.long, device=_device(model)))
        log_probs_B4 = log_probs_B4.repeat(batch, axis=0)
    return log_probs_B4, state


def _step(model: Network, token_BL: npt.NDArray[np.integer], state: State | None) -> tuple[Floats, State]:
    """Read tokens; return the log-probabilities of the next base, (B, 4) natural log, and the state after them."""
    tokens = torch.from_numpy(token_BL.astype(np.int64)).to(_device(model))
    output, new_state = model(tokens, state)
    logits_B4: Tensor = output.logits_BL4[:, -1]
    log_probs_B4: Floats = logits_B4.double().log_softmax(-1).cpu().numpy()
    if not np.isfinite(log_probs_B4).all():
        raise NumericalError.at("the sequence that is being drawn")
    return log_probs_B4, new_state


def _device(model: Network) -> torch.device:
    return next(model.parameters()).device
