"""`dnahnet evaluate essentiality`: scores of genes beside what is known of which a cell cannot miss."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.evaluate import common as e
from dnahnet_cli.cli.evaluate.common import folder_of, provenance_of
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.cli.request import Request, engine_options, strands
from dnahnet_cli.cli.session import load_network
from dnahnet_cli.errors import InputError, StrictError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.genes import GeneOptions, GeneScores
    from dnahnet_cli.evaluation.organisms import Organism
    from dnahnet_cli.genome import GenomeSource
    from dnahnet_cli.networks.weights import ModelFile
    from dnahnet_cli.scoring.engine import Engine

ProtocolChoice = Literal["single", "multi", "both"]


def essentiality(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER...",
            help="Organisms, or folders of organisms: see the reference on input.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="NAME",
            help="Set of labels that goes into the mean, where an organism has it; otherwise consensus, or the first.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    genes: Annotated[
        int | None,
        typer.Option(
            "--genes",
            metavar="N",
            min=1,
            help="At most so many genes of each organism, drawn by --seed without a look at their labels.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        ProtocolChoice,
        typer.Option("--protocol", help="How genes are knocked out; both are kept apart.", rich_help_panel=o.SCORING),
    ] = "both",
    bits: Annotated[
        bool,
        typer.Option("--bits/--no-bits", help="Score the bits per base of genes too.", rich_help_panel=o.SCORING),
    ] = True,
    suffix: o.Suffix = 512,
    markov: Annotated[
        int,
        typer.Option(
            "--markov",
            metavar="K",
            min=0,
            max=11,
            help="Order of the Markov model beside the scores, fitted to the own genome.",
            rich_help_panel=o.SCORING,
        ),
    ] = 5,
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
    """Compare knock-out scores with known essential genes: ROC area and average precision, with intervals and tests.

    One row per organism, set of labels and score, then the mean over organisms. All scores are turned so that higher
    is meant to be more essential, before any label is looked at. Beside them: gene length, GC, codon adaptation and a
    Markov model, which need no network.

    Examples:

      dnahnet evaluate essentiality organisms/ -o essentiality.tsv --json essentiality.json

      dnahnet evaluate essentiality organisms/ecoli --genes 1000 --protocol single --labels tradis

      dnahnet evaluate essentiality organisms/ --scores scores/ --resume --draws 5000 -o essentiality.parquet
    """
    from dnahnet_cli.evaluation.essentiality import columns, essentiality_rows
    from dnahnet_cli.evaluation.genes import GeneOptions, beside
    from dnahnet_cli.evaluation.organisms import find_organisms, read_organism, training_match
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.weights import find_model
    from dnahnet_cli.scoring.essentiality import Protocol

    folder = folder_of(scores, resume=resume)
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request("", model, device, dtype, threads, batch_size, context, suffix, strand, "auto", tmpdir)
    protocols = (Protocol.SINGLE, Protocol.MULTI) if protocol == "both" else (Protocol(protocol),)
    options = GeneOptions(protocols, bits, genes, markov, labels, draws, seed)
    # All that can be wrong with the input comes before the first score, which may be hours before the last.
    organisms = [read_organism(path) for path in find_organisms(map(Path, folders))]
    _check(organisms, labels)
    inputs = [path for organism in organisms for path in organism.files]
    file = find_model(model)
    run = _EssentialityRun(request, reporter, options, file, folder, resume)
    if json is not None:
        open_output(json, forbidden=inputs)  # refuses now what could not be written at the end
    settings = run.settings()
    provenance = provenance_of(file, settings, with_paths=not no_version)
    table_file = open_table(output, columns(), format=output_format, provenance=provenance, forbidden=inputs)
    others = [beside(organism, markov) for organism in organisms]
    scored = run.score(organisms)
    rows = essentiality_rows(scored, others, options, [training_match(organism, file.card) for organism in organisms])
    if not any(row["num_genes"] for row in rows if row["level"] == "organism"):
        run.explain(scored)
        raise InputError("no gene of any organism could be scored")
    with table_file as opened_table:
        opened_table.write(rows)
    if json is not None:
        details = {"name": file.name, "sha256": file.sha256, "parameters": run.num_parameters}
        inputs_of = {organism.name: organism.sha256 for organism in organisms}
        notes = _notes(options, organisms)
        result = EvaluationResult("essentiality", details, {**settings, "inputs_sha256": inputs_of}, rows, notes)
        result.save(json, inputs)
    _close(run, scored, rows, provenance, json_summary, strict)


def _check(organisms: list[Organism], labels: str | None) -> None:
    """Raise InputError for an organism without any gene, UsageError for labels that none has."""
    for organism in organisms:
        if not organism.genes:
            reason, first, _ = organism.label_sets[0].skipped[0]
            raise InputError(
                f"{organism.name}: none of its labels is of a gene on its genome: {reason.value}, {first}."
            )
    names = dict.fromkeys(own.name for organism in organisms for own in organism.label_sets)
    if labels is not None and labels not in names:
        raise UsageError(f"--labels {labels}: no organism has such a set; there are {', '.join(names)}")


class _EssentialityRun:
    """The scoring of all organisms with one network."""

    def __init__(
        self,
        request: Request,
        reporter: Reporter,
        options: GeneOptions,
        file: ModelFile,
        folder: Path | None,
        resume: bool,
    ) -> None:
        self.request, self.reporter, self.options, self.file = request, reporter, options, file
        self.folder, self.resume = folder, resume
        self._network, self._dtype_name = load_network(file, request, reporter)
        self.num_parameters = self._network.num_parameters()

    def settings(self) -> dict[str, Any]:
        """Return all that the figures depend on, apart from the model and the input."""
        options = self.options
        return {
            **self._scoring(),
            "markov": options.markov_order,
            "labels": options.labels or "consensus, or else the first",
            "draws": options.draws,
            "seed": options.seed,
        }

    def score(self, organisms: list[Organism]) -> list[GeneScores]:
        """Score the organisms, or read their scores where that was done before."""
        from dnahnet_cli.evaluation.genes import GeneScores, drawn, score_organism
        from dnahnet_cli.evaluation.organisms import Skip

        num_readings = len(self.options.scores) * len(strands(self.request.strand))
        steps = [num_readings * drawn(organism, self.options).count(Skip.OK) for organism in organisms]
        self.reporter.start("gene strands", sum(steps))
        scored = []
        for organism, own_steps in zip(organisms, steps, strict=True):
            made_by = {key: str(value) for key, value in self._scoring().items()}
            made_by |= {"model_sha256": self.file.sha256, "inputs_sha256": organism.sha256}
            if self.options.genes is not None:
                made_by["seed"] = str(self.options.seed)  # of the drawing; figures are made anew
            found = None
            if self.folder is not None and self.resume:
                found = GeneScores.load(self.folder, organism, self.options.scores, made_by)
            if found is None:
                found = score_organism(organism, self.options, self._engine, self.reporter.advance)
                if self.folder is not None:
                    found.save(self.folder, made_by)
            else:
                self.reporter.detail(f"{organism.name}: scores read from {self.folder}")
                self.reporter.advance(own_steps)
            scored.append(found)
        self.reporter.stop()
        return scored

    def explain(self, scored: list[GeneScores]) -> Counter[str]:
        """Say why labelled genes have no score, each reason once with its first example; return the counts."""
        from dnahnet_cli.evaluation.organisms import EXPLANATION, Skip

        counts: Counter[str] = Counter()
        first: dict[Skip, str] = {}
        for scores in scored:
            genes = scores.organism.genes
            skips = [(skip, gene.locus_tag) for skip, gene in zip(scores.status, genes, strict=True)]
            for labels in scores.organism.label_sets:
                skips += [(skip, f"{locus} in {labels.name}") for skip, locus, _ in labels.skipped]
            for skip, name in skips:
                counts[skip.value] += 1
                first.setdefault(skip, f"{name} of {scores.organism.name}")
        for skip in Skip:
            if skip in first and skip is not Skip.OK:
                self.reporter.note(f"  {counts[skip.value]:,} {skip.value}: {EXPLANATION[skip]} (first: {first[skip]})")
        return counts

    def _scoring(self) -> dict[str, Any]:
        options = self.options
        return {
            "scores": ",".join(options.scores),
            "genes": "all" if options.genes is None else options.genes,
            "context": self.request.context,
            "suffix": self.request.suffix,
            "strand": self.request.strand,
            "dtype": self._dtype_name,
        }

    def _engine(self, genome: GenomeSource, circular: frozenset[str]) -> Engine:
        from dnahnet_cli.scoring.engine import Engine

        options = engine_options(self.request, self.request.suffix or 0)
        return Engine(self._network, genome, options, circular, strands(self.request.strand))


def _notes(options: GeneOptions, organisms: list[Organism]) -> list[str]:
    chosen = ", ".join(f"{organism.name}: {organism.chosen(options.labels)}" for organism in organisms)
    drawn = "" if options.genes is None else f"{options.genes} genes of each organism were drawn, labels unseen. "
    return [
        "Every score is turned before any label is looked at, so that higher is meant to be more essential: a larger "
        "loss of log-likelihood by the knock-out, fewer bits per base, a longer gene, more of G and C, codons better "
        "adapted. An area below 0.5 is a score that ranks the wrong way round.",
        "single and multi knock genes out in different ways and are not comparable in size.",
        "given_length: what a straight line over log length leaves of the score. and_length: mean of both ranks. "
        "bits_beyond_markov: bits per base of the Markov model less those of the model. None of them looks at labels.",
        f"markov: bits per base of the gene under an order-{options.markov_order} Markov model of the own genome. "
        "cai: Sharp and Li's index against the genes that cai_reference names; ribosomal protein genes are told by "
        "their names, are compared themselves, and many are essential.",
        f"{drawn}The scores of a row are compared on the same genes. The sha256 of an input is over its files.",
        "Intervals of auroc, ap and differences are 95 % percentile bootstrap intervals: over genes for an organism, "
        "over organisms and the genes within them for the mean; organisms are never pooled. delong_low and delong_high "
        "are DeLong's.",
        "p_adjusted is by Holm's rule: over DeLong's tests of all organisms and label sets, and over the bootstrap "
        "tests of the mean. The label sets of one organism share most genes.",
        "With less than five genes of either class there are no figures (status too_few).",
        "best_baseline is chosen on the row itself, by its area, among the scores that need no model.",
        f"Labels that go into the mean: {chosen}.",
        "in_training: genome if the model card lists the same bases or accession among the training genomes, genus if "
        "it lists a genome of a genus that the folder or the first FASTA header names; null if neither, which proves "
        "nothing.",
        "A gene in none of a study's lists often counts as not essential without having been measured; genes without a "
        "label, and labels without a place on the genome, are left out and counted in skipped.",
    ]


def _close(
    run: _EssentialityRun,
    scored: list[GeneScores],
    rows: list[dict[str, Any]],
    provenance: dict[str, str],
    json_summary: str | None,
    strict: bool,
) -> None:
    reporter = run.reporter
    total = sum(len(scores.status) for scores in scored)
    num_ok = sum(len(scores.used) for scores in scored)
    reporter.note(f"{num_ok:,} of {total:,} genes of {len(scored)} organisms scored in {reporter.seconds():.1f} s")
    counts = run.explain(scored)
    for row in rows:
        if row["level"] == "mean":
            reporter.note(f"mean over organisms ({row['num_averaged']}), {_line(row)}")
    write_summary(
        json_summary,
        {
            "command": "evaluate essentiality",
            "rows": len(rows),
            "genes": total,
            "scored": num_ok,
            "status": dict(counts),
            "seconds": round(reporter.seconds(), 3),
            "peak_memory_mib": peak_memory_mib(),
            "provenance": provenance,
        },
    )
    num_lost = sum(count for status, count in counts.items() if status not in ("ok", "not_drawn"))
    if strict and num_lost:
        raise StrictError(f"--strict: {num_lost} labelled genes could not be scored")


def _line(row: dict[str, Any]) -> str:
    if row["auroc"] is None:
        return f"{row['score']}: AUROC not defined"
    return f"{row['score']}: AUROC {row['auroc']:.3f} ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})"
