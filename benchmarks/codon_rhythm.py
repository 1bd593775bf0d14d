"""Where does the model cut? The rate of each stage's boundaries by codon position, at gene ends and outside genes.

    dnahnet boundaries GENOME | python benchmarks/codon_rhythm.py GENOME GENES [--json OUT]

Boundaries are counted on the strand that a gene is read from, as the network reads in one direction only. Stage 1 is
the share of bases that open a chunk; each further stage the share of the chunks of the stage before that open one of
its own. Bases that several genes cover are left out; `intergenic` is what no gene covers on either strand, `upstream`
the intergenic bases at most 60 before a start codon of that strand, where promoters are likely. Codon positions include
the start and stop codons.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes

UPSTREAM_BP = 60
INTERGENIC, MIXED = 3, 4
CLASSES = (
    "overall", "position 1", "position 2", "position 3", "coding", "start codon", "stop codon", "intergenic",
    "upstream",
)  # fmt: skip


def usable(genes: Iterable[Gene], contig: str, length: int) -> list[Gene]:
    """Return the genes of a contig that are whole codons of one piece."""
    return [g for g in genes if g.contig == contig and g.end <= length and not g.pseudo and len(g.parts) == 1]


def base_classes(genes: list[Gene], contig: str, length: int, strand: Strand) -> dict[str, np.ndarray]:
    """Return which forward bases are of each class on a strand."""
    codon = np.full(length, INTERGENIC, dtype=np.int8)
    for gene in genes:
        if gene.contig == contig and gene.end <= length:
            for start, end in gene.parts:
                position = np.arange(end - start) % 3
                if strand is Strand.REVERSE:
                    position = position[::-1]
                own = gene.strand is strand and len(gene.parts) == 1 and not gene.pseudo and gene.length % 3 == 0
                free = codon[start:end] == INTERGENIC
                codon[start:end] = np.where(free & own, position, MIXED)
    first, last, before = (np.zeros(length, dtype=np.bool_) for _ in range(3))
    for gene in usable(genes, contig, length):
        if gene.strand is strand:
            low, high = gene.start, gene.end
            near, far = (low, high - 3) if strand is Strand.FORWARD else (high - 3, low)
            first[near : near + 3], last[far : far + 3] = True, True
            if strand is Strand.FORWARD:
                before[max(0, low - UPSTREAM_BP) : low] = True
            else:
                before[high : high + UPSTREAM_BP] = True
    coding, intergenic = codon < INTERGENIC, codon == INTERGENIC
    masks = [codon != MIXED, codon == 0, codon == 1, codon == 2, coding, coding & first, coding & last]
    return dict(zip(CLASSES, [*masks, intergenic, intergenic & before], strict=True))


def read_cuts(
    lines: list[str], lengths: dict[str, int]
) -> tuple[dict[str, str], dict[tuple[str, str, str], np.ndarray], dict[tuple[str, str], np.ndarray]]:
    """Return a BED's provenance, by (stage, contig, strand) which bases open a chunk, and which lie in any."""
    provenance: dict[str, str] = {}
    cuts: dict[tuple[str, str, str], np.ndarray] = {}
    read: dict[tuple[str, str], np.ndarray] = {}
    for line in lines:
        if line.startswith("##"):
            key, _, value = line[2:].rstrip("\n").partition("=")
            provenance[key] = value
            continue
        contig, start, end, stage, _, strand = line.split()
        own = cuts.setdefault((stage, contig, strand), np.zeros(lengths[contig], dtype=np.bool_))
        own[int(start) if strand == "+" else int(end) - 1] = True
        read.setdefault((contig, strand), np.zeros(lengths[contig], dtype=np.bool_))[int(start) : int(end)] = True
    return provenance, cuts, read


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("genes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with Fasta(arguments.genome) as fasta:
        lengths = fasta.lengths
    genes = read_genes(arguments.genes).genes
    provenance, cuts, read = read_cuts(list(sys.stdin), lengths)
    stages = sorted({stage for stage, _, _ in cuts})
    found = {stage: dict.fromkeys(CLASSES, 0) for stage in stages}
    possible = {stage: dict.fromkeys(CLASSES, 0) for stage in stages}
    for contig, strand in sorted(read):
        classes = base_classes(genes, contig, lengths[contig], Strand(strand))
        for stage, before in zip(stages, [None, *stages], strict=False):
            opens = cuts[stage, contig, strand]
            for name, mask in classes.items():
                candidates = mask & (read[contig, strand] if before is None else cuts[before, contig, strand])
                found[stage][name] += int(np.count_nonzero(opens & mask))
                possible[stage][name] += int(np.count_nonzero(candidates))
    rates = {stage: {name: found[stage][name] / max(1, possible[stage][name]) for name in CLASSES} for stage in stages}
    print(f"| stage | {' | '.join(CLASSES)} |\n| --- | {' | '.join('---:' for _ in CLASSES)} |")
    for stage, row in rates.items():
        print(f"| {stage} | {' | '.join(f'{100 * row[name]:.1f} %' for name in CLASSES)} |")
    if arguments.json:
        result = {"boundaries": provenance, "rates": rates, "counted": possible}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
