"""What a worker is given, and what it does: it becomes the engine that one process would have, and computes units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dnahnet_cli.genome import Codes, Edit, GenomeSource, Strand, blocks
from dnahnet_cli.networks.allocator import keep_freed_memory
from dnahnet_cli.networks.weights import ModelFile, load_model
from dnahnet_cli.scoring.engine import Engine, EngineOptions, ScanUnit

Unit = tuple[Literal["score"], Sequence[Edit]] | tuple[Literal["scan"], ScanUnit]


class PackedGenome:
    """A genome as one array, contig after contig: what several processes can share."""

    def __init__(self, lengths: dict[str, int], whole: Codes) -> None:
        self.lengths = lengths
        self._whole = whole
        self._first = dict(zip(lengths, accumulate(lengths.values(), initial=0), strict=False))

    def codes(self, contig: str, start: int, end: int) -> Codes:
        first = self._first[contig]
        return self._whole[first + start : first + end]


def pack(genome: GenomeSource, path: Path) -> None:
    """Write the codes (uint8) of all contigs, one after the other."""
    with path.open("wb") as file:
        for contig in genome.lengths:
            for codes in blocks(genome, contig):
                codes.tofile(file)


def packed(path: Path) -> Codes:
    """Return what `pack` has written, read as it is needed, and held once for all processes that read it."""
    if not path.stat().st_size:
        return np.empty(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))


@dataclass(frozen=True)
class Recipe:
    """Everything that an engine depends on, but its device and the bases of its genome."""

    dtype: torch.dtype
    options: EngineOptions
    threads: int
    lengths: dict[str, int]
    circular: frozenset[str]
    strands: tuple[Strand, ...]

    def engine(self, model: ModelFile, device: str, whole: Codes) -> Engine:
        """Return the engine. `whole` is a packed genome."""
        keep_freed_memory()
        torch.set_num_threads(self.threads)
        if device != "cpu":
            # Where kernels are launched, whatever device their arguments are on.
            torch.cuda.set_device(torch.device(device).index or 0)
        network = load_model(model, device, self.dtype)
        return Engine(network, PackedGenome(self.lengths, whole), self.options, self.circular, self.strands)


def compute(engine: Engine, unit: Unit) -> Any:
    """Return the scores of the edits of a unit, or what a scan found in each tile, less the reading: a whole contig."""
    if unit[0] == "score":
        return engine.score(unit[1])
    (scans,) = engine.scan_units([unit[1]])
    return [{name: value for name, value in vars(scan).items() if name != "reading"} for scan in scans]
