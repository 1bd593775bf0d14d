"""Does a model rank mutations and genes that it was never trained to rank? The curve of a training run, point by point.

    python benchmarks/zero_shot_curve.py [--model NAME ...] --fitness FOLDER --genome FASTA --labels TSV [--json OUT]

Models are bundled names, weights (.safetensors with their card) or checkpoints of `dnahnet train`, file or folder; a
checkpoint is read as the weights that it would be published as, linear maps in bfloat16. Either half may be left out.

Fitness: what `dnahnet evaluate fitness` computes, for the assays in FOLDER of two proteins, the mean over each
protein's assays and over proteins, with BLOSUM62 and the number of changed bases beside. Where an assay has single-base
mutants only, that number ranks nothing and its cell is empty. Essentiality: area under the ROC curve of the knock-out
score (protocol `single`), with length and GC content beside. The columns of TSV are locus_tag, accession, start, end
(1-based), strand, essential (0 or 1); contigs are read as circles.

To take minutes, both are subsamples drawn with --seed, the same for all models: --mutants of each assay, --essential
and --others of the genes; 0 stands for all. The tile of the knock-outs is 512 bases in place of the commands' 4,096, so
that genes far apart scan less; their context is then 1,024 to 1,535 bases. For all genes the larger tile is the cheaper
one. Intervals are 95 % percentile bootstrap intervals over mutants (and proteins, for their mean) and over genes; they
do not say how another organism would come out.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dnahnet_cli.errors import DnahnetError, InputError, ModelError
from dnahnet_cli.evaluation.assays import Assay, find_assays, read_assay
from dnahnet_cli.evaluation.fitness import fitness_rows
from dnahnet_cli.evaluation.mutants import AssayScores, FitnessOptions, Known, score_assay
from dnahnet_cli.evaluation.statistics import Floats, auroc, interval, resampled_auroc, resamples
from dnahnet_cli.genome import Gene, GenomeSource, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.weights import DEFAULT_MODEL, find_model, load_model, save_weights
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.essentiality import Protocol, score_genes
from dnahnet_cli.scoring.reading import TileGrid

KNOCK_OUT_SUFFIX = 512  # what the command compares
NO_MODEL = "none"
BESIDE = ("blosum62", "num_changes")


@dataclass(frozen=True)
class Model:
    """A network to be measured, named as on the command line; `progress` is how far a checkpoint's run had come."""

    name: str
    sha256: str
    progress: dict[str, Any]
    network: Network
    seconds: dict[str, float] = field(default_factory=dict)


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
        network: Network = HNet(ModelConfig.from_json(config))
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


