"""`dnahnet evaluate compression`: bits per base of genomes, beside what needs no network."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from dnahnet_cli.errors import InputError, StrictError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.baselines.markov import MarkovModel
    from dnahnet_cli.evaluation.compression import GenomeSums
    from dnahnet_cli.evaluation.regions import Features
    from dnahnet_cli.io.fasta import Fasta
    from dnahnet_cli.networks.weights import ModelFile

_SUFFIXES = (".fa", ".fasta", ".fna", ".fas", ".fsa")


def compression(
    genomes: Annotated[
        list[str],
        typer.Argument(metavar="GENOME...", help="FASTA files, or folders of them.", show_default=False),
    ],
    genes: Annotated[
        list[str] | None,
        typer.Option(
            "--genes",
            metavar="FILE|none",
            help="GFF3, GTF, BED or GenBank with the genes; repeatable, in the order of the genomes. Without it "
            "genes are called; none does without classes of bases.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    background: Annotated[
        list[str] | None,
        typer.Option(
            "--background",
            metavar="PATH",
            help="Genomes to fit a static Markov model to, such as a training manifest; FASTA, 2bit, part files or "
            "folders. Repeatable.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    circular: Annotated[
        Literal["auto", "all", "none"],
        typer.Option(
            "--circular",
            help="Circular contigs: those that FASTA headers or the GFF call so, all, or none.",
            rich_help_panel=o.INPUT,
        ),
    ] = "auto",
    windows: Annotated[
        int,
        typer.Option(
            "--windows",
            metavar="N",
            min=0,
            help="Windows drawn of each genome by --seed; 0 reads all of it.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 32,
    window_bp: Annotated[
        int,
        typer.Option(
            "--window-bp",
            metavar="B",
            min=100,
            help="Bases of a window, which is also the block that intervals resample.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 16384,
    markov: Annotated[
        int,
        typer.Option(
            "--markov", metavar="K", min=0, max=11, help="Order of the Markov models.", rich_help_panel=o.SCORING
        ),
    ] = 9,
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
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Measure bits per base of genomes, by contig and by class of base, beside Markov models and compressors.

    Uniform guessing has 2 bits; lower is better. difference is that to the best predictor that has not seen the
    bases beforehand. excess is the bits above those that the model itself expected: positive where it is too sure.

    Examples:

      dnahnet evaluate compression heldout/ --background train.tsv -o bits.tsv --json compression.json

      dnahnet evaluate compression genome.fa --genes annotation.gff --windows 0

      dnahnet evaluate compression genome.fa --genes none --windows 8 --window-bp 8192
    """
    from dnahnet_cli.evaluation.compression import columns, compression_rows
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.weights import find_model

    folder = folder_of(scores, resume=resume)
    paths = _find_genomes(genomes)
    annotations = _pair(paths, genes)
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=not no_progress)
    request = Request("", model, device, dtype, threads, "auto", context, None, strand, circular, tmpdir)
    inputs = [*paths.values(), *(Path(a) for a in annotations if a not in (None, "none"))]
    file = find_model(model)
    run = _Run(request, reporter, file, folder, resume, windows or None, window_bp, markov, seed)
    if json is not None:
        open_output(json, forbidden=inputs)  # refuses now what could not be written at the end
    if background:
        run.fit_background([Path(path) for path in background])
    settings: dict[str, Any] = {**run.settings(), "draws": draws}
    provenance = provenance_of(file, settings, with_paths=not no_version)
    table = open_table(output, columns(), format=output_format, provenance=provenance, forbidden=inputs)
    measured = [run.measure(name, path, own) for (name, path), own in zip(paths.items(), annotations, strict=True)]
    if not any(genome.sums.bases_WSC4.any() for genome in measured):
        raise InputError("nothing could be measured: no base of the windows drawn is A, C, G or T")
    rows = compression_rows(measured, draws, seed)
    with table as opened:
        opened.write(rows)
    if json is not None:
        details = {"name": file.name, "sha256": file.sha256, "parameters": run.num_parameters}
        kept = {**settings, "inputs_sha256": run.sha256}
        EvaluationResult("compression", details, kept, rows, _notes(windows, window_bp, markov)).save(json, inputs)
    _close(run, rows, provenance, json_summary, strict)


