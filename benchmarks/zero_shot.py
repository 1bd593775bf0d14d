"""Does a model rank mutations and genes that it was never trained to rank? Signed figures, baselines beside them.

    python benchmarks/zero_shot.py [--model NAME ...] --fitness FOLDER --genome FASTA --labels TSV [--json OUT]

Models are bundled names, weights (.safetensors with their card) or checkpoints of `dnahnet train`, file or folder; a
checkpoint is read as the weights that it would be published as, linear maps in bfloat16. Either half may be left out.

Fitness: Spearman of llr with measured fitness. FOLDER has one folder per assay, named after its protein, such as
BLAT_ECOLX_Deng_2012, with `variants.tsv` (columns mutant, dms_score; higher is fitter), `protein.faa`, `cds.fna` and
`region.fna` (the coding bases within their flanks). The figure of a protein is the mean over its assays, that of a
model the mean over proteins. Mutants become edits as `dnahnet_cli/scoring/proteins.py` says. Baselines: minus the
number of bases changed, BLOSUM62, minus the change of hydropathy. Single substitutions all change one residue, so that
number ranks nothing; nor does the number of bases where an assay has single-base mutants only, and its cell is empty.

Essentiality: area under the ROC curve of the knock-out score (protocol `single`). The columns of TSV are locus_tag,
accession, start, end (1-based), strand, essential (0 or 1); contigs are read as circles. Baselines: length, GC content.

To take minutes, both are subsamples drawn with --seed, the same for all models: --mutants of each assay (the assays of
a protein share what they can), --essential and --others of the genes; 0 stands for all. The tile of the knock-outs is
512 bases in place of the commands' 4,096, so that genes far apart scan less; their context is then 1,024 to 1,535
bases. For all genes the larger tile is the cheaper one. Intervals are 95 % percentile bootstrap intervals over the
mutants of a protein, the assays' draws paired, and over genes; they do not say how another protein or organism would
come out.

stdout is a TSV; the JSON, with all settings, goes to --json or is the last line of stderr.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dnahnet_cli.errors import DnahnetError, InputError, ModelError
from dnahnet_cli.evaluation import baselines
from dnahnet_cli.evaluation.statistics import Floats, auroc, bootstrap, interval, spearman
from dnahnet_cli.genome import Codes, Gene, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.weights import DEFAULT_MODEL, find_model, load_model, save_weights
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.essentiality import Protocol, score_genes
from dnahnet_cli.scoring.proteins import CodingSequence, Mutation, find_coding, score_mutations
from dnahnet_cli.scoring.reading import TileGrid

FITNESS_SUFFIX, KNOCK_OUT_SUFFIX = 128, 512  # what the commands compare
NO_MODEL = "none"


@dataclass(frozen=True)
class Model:
    """A network to be measured, named as on the command line; `progress` is how far a checkpoint's run had come."""

    name: str
    sha256: str
    progress: dict[str, Any]
    network: HNet


@dataclass(frozen=True)
class Figure:
    """A line of the table. NaN stands for a statistic that is not defined."""

    model: str
    task: str
    set: str
    score: str
    statistic: str
    value: float
    low: float
    high: float
    num_rows: int


# --- models ---


def load(name: str, device: str, dtype: torch.dtype) -> Model:
    """Load weights or a checkpoint. Raises ModelError for neither."""
    path = Path(name)
    found = _read_checkpoint(path)
    if found is None:
        file = find_model(name)
        return Model(name, file.sha256, {}, load_model(file, device, dtype))
    parameters, config, progress = found
    with torch.device("meta"):
        network = HNet(ModelConfig.from_json(config))
    try:
        network.load_state_dict(parameters, strict=True, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: the checkpoint's tensors do not fit its configuration") from error
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "checkpoint.safetensors"
        save_weights(network, published, {})
        network = load_model(find_model(str(published)), device, dtype)
    digest = hashlib.sha256()
    for part in _parts(path):
        digest.update(part.read_bytes())
    return Model(name, digest.hexdigest(), progress, network)


def _read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], str, dict[str, Any]] | None:
    """Return a checkpoint's parameters, its configuration and how far its run had come; None for anything else."""
    parameters: dict[str, torch.Tensor] = {}
    metadata: dict[str, str] = {}
    for part in _parts(path):
        try:
            with safe_open(part, "pt") as file:
                metadata = file.metadata() or {}
                names = [key for key in file.keys() if key.startswith("model.")]  # noqa: SIM118, it is no dictionary
                parameters |= {name.removeprefix("model."): file.get_tensor(name) for name in names}
        except (SafetensorError, OSError):
            return None
    if not parameters:
        return None
    facts = json.loads(metadata.get("facts") or metadata.get("progress") or "{}")  # of a folder, of a file
    progress = {key: facts[key] for key in ("step", "bases_seen", "minutes") if key in facts}
    return parameters, metadata.get("config") or facts.get("config", ""), progress


