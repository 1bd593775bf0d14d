"""What each base of a contig is to each strand that reads it: one class for every base, so that classes add up.

- codon1, codon2, codon3: the base is of one protein-coding gene, in whole codons, read in the gene's own direction.
- antisense: the same bases read on the other strand.
- rRNA, tRNA, other_RNA: bases of RNA genes, on both strands.
- intergenic: covered by nothing, on both strands.
- unclear: covered by several genes, or by one without a sure frame (pseudogene, partial, not whole codons).

RNA genes come from the annotation only: where genes are called they count as intergenic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.genes import Annotation
from dnahnet_cli.io.rnas import RnaGene

Classes: TypeAlias = npt.NDArray[np.uint8]
Positions: TypeAlias = npt.NDArray[np.int64]

CLASSES: Final = ("intergenic", "codon1", "codon2", "codon3", "antisense", "rRNA", "tRNA", "other_RNA", "unclear")
INTERGENIC, CODON1, ANTISENSE, RRNA, TRNA, OTHER_RNA, UNCLEAR = 0, 1, 4, 5, 6, 7, 8
CODING: Final = "coding"  # codon1 to codon3 together

_CLASS_OF: Final = {"rRNA": RRNA, "tRNA": TRNA, "other_RNA": OTHER_RNA}


@dataclass
class Features:
    """The genes of a genome by contig, and what was left out: (name, reason)."""

    genes: dict[str, list[Gene]] = field(default_factory=dict)
    rnas: dict[str, list[RnaGene]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        annotation: Annotation,
        rnas: Iterable[RnaGene],
        lengths: Mapping[str, int],
        circular: frozenset[str] = frozenset(),
    ) -> Features:
        """Sort genes by contig. Raises InputError when none of them lies on the genome."""
        found = cls(skipped=list(annotation.skipped))
        for gene in annotation.genes:
            if gene.contig not in lengths:
                found.skipped.append((gene.name, "the genome has no contig of that name"))
            elif gene.end > lengths[gene.contig] and gene.contig not in circular:
                found.skipped.append((gene.name, "it ends beyond its contig, which is not circular"))
            else:
                found.genes.setdefault(gene.contig, []).append(gene)
        for rna in rnas:
            if rna.contig in lengths:
                found.rnas.setdefault(rna.contig, []).append(rna)
        if not found.genes:
            name, reason = found.skipped[0] if found.skipped else ("", "there is none")
            raise InputError(f"no gene of the annotation lies on the genome: {name}: {reason}")
        return found

    def classes(self, contig: str, length: int) -> dict[Strand, Classes]:
        """Return the class of each base of a contig for each strand, (length,) in forward coordinates."""
        return classify(self.genes.get(contig, ()), self.rnas.get(contig, ()), length)


def is_clear(gene: Gene) -> bool:
    """Tell whether a gene's frame is sure: complete, no pseudogene, whole codons."""
    return not gene.pseudo and not gene.partial and gene.length % 3 == 0


def coding_positions(gene: Gene, length: int) -> Positions:
    """Return the forward positions of a gene's bases in its reading direction, on a contig of `length`."""
    positions = np.concatenate([np.arange(start, end) for start, end in gene.parts]) % length
    return positions if gene.strand is Strand.FORWARD else positions[::-1]


def classify(genes: Iterable[Gene], rnas: Iterable[RnaGene], length: int) -> dict[Strand, Classes]:
    """Return the class of each base, an index of CLASSES, for each reading strand, (length,) in forward coordinates."""
    by_strand = {strand: np.full(length, INTERGENIC, dtype=np.uint8) for strand in Strand}
    num_genes = np.zeros(length, dtype=np.int32)
    for gene in genes:
        positions = coding_positions(gene, length)
        num_genes[positions] += 1
        if not is_clear(gene):
            for classes in by_strand.values():
                classes[positions] = UNCLEAR
            continue
        by_strand[gene.strand][positions] = CODON1 + np.arange(len(positions)) % 3
        by_strand[gene.strand.opposite][positions] = ANTISENSE
    for rna in rnas:
        positions = np.arange(rna.start, rna.end) % length
        num_genes[positions] += 1
        for classes in by_strand.values():
            classes[positions] = _CLASS_OF[rna.kind]
    for classes in by_strand.values():
        classes[num_genes > 1] = UNCLEAR
    return by_strand
