"""Where in a codon does the model cut? The rate of each stage's boundaries by codon position and outside genes.

    python benchmarks/codon_rhythm.py GENOME GENES [--model NAME] [--json OUT]

Boundaries are counted on the strand that a gene is read from, as the network reads in one direction only. Bases that
several genes cover in different frames are left out; `intergenic` is what no gene covers on either strand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.model.weights import DEFAULT_MODEL, find_model, load_model
from dnahnet_cli.scoring.engine import Engine

INTERGENIC, MIXED = 3, 4
CLASSES = ("position 1", "position 2", "position 3", "intergenic")


def codon_classes(genes: list[Gene], contig: str, length: int, strand: Strand) -> np.ndarray:
    """Return each forward base's class on a strand: codon position 0-2, intergenic, or mixed."""
    classes = np.full(length, INTERGENIC, dtype=np.int8)
    for gene in genes:
        if gene.contig != contig or gene.end > length or gene.pseudo or gene.length % 3:
            continue
        for start, end in gene.parts:
            if gene.strand is not strand or len(gene.parts) > 1:
                classes[start:end] = MIXED
                continue
            position = np.arange(end - start) % 3
            if strand is Strand.REVERSE:
                position = position[::-1]
            free = classes[start:end] == INTERGENIC
            classes[start:end] = np.where(free, position, MIXED)
    return classes


def boundary_rates(engine: Engine, genes: list[Gene]) -> np.ndarray:
    """Return the fraction of bases that open a chunk, by stage and class, over all contigs and both strands."""
    stages = engine.model.config.num_stages
    cuts, bases = np.zeros((stages, len(CLASSES))), np.zeros(len(CLASSES))
    for contig, length in engine.genome.lengths.items():
        for strand in engine.strands:
            classes = codon_classes(genes, contig, length, strand)
            reading = engine.reading(contig, strand)
            for scan in engine.scan(reading, range(reading.num_tiles)):
                own = classes[reading.to_forward(scan.start + np.arange(len(scan.log_probs_L4)))]
                for index in range(len(CLASSES)):
                    here = own == index
                    bases[index] += here.sum()
                    cuts[:, index] += scan.mask_SL[:, here].sum(axis=1)
    return cuts / bases


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("genes")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = find_model(arguments.model)
    annotation = read_genes(arguments.genes)
    with Fasta(arguments.genome) as fasta:
        circular = (fasta.circular | annotation.circular) & fasta.lengths.keys()
        rates = boundary_rates(Engine(load_model(file), fasta, circular=circular), annotation.genes)
    print(f"| stage | {' | '.join(CLASSES)} |\n| --- | {' | '.join('---:' for _ in CLASSES)} |")
    for stage, row in enumerate(rates, 1):
        print(f"| {stage} | {' | '.join(f'{100 * rate:.1f} %' for rate in row)} |")
    if arguments.json:
        result = {"model": file.name, "sha256": file.sha256, "classes": CLASSES, "rates": rates.tolist()}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
