"""Where in a codon does the model cut? The rate of each stage's boundaries by codon position and outside genes.

    dnahnet boundaries GENOME | python benchmarks/codon_rhythm.py GENOME GENES [--json OUT]

Boundaries are counted on the strand that a gene is read from, as the network reads in one direction only. Bases that
several genes cover are left out; `intergenic` is what no gene covers on either strand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes

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


def read_cuts(
    lines: list[str], lengths: dict[str, int]
) -> tuple[dict[str, str], dict[tuple[str, str, str], np.ndarray]]:
    """Return the provenance lines of a BED of chunks, and by (stage, contig, strand) which bases open a chunk."""
    provenance: dict[str, str] = {}
    cuts: dict[tuple[str, str, str], np.ndarray] = {}
    for line in lines:
        if line.startswith("##"):
            key, _, value = line[2:].rstrip("\n").partition("=")
            provenance[key] = value
            continue
        contig, start, end, stage, _, strand = line.split()
        own = cuts.setdefault((stage, contig, strand), np.zeros(lengths[contig], dtype=np.bool_))
        own[int(start) if strand == "+" else int(end) - 1] = True
    return provenance, cuts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("genes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with Fasta(arguments.genome) as fasta:
        lengths = fasta.lengths
    genes = read_genes(arguments.genes).genes
    provenance, cuts = read_cuts(list(sys.stdin), lengths)
    rates = {}
    for stage in sorted({stage for stage, _, _ in cuts}):
        found, bases = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
        for (own_stage, contig, strand), opens in cuts.items():
            if own_stage == stage:
                classes = codon_classes(genes, contig, lengths[contig], Strand(strand))
                found += [np.count_nonzero(opens & (classes == index)) for index in range(len(CLASSES))]
                bases += [np.count_nonzero(classes == index) for index in range(len(CLASSES))]
        rates[stage] = (found / bases).tolist()
    print(f"| stage | {' | '.join(CLASSES)} |\n| --- | {' | '.join('---:' for _ in CLASSES)} |")
    for stage, row in rates.items():
        print(f"| {stage} | {' | '.join(f'{100 * rate:.1f} %' for rate in row)} |")
    if arguments.json:
        result = {"boundaries": provenance, "classes": CLASSES, "rates": rates}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
