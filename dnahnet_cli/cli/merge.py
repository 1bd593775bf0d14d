"""`dnahnet merge`."""

from __future__ import annotations

from typing import Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.cli.score_variants import VariantFormat
from dnahnet_cli.errors import UsageError


def merge(
    shards: Annotated[
        list[str],
        typer.Argument(metavar="SHARDS", help="The outputs of all shards of a run, in any order.", show_default=False),
    ],
    output: o.Output = "-",
    output_format: Annotated[
        VariantFormat | None,
        typer.Option(
            "-O",
            "--output-format",
            help="Format, when the suffix of the output does not say it.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    write_index: o.WriteIndex = True,
    no_clobber: o.NoClobber = False,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
) -> None:
    """Join what runs of score-variants with --shard have written, into the output of one run.

    All shards must be there, each once and whole, and made by the same command with the same files: anything else is an
    error. With --no-version the result is what one run would have written, byte for byte.

    Examples:

      dnahnet merge scores.*of4.tsv -o scores.tsv

      dnahnet merge shards/*.vcf.gz -o scored.vcf.gz
    """
    import shlex
    import sys
    from pathlib import Path

    from dnahnet_cli.io.merged import write_merged
    from dnahnet_cli.io.shards import ShardFile, in_order
    from dnahnet_cli.io.variant_output import format_of

    reporter = Reporter(quiet=quiet)
    folder = Path(tmpdir) if tmpdir else None
    if "-" in shards:
        raise UsageError("merge reads its shards twice: give files in place of '-'.")
    parts = in_order([ShardFile(path, folder) for path in shards])
    format = output_format or (format_of(output) if output != "-" else "vcf" if parts[0].kind == "vcf" else "tsv")
    # What one run says of its command is left out: none made the whole.
    made_by = {"command": shlex.join(["dnahnet", *sys.argv[1:]])} if "command" in parts[0].provenance else {}
    problem = write_merged(
        output, format, parts, added=made_by, clobber=not no_clobber, index=write_index, tmpdir=folder
    )
    reporter.note(f"{parts[0].part.total:,} rows of {len(parts):,} shards")
    if problem is not None:
        reporter.note(f"{output} has no index, because it is not sorted: {problem}")
