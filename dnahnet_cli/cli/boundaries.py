"""`dnahnet boundaries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.session import Request, Session
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.chunks import Cuts
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.table import OpenTable


def boundaries(
    genome: o.Genome,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="GENES",
            help="GFF3, GTF or BED: compare the boundaries with its genes, into --features-output.",
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
            min=1,
            help="Only this stage, 1 is the finest; repeatable.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    output: o.Output = "-",
    features_output: Annotated[
        str | None,
        typer.Option(
            "--features-output",
            metavar="FILE",
            help="The table of --features, as `dnahnet evaluate boundaries` makes it: .tsv, .tsv.gz or .parquet.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Write the model's chunks as BED, sorted, to standard output.

    Columns: contig, start, end, stage, 1000 x the probability of the boundary that opens the chunk, strand. The model
    reads both strands, each in its own direction, and cuts them independently. Ends of contigs and regions always cut.

    Examples:

      dnahnet boundaries genome.fa > chunks.bed

      dnahnet boundaries genome.fa -r chr1:1-10000 --strand forward --stage 2

      dnahnet boundaries genome.fa -o chunks.bed.gz

      dnahnet boundaries genome.fa --features genes.gff --features-output rates.tsv > chunks.bed
    """
    from pathlib import Path

    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.boundaries import columns as feature_columns
    from dnahnet_cli.evaluation.chunks import CutCollector
    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.scoring.boundaries import bed_lines, chunks_of

    if (features is None) != (features_output is None):
        raise UsageError("--features says what to compare with, --features-output where to write it: give both")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    with Session(request, reporter) as session:
        scopes = session.regions(region, regions_file)
        if scopes is None:
            scopes = [Interval(name, 0, length) for name, length in session.fasta.lengths.items()]
        known = GenomeFeatures.read(session.fasta, features) if features is not None else None
        engine = session.engine(known.circular if known is not None else frozenset())
        num_stages = engine.model.config.num_stages
        if not num_stages:
            raise UsageError(f"model {session.model_file.name} is a {engine.model.config.arch}, which makes no chunks")
        stages = sorted(set(stage or range(1, num_stages + 1)))
        if stages[-1] > num_stages:
            raise UsageError(f"--stage {stages[-1]}: model {session.model_file.name} has {num_stages} stages")
        counts = dict.fromkeys(stages, 0)
        reporter.start("bases", sum(len(scope) for scope in scopes) * len(engine.strands))
        provenance = session.provenance(with_paths=not no_version)
        inputs = [Path(genome)] + ([Path(features)] if features is not None else [])
        collector = CutCollector()
        if features_output is not None:  # refuses now what could not be written at the end
            table = open_table(features_output, feature_columns(), provenance=provenance, forbidden=inputs)
        with open_output(output, forbidden=inputs) as file:
            for key, value in provenance.items():
                file.write(f"##dnahnet_{key}={value}\n")
            for scope in scopes:
                for chunks in chunks_of(engine, scope, reporter.advance) if len(scope) else ():
                    file.write(bed_lines(scope.contig, chunks, stages))
                    for number in stages:
                        counts[number] += int((chunks.stage == number).sum())
                    if known is not None:
                        collector.add(scope.contig, chunks)
        if known is not None:
            _write_features(collector.cuts(scopes), session.fasta, known, table, reporter)
    reporter.stop()
    bases = sum(len(scope) for scope in scopes) * len(engine.strands)
    for number, count in counts.items():
        reporter.note(f"stage {number}: {count:,} chunks, {bases / max(count, 1):.2f} bases each on average")
    reporter.note(f"{bases:,} bases read in {reporter.seconds():.1f} s, peak memory {peak_memory_mib():,} MiB")
    summary = {
        "command": "boundaries",
        "bases": bases,
        "chunks": {f"stage{number}": count for number, count in counts.items()},
        "seconds": round(reporter.seconds(), 3),
        "peak_memory_mib": peak_memory_mib(),
        "provenance": dict(provenance),
    }
    write_summary(json_summary, summary)


def _write_features(cuts: Cuts, fasta: Fasta, features: GenomeFeatures, table: OpenTable, reporter: Reporter) -> None:
    """Write the rates of the run's boundaries by class of bases."""
    from dnahnet_cli.cli.evaluate.boundaries import note_left_out
    from dnahnet_cli.evaluation.boundaries import BoundaryOptions, boundary_rows

    reporter.stop()
    reporter.start("stages compared with features", cuts.num_stages)
    rows = boundary_rows(cuts, fasta, features, BoundaryOptions(), reporter.advance)
    with table as opened:
        opened.write(rows)
    reporter.stop()
    note_left_out(reporter, features.skipped)
