"""Bits per base of held-out species: what a model learned of DNA in general.

The genomes of the manifest's `val` split are scored on the forward strand of all contigs, every base but N once; the
last row is the mean over species. The Markov model is fitted to both strands of the `train` split; the network scans
as every command does. With --every K only each K-th tile of 4,096 bases counts, the same bases for all models.

    python benchmarks/heldout.py MANIFEST [--model NAME] [--every 10] [--order 9] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from dnahnet_cli.baselines.markov import MAX_ORDER, MarkovModel
from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.genome import Codes, Strand
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.weights import DEFAULT_MODEL, find_model, load_model
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from dnahnet_cli.training.corpus import Genome, read_manifest

LogProbs: TypeAlias = Callable[[Codes], npt.NDArray[np.float32]]
Column: TypeAlias = Mapping[str, float]  # bits per base by genome name


def genome_bits(log_probs: LogProbs, genomes: Sequence[Genome], every: int) -> Column:
    """Return each genome's bits per base; `log_probs` gives a contig's natural log probabilities, NaN where none is."""
    bits = {}
    for genome in genomes:
        total, num_bases = 0.0, 0
        for contig in genome.contigs:
            values = log_probs(contig)[np.arange(len(contig)) // TileGrid().tile % every == 0]
            total -= float(np.nansum(values, dtype=np.float64))
            num_bases += int(np.count_nonzero(~np.isnan(values)))
        bits[genome.name] = total / num_bases / math.log(2)
    return bits


def markov_bits(train: Sequence[Genome], genomes: Sequence[Genome], order: int, every: int) -> Column:
    """Return the bits per base of `genomes` under an order-`order` Markov model of `train`."""
    model = MarkovModel.fit((contig for genome in train for contig in genome.contigs), order)
    return genome_bits(model.log_probs, genomes, every)


@dataclass(frozen=True)
class OneContig:
    """A genome of one contig, held in memory."""

    sequence: Codes

    @property
    def lengths(self) -> dict[str, int]:
        return {"contig": len(self.sequence)}

    def codes(self, contig: str, start: int, end: int) -> Codes:
        return self.sequence[start:end]


def network_bits(network: Network, genomes: Sequence[Genome], every: int, context: int = TileGrid.context) -> Column:
    """Return the bits per base of `genomes` under a network that sees at least `context` bases before a tile."""

    def log_probs(contig: Codes) -> npt.NDArray[np.float32]:
        engine = Engine(network, OneContig(contig), EngineOptions(TileGrid(context=context)))
        reading = engine.reading("contig", Strand.FORWARD)
        values = np.full(len(contig), np.nan, dtype=np.float32)
        for scan in engine.scan(reading, range(0, reading.num_tiles, every)):
            own = contig[scan.start : scan.start + len(scan.log_probs_L4)]
            known = np.flatnonzero(own < 4)
            values[scan.start + known] = scan.log_probs_L4[known, own[known]]
        return values

    return genome_bits(log_probs, genomes, every)


def macro_mean(column: Column) -> float:
    """Return the mean over species, each counting the same."""
    return float(np.mean(list(column.values())))


def markdown(columns: Mapping[str, Column], genomes: Sequence[Genome]) -> str:
    """Return the table: a row per species, a column per model, the mean over species last."""
    rows = [["species", *(f"{name} bits" for name in columns)], ["---", *("---:" for _ in columns)]]
    rows += [[g.name, *(f"{column[g.name]:.4f}" for column in columns.values())] for g in genomes]
    rows += [["macro mean", *(f"{macro_mean(column):.4f}" for column in columns.values())]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_json(columns: Mapping[str, Column], genomes: Sequence[Genome]) -> dict[str, Any]:
    """Return the table for machines: per model the macro mean and the species' bits, and what they were taken on."""
    return {
        "num_bases": {g.name: int(sum(np.count_nonzero(contig < 4) for contig in g.contigs)) for g in genomes},
        "models": {name: {"macro_mean": macro_mean(c), "bits_per_base": dict(c)} for name, c in columns.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="TSV with the columns name, genus, split, file")
    parser.add_argument("--order", type=int, default=9, help=f"order of the Markov model, 0..{MAX_ORDER} [9]")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="bundled model or safetensors file")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th tile [1]")
    parser.add_argument("--context", type=int, default=TileGrid().context, help="bases before a tile [%(default)s]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the table as JSON too")
    arguments = parser.parse_args()
    try:
        genomes = read_manifest(arguments.manifest, "val")
        train = read_manifest(arguments.manifest, "train")
        file = find_model(arguments.model)
        network = load_model(file, dtype=getattr(torch, arguments.dtype))
        columns = {
            f"Markov-{arguments.order}": markov_bits(train, genomes, arguments.order, arguments.every),
            file.name: network_bits(network, genomes, arguments.every, arguments.context),
        }
    except DnahnetError as error:
        sys.exit(str(error))
    print(markdown(columns, genomes))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(columns, genomes), indent=2) + "\n")


if __name__ == "__main__":
    main()
