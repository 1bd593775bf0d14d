"""From options to an engine whose units are computed by several processes, of this machine or of a Ray cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dnahnet_cli.cli.request import engine_options, strands, threads_of
from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.networks.devices import resolve_dtype, split_devices

if TYPE_CHECKING:
    from dnahnet_cli.cli.session import Session
    from dnahnet_cli.scoring.engine import Engine
    from dnahnet_cli.spread.crew import Worker
    from dnahnet_cli.spread.work import Recipe


def spread_engine(session: Session, circular: frozenset[str], stack: ExitStack) -> Engine | None:
    """Return the engine that the session's request asks for, None for one on one device of this process.

    `stack` ends the workers. Raises UsageError, DeviceError, and WorkerError for a cluster that does not answer.
    """
    asked, device = session.request.spread, session.request.device
    assert asked is not None
    if asked.engine == "ray":
        return _ray_engine(session, circular, stack)
    if asked.address is not None or asked.workers is not None:
        raise UsageError("--address and --workers are for --engine ray.")
    devices = split_devices(device)
    if len(devices) > 1:
        return _local_engine(session, devices, circular, stack)
    session.request = replace(session.request, device=devices[0])
    return None


def _local_engine(session: Session, devices: Sequence[str], circular: frozenset[str], stack: ExitStack) -> Engine:
    """-t is for all processes together."""
    from dnahnet_cli.spread.processes import LocalWorker

    threads = max(1, threads_of(session.request) // len(devices))
    recipe = _recipe(session, devices[0], threads, circular)
    genome = _packed(session, stack)
    workers = [
        LocalWorker(f"{number} on {device}", device, recipe, session.model_file, genome)
        for number, device in enumerate(devices, 1)
    ]
    session.reporter.detail(f"a process for each of {', '.join(devices)}, of {threads} threads")
    return _engine(session, recipe, devices[0], workers, stack)


def _ray_engine(session: Session, circular: frozenset[str], stack: ExitStack) -> Engine:
    """-t is for each worker."""
    from dnahnet_cli.spread.cluster import Cluster

    asked, threads = session.request.spread, session.request.threads or 1
    assert asked is not None
    cluster = stack.enter_context(Cluster(asked.address, session.reporter.note))
    device, number = cluster.room(session.request.device, threads)
    number = min(number, asked.workers or number)
    recipe = _recipe(session, device, threads, circular)
    workers = cluster.workers(number, device, recipe, session.model_file, _packed(session, stack))
    each = "a GPU" if device == "cuda" else f"{threads} CPU{'s' if threads > 1 else ''}"
    session.reporter.note(f"up to {number} workers in the Ray cluster at {cluster.address}, {each} each")
    return _engine(session, recipe, device, workers, stack)


def _recipe(session: Session, device: str, threads: int, circular: frozenset[str]) -> Recipe:
    from dnahnet_cli.spread.work import Recipe

    request = session.request
    options = engine_options(request, request.suffix or 0, threads if device == "cpu" else 1)
    dtype = resolve_dtype(request.dtype, device)
    return Recipe(dtype, options, threads, session.fasta.lengths, circular, strands(request.strand))


def _packed(session: Session, stack: ExitStack) -> Path:
    """Write the genome where all processes of this machine can read it. Raises OutputError."""
    from dnahnet_cli.spread.work import pack

    tmpdir = session.request.tmpdir or tempfile.gettempdir()
    try:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dnahnet-spread-", dir=tmpdir))
        pack(session.fasta, Path(folder) / "genome")
    except OSError as error:
        raise OutputError(
            f"{tmpdir}: the genome cannot be written there for the workers: {error.strerror or error}. "
            "Give another folder with --tmpdir."
        ) from error
    return Path(folder) / "genome"


def _engine(session: Session, recipe: Recipe, device: str, workers: Sequence[Worker], stack: ExitStack) -> Engine:
    from dnahnet_cli.networks.weights import load_model
    from dnahnet_cli.spread.crew import Crew
    from dnahnet_cli.spread.engine import SpreadEngine

    session.dtype_name = str(recipe.dtype).removeprefix("torch.")
    network = load_model(session.model_file)  # what is wrong with it is said once, and here
    crew = stack.enter_context(Crew(workers, session.reporter.note))
    options = replace(recipe.options, workers=recipe.options.workers * len(workers))
    return SpreadEngine(network, session.fasta, options, recipe.circular, recipe.strands, device=device, crew=crew)
