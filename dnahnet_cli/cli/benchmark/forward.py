"""`dnahnet benchmark forward`: what a pass costs, for every architecture and length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.benchmark import common as b
from dnahnet_cli.cli.reporter import Reporter

if TYPE_CHECKING:
    from dnahnet_cli.benchmarking.passes import Kind, Machine

FORMAT = "dnahnet benchmark forward 1"
MEASURING = "Measuring"


def forward(
    arch: b.Architectures = None,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="Shapes: tiny, small or base have like parameters, tiny-flops and so on like operations per base.",
            rich_help_panel=o.SELECTION,
        ),
    ] = "small",
    min_length: Annotated[
        int, typer.Option("--min-length", metavar="N", min=2, help="The shortest.", rich_help_panel=o.SELECTION)
    ] = 1 << 10,
    max_length: Annotated[
        int, typer.Option("--max-length", metavar="N", min=2, help="The longest.", rich_help_panel=o.SELECTION)
    ] = 1 << 20,
    training: Annotated[
        bool,
        typer.Option(
            "--training", help="Also forward and backward pass together, without optimiser.", rich_help_panel=MEASURING
        ),
    ] = False,
    rounds: Annotated[
        int,
        typer.Option("--rounds", metavar="N", min=1, help="Of which the median counts.", rich_help_panel=MEASURING),
    ] = 5,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            "--memory-limit",
            metavar="GIB",
            min=0.001,
            help="Leave out what takes more; 80 % of what is free unless given.",
            rich_help_panel=MEASURING,
            show_default=False,
        ),
    ] = None,
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds", metavar="S", min=0, help="Leave out what would take longer.", rich_help_panel=MEASURING
        ),
    ] = 120.0,
    output: o.Output = "-",
    json: b.JsonLine = False,
    save: b.Save = None,
    picture: b.Picture = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    quiet: o.Quiet = False,
) -> None:
    """Time a pass of every architecture at lengths from 2^10 up, with its memory and operations.

    One sequence at a time, untrained networks; dnaHNet cuts at its target rates. All are timed in turn, round by
    round. share_of_matmul is the operations per second over those of a large matrix product, measured at the start;
    share_of_copy is the least memory traffic over the measured speed of copying. memory_bytes is the peak beside the
    network. What does not fit into memory or time has a row with the reason.

    Examples:

      dnahnet benchmark forward -t 1 --max-length 131072 -o forward.tsv --picture forward.png

      dnahnet benchmark forward --arch dnahnet --arch transformer --preset base --training --json

      dnahnet benchmark forward --device cuda --save benchmarks/results/forward-cuda.json
    """
    import torch

    from dnahnet_cli.benchmarking.forward import COLUMNS, ceilings, lengths, measure
    from dnahnet_cli.benchmarking.ladder import check_architectures
    from dnahnet_cli.benchmarking.networks import shapes
    from dnahnet_cli.benchmarking.pictures import draw_passes, new_figure
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.allocator import keep_freed_pieces

    sequence = lengths(min_length, max_length)
    networks = shapes(check_architectures(arch or []), preset)
    reporter = Reporter(quiet=quiet, progress=False)
    for path in filter(None, (save, picture)):
        open_output(path)  # refuses now what could not be written at the end
    if picture:
        new_figure(1, 1)
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_pieces()
    machine = _machine(device, dtype, memory_limit, max_seconds)
    table = open_table(output, COLUMNS, provenance={})
    limits = ceilings(machine)
    facts = b.machine_facts(machine.device)
    reporter.note(
        f"{facts['device']}, {machine.dtype}: matrix products at {limits['matmul_flops'] / 1e9:,.0f} GFLOP/s, "
        f"copies at {limits['copy_bytes'] / 1e9:,.1f} GB/s"
    )
    kinds: list[Kind] = ["forward", "training"] if training else ["forward"]
    rows = measure(networks, sequence, kinds, machine, rounds, limits, reporter.note)
    result: dict[str, Any] = {
        "format": FORMAT,
        "machine": facts,
        "settings": {
            "preset": preset,
            "dtype": machine.dtype,
            "rounds": rounds,
            "memory_limit_bytes": machine.memory_limit,
            "max_seconds": max_seconds,
        },
        "ceilings": limits,
        "rows": rows,
    }
    with table as opened:
        opened.write(rows)
    b.finish(result, json=json, save=save)
    if picture:
        draw_passes(rows, f"{preset}, {machine.dtype}, {facts['device']}", Path(picture))


def _machine(device: str, dtype: o.DTypeChoice, memory_limit: float | None, max_seconds: float) -> Machine:
    import torch

    from dnahnet_cli.benchmarking.passes import Machine, available_memory
    from dnahnet_cli.networks.devices import resolve_device, resolve_dtype

    where = resolve_device(device)
    limit = 0.8 * available_memory(where) if memory_limit is None else memory_limit * 2**30
    compute: Any = str(resolve_dtype(dtype, where)).removeprefix("torch.")
    return Machine(where, compute, torch.get_num_threads(), int(limit), max_seconds)
