"""`dnahnet essentiality`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, close
from dnahnet_cli.cli.request import Request, Spread
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dnahnet_cli.cli.kept import ByUnits
    from dnahnet_cli.genome import Gene
    from dnahnet_cli.io.genes import Annotation
    from dnahnet_cli.pictures import RankedGene
    from dnahnet_cli.scoring.engine import Engine
    from dnahnet_cli.scoring.essentiality import GeneScore


def essentiality(
    genome: o.Genome,
    genes: Annotated[
        str | None,
        typer.Argument(
            metavar="GENES",
            help="GFF3, GTF, BED or GenBank; - is standard input. Without it, those of a genome in GenBank format, "
            "or called with pyrodigal.",
            show_default=False,
        ),
    ] = None,
    circular: o.Circular = "auto",
    id_attr: Annotated[
        str | None,
        typer.Option(
            "--id-attr",
            metavar="NAME",
            help="Attribute that names a gene; otherwise locus_tag, gene_id, ID, Name.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    genetic_code: Annotated[
        int | None,
        typer.Option(
            "--genetic-code",
            metavar="N",
            help="NCBI table of genes that are called here, such as 4 of Mycoplasma; 11 unless given.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    region: o.Region = None,
    regions_file: o.RegionsFile = None,
    protocol: Annotated[
        Literal["single", "multi"],
        typer.Option(
            "--protocol",
            help="single: stop codons once, 12 bases after the start codon. multi: every 12 bases. Not comparable.",
            rich_help_panel=o.SCORING,
        ),
    ] = "single",
    suffix: o.Suffix = 512,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    output: o.Output = "-",
    output_format: o.OutputFormat = None,
    detail: Annotated[
        str | None,
        typer.Option(
            "--detail",
            metavar="FILE",
            help="A table of stop codons at places all along the top genes, each scored alone: .tsv, .parquet.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        int,
        typer.Option("--every", metavar="CODONS", min=1, help="How far apart these are.", rich_help_panel=o.OUTPUT),
    ] = 20,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="A picture of the ranking, with the top genes by name: .png, .svg or .pdf.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top", metavar="N", min=1, help="How many genes --detail and --plot show.", rich_help_panel=o.OUTPUT
        ),
    ] = 20,
    no_version: o.NoVersion = False,
    json_summary: o.JsonSummary = None,
    strict: o.Strict = False,
    resume: o.Resume = None,
    shard: o.Shard = None,
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
    """Rank protein-coding genes by how badly stop codons in them surprise the model.

    [bold]score[/bold] = log p(wild type) - log p(knock-out), natural log, over the same bases of both, mean of both
    strands. Higher: more likely essential. length_bp and gc stand beside it because they alone rank genes too.

    Examples:

      dnahnet essentiality genome.fa annotation.gff -o genes.tsv

      dnahnet essentiality assembly.fa | awk -F'\\t' '$8 == "ok" && $11 <= 10'

      dnahnet essentiality genome.fa annotation.gff.gz --protocol multi -o genes.parquet

      dnahnet essentiality annotated.gbk --plot top.png --detail stops.tsv --top 10 > genes.tsv

      dnahnet essentiality genome.fa annotation.gff --shard 1/4 --resume -o genes.1of4.tsv
    """
    from pathlib import Path

    from dnahnet_cli.cli.kept import check_resume, keeping, what_made
    from dnahnet_cli.cli.shard import parse_shard, plan_genes
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.pictures import PictureOutput, draw_ranking
    from dnahnet_cli.rows.genes import columns, gene_row, ranked, touched
    from dnahnet_cli.scoring.essentiality import Protocol, score_genes

    wanted = parse_shard(shard)
    check_resume(resume, output)
    if wanted is not None and (detail or plot):
        raise UsageError("--detail and --plot show the best of all genes, which a shard does not know: leave them out.")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    spread = Spread(engine_name, address, workers)
    request = Request(
        genome, model, device, dtype, threads, batch_size, context, suffix, strand, circular, tmpdir, spread
    )
    inputs = [Path(genome)] + ([Path(genes)] if genes is not None and genes != "-" else [])
    with Session(request, reporter) as session:
        annotation = _annotation(session, genes, id_attr, genetic_code, reporter)
        chosen = touched(annotation.genes, session.regions(region, regions_file), session.fasta.lengths)
        engine = session.engine(annotation.circular)
        provenance = {**session.provenance(with_paths=not no_version), "protocol": protocol}
        made_by = {
            **what_made("essentiality", session, engine, {}, session.provenance(with_paths=False)),
            "protocol": protocol,
            "genes": _digest_of(chosen),
            "detail": f"{top} genes, every {every} codons" if detail else "",
            "shard": shard or "",
        }
        part = None if wanted is None else plan_genes(wanted, chosen, made_by)
        if part is not None:
            provenance["shard"] = str(part)
            chosen = chosen[part.rows.start : part.rows.stop]
        # What could not be written at the end is refused now.
        opened = open_table(
            output, columns(), format=output_format, provenance=provenance, forbidden=inputs, exact=part is not None
        )
        picture = PictureOutput(plot, inputs) if plot is not None else None
        details = _Details(detail, every, {**provenance, "every": str(every)}, inputs)
        others = [path for path in (detail, plot) if path is not None]
        with keeping(output, engine, made_by, resume, reporter, others) as kept:
            reporter.start("gene strands", len(chosen) * len(engine.strands))
            with opened as table:
                rows = score_genes(engine, chosen, Protocol(protocol), reporter.advance, kept.score_units)
                if part is None:
                    _check(rows)
                table.write(ranked(rows) if part is None else map(gene_row, rows))
            best = sorted((row for row in rows if row.score is not None), key=lambda row: -(row.score or 0.0))
            details.write(engine, best[:top], reporter, kept)
            if picture is not None:
                picture.save(draw_ranking([_named(row) for row in best], top))
    counts, reasons = _counted(rows)
    close(
        reporter,
        "essentiality",
        counts,
        reasons,
        provenance,
        json_summary=json_summary,
        strict=strict,
        skipped=annotation.skipped,
    )


def _annotation(
    session: Session, genes: str | None, id_attr: str | None, genetic_code: int | None, reporter: Reporter
) -> Annotation:
    """Read the genes, or call them."""
    from dnahnet_cli.io.genes import call_genes, read_genes

    source = session.request.genome if genes is None and session.fasta.annotated else genes
    if source is not None:
        annotation = read_genes(source, id_attr, session.circles)
        session.check_genes(annotation.genes, source)
        if genetic_code is not None:
            raise UsageError(
                f"--genetic-code is for genes that are called, and {source} has genes: leave out one of them."
            )
        return annotation
    annotation = call_genes(session.fasta, genetic_code)
    reporter.note(f"{len(annotation.genes):,} genes called with pyrodigal")
    return annotation


def _digest_of(genes: Sequence[Gene]) -> str:
    import hashlib

    return hashlib.sha256("".join(f"{gene}\n" for gene in genes).encode()).hexdigest()


def _check(rows: Sequence[GeneScore]) -> None:
    """Raise when there are genes and none could be scored; before the output is given its name."""
    if rows and all(row.score is None for row in rows):
        first = rows[0]
        raise InputError(
            f"none of {len(rows)} genes could be scored: {first.status.value}, first {first.gene.name} on "
            f"{first.gene.contig}. Do the annotation and the genome belong together?"
        )


def _counted(rows: Sequence[GeneScore]) -> tuple[dict[str, int], dict[str, str]]:
    """Return how many rows each status has, and why those other than ok have no score, with the first example."""
    from dnahnet_cli.scoring.essentiality import EXPLANATION, GeneStatus

    counts, reasons = Counter(row.status for row in rows), {}
    for status, _ in counts.most_common():
        if status is not GeneStatus.OK:
            gene = next(row.gene for row in rows if row.status is status)
            reasons[status.value] = f"{EXPLANATION[status]} (first: {gene.name} on {gene.contig})"
    return {status.value: counts[status] for status in GeneStatus}, reasons


class _Details:
    """The table of --detail; nothing without a file."""

    def __init__(self, path: str | None, every: int, provenance: Mapping[str, str], inputs: Sequence[Path]) -> None:
        from dnahnet_cli.io.table import open_table
        from dnahnet_cli.rows.genes import insert_columns

        self.every = every
        self.table = (
            None if path is None else open_table(path, insert_columns(), provenance=provenance, forbidden=inputs)
        )

    def write(self, engine: Engine, rows: Sequence[GeneScore], reporter: Reporter, kept: ByUnits) -> None:
        """Score stop codons all along some genes, and write a row for each."""
        from dnahnet_cli.rows.genes import insert_row
        from dnahnet_cli.scoring.inserts import score_inserts, stop_places

        if self.table is None:
            return
        genes = [row.gene for row in rows]
        reporter.stop()
        reporter.start("stops", sum(len(stop_places(gene, self.every)) for gene in genes) * len(engine.strands))
        with self.table as table:
            for insert in score_inserts(engine, genes, self.every, reporter.advance, kept.score_units):
                table.write([insert_row(insert)])


def _named(row: GeneScore) -> RankedGene:
    from dnahnet_cli.pictures import RankedGene

    assert row.score is not None
    return RankedGene(row.gene.name, row.score, row.score_sense, row.score_antisense)
