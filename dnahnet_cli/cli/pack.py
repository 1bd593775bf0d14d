"""`dnahnet pack`."""

from __future__ import annotations

from typing import Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary


def pack(
    sources: o.Sources,
    folder: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for the part files.", rich_help_panel=o.OUTPUT),
    ],
    heldout: o.HeldOut = None,
    no_heldout: o.NoHeldOut = False,
    part_size: Annotated[
        int,
        typer.Option("--part-size", metavar="MIB", min=1, help="Size of a part at most.", rich_help_panel=o.OUTPUT),
    ] = 25,
    json_summary: o.JsonSummary = None,
    quiet: o.Quiet = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Pack genomes into part files to train on, at two bits per base.

    Held-out genomes come first, so that training can begin with part-001.safetensors alone. The
    others are spread at random, so that each part is a fair sample of genera.

    Examples:

      dnahnet pack genomes/manifest.tsv -o parts

      dnahnet pack genomes/ --heldout Vibrio_cholerae -o parts --part-size 10
    """
    from pathlib import Path

    from dnahnet_cli.training.corpus import read_corpus
    from dnahnet_cli.training.parts import MIB, check_free, write_parts

    reporter = Reporter(quiet=quiet, progress=not no_progress)
    check_free(Path(folder))  # before time is spent on reading
    reporter.start("bases", None)
    try:
        corpus = read_corpus(
            [Path(source) for source in sources],
            heldout or (),
            need_heldout=not no_heldout,
            advance=reporter.advance,
        )
        paths = write_parts(corpus, Path(folder), part_size * MIB)
    finally:
        reporter.stop()
    num_bytes = sum(path.stat().st_size for path in paths)
    reporter.note(
        f"{len(corpus.train):,} genomes to train on and {len(corpus.heldout):,} held out, {corpus.num_bases:,} bases, "
        f"in {len(paths)} parts of {num_bytes / MIB:,.1f} MiB together: {folder}"
    )
    reporter.note(f"{reporter.seconds():.1f} s, peak memory {peak_memory_mib():,} MiB")
    summary = {
        "command": "pack",
        "parts": [path.name for path in paths],
        "bytes": num_bytes,
        "genomes": corpus.records(),
        "seconds": round(reporter.seconds(), 3),
        "peak_memory_mib": peak_memory_mib(),
    }
    write_summary(json_summary, summary)
