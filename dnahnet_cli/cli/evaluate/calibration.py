"""`dnahnet evaluate calibration`: whether phred is what it says, and what it says by consequence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.evaluate import common as e
from dnahnet_cli.cli.evaluate.annotation import features_of, note_skipped, sequence_sha256, sha256_of
from dnahnet_cli.cli.evaluate.common import folder_of, provenance_of
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request, engine_options, strands
from dnahnet_cli.cli.session import load_network
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.statistics import Floats
    from dnahnet_cli.genome import Variant
    from dnahnet_cli.scoring.engine import Engine


def calibration(
    genome: o.Genome,
    genes: Annotated[
        str | None,
        typer.Option(
            "--genes",
            metavar="FILE|none",
            help="GFF3, GTF, BED or GenBank with the genes. Without it genes are called; none does without "
            "consequences.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    label: e.Label = None,
    circular: Annotated[
        Literal["auto", "all", "none"],
        typer.Option(
            "--circular",
            help="Circular contigs: those that the FASTA header or the GFF call so, all, or none.",
            rich_help_panel=o.INPUT,
        ),
    ] = "auto",
    null: Annotated[
        int,
        typer.Option("--null", metavar="N", min=10, help="Random SNVs to rank among.", rich_help_panel=o.SCORING),
    ] = 1000,
    test: Annotated[
        int, typer.Option("--test", metavar="N", min=10, help="Random SNVs to rank.", rich_help_panel=o.SCORING)
    ] = 1000,
    suffix: o.Suffix = 128,
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
    batch_size: o.BatchSize = "auto",
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Check the column phred of score-variants: random SNVs ranked among other random SNVs of the genome.

    One row per threshold, with the share of SNVs that should reach it and the share that does; then one row per
    consequence: mean llr, shares, and how well llr tells the class from synonymous SNVs.

    Examples:

      dnahnet evaluate calibration genome.fa --genes annotation.gff -o calibration.tsv --json calibration.json

      dnahnet evaluate calibration genome.fa --null 200 --test 200
    """
    from dnahnet_cli.evaluation.calibration import calibration_rows, columns, consequences
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.weights import find_model
    from dnahnet_cli.scoring.calibration import null_snvs, random_snvs
    from dnahnet_cli.scoring.engine import Engine

    folder = folder_of(scores, resume=resume)
    if genes == "-":
        raise UsageError("--genes is read twice, so it cannot come from standard input: give a file")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, batch_size, context, suffix, strand, circular, tmpdir)
    inputs = [Path(genome)] + ([Path(genes)] if genes not in (None, "none") else [])
    with Fasta(Path(genome), Path(tmpdir) if tmpdir else None) as fasta:
        file = find_model(model)
        features, circles = features_of(fasta, genes, circular, reporter)
        network, dtype_name = load_network(file, request, reporter)
        settings: dict[str, Any] = {"null": null, "test": test, "suffix": suffix, "context": context, "strand": strand}
        settings |= {"circular": circular, "dtype": dtype_name, "seed": seed}
        hashes = {"genome_sha256": sequence_sha256(fasta), "genes_sha256": sha256_of(genes)}
        if json is not None:
            open_output(json, forbidden=inputs)  # refuses now what could not be written at the end
        provenance = provenance_of(file, {**settings, "draws": draws}, with_paths=not no_version)
        table = open_table(output, columns(), format=output_format, provenance=provenance, forbidden=inputs)
        sets = {"null": null_snvs(fasta, null, seed), "test": random_snvs(fasta, test, [seed, 1])}
        engine = Engine(network, fasta, engine_options(request, suffix), circles, strands(strand))
        made_by = {key: str(value) for key, value in {**settings, **hashes, "model_sha256": file.sha256}.items()}
        llrs = _score(engine, sets, folder, made_by, resume, reporter)
        kinds = None if features is None else consequences(sets["test"], fasta, features)
    rows = calibration_rows(llrs["null"], llrs["test"], kinds, draws, seed)
    with table as opened:
        opened.write(rows)
    if json is not None:
        details = {"name": file.name, "sha256": file.sha256, "parameters": network.num_parameters()}
        kept = {**settings, "draws": draws, "genome": label or Path(genome).name, **hashes}
        EvaluationResult("calibration", details, kept, rows, _notes(features is not None)).save(json, inputs)
    reporter.note(f"{len(sets['test']):,} SNVs ranked among {len(sets['null']):,} in {reporter.seconds():.1f} s")
    for row in rows:
        if row.get("phred") in (10, 20):
            span = f"{row['observed_low']:.3f} to {row['observed_high']:.3f}"
            text = f"{row['observed']:.3f} ({span}), expected {row['expected']:.3f}"
            reporter.note(f"phred {row['phred']:.0f} or more: share {text}")
    skipped = features.skipped if features else []
    note_skipped(reporter, skipped)
    summary = {"command": "evaluate calibration", "rows": len(rows), "left_out": len(skipped)}
    summary |= {"seconds": round(reporter.seconds(), 3), "peak_memory_mib": peak_memory_mib()}
    write_summary(json_summary, {**summary, "provenance": provenance})


def _score(
    engine: Engine,
    sets: dict[str, list[Variant]],
    folder: Path | None,
    made_by: dict[str, str],
    resume: bool,
    reporter: Reporter,
) -> dict[str, Floats]:
    """Return the llr of each SNV of each set: in one pass over the genome, or as kept."""
    import numpy as np

    from dnahnet_cli.evaluation.calibration import load_scores, save_scores
    from dnahnet_cli.scoring.calibration import score_snvs

    path = folder / "calibration.parquet" if folder else None
    found = load_scores(path, made_by) if path and resume else None
    if found is not None:
        reporter.detail(f"scores read from {path}")
        return found
    together = [snv for own in sets.values() for snv in own]
    reporter.start("strands of random SNVs", len(together) * len(engine.strands))
    try:
        llrs = score_snvs(engine, together, reporter.advance)
    finally:
        reporter.stop()
    parts = np.split(llrs, np.cumsum([len(own) for own in sets.values()])[:-1])
    scored = dict(zip(sets, parts, strict=True))
    if path:
        save_scores(path, {name: (sets[name], scored[name]) for name in sets}, made_by)
    return scored


def _notes(has_genes: bool) -> list[str]:
    notes = [
        "Null and test SNVs are drawn independently, each SNV of the genome being equally likely.",
        "expected: the share of random SNVs with that phred or more; with so many in the null it moves in steps.",
        "Intervals are 95 % percentile bootstrap intervals over test SNVs and null SNVs. p-values are two-sided, of "
        "twice the share of resamples on the rarer side, and adjusted (Holm) over the rows of their kind.",
    ]
    if has_genes:
        notes.append(
            "auroc_synonymous: chance that an SNV of the class has a lower llr than a synonymous one; 0.5 is chance. "
            "With fewer than 10 SNVs there is no interval and no test. Consequences follow from the annotation, not "
            "from experiments."
        )
    return notes
