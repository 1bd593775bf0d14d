"""dnaHNet with its routers taken out: the same network, cut at a fixed stride, or at random.

What the two do not share with the model is the choice of boundaries, and nothing else: a boundary has probability 1
and any other position 0, so that smoothing and confidence pass everything through. Random boundaries follow a stated
distribution of chunk lengths, such as `length_distributions` counts in a trained network. The k-th chunk of a stage
is as long as a hash of the seed, the stage and k says: the same in every sequence, whatever it holds, so that a
sequence read in parts is cut as when it is read at once, and a changed base moves no boundary.

Shapes: B batch, L positions, M chunks, K captures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.chunking import Chunker
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.model.flops import Flops, flops
from dnahnet_cli.model.hnet import HNet, Output
from dnahnet_cli.ops.capture import Capture

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FixedStrideConfig(ModelConfig):
    """The shape of a dnaHNet that opens a chunk every `ratios[stage]` positions."""

    arch = "fixed-stride"
    description = "dnaHNet without routers, a hierarchical nucleotide language model with chunks of fixed length"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(ratio != int(ratio) for ratio in self.ratios):
            raise ModelError(f"ratios must be whole for chunks of fixed length, not {self.ratios!r}")


@dataclass(frozen=True)
class RandomChunksConfig(ModelConfig):
    """The shape of a dnaHNet that is cut at random.

    `lengths` holds per stage the share of chunks of 1, 2, 3 .. positions; each stage's shares add up to 1.
    """

    lengths: tuple[tuple[float, ...], ...] = ()
    chunk_seed: int = 1

    arch = "random-chunks"
    description = "dnaHNet without routers, a hierarchical nucleotide language model with chunks of random length"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.lengths) != self.num_stages:
            raise ModelError(
                f"lengths has {len(self.lengths)} entries, a layout of {self.num_stages} stages needs {self.num_stages}"
            )
        for shares in self.lengths:
            if any(share < 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
                raise ModelError(f"lengths must be shares that add up to 1, not {shares!r}")
        if not isinstance(self.chunk_seed, int):
            raise ModelError(f"chunk_seed must be whole, not {self.chunk_seed!r}")


class FixedStride(Chunker):
    """A chunk every `stride` positions. Its memory is how many positions ago the last one opened, modulo the stride."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def reset(self) -> None:
        """Nothing to initialise."""

    def forward(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        """Return 1 at boundaries and 0 elsewhere, (B, L)."""
        return (self._phases(x_BLD, memory) == 0).float()

    def remember(self, x_BLD: Tensor, memory: Tensor | None, capture: Capture) -> Tensor:
        """Return the phase of the position that follows each capture, (K, 1) int64."""
        first_B1 = self._first(x_BLD, memory)
        return (first_B1[capture.rows] + capture.positions.unsqueeze(1)) % self.stride

    def _phases(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        return (self._first(x_BLD, memory) + torch.arange(x_BLD.shape[1], device=x_BLD.device)) % self.stride

    def _first(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        return torch.zeros(len(x_BLD), 1, dtype=torch.long, device=x_BLD.device) if memory is None else memory


class RandomChunks(Chunker):
    """Chunks of hashed lengths. Its memory is how many chunks are complete, and the age of the one that is open.

    A chunk is complete once all of its positions are read; the age is how many of them are. Both begin at 0.
    """

    def __init__(self, shares: Sequence[float], seed: int, stage: int) -> None:
        super().__init__()
        self.shares, self.seed, self.stage = shares, seed, stage

    def reset(self) -> None:
        """Nothing to initialise."""

    def forward(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        """Return 1 at boundaries and 0 elsewhere, (B, L)."""
        length = x_BLD.shape[1]
        _, start_BM = self._chunks(x_BLD, memory)
        within = (start_BM >= 0) & (start_BM < length)
        p_BL = torch.zeros(len(x_BLD), length + 1, device=x_BLD.device)
        return p_BL.scatter_(1, start_BM.where(within, length), 1.0)[:, :length]  # one place takes those outside

    def remember(self, x_BLD: Tensor, memory: Tensor | None, capture: Capture) -> Tensor:
        """Return the number of complete chunks and the age of the open one at each capture, (K, 2) int64."""
        first_B, start_BM = self._chunks(x_BLD, memory)
        start_KM = start_BM[capture.rows].contiguous()
        position_K1 = capture.positions.unsqueeze(1).contiguous()
        open_K1 = torch.searchsorted(start_KM, position_K1, right=True) - 1
        age_K1 = position_K1 - start_KM.gather(1, open_K1)
        return torch.cat([first_B[capture.rows].unsqueeze(1) + open_K1, age_K1], dim=1)

    def _chunks(self, x_BLD: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the number of the first chunk (B,), and where it and those after it begin, (B, M), past the end."""
        batch, length, _ = x_BLD.shape
        memory = x_BLD.new_zeros(batch, 2, dtype=torch.long) if memory is None else memory
        first_B, age_B = memory.unbind(1)
        most = length + len(self.shares) + 1  # a chunk has at least one position, and the first may have begun before
        numbers_BM = first_B.cpu().numpy()[:, None] + np.arange(most)
        lengths_BM = torch.from_numpy(self._lengths(numbers_BM)).to(x_BLD.device)
        ends_BM = lengths_BM.cumsum(1) - age_B.unsqueeze(1)
        return first_B, torch.cat([-age_B.unsqueeze(1), ends_BM], dim=1)

    def _lengths(self, numbers: Counts) -> Counts:
        """Return the length of the chunk of each number: the inverse of the distribution at its hash."""
        edges = np.cumsum(self.shares)
        chosen = np.searchsorted(edges, edges[-1] * hashed(numbers, self.seed, self.stage), side="right")
        result: Counts = chosen.clip(max=len(edges) - 1).astype(np.int64) + 1
        return result


def hashed(numbers: Counts, seed: int, stage: int) -> npt.NDArray[np.float64]:
    """Return a value in [0, 1) for each number: the finaliser of SplitMix64, once for the key and once for both."""

    def mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))

    golden = np.uint64(0x9E3779B97F4A7C15)
    key = mix(np.array([2 * seed, 2 * stage + 1], dtype=np.int64).astype(np.uint64) * golden)
    bits = mix((numbers.astype(np.uint64) + np.uint64(1)) * golden + (key[0] ^ (key[1] << np.uint64(1))))
    return (bits >> np.uint64(11)) / np.float64(2**53)


class FixedStrideHNet(HNet):
    """dnaHNet with chunks of fixed length."""

    config: FixedStrideConfig

    def chunker(self, depth: int) -> Chunker:
        """Return the stride of a stage."""
        return FixedStride(int(self.config.ratios[depth]))

    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass; the rates are known when none are given."""
        rates = chunk_rates or [1 / ratio for ratio in self.config.ratios]
        return flops(self.config, length, rates, routed=False)


class RandomChunksHNet(HNet):
    """dnaHNet with chunks of random length."""

    config: RandomChunksConfig

    def chunker(self, depth: int) -> Chunker:
        """Return the random chunks of a stage."""
        return RandomChunks(self.config.lengths[depth], self.config.chunk_seed, depth)

    def flops(self, length: int, chunk_rates: Sequence[float] = ()) -> Flops:
        """Count the operations of one forward pass; the mean rates are known when none are given."""
        rates = chunk_rates or [1 / mean_length(shares) for shares in self.config.lengths]
        return flops(self.config, length, rates, routed=False)


def mean_length(shares: Sequence[float]) -> float:
    """Return the mean length of chunks, given the shares of those of 1, 2, 3 .. positions."""
    return sum(share * length for length, share in enumerate(shares, start=1))


def length_distributions(outputs: Iterable[Output]) -> tuple[tuple[float, ...], ...]:
    """Count the chunks of each stage by length; return their shares for lengths of 1, 2, 3 .. positions.

    The last chunk of each sequence is left out: its end was not seen. Raises ValueError where a stage has no other.
    """
    counts: list[Counter[int]] = []
    for output in outputs:
        counts = counts or [Counter() for _ in output.traces]
        for counter, trace in zip(counts, output.traces, strict=True):
            for mask_L, length in zip(trace.mask_BL.cpu(), trace.length_B.tolist(), strict=True):
                counter.update(mask_L[:length].nonzero().flatten().diff().tolist())
    if not counts or not all(counts):
        raise ValueError("no complete chunk in some stage")
    return tuple(tuple(n[length] / n.total() for length in range(1, max(n) + 1)) for n in counts)
