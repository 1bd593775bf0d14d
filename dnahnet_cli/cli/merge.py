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
    bigwig: Annotated[
        str | None,
        typer.Option(
            "--bigwig",
            metavar="PREFIX",
            help="Of boundaries: also join the bigWigs that the shards were made with.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    write_index: o.WriteIndex = True,
    no_clobber: o.NoClobber = False,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
) -> None:
    """Join what runs with --shard have written, into the output of one run.

    Runs of score-variants, essentiality or boundaries. All shards must be there, each once and whole, and made by the
    same command with the same files: anything else is an error. With --no-version the result is what one run would have
    written, byte for byte. Genes are ranked here, because a shard does not know the others.

    Examples:

      dnahnet merge scores.*of4.tsv -o scores.tsv

      dnahnet merge shards/*.vcf.gz -o scored.vcf.gz

      dnahnet merge genes.*of4.tsv -o genes.tsv

      dnahnet merge chunks.*of4.bed.gz -o chunks.bed.gz
    """
    import shlex
    import sys
    from pathlib import Path

    from dnahnet_cli.io.merged import write_merged, write_table
    from dnahnet_cli.io.merged_chunks import MergedTracks, write_chunks
    from dnahnet_cli.io.shards import ShardFile, in_order
    from dnahnet_cli.io.variant_output import format_of
    from dnahnet_cli.rows.genes import columns, with_ranks

    reporter = Reporter(quiet=quiet)
    folder, clobber = Path(tmpdir) if tmpdir else None, not no_clobber
    if "-" in shards:
        raise UsageError("merge reads its shards twice: give files in place of '-'.")
    parts = in_order([ShardFile(path, folder) for path in shards])
    whole = parts[0].part
    # What one run says of its command is left out: none made the whole.
    added = {"command": shlex.join(["dnahnet", *sys.argv[1:]])} if "command" in parts[0].provenance else {}
    _check_options(whole.counted, output_format, bigwig)
    problem = None
    if whole.counted == "bases":
        tracks = MergedTracks(bigwig, parts, clobber=clobber)
        scopes, problem = write_chunks(output, parts, added=added, clobber=clobber, index=write_index)
        for path in tracks.write(scopes, folder):
            reporter.note(f"{path}: not written, because no base has a value")
        if tracks.num_given and not bigwig:
            reporter.note(f"the {tracks.num_given} bigWigs of each shard are not joined: --bigwig PREFIX does it")
    else:
        format = output_format or (format_of(output) if output != "-" else "vcf" if parts[0].kind == "vcf" else "tsv")
        if whole.counted == "genes":
            write_table(output, format, parts, columns(), with_ranks, added=added, clobber=clobber)
        else:
            problem = write_merged(
                output, format, parts, added=added, clobber=clobber, index=write_index, tmpdir=folder
            )
    reporter.note(f"{whole.total:,} {whole.counted} of {len(parts):,} shards")
    if problem is not None:
        reporter.note(f"{output} has no index, because it is not sorted: {problem}")


def _check_options(counted: str, output_format: str | None, bigwig: str | None) -> None:
    if bigwig and counted != "bases":
        raise UsageError("--bigwig is for the shards of boundaries.")
    if output_format and counted == "bases":
        raise UsageError("-O is for tables, VCF and BCF: the shards of boundaries are BED.")
