"""`dnahnet boundaries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.session import Request, Session
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from dnahnet_cli.scoring.boundaries import Chunks


def boundaries(
    genome: o.Genome,
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
    """
    from pathlib import Path

    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.scoring.boundaries import chunks_of

    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    with Session(request, reporter) as session:
        scopes = session.regions(region, regions_file)
        if scopes is None:
            scopes = [Interval(name, 0, length) for name, length in session.fasta.lengths.items()]
        engine = session.engine()
        num_stages = engine.model.config.num_stages
        stages = sorted(set(stage or range(1, num_stages + 1)))
        if stages[-1] > num_stages:
            raise UsageError(f"--stage {stages[-1]}: model {session.model_file.name} has {num_stages} stages")
        counts = dict.fromkeys(stages, 0)
        reporter.start("bases", sum(len(scope) for scope in scopes) * len(engine.strands))
        provenance = session.provenance(with_paths=not no_version)
        with open_output(output, forbidden=[Path(genome)]) as file:
            for key, value in provenance.items():
                file.write(f"##dnahnet_{key}={value}\n")
            for scope in scopes:
                for chunks in chunks_of(engine, scope, reporter.advance) if len(scope) else ():
                    file.write(_bed(scope.contig, chunks, stages, counts))
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


def _bed(contig: str, chunks: Chunks, stages: list[int], counts: dict[int, int]) -> str:
    lines = []
    for start, end, stage, reverse, probability in zip(
        chunks.start.tolist(),
        chunks.end.tolist(),
        chunks.stage.tolist(),
        chunks.reverse.tolist(),
        chunks.probability.tolist(),
        strict=True,
    ):
        if stage in counts:
            counts[stage] += 1
            strand = "-" if reverse else "+"
            lines.append(f"{contig}\t{start}\t{end}\tstage{stage}\t{round(1000 * probability)}\t{strand}\n")
    return "".join(lines)
