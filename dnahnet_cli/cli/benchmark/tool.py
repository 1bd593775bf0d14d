"""`dnahnet benchmark tool`: five fixed pieces of work, timed as a user would run them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.benchmark import common as b
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import DnahnetError, UsageError

FORMAT = "dnahnet benchmark tool 1"


class YardstickError(DnahnetError):
    """A command that was timed has failed."""


def tool(
    genome: o.Genome,
    genes: Annotated[
        str | None,
        typer.Argument(
            metavar="[GENES]", help="GFF3, GTF, BED or GenBank; without it, genes are called.", show_default=False
        ),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(
            "--scale",
            min=1e-6,
            max=1.0,
            help="Multiplies how much each yardstick is of; 1 is 100,000 SNVs and the whole chromosome.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 1.0,
    only: Annotated[
        str,
        typer.Option("--only", metavar="LETTERS", help="Only these of the five.", rich_help_panel=o.SELECTION),
    ] = "abcde",
    output: o.Output = "-",
    json: b.JsonLine = False,
    save: b.Save = None,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
) -> None:
    """Time this program on a genome: five fixed pieces of work, each a process of its own.

    a: 100,000 random SNVs of the longest contig. b: all SNVs of 3,000 bases in its middle. c: its boundaries. d:
    essentiality of its genes. e: 1,000 random SNVs. Seconds are by the clock and include start-up; memory_bytes is the
    peak of the process. Figures of different --scale do not compare.

    Examples:

      dnahnet benchmark tool genome.fa annotation.gff -t 2 --save benchmarks/results/tool.json

      dnahnet benchmark tool genome.fa --scale 0.01 --only be -t 1 --json
    """
    import tempfile

    from dnahnet_cli.benchmarking.yardsticks import COLUMNS, run_all, yardsticks
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.weights import find_model

    if not only or set(only) - set("abcde"):
        raise UsageError(f"--only {only!r}: expected some of the letters abcde")
    inputs = [Path(name) for name in (genome, genes) if name is not None]
    if save:
        open_output(save, forbidden=inputs)  # refuses now what could not be written at the end
    table = open_table(output, COLUMNS, provenance={}, forbidden=inputs)
    file = find_model(model)
    reporter = Reporter(quiet=quiet, progress=False)
    options = ["--model", model, "--device", device, "--dtype", dtype, "--no-progress", "-q"]
    environment = {}
    if threads is not None:
        options += ["-t", str(threads)]
        environment = {"OMP_NUM_THREADS": str(threads)}  # from the start, or the libraries begin more
    with tempfile.TemporaryDirectory(prefix="dnahnet-benchmark-", dir=tmpdir) as folder:
        work = yardsticks(Path(genome), Path(genes) if genes else None, scale, Path(folder))
        chosen = [yardstick for yardstick in work if yardstick.name in only]
        rows = run_all(chosen, options, Path(folder), environment, reporter.note)
    result: dict[str, Any] = {
        "format": FORMAT,
        "machine": b.machine_facts(device if device.startswith("cuda") else "cpu"),
        "settings": {
            "genome": Path(genome).name,
            "scale": scale,
            "model": file.name,
            "model_sha256": file.sha256,
            "device": device,
            "dtype": dtype,
            "threads": threads,
        },
        "rows": rows,
    }
    with table as opened:
        opened.write(rows)
    b.finish(result, json=json, save=save)
    failed = [row for row in rows if row["status"] != "ok"]
    if failed:
        raise YardstickError(f"{len(failed)} of {len(rows)} failed; {failed[0]['command']}: {failed[0]['reason']}")
