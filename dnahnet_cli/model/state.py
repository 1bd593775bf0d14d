"""The network's explicit state, and how states of different origins become one batch.

A state is a tree of dataclasses, tuples and tensors whose first dimension is the batch, except that attention's keys
and values are kept once per sequence and referred to: many states taken along one sequence share them. Nothing here
is ever changed in place.

Shapes: B batch, W convolution tail, C channels, H heads, N state size, P head size, R sequences, S kept tokens,
D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias, TypeVar

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
    """Where each of B states stands in which of R sequences of keys and values.

    The kept tokens of sequence r are the S that end before position `end_R[r]`; those at negative positions are
    padding. A state sees only the positions before `num_seen_B`.
    """

    key_RHSP: Tensor
    value_RHSP: Tensor
    end_R: Tensor
    sequence_B: Tensor
    num_seen_B: Tensor

    def take(self, rows: Tensor) -> AttentionState:
        """Return the states of some batch rows; keys and values are shared, not copied."""
        return AttentionState(self.key_RHSP, self.value_RHSP, self.end_R, self.sequence_B[rows], self.num_seen_B[rows])

    def copy(self) -> AttentionState:
        """Return the same states in memory of their own."""
        return AttentionState(*(getattr(self, each.name).clone() for each in fields(self)))

    def padded(self, num_sequences: int, num_kept: int) -> AttentionState:
        """Return the same states, with sequences that none refers to, and keys before the first that none sees."""
        more = num_sequences - len(self.end_R)
        key_RHSP, value_RHSP = (
            F.pad(x_RHSP, (0, 0, num_kept - x_RHSP.shape[2], 0, 0, 0, 0, more))
            for x_RHSP in (self.key_RHSP, self.value_RHSP)
        )
        return AttentionState(key_RHSP, value_RHSP, F.pad(self.end_R, (0, more)), self.sequence_B, self.num_seen_B)

    @classmethod
    def stack(cls, states: Sequence[AttentionState]) -> AttentionState:
        """Join batches. Shorter sequences are padded on the left."""
        longest = max(state.key_RHSP.shape[2] for state in states)
        sequences, before = [], 0
        for state in states:
            sequences.append(state.sequence_B + before)
            before += len(state.end_R)
        return cls(
            torch.cat([_pad_left(state.key_RHSP, longest) for state in states]),
            torch.cat([_pad_left(state.value_RHSP, longest) for state in states]),
            torch.cat([state.end_R for state in states]),
            torch.cat(sequences),
            torch.cat([state.num_seen_B for state in states]),
        )


@dataclass(frozen=True)
class HyenaState:
    """A hyena layer's state: the last inputs of the short filter, and what the long one remembers.

    `memory` holds the last inputs of an explicit filter, (B, W, D), or one value per pole, (B, D, N), float32.
    """

    tail_BWC: Tensor
    memory: Tensor


LayerState: TypeAlias = MambaState | AttentionState | HyenaState


@dataclass(frozen=True)
class StageState:
    """One stage's state. `last_BD` is what its chunker remembers, `smooth_BD` the smoother's last value.

    A router remembers the encoder's last output.
    """

    encoder: tuple[LayerState, ...]
    last_BD: Tensor
    smooth_BD: Tensor
    inner: StageState | tuple[LayerState, ...]
    decoder: tuple[LayerState, ...]


LayerStates: TypeAlias = StageState | tuple[LayerState, ...]  # of a network of stages, or of layers in a row


@dataclass(frozen=True)
class State:
    """A whole network's state. `num_read_B` tokens were read since the sequences began, int64."""

    num_read_B: Tensor
    layers: LayerStates


AnyState = TypeVar("AnyState", State, StageState, tuple[LayerState, ...])


def stack(states: Sequence[AnyState]) -> AnyState:
    """Join the batches of several states into one batch, in order."""
    joined: AnyState = _map(lambda tensors: torch.cat(list(tensors)), AttentionState.stack, states)
    return joined


def take(state: AnyState, rows: Tensor) -> AnyState:
    """Return the state of the given batch rows, (K,) int64; rows may repeat."""
    taken: AnyState = _map(lambda tensors: tensors[0][rows], lambda layers: layers[0].take(rows), [state])
    return taken


def pad(state: AnyState, of_attention: Callable[[AttentionState], AttentionState]) -> AnyState:
    """Return the state with each attention state replaced by a padded one."""
    padded: AnyState = _map(lambda tensors: tensors[0], lambda layers: of_attention(layers[0]), [state])
    return padded


def tensors_of(state: AnyState) -> list[Tensor]:
    """Return all tensors of a state, in a fixed order."""
    found: list[Tensor] = []

    def keep(tensors: Sequence[Tensor]) -> Tensor:
        found.append(tensors[0])
        return tensors[0]

    def keep_all(layers: Sequence[AttentionState]) -> AttentionState:
        found.extend(getattr(layers[0], each.name) for each in fields(AttentionState))
        return layers[0]

    _map(keep, keep_all, [state])
    return found


def _map(
    of_tensors: Callable[[Sequence[Tensor]], Tensor],
    of_attention: Callable[[Sequence[AttentionState]], AttentionState],
    trees: Sequence[Any],
) -> Any:
    """Join several trees part by part: tensors with one function, attention states with another."""
    first = trees[0]
    if isinstance(first, Tensor):
        return of_tensors(trees)
    if isinstance(first, AttentionState):
        return of_attention(trees)
    if isinstance(first, tuple):
        return tuple(_map(of_tensors, of_attention, parts) for parts in zip(*trees, strict=True))
    kind = type(first)
    assert is_dataclass(kind)
    parts = ([getattr(tree, f.name) for tree in trees] for f in fields(first))
    return kind(*(_map(of_tensors, of_attention, part) for part in parts))


def _pad_left(x_RHSP: Tensor, length: int) -> Tensor:
    return F.pad(x_RHSP, (0, 0, length - x_RHSP.shape[2], 0))
