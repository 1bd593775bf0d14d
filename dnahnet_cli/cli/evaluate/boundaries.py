"""`dnahnet evaluate boundaries`: where a model cuts, beside what is known of the genome."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.evaluate import common as e
from dnahnet_cli.cli.evaluate.common import folder_of
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.boundaries import GenomeFeatures
    from dnahnet_cli.evaluation.chunks import Cuts
    from dnahnet_cli.genome import Interval


def boundaries(
    genome: o.Genome,
    genes: Annotated[
        str | None,
        typer.Option(
            "--genes",
            metavar="FILE",
            help="GFF3, GTF, BED or GenBank. Without it, those of a genome in GenBank format, or called with "
            "pyrodigal.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(
            "--sites",
            metavar="FILE",
            help="Measured sites, such as transcription starts: a table or BED; repeatable.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    chunks: Annotated[
        str | None,
        typer.Option(
            "--chunks",
            metavar="BED",
            help="Take the chunks that `dnahnet boundaries` wrote, in place of running the model.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    circular: o.Circular = "auto",
    label: e.Label = None,
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    windows: Annotated[
        int | None,
        typer.Option(
            "--windows",
            metavar="N",
            min=1,
            help="Only so many windows, drawn by --seed. Without it, the whole genome.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    window_bp: Annotated[
        int,
        typer.Option("--window-bp", metavar="N", min=100, help="Length of a window.", rich_help_panel=o.SELECTION),
    ] = 49_152,
    permutations: Annotated[
        int,
        typer.Option(
            "--permutations", metavar="N", min=1, help="Versions of each random chunker.", rich_help_panel=o.SCORING
        ),
    ] = 1000,
    draws: e.Draws = 1000,
    seed: e.Seed = 1,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    output: o.Output = "-",
    output_format: o.OutputFormat = None,
    json: e.Json = None,
    scores: e.Scores = None,
    resume: e.Resume = False,
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
    """Compare where the model cuts with genes and measured sites: rates, enrichment, precision and recall.

    For every stage a row for each class of bases, read on its own strand (sense) and on the other (antisense), and for
    each kind of point and tolerance. fold is the rate over the stage's overall rate. Beside it stand chunkers that know
    nothing: the same boundaries shifted, their chunks shuffled, and a grid.

    Examples:

      dnahnet evaluate boundaries genome.fa --genes genes.gff --sites tss.tsv -o boundaries.tsv --json boundaries.json

      dnahnet evaluate boundaries genome.fa --windows 5 --seed 1 --scores scores/ --resume

      dnahnet evaluate boundaries genome.fa --genes genes.gff --chunks chunks.bed.gz -o boundaries.parquet
    """
    from dnahnet_cli.evaluation.boundaries import BoundaryOptions, GenomeFeatures, boundary_rows, columns, notes
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table

    if chunks is not None and scores is not None:
        raise UsageError("--chunks takes chunks that are there, --scores keeps new ones: give one of the two")
    if windows is not None and (region or regions_file):
        raise UsageError("--windows draws what --region and --regions-file choose: give one of the two")
    for path in (genes, *(sites or ())):
        if path == "-":
            raise UsageError("genes and sites are read from files here, not from standard input")
    folder = folder_of(scores, resume=resume)
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    options = BoundaryOptions(draws, permutations, seed)
    inputs = [Path(path) for path in (genome, genes, chunks, *(sites or ())) if path is not None]
    with Session(request, reporter) as session:
        features = GenomeFeatures.read(session.fasta, genes, sites or ())
        if genes is None:
            reporter.note(f"{len(features.genes):,} genes called with pyrodigal")
        note_left_out(reporter, features.skipped)
        run = _Run(session, features, folder, resume)
        scopes = run.scopes(region, regions_file, (windows, window_bp, seed))
        # What could not be written at the end is refused now.
        open_table(output, columns(), format=output_format, provenance={}, forbidden=inputs)
        if json is not None:
            open_output(json, forbidden=inputs)
        cuts = run.read(chunks, scopes) if chunks is not None else run.cut(scopes)
        settings = {
            "genome": label or _stem(genome),
            "genes": "called with pyrodigal" if genes is None else Path(genes).name,
            "sites": ",".join(Path(path).name for path in sites or ()),
            "regions": ",".join(map(str, cuts.scopes)),
            "windows": 0 if windows is None else windows,
            **{key: cuts.made_by.get(key) for key in ("context", "strand", "dtype")},
            **{"draws": draws, "permutations": permutations, "seed": seed},
        }
        reporter.start("stages compared", cuts.num_stages)
        rows = boundary_rows(cuts, session.fasta, features, options, reporter.advance)
    reporter.stop()
    provenance = _provenance(cuts, settings, with_paths=not no_version)
    table = open_table(output, columns(), format=output_format, provenance=provenance, forbidden=inputs)
    with table as opened:
        opened.write(rows)
    if json is not None:
        details = {"name": cuts.made_by.get("model"), "sha256": cuts.made_by.get("model_sha256")}
        hashes = {path.name: _sha256(path) for path in inputs if chunks is None or path != Path(chunks)}
        said = notes(options, cuts.num_stages)
        result = EvaluationResult("boundaries", details, {**settings, "inputs_sha256": hashes}, rows, said)
        result.save(json, inputs)
    _close(reporter, cuts, rows, features, provenance, json_summary)


def note_left_out(reporter: Reporter, skipped: Sequence[tuple[str, str]]) -> None:
    """Say what of the annotation is not used, each reason once with its first example."""
    for reason, count in Counter(reason for _, reason in skipped).most_common():
        first = next(name for name, own in skipped if own == reason)
        reporter.note(f"  {count:,} left out: {reason} (first: {first})")


class _Run:
    """Comes by the boundaries: from the model, from a folder of kept ones, or from a BED."""

    def __init__(self, session: Session, features: GenomeFeatures, folder: Path | None, resume: bool) -> None:
        self.session, self.features, self.folder, self.resume = session, features, folder, resume

    def scopes(
        self, region: list[str] | None, regions_file: str | None, windows: tuple[int | None, int, int]
    ) -> list[Interval] | None:
        """Return the stretches asked for, None for all."""
        from dnahnet_cli.evaluation.chunks import draw_windows, merged

        number, window_bp, seed = windows
        if number is not None:
            return draw_windows(self.session.fasta.lengths, number, window_bp, seed)
        regions = self.session.regions(region, regions_file)
        if regions is not None and not merged(regions):
            raise InputError("the regions hold no bases")
        return None if regions is None else merged(regions)

    def read(self, path: str, scopes: list[Interval] | None) -> Cuts:
        """Return the boundaries of a BED."""
        from dnahnet_cli.evaluation.chunks import read_cuts

        cuts = read_cuts(path, self.session.fasta.lengths)
        return cuts if scopes is None else cuts.only(scopes)

    def cut(self, scopes: list[Interval] | None) -> Cuts:
        """Return the boundaries of the model."""
        from dnahnet_cli.evaluation.chunks import CutCollector, merged, read_cuts
        from dnahnet_cli.genome import Interval
        from dnahnet_cli.io.output import open_output
        from dnahnet_cli.scoring.boundaries import bed_lines, chunks_of

        session = self.session
        if scopes is None:
            scopes = merged(Interval(name, 0, length) for name, length in session.fasta.lengths.items())
        if not scopes:
            raise InputError(f"{session.request.genome} holds no bases.")
        engine = session.engine(self.features.circular)
        made_by = session.provenance(with_paths=False)
        asked = {"circular": ",".join(sorted(engine.circular)), "regions": ",".join(map(str, scopes))}
        made_by |= {**asked, "genome_sha256": _sha256(Path(session.request.genome))}
        kept = None if self.folder is None else self.folder / f"chunks-{_short_hash(made_by)}.bed.gz"
        if kept is not None and self.resume and kept.exists():
            with suppress(InputError):  # one that is damaged is made again
                cuts = read_cuts(str(kept), session.fasta.lengths)
                if cuts.made_by == made_by:
                    session.reporter.detail(f"chunks read from {kept}")
                    return cuts
        collector = CutCollector()
        stages = range(1, engine.model.config.num_stages + 1)
        session.reporter.start("bases", sum(map(len, scopes)) * len(engine.strands))
        with open_output(kept or os.devnull) as file:
            for key, value in made_by.items():
                file.write(f"##dnahnet_{key}={value}\n")
            for scope in scopes:
                for chunks in chunks_of(engine, scope, session.reporter.advance):
                    collector.add(scope.contig, chunks)
                    if kept is not None:
                        file.write(bed_lines(scope.contig, chunks, stages))
        session.reporter.stop()
        return collector.cuts(scopes, made_by)


def _provenance(cuts: Cuts, settings: dict[str, Any], *, with_paths: bool) -> dict[str, str]:
    """Return what the head of a table says about its making; the model is the one that made the chunks."""
    import shlex
    import sys

    from dnahnet_cli import __version__

    made_by = {"version": __version__, "command": shlex.join(["dnahnet", *sys.argv[1:]])} if with_paths else {}
    model = {key: cuts.made_by[key] for key in ("model", "model_sha256") if key in cuts.made_by}
    return {**made_by, **model, **{key: str(value) for key, value in settings.items() if value is not None}}


def _stem(genome: str) -> str:
    return Path(genome).name.removesuffix(".gz").rpartition(".")[0] or Path(genome).name


def _short_hash(made_by: dict[str, str]) -> str:
    import hashlib

    return hashlib.sha256(repr(sorted(made_by.items())).encode()).hexdigest()[:12]


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _close(
    reporter: Reporter,
    cuts: Cuts,
    rows: list[dict[str, Any]],
    features: GenomeFeatures,
    provenance: dict[str, str],
    json_summary: str | None,
) -> None:
    for row in rows:
        if row["level"] == "stage" and row["rate"] is not None:
            length = f", {row['bases_per_chunk']:.2f} bases to a chunk" if row["bases_per_chunk"] else ""
            reporter.note(f"stage {row['stage']}: cuts {100 * row['rate']:.1f} % of its candidates{length}")
    bases = sum(map(len, cuts.scopes)) * len(cuts.strands)
    reporter.note(f"{bases:,} bases in {reporter.seconds():.1f} s, peak memory {peak_memory_mib():,} MiB")
    write_summary(
        json_summary,
        {
            "command": "evaluate boundaries",
            "rows": len(rows),
            "bases": bases,
            "left_out": len(features.skipped),
            "seconds": round(reporter.seconds(), 3),
            "peak_memory_mib": peak_memory_mib(),
            "provenance": provenance,
        },
    )
