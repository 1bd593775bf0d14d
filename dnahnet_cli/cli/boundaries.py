"""`dnahnet boundaries`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.session import Request, Session
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.chunks import Cuts
    from dnahnet_cli.genome import Interval, Strand
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.index import Order
    from dnahnet_cli.io.table import OpenTable
    from dnahnet_cli.scoring.engine import TileScan


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
    bigwig: Annotated[
        str | None,
        typer.Option(
            "--bigwig",
            metavar="PREFIX",
            help="Also the boundary probability of every base: PREFIX.stage1.fwd.bw and so on, by stage and strand.",
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
    A name that ends in .gz is bgzip, with its index for tabix. Chunk lengths by stage go to standard error.

    Examples:

      dnahnet boundaries genome.fa > chunks.bed

      dnahnet boundaries genome.fa -r chr1:1-10000 --strand forward --stage 2

      dnahnet boundaries genome.fa -o chunks.bed.gz --bigwig probability

      dnahnet boundaries genome.fa --features genes.gff --features-output rates.tsv > chunks.bed
    """
    from pathlib import Path

    import numpy as np

    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.boundaries import columns as feature_columns
    from dnahnet_cli.evaluation.chunks import CutCollector
    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.index import Order
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.scoring.boundaries import ChunkLengths, bed_lines, chunk_summary, chunks_of

    if (features is None) != (features_output is None):
        raise UsageError("--features says what to compare with, --features-output where to write it: give both")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    inputs = [Path(path) for path in (genome, features, regions_file) if path not in (None, "-")]
    with Session(request, reporter) as session, ExitStack() as stack:
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
        lengths = {number: ChunkLengths() for number in range(1, num_stages + 1)}
        reporter.start("bases", sum(len(scope) for scope in scopes) * len(engine.strands))
        provenance = session.provenance(with_paths=not no_version)
        collector, order = CutCollector(), Order()
        # What could not be written at the end is refused now.
        if features_output is not None:
            table = open_table(features_output, feature_columns(), provenance=provenance, forbidden=inputs)
        tracks = stack.enter_context(_Tracks(bigwig, stages, engine.strands, scopes, inputs, tmpdir))
        with open_output(output, forbidden=inputs) as file:
            for key, value in provenance.items():
                file.write(f"##dnahnet_{key}={value}\n")
            for scope in filter(len, scopes):
                order.add(scope.contig, scope.start, scope.start + 1)
                order.add(scope.contig, scope.end - 1, scope.end)
                for chunks in chunks_of(engine, scope, reporter.advance, tracks.watch):
                    file.write(bed_lines(scope.contig, chunks, stages))
                    for number in lengths:
                        lengths[number].add(chunks[np.flatnonzero(chunks.stage == number)])
                    if known is not None:
                        collector.add(scope.contig, chunks)
        _index(output, order, reporter)
        tracks.write(session.fasta.lengths, provenance, reporter)
        if known is not None:
            _write_features(collector.cuts(scopes), session.fasta, known, table, reporter)
    reporter.stop()
    bases = sum(len(scope) for scope in scopes) * len(engine.strands)
    summary = chunk_summary(lengths, bases)
    for line in _as_table(summary):
        reporter.note(line)
    reporter.note(f"{bases:,} bases read in {reporter.seconds():.1f} s, peak memory {peak_memory_mib():,} MiB")
    counts = {f"stage{number}": len(lengths[number]) for number in stages}
    facts = {"command": "boundaries", "bases": bases, "chunks": counts, "stages": summary}
    facts |= {"seconds": round(reporter.seconds(), 3), "peak_memory_mib": peak_memory_mib()}
    write_summary(json_summary, {**facts, "provenance": dict(provenance)})


class _Tracks:
    """The bigWigs of a run, one for each stage and strand; nothing without a prefix."""

    def __init__(
        self,
        prefix: str | None,
        stages: Sequence[int],
        strands: Sequence[Strand],
        scopes: Sequence[Interval],
        inputs: Sequence[Path],
        tmpdir: str | None,
    ) -> None:
        from pathlib import Path

        from dnahnet_cli.io.bigwig import Track, TrackOutput, check_disjoint

        self._tracks: dict[tuple[int, Strand], tuple[TrackOutput, Track]] = {}
        if prefix is None:
            return
        check_disjoint(scopes)
        for number, strand in product(stages, strands):
            name = f"{prefix}.stage{number}.{'fwd' if strand.value == '+' else 'rev'}.bw"
            self._tracks[number, strand] = TrackOutput(name, inputs), Track(Path(tmpdir) if tmpdir else None)

    def watch(self, scan: TileScan, begin: int, end: int) -> None:
        """Take the probabilities of a tile's bases inside [begin, end)."""
        from dnahnet_cli.scoring.boundaries import probabilities

        for (number, strand), (_, track) in self._tracks.items():
            if strand is scan.reading.strand:
                track.add(scan.reading.contig, *probabilities(scan, number, begin, end))

    def write(self, lengths: Mapping[str, int], provenance: Mapping[str, str], reporter: Reporter) -> None:
        for place, track in self._tracks.values():
            if not place.write(track, lengths, provenance):
                reporter.note(f"{place.path}: not written, because no base has a value")

    def __enter__(self) -> _Tracks:
        return self

    def __exit__(self, *error: object) -> None:
        for _, track in self._tracks.values():
            track.__exit__(None, None, None)


def _index(output: str, order: Order, reporter: Reporter) -> None:
    """Write the index of a compressed BED file, unless the order of the regions forbids it."""
    from pathlib import Path

    from dnahnet_cli.io.index import remove_indices, write_index

    path = Path(output)
    if output == "-" or path.suffix != ".gz" or not path.is_file():
        return
    remove_indices(path)
    if order.problem is not None:
        reporter.note(f"{path}: no index, because {order.problem}")
    else:
        write_index(path, "bed", longest=order.longest)


def _as_table(summary: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return lines for standard error."""
    lines = ["           chunks  bases each  median  5 % to 95 %  longest  compression"]
    for name, own in summary.items():
        spread = f"{own['length_q05']:,} to {own['length_q95']:,}"
        lines.append(
            f"{name:8} {own['chunks']:>8,}  {own['bases_per_chunk']:>10.2f}  {own['length_q50']:>6,}  {spread:>11}  "
            f"{own['longest']:>7,}  {own['compression']:>11.2f}"
        )
    return lines


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
