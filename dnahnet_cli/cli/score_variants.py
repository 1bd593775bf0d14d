"""`dnahnet score-variants`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, close
from dnahnet_cli.cli.session import Request, Session
from dnahnet_cli.errors import InputError

if TYPE_CHECKING:
    from dnahnet_cli.genome import Interval, Variant
    from dnahnet_cli.io.table import Column
    from dnahnet_cli.scoring.calibration import Null
    from dnahnet_cli.scoring.engine import Engine
    from dnahnet_cli.scoring.variants import VariantScore, VariantScorer


def score_variants(
    genome: o.Genome,
    variants: Annotated[
        str,
        typer.Argument(
            metavar="VARIANTS",
            help="VCF, BCF, or TSV of chrom pos ref alt; plain or compressed; - is standard input.",
            show_default=False,
        ),
    ],
    circular: o.Circular = "auto",
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    suffix: o.Suffix = 128,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    max_indel: Annotated[
        int,
        typer.Option(
            "--max-indel",
            metavar="N",
            min=1,
            max=1000,
            help="Longest allele that is scored.",
            rich_help_panel=o.SCORING,
        ),
    ] = 500,
    null: Annotated[
        int,
        typer.Option(
            "--null",
            metavar="N",
            min=0,
            max=1_000_000,
            help="Fill the column phred: rank each llr among N random SNVs of the genome, which are scored first. "
            "1000 is a good number; 0 leaves the column empty.",
            rich_help_panel=o.SCORING,
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the SNVs of --null.", rich_help_panel=o.SCORING)
    ] = 1,
    output: o.Output = "-",
    output_format: o.OutputFormat = None,
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    strict: o.Strict = False,
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
    """Score variants: one row per ALT, in input order, none lost.

    [bold]llr[/bold] = log p(alt) - log p(ref), natural log, over the same bases of both, mean of both strands.
    Negative: the model finds the variant less likely than the reference. A row that cannot be scored has empty numbers
    and says why in [bold]status[/bold].

    Examples:

      dnahnet score-variants genome.fa calls.vcf.gz -o scores.tsv

      bcftools view -f PASS calls.bcf | dnahnet score-variants genome.fa - | awk '$8 < -3 && $7 == "ok"'

      dnahnet score-variants genome.fa calls.vcf -r chr1:1-50000 -o scores.parquet

      dnahnet score-variants genome.fa calls.vcf --null 1000 -o scores.tsv
    """
    from pathlib import Path

    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.io.variants import read_variants
    from dnahnet_cli.scoring.calibration import null_snvs
    from dnahnet_cli.scoring.variants import Status, VariantScorer

    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request(genome, model, device, dtype, threads, batch_size, context, suffix, strand, circular, tmpdir)
    inputs = [Path(genome)] + ([Path(variants)] if variants != "-" else [])
    with Session(request, reporter) as session:
        regions = session.regions(region, regions_file)
        snvs = null_snvs(session.fasta, null, seed) if null else []
        chosen: Iterable[Variant] = read_variants(variants, tmpdir=Path(tmpdir) if tmpdir else None)
        if regions is not None:
            chosen = _inside(chosen, regions)
        engine = session.engine()
        scorer = VariantScorer(engine, max_indel)
        provenance = session.provenance(with_paths=not no_version)
        if null:
            provenance |= {"null": f"{null} random SNVs", "seed": str(seed)}
        table_file = open_table(output, _columns(), format=output_format, provenance=provenance, forbidden=inputs)
        rest = iter(chosen)
        first = list(islice(rest, 1))  # what cannot be read is said now, not after the null has been scored
        ranks = _score_null(engine, snvs, reporter) if snvs and first else None
        reporter.start("variants", None)
        with table_file as table:
            for row in scorer.score(chain(first, rest), reporter.advance):
                table.write([_row(row, ranks)])
            _check_contigs(scorer, session, genome)
    counts = {status.value: scorer.counts[status] for status in Status}
    reasons = _reasons(scorer)
    close(reporter, "score-variants", counts, reasons, provenance, json_summary=json_summary, strict=strict)


def _score_null(engine: Engine, snvs: list[Variant], reporter: Reporter) -> Null:
    from dnahnet_cli.scoring.calibration import Null, score_snvs

    reporter.start("strands of random SNVs", len(snvs) * len(engine.strands))
    try:
        return Null.of(score_snvs(engine, snvs, reporter.advance))
    finally:
        reporter.stop()


def _inside(variants: Iterable[Variant], regions: list[Interval]) -> Iterator[Variant]:
    """Keep the variants whose first base lies in a region, as `bcftools view -t` does."""
    for variant in variants:
        if any(r.contig == variant.contig and r.start <= variant.start < r.end for r in regions):
            yield variant


def _columns() -> list[Column]:
    from dnahnet_cli.io.table import Column

    text = ("chrom", "pos", "id", "ref", "alt", "alt_index", "status")
    types = {"pos": "int", "alt_index": "int"}
    numbers = ("llr", "llr_fwd", "llr_rev", "ref_logp", "alt_logp", "damage")
    return [
        *(Column(name, types.get(name, "str")) for name in text),  # type: ignore[arg-type]
        *(Column(name, "float") for name in numbers),
        Column("num_changes", "int"),
        Column("scored_bp", "int"),
        Column("phred", "float"),
    ]


def _row(score: VariantScore, null: Null | None) -> dict[str, Any]:
    from dnahnet_cli.genome import Strand

    variant, llr = score.variant, score.llr
    return {
        "chrom": variant.contig,
        "pos": variant.start + 1,
        "id": variant.id,
        "ref": variant.ref,
        "alt": variant.alt,
        "alt_index": variant.alt_index,
        "status": score.status.value,
        "llr": llr,
        "llr_fwd": score.llr_on(Strand.FORWARD),
        "llr_rev": score.llr_on(Strand.REVERSE),
        "ref_logp": score.ref_logp,
        "alt_logp": score.alt_logp,
        "damage": None if llr is None else -llr,
        "num_changes": score.num_changes,
        "scored_bp": score.scored_bp,
        "phred": None if llr is None or null is None else float(null.phred(llr)),
    }


def _check_contigs(scorer: VariantScorer, session: Session, genome: str) -> None:
    """Raise when there were rows and none could be scored; before the output is given its name."""
    from dnahnet_cli.io.streams import name_some
    from dnahnet_cli.scoring.variants import Status

    total = sum(scorer.counts.values())
    if not total or scorer.counts[Status.OK]:
        return
    if scorer.counts[Status.CONTIG_NOT_FOUND]:
        theirs = scorer.first[Status.CONTIG_NOT_FOUND].contig
        raise InputError(
            f"none of {total} variants could be scored: contig {theirs!r} is not in {genome}, "
            f"whose contigs are {name_some(session.fasta.lengths)}. Rename the contigs of one of the files."
        )
    reasons = ", ".join(f"{count} {status.value}" for status, count in scorer.counts.most_common())
    raise InputError(f"none of {total} variants could be scored: {reasons}")


def _reasons(scorer: VariantScorer) -> dict[str, str]:
    """Return why rows were not scored, the commonest status first, each with its first example."""
    from dnahnet_cli.scoring.variants import EXPLANATION, Status

    reasons = {}
    for status, _ in scorer.counts.most_common():
        if status is not Status.OK:
            v = scorer.first[status]
            example = f"(first: {v.contig}:{v.start + 1} {_short(v.ref)}>{_short(v.alt)})"
            reasons[status.value] = f"{EXPLANATION[status]} {example}"
    return reasons


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:17]}..."
