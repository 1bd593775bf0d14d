"""`dnahnet score-variants`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dnahnet_cli import limits
from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.cli.request import Request, Spread
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import UsageError

VariantFormat = Literal["tsv", "tsv.gz", "parquet", "vcf", "vcf.gz", "bcf"]
OnRefMismatch = Literal["skip", "error", "use-genome"]


def score_variants(
    genome: o.Genome,
    variants: Annotated[
        str | None,
        typer.Argument(
            metavar="VARIANTS",
            help="VCF, BCF, or TSV of chrom pos ref alt; plain or compressed; - is standard input.",
            show_default=False,
        ),
    ] = None,
    genes: Annotated[
        str | None,
        typer.Option(
            "--genes",
            metavar="FILE",
            help="GFF3, GTF, BED or GenBank; - is standard input: adds gene, codon and amino-acid change, consequence.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    genetic_code: Annotated[
        int | None,
        typer.Option(
            "--genetic-code",
            metavar="N",
            help="NCBI table of all genes (1, 4, 11, 15, 25); unless given, what the annotation says, or 11.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    upstream: Annotated[
        int,
        typer.Option(
            "--upstream",
            metavar="N",
            min=limits.UPSTREAM.least,
            max=limits.UPSTREAM.most,
            help="A variant in no gene is upstream of genes that begin within N bases.",
            rich_help_panel=o.INPUT,
        ),
    ] = 250,
    rename_contigs: Annotated[
        str | None,
        typer.Option(
            "--rename-contigs",
            metavar="FILE",
            help="Lines of a contig's name in VARIANTS or --genes and its name in GENOME.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    circular: o.Circular = "auto",
    all_snvs: Annotated[
        bool,
        typer.Option(
            "--all-snvs",
            help="In place of VARIANTS: the three SNVs of every base, of -r or -R if given.",
            rich_help_panel=o.SELECTION,
        ),
    ] = False,
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    on_ref_mismatch: Annotated[
        OnRefMismatch,
        typer.Option(
            "--on-ref-mismatch",
            help="REF differs from the genome: leave the row without a score, stop, or score ALT against the genome.",
            rich_help_panel=o.SELECTION,
        ),
    ] = "skip",
    suffix: o.Suffix = 128,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    max_indel: Annotated[
        int,
        typer.Option(
            "--max-indel",
            metavar="N",
            min=limits.MAX_INDEL.least,
            max=limits.MAX_INDEL.most,
            help="Longest allele that is scored.",
            rich_help_panel=o.SCORING,
        ),
    ] = 500,
    null: Annotated[
        int,
        typer.Option(
            "--null",
            metavar="N",
            min=limits.NULL.least,
            max=limits.NULL.most,
            help="Fill the column phred: rank each llr among N random SNVs of the genome, which are scored first. "
            "1000 is a good number; 0 leaves the column empty.",
            rich_help_panel=o.SCORING,
        ),
    ] = 0,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=limits.SEED.least, help="Of the SNVs of --null.", rich_help_panel=o.SCORING
        ),
    ] = 1,
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
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    strict: o.Strict = False,
    resume: o.Resume = None,
    shard: o.Shard = None,
    dry_run: o.DryRun = False,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Devices = "auto",
    engine_name: o.ComputeEngine = "local",
    address: o.Address = None,
    workers: o.Workers = None,
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
    and says why in [bold]status[/bold]. The suffix of -o decides: a table (.tsv, .tsv.gz, .parquet), or the VCF itself
    with INFO fields added (.vcf, .vcf.gz, .bcf); .gz and .bcf get an index.

    Examples:

      dnahnet score-variants genome.fa snps.vcf --genes genes.gff -o scores.tsv

      dnahnet score-variants genome.fa calls.vcf.gz --null 1000 -o scored.vcf.gz

      dnahnet score-variants genome.fa --all-snvs -r chr1:1001-1100 -o saturation.parquet

      dnahnet score-variants genome.fa snps.vcf --shard 1/4 --resume -o scores.1of4.tsv

      bcftools view -f PASS calls.bcf | dnahnet score-variants genome.fa - | awk '$8 < -3 && $7 == "ok"'
    """
    from dnahnet_cli.cli.variant_run import Job, run

    if (variants is None) != all_snvs:
        raise UsageError(
            "give VARIANTS or --all-snvs, not both." if all_snvs else "VARIANTS is missing: give a file, or --all-snvs."
        )
    job = Job(
        variants,
        genes=genes,
        genetic_code=genetic_code,
        upstream_bp=upstream,
        rename_contigs=rename_contigs,
        region=region or [],
        regions_file=regions_file,
        on_ref_mismatch=on_ref_mismatch,
        max_indel=max_indel,
        null=null,
        seed=seed,
        output=output,
        format=output_format,
        write_index=write_index,
        clobber=not no_clobber,
        with_paths=not no_version,
        json_summary=json_summary,
        strict=strict,
        dry_run=dry_run,
        shard=shard,
        resume=resume,
    )
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    spread = Spread(engine_name, address, workers)
    request = Request(
        genome, model, device, dtype, threads, batch_size, context, suffix, strand, circular, tmpdir, spread
    )
    with Session(request, reporter) as session:
        run(job, session, reporter)
