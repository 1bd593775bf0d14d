"""What the network holds of each base and chunk: the hidden vectors of a scan.

A network of stages has one vector for each base and, for each stage, one for each of its chunks. Level 0 are the bases,
as the outermost decoder leaves them; level s the chunks of stage s (1 is the finest), as the part inside that stage
leaves them. A network without stages has level 0 only. A base's vector knows the base and what was read before it.

Shapes: L bases, D width of a level, B batch (1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from dnahnet_cli.model.chunking import StageTrace
from dnahnet_cli.model.network import Network, Output
from dnahnet_cli.scoring.engine import Engine, Floats, TileScan
from dnahnet_cli.scoring.reading import Reading


@dataclass(frozen=True)
class HiddenScan:
    """A tile's scan, and for each level the vector that stands for each of its own bases, (L, D) float32.

    Beyond level 0 a base has the vector of the chunk it lies in, which may have opened before the tile.
    """

    scan: TileScan
    levels: tuple[Floats, ...]


def level_widths(model: Network) -> tuple[int, ...]:
    """Return the width of each level's vectors."""
    config: Any = model.config
    return tuple(config.widths) if config.num_stages else (config.width,)


def scan_hidden(engine: Engine, reading: Reading, tiles: Sequence[int]) -> Iterator[HiddenScan]:
    """Scan the given tiles of a reading as `Engine.scan`, one at a time, with hidden vectors."""
    for tile in tiles:
        with _recording(engine.model) as record:
            (scan,) = engine.scan(reading, [tile])
        begin, start, end = reading.tile_bounds(tile)
        own = slice(1 + start - begin, 1 + end - begin)  # the pass begins with BOS
        yield HiddenScan(scan, tuple(level[own] for level in record.per_token()))


class _Record:
    """What passes through a network in one call: the output of each level, and where the stages cut."""

    def __init__(self, num_levels: int) -> None:
        self.levels: list[Tensor | None] = [None] * num_levels
        self.traces: tuple[StageTrace, ...] = ()

    def per_token(self) -> Iterator[Floats]:
        """Yield the vectors of each level for each token of the first row."""
        chunk_L: Any = None  # which chunk of the level each token lies in
        for depth, level in enumerate(self.levels):
            assert level is not None
            if depth:
                trace = self.traces[depth - 1]
                mask = trace.mask_BL[0, : int(trace.length_B[0])].cpu().numpy()
                number = np.cumsum(mask) - 1
                chunk_L = number if chunk_L is None else number[chunk_L]
            vectors: Floats = level[0].float().cpu().numpy()
            yield vectors if chunk_L is None else vectors[chunk_L]


@contextmanager
def _recording(model: Network) -> Iterator[_Record]:
    """Record the next call of a network, by hooks: the network itself knows nothing of it."""
    modules = _levels(model)
    record = _Record(len(modules))

    def keep(depth: int, output: Any) -> None:
        record.levels[depth] = output[0] if isinstance(output, tuple) else output

    def keep_traces(output: tuple[Output, Any]) -> None:
        record.traces = output[0].traces

    hooks = [
        module.register_forward_hook(lambda _, __, output, depth=depth: keep(depth, output))
        for depth, module in enumerate(modules)
    ]
    hooks.append(model.register_forward_hook(lambda _, __, output: keep_traces(output)))
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def _levels(model: Network) -> list[nn.Module]:
    """Return the modules whose (first) output is a level: the stages from the outermost in, and the core."""
    if not model.config.num_stages:
        return [cast(nn.Module, model.stack if hasattr(model, "stack") else model.norm)]
    levels = [cast(nn.Module, model.stage)]
    while hasattr(levels[-1], "inner"):
        levels.append(cast(nn.Module, levels[-1].inner))
    return levels
