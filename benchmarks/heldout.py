"""Bits per base of held-out species: what a model learned of DNA in general.

Every contig of every genome in the manifest's `val` split is scored on its forward strand, every base but N counting
once; the last row is the mean over species. The Markov model is fitted to both strands of the `train` split.

    python benchmarks/heldout.py MANIFEST [--order 9] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.baselines.markov import MAX_ORDER, MarkovModel
from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.genome import Codes
from dnahnet_cli.training.corpus import Genome, read_manifest

LogProbs: TypeAlias = Callable[[Codes], npt.NDArray[np.float32]]
Column: TypeAlias = Mapping[str, float]  # bits per base by genome name


def genome_bits(log_probs: LogProbs, genomes: Sequence[Genome]) -> Column:
    """Return each genome's bits per base; `log_probs` gives a contig's natural log probabilities, NaN where no base."""
    bits = {}
    for genome in genomes:
        total, num_bases = 0.0, 0
        for contig in genome.contigs:
            values = log_probs(contig)
            total -= float(np.nansum(values, dtype=np.float64))
            num_bases += int(np.count_nonzero(~np.isnan(values)))
        bits[genome.name] = total / num_bases / math.log(2)
    return bits


def markov_bits(train: Sequence[Genome], genomes: Sequence[Genome], order: int) -> Column:
    """Return the bits per base of `genomes` under an order-`order` Markov model of `train`."""
    model = MarkovModel.fit((contig for genome in train for contig in genome.contigs), order)
    return genome_bits(model.log_probs, genomes)


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
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the table as JSON too")
    arguments = parser.parse_args()
    try:
        genomes = read_manifest(arguments.manifest, "val")
        train = read_manifest(arguments.manifest, "train")
        columns = {f"Markov-{arguments.order}": markov_bits(train, genomes, arguments.order)}
    except DnahnetError as error:
        sys.exit(str(error))
    print(markdown(columns, genomes))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(columns, genomes), indent=2) + "\n")


if __name__ == "__main__":
    main()