@dataclass
class _Run:
    """The measuring of all genomes, with one network."""

    request: Request
    reporter: Reporter
    file: ModelFile
    folder: Path | None
    resume: bool
    windows: int | None
    window_bp: int
    markov: int
    seed: int
    background: MarkovModel | None = None
    background_sha256: dict[str, str] = field(default_factory=dict)  # of a genome's bases -> its name
    sha256: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._network, self._dtype_name = load_network(self.file, self.request, self.reporter)
        self.num_parameters = self._network.num_parameters()

    def settings(self) -> dict[str, Any]:
        """Return all that the figures depend on, apart from the model, the input and the resamples."""
        return {
            "windows": "all" if self.windows is None else self.windows,
            "window_bp": self.window_bp,
            "markov": self.markov,
            "background": f"{len(self.background_sha256)} genomes" if self.background else "none",
            "context": self.request.context,
            "strand": self.request.strand,
            "circular": self.request.circular,
            "dtype": self._dtype_name,
            "seed": self.seed,
        }

    def fit_background(self, paths: list[Path]) -> None:
        """Fit the static Markov model."""
        from dnahnet_cli.baselines.markov import MarkovModel
        from dnahnet_cli.training.corpus import read_corpus

        train = read_corpus(paths, need_heldout=False).train
        self.background_sha256 = {genome.sha256: genome.name for genome in train}
        self.background = MarkovModel.fit((contig for genome in train for contig in genome.contigs), self.markov)
        self.reporter.note(f"order-{self.markov} Markov model fitted to {len(train)} genomes")

    def measure(self, name: str, path: Path, genes: str | None) -> GenomeSums:
        """Read a genome's windows, or the sums where that was done before."""
        from dnahnet_cli.baselines.compressors import compressed_bits
        from dnahnet_cli.evaluation.compression import GenomeSums
        from dnahnet_cli.evaluation.windows import WindowSums, draw_windows, seed_of
        from dnahnet_cli.io.fasta import Fasta

        with Fasta(path, Path(self.request.tmpdir) if self.request.tmpdir else None) as fasta:
            sha256 = self.sha256[name] = sequence_sha256(fasta)
            if sha256 in self.background_sha256:
                raise InputError(
                    f"{path} is among --background, as {self.background_sha256[sha256]}: a Markov model would be "
                    "tested on what it was fitted to. Leave one of them out."
                )
            features, circular = features_of(fasta, genes, self.request.circular, self.reporter)
            self.skipped[name] = features.skipped if features else []
            drawn = draw_windows(fasta.lengths, self.window_bp, self.windows, seed_of(self.seed, name))
            made_by = {**self.settings(), "model_sha256": self.file.sha256, "genome_sha256": sha256}
            made_by |= {"genes": sha256_of(genes), "background": sorted(self.background_sha256)}
            kept = self.folder / f"{name}.npz" if self.folder else None
            read_strands = strands(self.request.strand)
            found = WindowSums.load(kept, drawn, read_strands, made_by) if kept and self.resume else None
            if found is not None:
                self.reporter.detail(f"{name}: sums read from {kept}")
                sums, compressed = found
            else:
                sums = self._sums(name, fasta, circular, features, drawn)
                contigs = [fasta.codes(contig, 0, length) for contig, length in fasta.lengths.items()]
                compressed = compressed_bits(contigs, self.request.threads or 1)
                if kept:
                    sums.save(kept, made_by, compressed)
            return GenomeSums(name, sums, fasta.lengths, compressed, features is not None, self._is_seen(sha256))

    def _sums(self, name: str, fasta: Fasta, circular: frozenset[str], features: Features | None, drawn: Any) -> Any:
        from dnahnet_cli.baselines.markov import MarkovModel
        from dnahnet_cli.evaluation.compression import BACKGROUND, HINDSIGHT
        from dnahnet_cli.evaluation.windows import sum_windows
        from dnahnet_cli.scoring.engine import Engine

        contigs = (fasta.codes(contig, 0, length) for contig, length in fasta.lengths.items())
        fitted = {HINDSIGHT: MarkovModel.fit(contigs, self.markov)}
        if self.background is not None:
            fitted[BACKGROUND] = self.background
        own = strands(self.request.strand)
        engine = Engine(self._network, fasta, engine_options(self.request, 0), circular, own)
        self.reporter.start(f"bases of {name}", sum(map(len, drawn)) * len(own))

        def classes_of(contig: str, length: int) -> Any:
            return None if features is None else features.classes(contig, length)

        try:
            return sum_windows(engine, drawn, classes_of, self.markov, fitted, self.reporter.advance)
        finally:
            self.reporter.stop()

    def _is_seen(self, sha256: str) -> bool:
        manifest = (self.file.card.get("data") or {}).get("manifest", [])
        return any(record.get("sha256") == sha256 and record.get("split") == "train" for record in manifest)


