"""`dnahnet report`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import UsageError


def _input(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=o.INPUT, show_default=False)


def report(
    genome: o.Genome,
    genes: Annotated[str | None, _input("--genes", "FILE", "GFF3, GTF, BED or GenBank: the genes.")] = None,
    variants: Annotated[
        str | None, _input("--variants", "FILE", "Of `score-variants`: TSV, Parquet, VCF or BCF; - is standard input.")
    ] = None,
    essentiality: Annotated[str | None, _input("--essentiality", "FILE", "Of `essentiality`: TSV or Parquet.")] = None,
    chunks: Annotated[str | None, _input("--chunks", "BED", "Of `boundaries`, plain or compressed.")] = None,
    track: Annotated[
        list[str] | None,
        _input(
            "--track",
            "FILE",
            "bigWig or bedGraph, such as of `boundaries --bigwig` and `score --per-base`; repeatable.",
        ),
    ] = None,
    fitness: Annotated[
        list[str] | None,
        _input("--fitness", "FILE", "Of `fitness --saturate`: TSV or Parquet, shown as a map; repeatable."),
    ] = None,
    rename_contigs: Annotated[
        str | None,
        _input("--rename-contigs", "FILE", "Lines of a contig's name in the other files and its name in GENOME."),
    ] = None,
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            max=100_000,
            help="How many variants there are on the page, those of the highest damage.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 1000,
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The page; - is standard output.", rich_help_panel=o.OUTPUT
        ),
    ] = "report.html",
    title: Annotated[
        str | None,
        typer.Option(
            "--title", metavar="TEXT", help="What the page is called.", rich_help_panel=o.OUTPUT, show_default=False
        ),
    ] = None,
    no_clobber: o.NoClobber = False,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
) -> None:
    """Make one HTML page of a run's results: a genome browser, tables that sort and filter, pictures, provenance.

    The page is a single file that needs no network: genome, genes and results are in it, a whole bacterium in a few
    megabytes. A click on a row of a table shows its place in the browser. With --region, the browser opens there, and
    shows chunks and single bases there before anywhere else.

    Examples:

      dnahnet report genome.fa --genes genes.gff --variants scored.tsv

      dnahnet report genome.fa --genes genes.gff --chunks chunks.bed.gz -r chr1:1-10000 -o chunks.html

      dnahnet report genome.fa --genes genes.gff --essentiality genes.tsv --variants scored.vcf.gz -o run.html

      dnahnet score-variants genome.fa snps.vcf | dnahnet report genome.fa --variants - -o calls.html
    """
    from contextlib import ExitStack
    from pathlib import Path

    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.intake import read_names
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.regions import parse_region, read_regions
    from dnahnet_cli.io.spool import file_of
    from dnahnet_cli.report.build import Inputs, build
    from dnahnet_cli.report.page import render

    given = [genes, variants, essentiality, chunks, *(track or []), *(fitness or [])]
    if not any(given):
        raise UsageError(
            "there is nothing to show: give --genes, --variants, --essentiality, --chunks or another input"
        )
    if [rename_contigs, regions_file, *given].count("-") > 1:
        raise UsageError("'-', standard input, can be given once.")
    reporter = Reporter(quiet=quiet)
    inputs = [Path(path) for path in (genome, rename_contigs, regions_file, *given) if path not in (None, "-")]
    place = open_output(output, forbidden=inputs, clobber=not no_clobber)  # refused now, not at the end
    if Path(output).suffix.lower() not in ("", ".html", ".htm"):
        raise UsageError(f"-o {output}: the page is HTML, so give it a name that ends in .html.")
    folder = Path(tmpdir) if tmpdir else None
    with ExitStack() as files, Fasta(Path(genome), folder) as fasta:
        regions = [parse_region(text, fasta.lengths) for text in region or ()]
        if regions_file is not None:
            regions += read_regions(regions_file, fasta.lengths)

        def again(path: str | None) -> str | None:
            return None if path is None else files.enter_context(file_of(path, folder))

        shown = Inputs(
            genes=again(genes),
            variants=again(variants),
            essentiality=again(essentiality),
            chunks=again(chunks),
            tracks=track or (),
            fitness=[files.enter_context(file_of(path, folder)) for path in fitness or ()],
            regions=regions,
            renamed=read_names(rename_contigs, fasta.lengths) if rename_contigs is not None else {},
            top=top,
            title=title,
        )
        made = build(fasta, shown)
    html = render(made.page)
    with place as file:
        file.write(html)
    for warning in made.page.warnings:
        reporter.note(f"warning: {warning}")
    for text in made.left_out:
        reporter.note(f"  left out: {text}")
    reporter.note(f"{place.name}: {len(html.encode()) / 1e6:.1f} MB, made in {reporter.seconds():.1f} s")
