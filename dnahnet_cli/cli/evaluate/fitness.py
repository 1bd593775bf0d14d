"""`dnahnet evaluate fitness`: scores of mutants beside what was measured in a laboratory."""

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
from dnahnet_cli.errors import InputError, StrictError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.assays import Assay
    from dnahnet_cli.evaluation.mutants import AssayScores, FitnessOptions
    from dnahnet_cli.genome import GenomeSource
    from dnahnet_cli.networks.weights import ModelFile
    from dnahnet_cli.scoring.engine import Engine

CodonChoice = Literal["nearest", "mean"]


def fitness(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER...", help="Assays, or folders of assays: see the reference on input.", show_default=False
        ),
    ],
    peers: Annotated[
        str | None,
        typer.Option(
            "--peers",
            metavar="FILE",
            help="Published values to put beside ours: a table of dms_id, model, and spearman, auc or ndcg.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    mutants: Annotated[
        int | None,
        typer.Option(
            "--mutants",
            metavar="N",
            min=1,
            help="At most so many mutants of each assay, drawn by --seed.",
            rich_help_panel=o.SELECTION,
            show_default=False,
        ),
    ] = None,
    codon: Annotated[
        CodonChoice,
        typer.Option(
            "--codon",
            help="How a new residue is written: its codon nearest to the old one, or the mean score of all its codons.",
            rich_help_panel=o.SCORING,
        ),
    ] = "nearest",
    suffix: Annotated[
        list[int],
        typer.Option(
            "--suffix",
            metavar="N",
            min=0,
            max=1500,
            help="Bases compared after the edited ones; repeatable, a set of rows for each.",
            rich_help_panel=o.SCORING,
        ),
    ] = [128],  # noqa: B006, typer copies it
    markov: Annotated[
        int,
        typer.Option(
            "--markov",
            metavar="K",
            min=0,
            max=11,
            help="Order of the Markov model beside the scores, fitted to genome.fna or else region.fna.",
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
    """Compare llr with measured fitness: Spearman, AUC and NDCG with intervals, and baselines beside them.

    One row per assay, then the mean of each protein's assays, then the mean over proteins. All figures are signed:
    a model that ranks the wrong way round has a negative correlation. difference is that to the best score that
    needs no model.

    Examples:

      dnahnet evaluate fitness assays/ -o fitness.tsv --json fitness.json

      dnahnet evaluate fitness assays/BLAT_ECOLX_Stiffler_2015 --suffix 64 --suffix 256 --codon mean

      dnahnet evaluate fitness assays/ --scores scores/ --resume --peers proteingym_spearman.tsv -o fitness.parquet
    """
    from dnahnet_cli.evaluation.assays import find_assays, read_assay, read_peers
    from dnahnet_cli.evaluation.fitness import add_peers, columns, fitness_rows
    from dnahnet_cli.evaluation.mutants import Codon, FitnessOptions
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.weights import find_model

    folder = folder_of(scores, resume=resume)
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request("", model, device, dtype, threads, batch_size, context, None, strand, "none", tmpdir)
    suffixes = tuple(dict.fromkeys(suffix))
    options = FitnessOptions(suffixes, Codon(codon), markov, mutants, draws, seed)
    # All that can be wrong with the input comes before the first score, which may be hours before the last.
    assays = [read_assay(path) for path in find_assays(map(Path, folders))]
    published = read_peers(Path(peers)) if peers is not None else None
    inputs = [path for assay in assays for path in assay.files] + ([Path(peers)] if peers is not None else [])
    file = find_model(model)
    run = _FitnessRun(request, reporter, options, file, folder, resume)
    if json is not None:
        open_output(json, forbidden=inputs)  # refuses now what could not be written at the end
    settings = run.settings()
    provenance = provenance_of(file, settings, with_paths=not no_version)
    table = columns(with_peers=published is not None)
    table_file = open_table(output, table, format=output_format, provenance=provenance, forbidden=inputs)
    scored = run.score(assays)
    rows = fitness_rows(scored, options)
    if published is not None:
        add_peers(rows, *published)
    if not any(row["num_scored"] for row in rows if row["level"] == "assay"):
        run.explain(scored)
        raise InputError("no mutant of any assay could be scored")
    with table_file as opened_table:
        opened_table.write(rows)
    if json is not None:
        details = {"name": file.name, "sha256": file.sha256, "parameters": run.num_parameters}
        inputs_of = {assay.name: assay.sha256 for assay in assays}
        result = EvaluationResult("fitness", details, {**settings, "inputs_sha256": inputs_of}, rows, _notes(options))
        result.save(json, inputs)
    _close(run, scored, rows, provenance, json_summary, strict)


class _FitnessRun:
    """The scoring of all assays, with one network that is loaded when it is first needed."""

    def __init__(
        self,
        request: Request,
        reporter: Reporter,
        options: FitnessOptions,
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
        return {**self._scoring(), "draws": self.options.draws, "seed": self.options.seed}

    def score(self, assays: list[Assay]) -> list[AssayScores]:
        """Score the assays, or read their scores where that was done before."""
        from dnahnet_cli.evaluation.mutants import AssayScores, score_assay

        self.reporter.start("mutants", sum(len(a.mutants) for a in assays) * len(self.options.suffixes))
        scored = []
        by_dna: dict[str, dict[int, dict[str, float]]] = {}
        for assay in assays:
            known = by_dna.setdefault(assay.dna_sha256, {suffix: {} for suffix in self.options.suffixes})
            made_by = {key: str(value) for key, value in self._scoring().items()}
            made_by |= {"model_sha256": self.file.sha256, "inputs_sha256": assay.sha256}
            if self.options.mutants is not None:
                made_by["seed"] = str(self.options.seed)  # of the drawing; figures are made anew
            found = None
            if self.folder is not None and self.resume:
                found = AssayScores.load(self.folder, assay, self.options.suffixes, made_by)
            if found is None:
                found = score_assay(assay, self.options, self._engine, self.reporter.advance, known)
                if self.folder is not None:
                    found.save(self.folder, made_by)
            else:
                self.reporter.detail(f"{assay.name}: scores read from {self.folder}")
                self.reporter.advance(len(assay.mutants) * len(self.options.suffixes))
            for suffix, llrs in found.known.items():
                known[suffix].update(llrs)
            scored.append(found)
        self.reporter.stop()
        return scored

    def explain(self, scored: list[AssayScores]) -> Counter[str]:
        """Say why mutants have no score, each reason once with its first example; return the counts of the reasons."""
        from dnahnet_cli.evaluation.mutants import EXPLANATION, Skip

        counts: Counter[str] = Counter()
        first: dict[Skip, str] = {}
        for scores in scored:
            for mutant, skip in zip(scores.assay.mutants, scores.status[self.options.suffixes[0]], strict=True):
                counts[skip.value] += 1
                first.setdefault(skip, f"{mutant or 'an empty cell'} of {scores.assay.name}")
        for skip in Skip:
            if skip in first and skip is not Skip.OK:
                text = f"{EXPLANATION[skip]} (first: {first[skip]})"
                self.reporter.note(f"  {counts[skip.value]:,} {skip.value}: {text}")
        return counts

    def _scoring(self) -> dict[str, Any]:
        options = self.options
        return {
            "suffixes": ",".join(map(str, options.suffixes)),
            "codon": options.codon.value,
            "context": self.request.context,
            "strand": self.request.strand,
            "dtype": self._dtype_name,
            "markov": options.markov_order,
            "mutants": "all" if options.mutants is None else options.mutants,
        }

    def _engine(self, genome: GenomeSource, suffix: int) -> Engine:
        from dnahnet_cli.scoring.engine import Engine

        options = engine_options(self.request, suffix)
        return Engine(self._network, genome, options, strands=strands(self.request.strand))


def _notes(options: FitnessOptions) -> list[str]:
    return [
        "All figures are signed; higher scores are meant to be fitter. The sha256 of an input is over its files.",
        "Intervals are 95 % percentile bootstrap intervals: over mutants for an assay and a protein, over proteins and "
        "the mutants within them for the mean. The assays of a protein share their resamples.",
        "The scores of a row are compared on the mutants that the model scored; without DNA, on those of the protein.",
        "best_baseline is chosen on the row itself, by its correlation, among the scores that need no model.",
        f"markov: log-ratio under an order-{options.markov_order} Markov model of the own region, or genome where "
        "markov_source says so. model_entropy: the model's uncertainty of the position in the wild type.",
    ]


def _close(
    run: _FitnessRun,
    scored: list[AssayScores],
    rows: list[dict[str, Any]],
    provenance: dict[str, str],
    json_summary: str | None,
    strict: bool,
) -> None:
    reporter = run.reporter
    total = sum(len(scores.assay.mutants) for scores in scored)
    num_ok = sum(skip.value == "ok" for scores in scored for skip in scores.status[run.options.suffixes[0]])
    reporter.note(f"{num_ok:,} of {total:,} mutants of {len(scored)} assays scored in {reporter.seconds():.1f} s")
    counts = run.explain(scored)
    for row in rows:
        if row["level"] == "mean":
            reporter.note(_mean_line(row))
    write_summary(
        json_summary,
        {
            "command": "evaluate fitness",
            "rows": len(rows),
            "mutants": total,
            "scored": num_ok,
            "status": dict(counts),
            "seconds": round(reporter.seconds(), 3),
            "peak_memory_mib": peak_memory_mib(),
            "provenance": provenance,
        },
    )
    if strict and num_ok < total:
        raise StrictError(f"--strict: {total - num_ok} of {total} mutants could not be scored")


def _mean_line(row: dict[str, Any]) -> str:
    text = f"mean over proteins ({row['num_averaged']}), suffix {row['suffix']}: Spearman {row['spearman']:.3f} "
    text += f"({row['spearman_low']:.3f} to {row['spearman_high']:.3f})"
    if row.get("best_baseline"):
        best = row["best_baseline"]
        text += f"; best without a model: {best} {row[f'{best}_spearman']:.3f}"
    return text
