"""`dnahnet fitness`."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, close
from dnahnet_cli.cli.request import Request
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.mutants import MutantList
    from dnahnet_cli.scoring.fitness import MutantScore
    from dnahnet_cli.scoring.proteins import CodingSequence


def fitness(
    gene: Annotated[str, typer.Argument(metavar="GENE", help="FASTA of one gene's coding bases.", show_default=False)],
    mutants: Annotated[
        str | None,
        typer.Argument(
            metavar="MUTANTS",
            help="A mutant a line, or a table with a column mutant; - is standard input.",
            show_default=False,
        ),
    ] = None,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome",
            metavar="GENOME",
            help="FASTA or GenBank of the DNA around the gene, which occurs in it once: gives the model its context.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    protein: Annotated[
        str | None,
        typer.Option(
            "--protein",
            metavar="FASTA",
            help="The protein that residues are numbered on, where it is not the gene's translation.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option(
            "--measured",
            metavar="COLUMN",
            help="The column of measurements; otherwise dms_score, score, fitness or measured.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    circular: o.Circular = "none",
    saturate: Annotated[
        bool,
        typer.Option("--saturate", help="All single substitutions, in place of MUTANTS.", rich_help_panel=o.SELECTION),
    ] = False,
    positions: Annotated[
        str | None,
        typer.Option(
            "--positions",
            metavar="FROM-TO",
            help="--saturate only these residues, 1-based inclusive.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    stops: Annotated[
        bool, typer.Option("--stops", help="--saturate with stop codons too.", rich_help_panel=o.SELECTION)
    ] = False,
    suffix: o.Suffix = 128,
    context: o.Context = o.DEFAULT_CONTEXT,
    strand: o.Strand = "both",
    output: o.Output = "-",
    output_format: o.OutputFormat = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="A map of all single mutants, position by residue: .png, .svg or .pdf.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
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
    """Score mutants of one gene: residues (M69L), codons (ATG69CTG) or bases (c.205A>C, c.205_207del).

    [bold]llr[/bold] = log p(mutant) - log p(wild type), natural log, mean of both strands. Several
    changes of one mutant are joined by ':' (M69L:E104K). Where the table holds measurements, their correlation with
    llr, with BLOSUM62 and the like goes to standard error.

    Examples:

      dnahnet fitness gene.fa mutants.txt > scores.tsv

      dnahnet fitness gene.fa --saturate --plot map.png -o scores.tsv

      echo 'c.[4A>G;7C>T]' | dnahnet fitness gene.fa - --genome genome.fa
    """
    from pathlib import Path

    from dnahnet_cli.io.mutants import MutantList, read_mutants
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.pictures import PictureOutput, draw_mutants
    from dnahnet_cli.rows.mutants import columns, row_of
    from dnahnet_cli.scoring.fitness import EXPLANATION, MutantStatus, saturation, score_mutants

    if saturate == (mutants is not None):
        raise UsageError("give either MUTANTS or --saturate")
    if not saturate and (positions is not None or stops):
        raise UsageError("--positions and --stops choose among the mutants of --saturate")
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    where = genome or gene
    request = Request(where, model, device, dtype, threads, batch_size, context, suffix, strand, circular, tmpdir)
    inputs = [Path(path) for path in (gene, mutants, genome, protein) if path not in (None, "-")]
    with Session(request, reporter) as session:
        coding = _coding(session.fasta, gene, protein)
        inner_stops = coding.protein.rstrip("*").count("*")
        if inner_stops:  # one may be a selenocysteine
            reporter.note(
                f"{gene} has stop codons before its end ({inner_stops}): is it a gene, in frame, on the gene's strand?"
            )
        if mutants is not None:
            given = read_mutants(mutants, measured)
        else:
            given = MutantList(tuple(saturation(coding.protein, _range(positions, coding), stops=stops)))
        picture = PictureOutput(plot, inputs) if plot is not None else None  # refused now, not at the end
        engine = session.engine()
        provenance = session.provenance(with_paths=not no_version)
        table_columns = columns(with_measured=given.measured is not None)
        reporter.start("mutants", len(given.mutants))
        rows: list[MutantScore] = []
        reasons: dict[str, str] = {}
        with open_table(output, table_columns, format=output_format, provenance=provenance, forbidden=inputs) as table:
            for index, row in enumerate(score_mutants(engine, coding, given.mutants, reporter.advance)):
                table.write([row_of(row, given, index)])
                rows.append(row)
                if row.status is not MutantStatus.OK:
                    reasons.setdefault(row.status.value, f"{EXPLANATION[row.status]} (first: {row.reason or row.text})")
            counts = Counter(row.status.value for row in rows)
            if not counts["ok"]:
                raise InputError(f"none of {len(rows):,} mutants could be scored: {'; '.join(reasons.values())}")
        if picture is not None:
            title = f"{coding.gene.name}: {session.model_file.name}"
            picture.save(draw_mutants(coding.protein, _single(rows), title, "llr, nats"))
    reporter.stop()
    for line in _correlations(rows, given):
        reporter.note(line)
    by_status = {status.value: counts[status.value] for status in MutantStatus}
    close(reporter, "fitness", by_status, reasons, provenance, json_summary=json_summary, strict=strict)


def _coding(fasta: Fasta, gene: str, protein: str | None) -> CodingSequence:
    """Return the gene within the open DNA, which may be the gene itself."""
    from pathlib import Path

    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.io.mutants import read_protein
    from dnahnet_cli.scoring.proteins import CodingSequence, find_coding

    with Fasta(Path(gene)) as own:
        if len(own.lengths) != 1:
            raise InputError(f"{gene} holds {len(own.lengths)} sequences: give one gene's coding bases.")
        ((name, length),) = own.lengths.items()
        found = find_coding(fasta, own.codes(name, 0, length), name)
    return CodingSequence.of(fasta, found, read_protein(Path(protein))[0] if protein is not None else None)


def _range(text: str | None, coding: CodingSequence) -> range | None:
    length = len(coding.protein.rstrip("*"))
    if text is None:
        return range(length)
    match = re.fullmatch(r"([1-9][0-9]*)-([1-9][0-9]*)", text)
    if match is None or not int(match[1]) <= int(match[2]) <= length:
        raise UsageError(f"--positions {text}: expected FROM-TO within 1-{length}")
    return range(int(match[1]) - 1, int(match[2]))


def _single(rows: list[MutantScore]) -> dict[tuple[int, str], float]:
    """Return the scores of single substitutions by place and residue; of several ways to write one, the first."""
    found: dict[tuple[int, str], float] = {}
    for row in rows:
        match = re.fullmatch(r"[A-Z*]([0-9]+)([A-Z*])", row.recoded.effect) if row.recoded is not None else None
        if match is not None and row.llr is not None:
            found.setdefault((int(match[1]) - 1, match[2]), row.llr)
    return found


def _correlations(rows: list[MutantScore], given: MutantList) -> list[str]:
    """Return a line for each score: its Spearman correlation with the measurement, with an interval."""
    import numpy as np

    from dnahnet_cli.evaluation.statistics import interval, resampled_spearman, resamples, spearman
    from dnahnet_cli.rows.mutants import row_of

    if given.measured is None:
        return []
    known = [i for i, row in enumerate(rows) if row.llr is not None and not math.isnan(given.measured[i])]
    if len(known) < 3:
        return [f"{len(known)} mutants have both a score and a measurement: too few for a correlation"]
    target = np.array([given.measured[i] for i in known])
    cells = [row_of(rows[i], given, i) for i in known]
    lines = [f"Spearman correlation with {given.column}, {len(known):,} mutants, 95 % interval:"]
    for name, sign in (("llr", 1), ("blosum62", 1), ("hydropathy", 1), ("volume", 1), ("num_changes", -1)):
        values = np.array([math.nan if row.get(name) is None else sign * row[name] for row in cells], dtype=float)
        own = ~np.isnan(values)
        value = spearman(values[own], target[own]) if own.sum() > 2 else math.nan
        if math.isnan(value):
            continue
        counts = resamples(int(own.sum()), draws=1000, seed=1)
        low, high = interval(resampled_spearman(values[own], target[own], counts))
        fewer = "" if own.all() else f", of {int(own.sum()):,}"
        lines.append(f"  {'fewer changes' if sign < 0 else name:13} {value:6.3f} ({low:.3f} to {high:.3f}){fewer}")
    return lines
