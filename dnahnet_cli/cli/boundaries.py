"""`dnahnet boundaries`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request, Spread
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.chunks import CutCollector, Cuts
    from dnahnet_cli.genome import Interval, Strand
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.table import OpenTable
    from dnahnet_cli.scoring.boundaries import Chunks
    from dnahnet_cli.scoring.engine import Engine, TileCuts


def boundaries(
    genome: o.Genome,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="GENES",
            help="GFF3, GTF, BED or GenBank: compare the boundaries with its genes, into --features-output.",
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
    strand: Annotated[
        o.StrandChoice,
        typer.Option("--strand", help="Strands to read, each cut by itself.", rich_help_panel=o.SCORING),
    ] = "both",
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
    resume: o.Resume = None,
    shard: o.Shard = None,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Devices = "auto",
    engine_name: o.ComputeEngine = "local",
    address: o.Address = None,
    workers: o.Workers = None,
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

      dnahnet boundaries genome.fa --shard 1/4 --resume -o chunks.1of4.bed.gz
    """
    from pathlib import Path

    from dnahnet_cli.cli.kept import check_resume, keeping, what_made
    from dnahnet_cli.cli.shard import parse_shard, plan_bases
    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.boundaries import columns as feature_columns
    from dnahnet_cli.evaluation.chunks import CutCollector
    from dnahnet_cli.genome import Interval
    from dnahnet_cli.io.index import index_output
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.shards import parts_of
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.scoring.boundaries import chunks_of

    wanted = parse_shard(shard)
    check_resume(resume, output)
    if output.endswith((".bw", ".bigwig", ".parquet")):
        raise UsageError(f"{output}: chunks are BED, so give a name in .bed or .bed.gz. --bigwig PREFIX makes bigWigs.")
    if (features is None) != (features_output is None):
        raise UsageError("--features says what to compare with, --features-output where to write it: give both")
    if wanted is not None and features is not None:
        raise UsageError(
            "--features compares a whole run: merge the shards, and give the BED to `dnahnet evaluate boundaries`."
        )
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    spread = Spread(engine_name, address, workers)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir, spread)
    inputs = [Path(path) for path in (genome, features, regions_file) if path not in (None, "-")]
    with Session(request, reporter) as session, ExitStack() as stack:
        scopes = session.regions(region, regions_file)
        if scopes is None:
            scopes = [Interval(name, 0, length) for name, length in session.fasta.lengths.items()]
        known = GenomeFeatures.read(session.fasta, features) if features is not None else None
        engine = session.engine(known.circular if known is not None else frozenset())
        stages, num_stages = _stages(stage, engine, session.model_file.name)
        provenance = session.provenance(with_paths=not no_version)
        made_by = {
            **what_made(
                "boundaries", session, engine, {"regions_file": regions_file}, session.provenance(with_paths=False)
            ),
            "region": ", ".join(region or ()),
            "stage": ", ".join(map(str, stages)),
            "shard": shard or "",
        }
        tracks = stack.enter_context(_Tracks(bigwig, stages, engine.strands, scopes, inputs, tmpdir))
        bases = range(sum(map(len, scopes)))
        if wanted is not None:
            own = plan_bases(wanted, scopes, made_by)
            bases, tracks.of_shard = own.rows, True
            provenance["shard"] = str(own)
            if bigwig is not None:
                provenance["tracks"] = json.dumps(tracks.names)
        taken = _Taken(stages, num_stages, CutCollector() if known is not None else None)
        # What could not be written at the end is refused now.
        opened = open_output(output, forbidden=inputs)
        if features_output is not None:
            table = open_table(features_output, feature_columns(), provenance=provenance, forbidden=inputs)
        others = [*tracks.names, *([features_output] if features_output else [])]
        with keeping(output, engine, made_by, resume, reporter, others) as kept:
            reporter.start("bases", len(bases) * len(engine.strands))
            with opened as file:
                for key, value in provenance.items():
                    file.write(f"##dnahnet_{key}={value}\n")
                for scope, part in parts_of(scopes, bases):
                    for chunks in chunks_of(
                        engine, scope, reporter.advance, tracks.watch, part=part, scan_units=kept.scan_units
                    ):
                        file.write(taken.lines(scope.contig, chunks))
            format = "bed.gz" if Path(output).suffix == ".gz" else "bed"
            problem = index_output(output, format, 0, taken.order, wanted=True)[1]
            if problem is not None:
                reporter.note(f"{output}: no index, because {problem}")
            # Contigs in the order of what was asked for: the one order that merge knows.
            contigs = {scope.contig: session.fasta.lengths[scope.contig] for scope in scopes}
            tracks.write(contigs, provenance, reporter)
            if known is not None and taken.collector is not None:
                _write_features(taken.collector.cuts(scopes), session.fasta, known, table, reporter)
    _close(reporter, taken, len(bases) * len(engine.strands), provenance, json_summary)


