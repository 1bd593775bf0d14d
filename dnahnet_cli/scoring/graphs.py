"""Branch batches as CUDA graphs: a pass is queued with one launch in place of a thousand.

A graph replays the same kernels on the same memory, so shapes are fixed. A batch is padded to one of few: rows to all
that a batch may have, tokens and keys to sizes that come again. What is added is computed and thrown away; none of it
changes the rest. A graph is recorded when its shapes come for the second time, and compared with the pass it replaces.

It has never run on a device, and so is asked for: DNAHNET_GRAPHS=1.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from dnahnet_cli.genome import N_CODE
from dnahnet_cli.model.chunking import rounded_up
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.model.state import AttentionState, State, pad, take, tensors_of
from dnahnet_cli.ops.capture import Capture

VARIABLE: Final = "DNAHNET_GRAPHS"
MOST_GRAPHS: Final = 16  # each keeps the memory of a pass
LEAST_TOKENS, LEAST_KEYS = 16, 64
TOLERANCE: Final = 1e-3  # of logits: what is computed is the same, but for the order of sums in other shapes

BranchPass: TypeAlias = Callable[[Tensor, State, Tensor], Tensor]
Record: TypeAlias = Callable[[Callable[[], Output]], tuple[Output, Callable[[], None]]]


def branch_pass(model: Network, rows: int) -> BranchPass:
    """Return what computes the logits (B, L, 4) of branches from tokens (B, L), states and lengths (B,).

    B is at most `rows`.
    """
    direct = _Direct(model)
    on_cuda = next(model.parameters()).is_cuda
    return Graphs(model, rows) if on_cuda and os.environ.get(VARIABLE) == "1" else direct


def record_on_cuda(run: Callable[[], Output]) -> tuple[Output, Callable[[], None]]:
    """Record what `run` queues. Return its output, which every replay fills anew, and the replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):  # what is done once only, as compiling a kernel or planning a transform, is not for a graph
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()
    return output, graph.replay


@dataclass(frozen=True)
class _Batch:
    """What a pass over branches reads."""

    token_BL: Tensor
    state: State
    length_B: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        return [self.token_BL, self.length_B, *tensors_of(self.state)]

    def read(self, model: Network) -> Output:
        output: Output = model(
            self.token_BL, self.state, length_B=self.length_B, capture=Capture.nowhere(self.token_BL.device)
        )[0]
        return output

    def padded(self, rows: int) -> _Batch:
        """Return the batch in one of few shapes: its last row again and again, N behind tokens, zeros before keys."""
        batch, length = self.token_BL.shape
        index = torch.arange(rows, device=self.token_BL.device).clamp(max=batch - 1)
        token_BL = F.pad(self.token_BL, (0, rounded_up(length, LEAST_TOKENS) - length), value=N_CODE)[index]
        return _Batch(token_BL, pad(take(self.state, index), _padded), self.length_B[index])

    def copy(self) -> _Batch:
        """Return the batch in memory of its own."""
        index = torch.arange(len(self.length_B), device=self.length_B.device)
        own = pad(take(self.state, index), lambda attention: attention.copy())
        return _Batch(self.token_BL.clone(), own, self.length_B.clone())


class _Direct:
    """Calls the network."""

    def __init__(self, model: Network) -> None:
        self.model = model

    def __call__(self, token_BL: Tensor, state: State, length_B: Tensor) -> Tensor:
        return _Batch(token_BL, state, length_B).read(self.model).logits_BL4


@dataclass(frozen=True)
class _Graph:
    """A recorded pass: the memory that it reads, and what it leaves."""

    batch: _Batch
    output: Output
    replay: Callable[[], None]

    def run(self, batch: _Batch) -> Output:
        for own, given in zip(self.batch.tensors, batch.tensors, strict=True):
            own.copy_(given)
        self.replay()
        return self.output


class Graphs:
    """Computes branches by graphs of the shapes that came before, all else directly."""

    def __init__(self, model: Network, rows: int, record: Record = record_on_cuda) -> None:
        self.rows, self.record = rows, record
        self.direct = _Direct(model)
        self.recorded = copy.copy(model)  # the same weights; nothing within a graph may wait for the device
        self.recorded.looks_back = False
        self.seen: Counter[object] = Counter()
        self.graphs: OrderedDict[object, _Graph] = OrderedDict()
        self.failed = False

    def __call__(self, token_BL: Tensor, state: State, length_B: Tensor) -> Tensor:
        batch, length = token_BL.shape
        padded = _Batch(token_BL, state, length_B).padded(self.rows)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in padded.tensors)
        self.seen[shapes] += 1
        if shapes not in self.graphs and self.seen[shapes] == 2 and not self.failed:
            self._add(shapes, padded)
        if shapes in self.graphs:
            self.graphs.move_to_end(shapes)
            output = self.graphs[shapes].run(padded)
            if not any(bool(trace.overflow) for trace in output.traces):
                return output.logits_BL4[:batch, :length]
        return self.direct(token_BL, state, length_B)

    def _add(self, shapes: object, padded: _Batch) -> None:
        """Record a graph, and keep it if it computes what the network does."""
        own = padded.copy()
        try:
            graph = _Graph(own, *self.record(lambda: own.read(self.recorded)))
        except RuntimeError as error:
            self._give_up(f"could not be recorded ({str(error).splitlines()[0]})")
            return
        found = graph.run(padded)
        if not any(bool(trace.overflow) for trace in found.traces):
            expected_BL4 = padded.read(self.direct.model).logits_BL4
            steps = torch.arange(expected_BL4.shape[1], device=expected_BL4.device)
            error_BL = (found.logits_BL4 - expected_BL4).abs().amax(-1)
            worst = float(error_BL.where(steps < padded.length_B.unsqueeze(1), 0).max())
            if not worst <= TOLERANCE:
                self._give_up(f"computes other logits than the network, by {worst:g}")
                return
        self.graphs[shapes] = graph
        while len(self.graphs) > MOST_GRAPHS:
            self.seen[self.graphs.popitem(last=False)[0]] = 0

    def _give_up(self, reason: str) -> None:
        self.failed = True
        self.graphs.clear()
        warnings.warn(f"a CUDA graph {reason}; going on without graphs", stacklevel=2)


def _padded(attention: AttentionState) -> AttentionState:
    num_sequences, num_kept = len(attention.end_R), attention.key_RHSP.shape[2]
    return attention.padded(1 << (num_sequences - 1).bit_length(), rounded_up(num_kept, LEAST_KEYS))
