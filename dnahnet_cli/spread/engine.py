"""An engine whose units are computed elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from dnahnet_cli.genome import Edit, GenomeSource, Strand
from dnahnet_cli.model.network import Network
from dnahnet_cli.scoring.engine import Engine, EngineOptions, ScanUnit, StrandScore, TileScan
from dnahnet_cli.spread.crew import Crew
from dnahnet_cli.spread.work import Unit


class SpreadEngine(Engine):
    """Gives units to a crew, and their results in order: the same units as one process, and so the same bytes.

    The network is here only to be asked for its configuration; `device` is where the workers compute.
    """

    def __init__(
        self,
        model: Network,
        genome: GenomeSource,
        options: EngineOptions,
        circular: frozenset[str],
        strands: Sequence[Strand],
        *,
        device: str,
        crew: Crew,
    ) -> None:
        super().__init__(model, genome, options, circular, strands)
        self.device = torch.device(device)
        self._crew = crew
        self.num_workers = len(crew.workers)

    def score_units(
        self, units: Iterable[Sequence[Edit]], progress: Callable[[int], None] = lambda done: None
    ) -> Iterator[list[dict[Strand, StrandScore | None]]]:
        sizes: deque[int] = deque()

        def counted() -> Iterator[Unit]:
            for unit in units:
                sizes.append(len(unit) * len(self.strands))
                yield "score", unit

        for scores in self._crew.map(counted()):
            progress(sizes.popleft())
            yield scores

    def scan_units(self, units: Iterable[ScanUnit]) -> Iterator[list[TileScan]]:
        where: deque[tuple[str, Strand]] = deque()

        def noted() -> Iterator[Unit]:
            for unit in units:
                where.append(unit[:2])
                yield "scan", unit

        for scans in self._crew.map(noted()):
            reading = self.reading(*where.popleft())
            yield [TileScan(reading=reading, **found) for found in scans]