def _parts(path: Path) -> list[Path]:
    """Return the files of a checkpoint, which is one file or a folder of parts."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


# --- fitness ---


@dataclass(frozen=True)
class Protein:
    """The mutants of one protein that are scored, and what its assays measured of them."""

    name: str
    region: Path
    coding: CodingSequence
    mutations: list[Mutation]  # N
    measured: dict[str, Floats]  # by assay, (N,); NaN where the assay's sample has not the mutant
    num_known: dict[str, int]  # of all mutants of each assay


def read_protein(folder: Path, name: str, sample: int, seed: int) -> Protein:
    """Read the assays of a protein and choose up to `sample` mutants of each, all for 0. Raises InputError."""
    assays = sorted(path.parent for path in folder.glob(f"{name}_*/variants.tsv"))
    if not assays:
        raise InputError(f"{folder}: no folder {name}_* with a variants.tsv")
    for part in ("protein.faa", "cds.fna", "region.fna"):
        if not all((assay / part).is_file() for assay in assays):
            raise InputError(f"{assays[0]}: {part} is missing; without the coding DNA in its place nothing is scored")
        if len({_letters(assay / part) for assay in assays}) > 1:
            raise InputError(f"{folder}: the assays of {name} differ in {part}")
    known = {assay.name: _read_variants(assay / "variants.tsv") for assay in assays}
    order = sorted({mutant for fitness in known.values() for mutant in fitness})
    order = [order[i] for i in np.random.default_rng(seed).permutation(len(order))]
    drawn = {assay: [m for m in order if m in fitness][: sample or None] for assay, fitness in known.items()}
    chosen = [m for m in order if any(m in own for own in map(set, drawn.values()))]
    measured = {}
    for assay, own in drawn.items():
        values = {mutant: known[assay][mutant] for mutant in own}
        measured[assay] = np.array([values.get(mutant, math.nan) for mutant in chosen])
    region = assays[0] / "region.fna"
    with Fasta(region) as flanked, Fasta(assays[0] / "cds.fna") as cds:
        gene = find_coding(flanked, _only_contig(cds), name)
        coding = CodingSequence.of(flanked, gene, _letters(assays[0] / "protein.faa"))
    mutations = [Mutation.parse(mutant) for mutant in chosen]
    return Protein(name, region, coding, mutations, measured, {assay: len(own) for assay, own in known.items()})


def llr_of(model: Model, protein: Protein) -> Floats:
    """Return the llr of a protein's mutants, (N,)."""
    with Fasta(protein.region) as region:
        engine = Engine(model.network, region, EngineOptions(suffix=FITNESS_SUFFIX))
        rows = score_mutations(engine, protein.coding, protein.mutations)
    return np.array([math.nan if row.llr is None else row.llr for row in rows])


def protein_baselines(protein: Protein) -> dict[str, Floats]:
    """Return the scores that need no model, (N,) each."""
    num_changes = [protein.coding.recode(mutation, FITNESS_SUFFIX)[1] for mutation in protein.mutations]
    scores: dict[str, Floats] = {"num_changes": -np.array(num_changes, dtype=np.float64)}
    for score in (baselines.blosum62, baselines.hydropathy):
        scores[score.__name__] = np.array([score(mutation.residues) for mutation in protein.mutations])
    return scores


def fitness_figures(
    model: str, score: str, by_protein: Sequence[tuple[Protein, Floats]], draws: int, seed: int
) -> Iterator[Figure]:
    """Yield the Spearman correlations of one score: by assay, by protein, and the mean over proteins."""
    means, mean_draws = [], []
    for number, (protein, values) in enumerate(by_protein):
        correlations, correlation_draws = [], []
        for assay, measured in protein.measured.items():
            correlations.append(spearman(values, measured))
            correlation_draws.append(
                bootstrap(_spearman_of(values, measured), len(values), draws=draws, seed=seed + number)
            )
            num_rows = int(np.count_nonzero(~np.isnan(values + measured)))
            ends = interval(correlation_draws[-1])
            yield Figure(model, "fitness", assay, score, "spearman", correlations[-1], *ends, num_rows)
        means.append(float(np.mean(correlations)))
        mean_draws.append(np.mean(correlation_draws, axis=0))
        yield Figure(
            model, "fitness", protein.name, score, "spearman", means[-1], *interval(mean_draws[-1]), len(values)
        )
    ends = interval(np.mean(mean_draws, axis=0))
    num_rows = sum(len(values) for _, values in by_protein)
    yield Figure(model, "fitness", "mean", score, "spearman", float(np.mean(means)), *ends, num_rows)


