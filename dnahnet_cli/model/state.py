"""The network's explicit state, and how states of different origins become one batch.

A state is a tree of dataclasses, tuples and tensors whose first dimension is the batch. Nothing here
is ever changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class MambaState:
    """A Mamba-2 layer's state."""

    conv_BWC: Tensor  # the last inputs of the convolution
    ssm_BHNP: Tensor  # float32


@dataclass(frozen=True)
class AttentionState:
    """Keys and values so far, aligned at the right; `num_seen_B` says how many tokens came before."""

    key_BHLP: Tensor
    value_BHLP: Tensor
    num_seen_B: Tensor


LayerState: TypeAlias = MambaState | AttentionState


@dataclass(frozen=True)
class StageState:
    """One stage's state. `last_BD` is the encoder's last output, `smooth_BD` the smoother's last value."""

    encoder: tuple[LayerState, ...]
    last_BD: Tensor
    smooth_BD: Tensor
    inner: StageState | tuple[LayerState, ...]
    decoder: tuple[LayerState, ...]


def _map(function: Callable[[Sequence[Tensor]], Tensor], trees: Sequence[Any]) -> Any:
    first = trees[0]
    if isinstance(first, Tensor):
        return function(trees)
    if isinstance(first, tuple):
        return tuple(_map(function, parts) for parts in zip(*trees, strict=True))
    if isinstance(first, AttentionState):  # caches of unequal length: pad on the left, where it is masked
        longest = max(tree.key_BHLP.shape[2] for tree in trees)
        trees = [
            AttentionState(_pad_left(t.key_BHLP, longest), _pad_left(t.value_BHLP, longest), t.num_seen_B)
            for t in trees
        ]
    kind = type(first)
    assert is_dataclass(kind)
    return kind(*(_map(function, [getattr(tree, f.name) for tree in trees]) for f in fields(first)))


def _pad_left(x_BHLP: Tensor, length: int) -> Tensor:
    return F.pad(x_BHLP, (0, 0, length - x_BHLP.shape[2], 0))


def stack(states: Sequence[StageState]) -> StageState:
    """Join the batches of several states into one batch, in order."""
    joined: StageState = _map(lambda tensors: torch.cat(list(tensors)), states)
    return joined


def take(state: StageState, rows: Tensor) -> StageState:
    """Return the state of the given batch rows, (K,) int64; rows may repeat."""
    taken: StageState = _map(lambda tensors: tensors[0][rows], [state])
    return taken


def num_bytes(state: StageState) -> int:
    """Return the memory that a state's tensors take."""
    total = 0

    def add(tensors: Sequence[Tensor]) -> Tensor:
        nonlocal total
        total += tensors[0].numel() * tensors[0].element_size()
        return tensors[0]

    _map(add, [state])
    return total
