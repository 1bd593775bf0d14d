"""`dnahnet embed`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, close
from dnahnet_cli.cli.request import Request
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.genome import Gene, Interval


def embed(
    genome: o.Genome,
    genes: Annotated[
        str | None,
        typer.Option(
            "--genes",
            metavar="GENES",
            help="One row per gene of this GFF3, GTF, BED or GenBank file, over its coding bases.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    circular: o.Circular = "auto",
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    stage: Annotated[
        list[int] | None,
        typer.Option(
            "--stage",
            metavar="N",
            min=0,
            help="Only vectors of this stage, repeatable: 0 the single bases, 1 the finest chunks, and so on.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    pool: Annotated[
        Literal["bases", "chunks", "last"],
        typer.Option(
            "--pool",
            help="bases: mean over the bases, each with the vector of its chunk. chunks: mean over the chunks that "
            "open in the region. last: the base that is read last.",
            rich_help_panel=o.SCORING,
        ),
    ] = "bases",
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    per_strand: Annotated[
        bool,
        typer.Option("--per-strand", help="A column for each strand instead of their mean.", rich_help_panel=o.OUTPUT),
    ] = False,
    output: o.Output = "-",
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    strict: o.Strict = False,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Write the model's vectors of each contig, region or gene as Parquet.

    Columns base, stage1, stage2 are fixed-size lists of float32: the hidden vectors of single bases and of the chunks
    of each stage, pooled over the region, mean of both strands. For clustering and for classifiers of your own.

    Examples:

      dnahnet embed genome.fa -o contigs.parquet

      dnahnet embed genome.fa --genes annotation.gff --stage 2 -o genes.parquet

      dnahnet embed genome.fa -R windows.bed --pool chunks --per-strand -o windows.parquet
    """
    from pathlib import Path

    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.genes import read_genes
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.rows.genes import touched
    from dnahnet_cli.rows.vectors import Vectors
    from dnahnet_cli.scoring import embed as library

    if output == "-" and sys.stdout.isatty():
        raise UsageError("Parquet is not for the terminal: give -o FILE.parquet, or pipe it on")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    inputs = [Path(path) for path in (genome, genes, regions_file) if path not in (None, "-")]
    skipped: list[tuple[str, str]] = []
    with Session(request, reporter) as session:
        regions = session.regions(region, regions_file)
        places: Sequence[Gene | Interval]
        also_circular: frozenset[str] = frozenset()
        if genes is not None:
            annotation = read_genes(genes, circles=session.circles)
            session.check_genes(annotation.genes, genes)
            also_circular, skipped = annotation.circular, annotation.skipped
            places = touched(annotation.genes, regions, session.fasta.lengths)
        elif regions is not None:
            places = regions
        else:
            places = [Interval(name, 0, length) for name, length in session.fasta.lengths.items()]
        engine = session.engine(also_circular)
        levels = _levels(stage, engine.model.config.num_stages, session.model_file.name)
        stretches = [library.Stretch.of(place) for place in places]
        reporter.start("bases", sum(stretch.num_bases for stretch in stretches) * len(engine.strands))
        provenance = {**session.provenance(with_paths=not no_version), "pool": pool}
        counts: Counter[library.EmbedStatus] = Counter()
        reasons: dict[str, str] = {}
        table = Vectors(levels, library.level_widths(engine.model), per_strand=per_strand, genes=genes is not None)
        with open_table(
            output,
            table.columns(),
            format="parquet" if output == "-" else None,
            provenance=provenance,
            forbidden=inputs,
        ) as opened:
            found = library.embed(engine, stretches, library.Pool(pool), reporter.advance)
            for place, embedding in zip(places, found, strict=True):
                opened.write([table.row(place, embedding)])
                counts[embedding.status] += 1
                if embedding.status is not library.EmbedStatus.OK:
                    reason = f"{library.EXPLANATION[embedding.status]} (first: {_name(place)})"
                    reasons.setdefault(embedding.status.value, reason)
            if places and not counts[library.EmbedStatus.OK]:
                raise InputError(f"no row of {len(places)} has vectors: {'; '.join(reasons.values())}")
    by_status = {status.value: counts[status] for status in library.EmbedStatus}
    close(
        reporter,
        "embed",
        by_status,
        reasons,
        provenance,
        json_summary=json_summary,
        strict=strict,
        skipped=skipped,
    )


def _levels(stages: list[int] | None, num_stages: int, model_name: str) -> list[int]:
    levels = sorted(set(stages if stages else range(num_stages + 1)))
    if levels[-1] > num_stages:
        raise UsageError(f"--stage {levels[-1]}: model {model_name} has {num_stages} stages")
    return levels


def _name(place: Gene | Interval) -> str:
    from dnahnet_cli.genome import Gene

    return f"{place.name} on {place.contig}" if isinstance(place, Gene) else str(place)