def _find_genomes(places: list[str]) -> dict[str, Path]:
    """Return the FASTA files by name, those of a folder in alphabetical order. Raises InputError, UsageError."""
    found: dict[str, Path] = {}
    for place in map(Path, places):
        own = [place]
        if place.is_dir():
            own = sorted(p for p in place.iterdir() if _name(p) != p.name and not p.name.startswith("."))
            if not own:
                raise InputError(f"{place} holds no genomes: expected files named {', '.join(_SUFFIXES)}, maybe .gz.")
        for path in own:
            if _name(path) in found:
                raise UsageError(f"two genomes are named {_name(path)}: {found[_name(path)]} and {path}; rename one.")
            found[_name(path)] = path
    return found


def _name(path: Path) -> str:
    """Return a file's name without the suffixes of FASTA."""
    name = path.name.removesuffix(".gz").removesuffix(".bgz")
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), path.name)


def _pair(paths: dict[str, Path], genes: list[str] | None) -> list[str | None]:
    """Return the annotation of each genome. Raises UsageError when there are not as many."""
    if not genes:
        return [None] * len(paths)
    if genes == ["none"]:
        return ["none"] * len(paths)
    if len(genes) != len(paths):
        raise UsageError(f"--genes is given {len(genes)} times for {len(paths)} genomes: once for each, in their order")
    if "-" in genes:
        raise UsageError("--genes is read twice, so it cannot come from standard input: give a file")
    return list(genes)


def _notes(windows: int, window_bp: int, markov: int) -> list[str]:
    drawn = f"{windows} windows of {window_bp:,} bases drawn of each genome" if windows else "all of each genome"
    return [
        f"Bits per base are over {drawn}, on each strand; a base is predicted from what precedes it on the strand.",
        f"Intervals are 95 % percentile bootstrap intervals over windows of {window_bp:,} bases, and for the mean over "
        "genomes and the windows within them. With fewer than 5 windows, or genomes, there is none; with few they are "
        "too narrow.",
        f"markov_adaptive: order {markov}, learns as it reads each contig from its start, on both strands. "
        "markov_background: fitted to the genomes of --background. Both predict the same bases as the network.",
        "order0 (own base composition of the row) and markov_hindsight (fitted to the genome itself) have seen the "
        "bases beforehand. They stand beside for comparison and are no candidates for best_baseline.",
        "compressor: the best of gzip, bz2, xz (text and two bits a base), zstd and brotli (two bits a base), on the "
        "whole genome at once. Compressors made for DNA, such as GeCo or cmix, do better and are not among them.",
        "excess: bits per base minus the mean entropy of the predictions. confidence: mean probability of the base "
        "found likeliest; accuracy: how often that base is there; ece: mean distance of the two over 15 bins.",
        "p-values are adjusted (Holm) over the classes of bases of one genome, or of the mean.",
    ]


def _close(
    run: _Run, rows: list[dict[str, Any]], provenance: dict[str, str], json_summary: str | None, strict: bool
) -> None:
    genomes = [row for row in rows if row["level"] == "genome"]
    run.reporter.note(f"{len(genomes)} genomes in {run.reporter.seconds():.1f} s")
    for row in rows:
        if row["level"] in ("genome", "mean") and row.get("region") is None:
            run.reporter.note(_line(row))
    for name, skipped in run.skipped.items():
        note_skipped(run.reporter, skipped, f"{name}: ")
    empty = [row["genome"] for row in genomes if row["status"] != "ok"]
    write_summary(
        json_summary,
        {
            "command": "evaluate compression",
            "rows": len(rows),
            "genomes": len(genomes),
            "scored": len(genomes) - len(empty),
            "left_out": {name: len(skipped) for name, skipped in run.skipped.items()},
            "seconds": round(run.reporter.seconds(), 3),
            "peak_memory_mib": peak_memory_mib(),
            "provenance": provenance,
        },
    )
    if strict and empty:
        raise StrictError(f"--strict: {len(empty)} of {len(genomes)} genomes have no base in their windows: {empty[0]}")


def _line(row: dict[str, Any]) -> str:
    name = row.get("genome") or f"mean over genomes ({row['num_averaged']})"
    if row.get("bits_per_base") is None:
        return f"{name}: {row['status']}"
    text = f"{name}: {row['bits_per_base']:.4f} bits per base"
    if row.get("bits_per_base_low") is not None:
        text += f" ({row['bits_per_base_low']:.4f} to {row['bits_per_base_high']:.4f})"
    if row.get("best_baseline"):
        best = row["best_baseline"]
        text += f"; best without a network: {best} {row.get(best, 2.0):.4f}"
    return text + ("; it is one of the model's training genomes" if row.get("in_training") else "")