def _spearman_of(values: Floats, measured: Floats) -> Callable[[np.ndarray], float]:
    return lambda rows: spearman(values[rows], measured[rows])


def _read_variants(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {row["mutant"]: float(row["dms_score"]) for row in csv.DictReader(file, delimiter="\t")}


def _letters(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "".join(line.strip() for line in lines if not line.startswith(">")).upper()


def _only_contig(fasta: Fasta) -> Codes:
    if len(fasta.lengths) != 1:
        raise InputError(f"{fasta.path} holds {len(fasta.lengths)} sequences, not one")
    ((name, length),) = fasta.lengths.items()
    return fasta.codes(name, 0, length)


# --- essentiality ---


def read_labels(path: Path) -> dict[Gene, bool]:
    """Read which genes are essential; rows without coordinates are left out."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["start"] and row["end"]]
    return {
        Gene(
            row["accession"], Strand(row["strand"]), ((int(row["start"]) - 1, int(row["end"])),), row["locus_tag"]
        ): row["essential"] == "1"
        for row in rows
    }


def choose_genes(labels: Mapping[Gene, bool], num_essential: int, num_others: int, seed: int) -> list[Gene]:
    """Return up to so many genes of either kind, all for 0, in the order of the labels."""
    random = np.random.default_rng(seed)
    chosen: set[Gene] = set()
    for kind, number in ((True, num_essential), (False, num_others)):
        own = [gene for gene, is_essential in labels.items() if is_essential is kind]
        chosen.update(own[i] for i in random.permutation(len(own))[: number or None])
    return [gene for gene in labels if gene in chosen]


def essentiality_scores(model: Model, fasta: Fasta, genes: Sequence[Gene], tile: int) -> dict[str, Floats]:
    """Return the knock-out score and the baselines of each gene; NaN for one too short to knock out."""
    options = EngineOptions(TileGrid(tile=tile), KNOCK_OUT_SUFFIX)
    engine = Engine(model.network, fasta, options, frozenset(fasta.lengths))
    rows = score_genes(engine, genes, Protocol.SINGLE)
    scored = [(row.score, row.gene.length, row.gc) if row.score is not None else (math.nan,) * 3 for row in rows]
    columns = np.array(scored, dtype=np.float64).T
    return dict(zip(("score", "length_bp", "gc"), columns, strict=True))


def essentiality_figure(
    model: str, name: str, score: str, values: Floats, positive: Floats, draws: int, seed: int
) -> Figure:
    """Return the area under the ROC curve of one score."""
    drawn = bootstrap(lambda rows: auroc(values[rows], positive[rows]), len(values), draws=draws, seed=seed)
    num_rows = int(np.count_nonzero(~np.isnan(values)))
    return Figure(model, "essentiality", name, score, "auroc", auroc(values, positive), *interval(drawn), num_rows)


# --- the run ---


@dataclass
class Run:
    """What is measured and how, and the seconds that each part took."""

    arguments: argparse.Namespace
    models: list[Model]
    seconds: dict[str, dict[str, float]]

    def fitness(self) -> tuple[list[Figure], dict[str, str]]:
        """Return the figures of the proteins, and what was drawn."""
        a = self.arguments
        proteins = [read_protein(a.fitness, name, a.mutants, a.seed) for name in a.protein]
        no_model = [protein_baselines(protein) for protein in proteins]
        figures: list[Figure] = []
        for model in self.models:
            with self._timed(model, "fitness"):
                scored = [(protein, llr_of(model, protein)) for protein in proteins]
            figures += fitness_figures(model.name, "llr", scored, a.draws, a.seed)
        for score in no_model[0]:
            scored = [(protein, values[score]) for protein, values in zip(proteins, no_model, strict=True)]
            figures += fitness_figures(NO_MODEL, score, scored, a.draws, a.seed)
        drawn = [
            f"{int(np.count_nonzero(~np.isnan(values)))} of {protein.num_known[assay]} of {assay}"
            for protein in proteins
            for assay, values in protein.measured.items()
        ]
        return figures, {"mutants": ", ".join(drawn), "fitness_suffix": str(FITNESS_SUFFIX)}

    def essentiality(self) -> tuple[list[Figure], dict[str, str]]:
        """Return the figures of the genes, and what was drawn."""
        a = self.arguments
        labels = read_labels(a.labels)
        genes = choose_genes(labels, a.essential, a.others, a.seed)
        positive = np.array([labels[gene] for gene in genes], dtype=np.float64)
        figures: list[Figure] = []
        columns: dict[str, Floats] = {}
        with Fasta(a.genome) as fasta:
            for model in self.models:
                with self._timed(model, "essentiality"):
                    columns = essentiality_scores(model, fasta, genes, a.tile)
                values = columns.pop("score")
                figures.append(
                    essentiality_figure(model.name, a.labels.stem, "score", values, positive, a.draws, a.seed)
                )
        for score, values in columns.items():  # the same beside every model
            figures.append(essentiality_figure(NO_MODEL, a.labels.stem, score, values, positive, a.draws, a.seed))
        num_essential = sum(labels.values())
        drawn = f"{int(positive.sum())} of {num_essential} essential, "
        drawn += f"{int((1 - positive).sum())} of {len(labels) - num_essential} others"
        return figures, {"genes": drawn, "tile": str(a.tile), "knock_out_suffix": str(KNOCK_OUT_SUFFIX)}

    @contextmanager
    def _timed(self, model: Model, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds = round(time.monotonic() - began, 1)
        self.seconds.setdefault(model.name, {})[part] = seconds
        print(f"{model.name}: {part} in {seconds:.0f} s", file=sys.stderr)


def as_json(run: Run, settings: Mapping[str, str], figures: Sequence[Figure]) -> dict[str, Any]:
    """Return everything for machines; what is not defined is null."""
    models = [
        {
            "name": model.name,
            "sha256": model.sha256,
            "parameters": model.network.num_parameters(),
            "progress": model.progress,
            "seconds": run.seconds[model.name],
        }
        for model in run.models
    ]
    return {"settings": dict(settings), "models": models, "figures": [_without_nan(figure) for figure in figures]}


def _without_nan(figure: Figure) -> dict[str, Any]:
    values = asdict(figure)
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def print_table(settings: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Write the TSV to stdout."""
    floats, texts = ("value", "low", "high"), ("model", "task", "set", "score", "statistic")
    columns = [Column(name, "str") for name in texts] + [Column(name, "float") for name in floats]
    with open_table(None, [*columns, Column("num_rows", "int")], provenance=settings) as table:
        table.write(map(_without_nan, figures))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="bundled model, safetensors file or checkpoint; repeatable")
    parser.add_argument("--fitness", type=Path, metavar="FOLDER", help="assays, one folder each")
    parser.add_argument("--protein", action="append", help="repeatable [BLAT_ECOLX and DYR_ECOLI]")
    parser.add_argument("--mutants", type=int, default=600, metavar="N", help="of each assay, 0 for all [600]")
    parser.add_argument("--genome", type=Path, metavar="FASTA")
    parser.add_argument("--labels", type=Path, metavar="TSV", help="essential genes, with coordinates in the genome")
    parser.add_argument("--essential", type=int, default=150, metavar="N", help="essential genes, 0 for all [150]")
    parser.add_argument("--others", type=int, default=300, metavar="N", help="other genes, 0 for all [300]")
    parser.add_argument("--tile", type=int, default=512, metavar="BP", help="of the knock-outs' scan [512]")
    parser.add_argument("--draws", type=int, default=300, help="of the bootstrap [300]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    if not arguments.fitness and not arguments.labels:
        parser.error("give --fitness, or --genome and --labels, or all three")
    if bool(arguments.genome) != bool(arguments.labels):
        parser.error("--genome and --labels go together")
    arguments.model = arguments.model or [DEFAULT_MODEL]
    arguments.protein = arguments.protein or ["BLAT_ECOLX", "DYR_ECOLI"]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    figures: list[Figure] = []
    settings = {key: str(getattr(arguments, key)) for key in ("seed", "draws", "device", "dtype", "threads")}
    try:
        dtype = getattr(torch, arguments.dtype)
        run = Run(arguments, [load(name, arguments.device, dtype) for name in arguments.model], {})
        parts = [run.fitness] * bool(arguments.fitness) + [run.essentiality] * bool(arguments.labels)
        for part in parts:
            found, drawn = part()
            figures += found
            settings |= drawn
    except (DnahnetError, OSError) as error:
        sys.exit(str(error))
    for model in run.models:
        settings[f"sha256_{model.name}"] = model.sha256
    print_table(settings, figures)
    result = json.dumps(as_json(run, settings, figures))
    if arguments.json:
        arguments.json.write_text(result + "\n")
    else:
        print(result, file=sys.stderr)


if __name__ == "__main__":
    main()