def _close(
    reporter: Reporter, taken: _Taken, num_bases: int, provenance: Mapping[str, str], json_summary: str | None
) -> None:
    """Say what the chunks are like, and write the JSON summary."""
    from dnahnet_cli.scoring.boundaries import chunk_summary

    reporter.stop()
    summary = chunk_summary(taken.lengths, num_bases)
    for line in _as_table(summary):
        reporter.note(line)
    reporter.note(f"{num_bases:,} bases read in {reporter.seconds():.1f} s, peak memory {peak_memory_mib():,} MiB")
    counts = {f"stage{number}": len(taken.lengths[number]) for number in taken.stages}
    facts = {"command": "boundaries", "bases": num_bases, "chunks": counts, "stages": summary}
    facts |= {"seconds": round(reporter.seconds(), 3), "peak_memory_mib": peak_memory_mib()}
    write_summary(json_summary, {**facts, "provenance": dict(provenance)})


def _stages(asked: Sequence[int] | None, engine: Engine, model: str) -> tuple[list[int], int]:
    """Return the stages to write, and how many the model has. Raises UsageError."""
    number = engine.model.config.num_stages
    if not number:
        raise UsageError(f"model {model} is a {engine.model.config.arch}, which makes no chunks")
    stages = sorted(set(asked or range(1, number + 1)))
    if stages[-1] > number:
        raise UsageError(f"--stage {stages[-1]}: model {model} has {number} stages")
    return stages, number


class _Taken:
    """What is known of a run's chunks: their lengths by stage, their order as written, all cuts if they are wanted."""

    def __init__(self, stages: Sequence[int], num_stages: int, collector: CutCollector | None) -> None:
        from dnahnet_cli.io.index import Order
        from dnahnet_cli.scoring.boundaries import ChunkLengths

        self.stages, self.collector = stages, collector
        self.lengths = {number: ChunkLengths() for number in range(1, num_stages + 1)}
        self.order = Order()

    def lines(self, contig: str, chunks: Chunks) -> str:
        """Take in the next chunks, and return those to be written as lines of BED."""
        import numpy as np

        from dnahnet_cli.scoring.boundaries import bed_lines

        for number, lengths in self.lengths.items():
            lengths.add(chunks[np.flatnonzero(chunks.stage == number)])
        if self.collector is not None:
            self.collector.add(contig, chunks)
        shown = chunks[np.flatnonzero(np.isin(chunks.stage, self.stages))]
        if len(shown):
            self.order.add(contig, int(shown.start[0]), int(shown.end.max()))
            self.order.add(contig, int(shown.start[-1]), int(shown.end.max()))
        return bed_lines(contig, shown, self.stages)


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
        self.of_shard = False
        self.names: list[str] = []
        if prefix is None:
            return
        check_disjoint(scopes)
        for number, strand in product(stages, strands):
            name = f"{prefix}.stage{number}.{'fwd' if strand.value == '+' else 'rev'}.bw"
            self._tracks[number, strand] = TrackOutput(name, inputs), Track(Path(tmpdir) if tmpdir else None)
            self.names.append(name)

    def watch(self, scan: TileCuts, begin: int, end: int) -> None:
        """Take the probabilities of a tile's bases inside [begin, end)."""
        from dnahnet_cli.scoring.boundaries import probabilities

        for (number, strand), (_, track) in self._tracks.items():
            if strand is scan.reading.strand:
                track.add(scan.reading.contig, *probabilities(scan, number, begin, end))

    def write(self, lengths: Mapping[str, int], provenance: Mapping[str, str], reporter: Reporter) -> None:
        """Write all of them. A bigWig without values cannot be; that of a shard is empty, lest it seem lost."""
        from dnahnet_cli.io.output import open_output

        for place, track in self._tracks.values():
            if place.write(track, lengths, provenance):
                continue
            if self.of_shard:
                with open_output(place.path):
                    pass
            else:
                reporter.note(f"{place.path}: not written, because no base has a value")

    def __enter__(self) -> _Tracks:
        return self

    def __exit__(self, *error: object) -> None:
        for _, track in self._tracks.values():
            track.__exit__(None, None, None)


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
