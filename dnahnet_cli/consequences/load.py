"""Read an annotation for consequences: coding genes, and those without a protein."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Gene
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.io.rnas import RnaGene, read_noncoding
from dnahnet_cli.io.streams import name_some


@dataclass(frozen=True)
class GeneSet:
    """The genes of a genome. `circular` are the contigs that the annotation calls so, `skipped` (locus, reason)."""

    coding: list[Gene]
    noncoding: list[RnaGene]
    circular: frozenset[str]
    skipped: list[tuple[str, str]]


def read_gene_set(
    path: str, lengths: Mapping[str, int], names: Mapping[str, str] | None = None, id_attr: str | None = None
) -> GeneSet:
    """Read the genes of a GFF3, GTF, BED or GenBank file on the contigs of a genome; `names` are its names for theirs.

    Raises InputError as `read_genes`, and when none of the genes is on the genome; UsageError for a pipe.
    """
    names = names or {}
    if path == "-" or (Path(path).exists() and not Path(path).is_file()):
        raise UsageError(f"--genes {path}: the annotation is read twice, so it must be a file and not a pipe.")
    annotation = read_genes(path, id_attr)
    coding = [replace(gene, contig=names.get(gene.contig, gene.contig)) for gene in annotation.genes]
    noncoding = [replace(gene, contig=names.get(gene.contig, gene.contig)) for gene in read_noncoding(path)]
    if not any(gene.contig in lengths for gene in coding):
        theirs = name_some(dict.fromkeys(gene.contig for gene in coding))
        raise InputError(
            f"{path}: no gene is on the genome. The genes are on {theirs}, the genome has {name_some(lengths)}.\n"
            "Where these are the same under other names, give a file of old and new names with --rename-contigs."
        )
    circular = frozenset(names.get(contig, contig) for contig in annotation.circular)
    return GeneSet(coding, noncoding, circular, annotation.skipped)