def fitness_figures(models: Sequence[Model], a: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the figures of proteins and their mean, and what was drawn."""
    assays = [assay for assay in map(read_assay, find_assays([a.fitness])) if assay.protein in a.protein]
    missing = set(a.protein) - {assay.protein for assay in assays}
    if missing:
        raise InputError(f"{a.fitness} has no assay of {', '.join(sorted(missing))}")
    options = FitnessOptions(mutants=a.mutants or None, draws=a.draws, seed=a.seed)
    figures: list[dict[str, Any]] = []
    for model in models:
        began = time.monotonic()
        rows = fitness_rows(_scored(model, assays, options), options)
        _took(model, "fitness", began)
        figures += [_figure(row, model.name, "llr", "spearman") for row in rows]
    for score in BESIDE:  # the same beside every model
        figures += [_figure(row, NO_MODEL, score, f"{score}_spearman") for row in rows]
    drawn = ", ".join(
        f"{row['num_scored']} of {row['num_mutants']} of {row['assay']}" for row in rows if "assay" in row
    )
    return figures, {"mutants": drawn, "fitness_suffix": str(options.suffixes[0])}


def _scored(model: Model, assays: Sequence[Assay], options: FitnessOptions) -> list[AssayScores]:
    def make_engine(genome: GenomeSource, suffix: int) -> Engine:
        return Engine(model.network, genome, EngineOptions(suffix=suffix))

    known: dict[str, Known] = {}
    scored = []
    for assay in assays:
        before = known.get(assay.dna_sha256, {})
        scored.append(score_assay(assay, options, make_engine, known=before))
        known[assay.dna_sha256] = {
            suffix: {**before.get(suffix, {}), **own} for suffix, own in scored[-1].known.items()
        }
    return scored


def _figure(row: Mapping[str, Any], model: str, score: str, cell: str) -> dict[str, Any]:
    """Return a line of the table from a row of the evaluation."""
    return {
        **{"model": model, "task": "fitness", "score": score, "statistic": "spearman"},
        "set": row.get("assay") or row.get("protein") or "mean",
        **{"value": row[cell], "low": row[f"{cell}_low"], "high": row[f"{cell}_high"]},
        "num_rows": row["num_scored"],
    }


# --- essentiality ---


def essentiality_figures(models: Sequence[Model], a: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the figures of the genes, and what was drawn."""
    labels = read_labels(a.labels)
    genes = choose_genes(labels, a.essential, a.others, a.seed)
    positive = np.array([labels[gene] for gene in genes], dtype=np.float64)
    counts = resamples(len(genes), draws=a.draws, seed=a.seed)
    columns: list[tuple[str, str, Floats]] = []
    with Fasta(a.genome) as fasta:
        for model in models:
            began = time.monotonic()
            engine = Engine(
                model.network, fasta, EngineOptions(TileGrid(tile=a.tile), KNOCK_OUT_SUFFIX), frozenset(fasta.lengths)
            )
            rows = score_genes(engine, genes, Protocol.SINGLE)
            _took(model, "essentiality", began)
            columns.append((model.name, "score", np.array([_number(row.score) for row in rows])))
    # For those that can be knocked out; the same beside every model.
    scored = np.array([row.score is not None for row in rows])
    columns.append((NO_MODEL, "length_bp", np.where(scored, [gene.length for gene in genes], np.nan)))
    columns.append((NO_MODEL, "gc", np.where(scored, [_number(row.gc) for row in rows], np.nan)))
    figures = []
    for name, score, values in columns:
        low, high = interval(resampled_auroc(values, positive, counts))
        figures.append(
            {
                **{"model": name, "task": "essentiality", "set": a.labels.stem, "score": score, "statistic": "auroc"},
                **{"value": auroc(values, positive), "low": low, "high": high},
                "num_rows": int(np.count_nonzero(~np.isnan(values))),
            }
        )
    num_essential = sum(labels.values())
    drawn = f"{int(positive.sum())} of {num_essential} essential, "
    drawn += f"{int((1 - positive).sum())} of {len(labels) - num_essential} others"
    return figures, {"genes": drawn, "tile": str(a.tile), "knock_out_suffix": str(KNOCK_OUT_SUFFIX)}


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


# --- the run ---


def _took(model: Model, part: str, began: float) -> None:
    model.seconds[part] = round(time.monotonic() - began, 1)
    print(f"{model.name}: {part} in {model.seconds[part]:.0f} s", file=sys.stderr)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _without_nan(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in figure.items()}


def as_json(models: Sequence[Model], settings: Mapping[str, str], figures: Sequence[Mapping[str, Any]]) -> str:
    """Return everything for machines; what is not defined is null."""
    facts = [
        {
            **{"name": model.name, "sha256": model.sha256, "parameters": model.network.num_parameters()},
            **{"progress": model.progress, "seconds": model.seconds},
        }
        for model in models
    ]
    return json.dumps({"settings": dict(settings), "models": facts, "figures": list(map(_without_nan, figures))})


def print_table(settings: Mapping[str, str], figures: Iterator[Mapping[str, Any]]) -> None:
    """Write the TSV to stdout."""
    floats, texts = ("value", "low", "high"), ("model", "task", "set", "score", "statistic")
    columns = [Column(name, "str") for name in texts] + [Column(name, "float") for name in floats]
    with open_table(None, [*columns, Column("num_rows", "int")], provenance=settings) as table:
        table.write(figures)


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
    a = parse_arguments()
    torch.set_num_threads(a.threads)
    figures: list[dict[str, Any]] = []
    settings = {key: str(getattr(a, key)) for key in ("seed", "draws", "device", "dtype", "threads")}
    parts: list[Callable[..., tuple[list[dict[str, Any]], dict[str, str]]]] = []
    parts += [fitness_figures] if a.fitness else []
    parts += [essentiality_figures] if a.labels else []
    try:
        models = [load(name, a.device, getattr(torch, a.dtype)) for name in a.model]
        for part in parts:
            found, drawn = part(models, a)
            figures += found
            settings |= drawn
    except (DnahnetError, OSError) as error:
        sys.exit(str(error))
    settings |= {f"sha256_{model.name}": model.sha256 for model in models}
    print_table(settings, map(_without_nan, figures))
    result = as_json(models, settings, figures)
    if a.json:
        a.json.write_text(result + "\n")
    else:
        print(result, file=sys.stderr)


if __name__ == "__main__":
    main()
