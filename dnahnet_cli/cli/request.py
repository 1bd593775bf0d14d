"""The options that scoring commands share, as given, and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnahnet_cli.cli.options import DTypeChoice, EngineChoice, StrandChoice
from dnahnet_cli.errors import UsageError
from dnahnet_cli.networks.devices import resolve_device, usable_cores

if TYPE_CHECKING:
    from dnahnet_cli.genome import Strand
    from dnahnet_cli.scoring.engine import EngineOptions


@dataclass(frozen=True)
class Spread:
    """The options of commands that several devices and machines can share, as given."""

    engine: EngineChoice = "local"
    address: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Request:
    """The options that all scoring commands share, as given."""

    genome: str
    model: str
    device: str
    dtype: DTypeChoice
    threads: int | None
    batch_size: str
    context: int
    suffix: int | None  # None where nothing is compared
    strand: StrandChoice
    circular: str
    tmpdir: str | None
    spread: Spread | None = None  # None where one process computes


def engine_options(request: Request, suffix: int, workers: int | None = None) -> EngineOptions:
    """Return the engine's options for a request and a suffix; unless given, the workers are the request's threads."""
    from dnahnet_cli.scoring.engine import EngineOptions
    from dnahnet_cli.scoring.reading import TileGrid

    # On a CPU threads share out whole batches: operations so small gain little from several threads each, and threads
    # that wait for one another keep a processor busy that another program may want.
    if workers is None:
        workers = threads_of(request) if resolve_device(request.device) == "cpu" else 1
    options = EngineOptions(TileGrid(context=request.context), suffix, workers=workers)
    if request.batch_size == "auto":
        return options
    return replace(options, batch_branches=_positive(request.batch_size))


def threads_of(request: Request) -> int:
    """Return the number of threads to compute with: what was asked for, or one for each processor there is."""
    return request.threads or usable_cores()


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise UsageError(f"--batch-size {text}: expected auto or a positive number")
    return int(text)


def strands(choice: StrandChoice) -> tuple[Strand, ...]:
    from dnahnet_cli.genome import Strand

    both = (Strand.FORWARD, Strand.REVERSE)
    return {"both": both, "forward": both[:1], "reverse": both[1:]}[choice]
