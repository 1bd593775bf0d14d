"""Read an annotation for consequences: coding genes, and those without a protein."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Gene
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.io.rnas import RnaGene, read_noncoding
from dnahnet_cli.io.spool import file_of
from dnahnet_cli.io.streams import name_some


@dataclass(frozen=True)
class GeneSet:
    """The genes of a genome. `circular` are the contigs that the annotation calls so, `skipped` (locus, reason).

    `sha256` is that of the annotation as it was read.
    """

    coding: list[Gene]
    noncoding: list[RnaGene]
    circular: frozenset[str]
    skipped: list[tuple[str, str]]
    sha256: str


def read_gene_set(
    path: str,
    lengths: Mapping[str, int],
    names: Mapping[str, str] | None = None,
    id_attr: str | None = None,
    tmpdir: Path | None = None,
    circles: Collection[str] = (),
) -> GeneSet:
    """Read the genes of a GFF3, GTF, BED or GenBank file on the contigs of a genome; `names` are its names for theirs.

    `circles` are the genome's contigs that are circular whatever the annotation says.
    `-` is standard input; what a pipe holds is kept in `tmpdir` meanwhile, as it is read twice. Raises InputError as
    `read_genes`, though genes without a protein will do, and when none of the genes is on the genome.
    """
    names = names or {}
    sizes = {name: lengths[name] for name in circles}
    sizes |= {theirs: lengths[ours] for theirs, ours in names.items() if ours in circles}
    with file_of(path, tmpdir) as file:
        annotation, rnas = read_genes(file, id_attr, sizes, needed=False), read_noncoding(file, sizes)
        if not annotation.genes and not rnas:
            read_genes(file, id_attr)  # says what the file holds instead
        sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    coding = [replace(gene, contig=names.get(gene.contig, gene.contig)) for gene in annotation.genes]
    noncoding = [replace(gene, contig=names.get(gene.contig, gene.contig)) for gene in rnas]
    theirs = dict.fromkeys(gene.contig for gene in coding or noncoding)
    if not any(contig in lengths for contig in theirs):
        raise InputError(
            f"{path}: no gene is on the genome. The genes are on {name_some(theirs)}, the genome has "
            f"{name_some(lengths)}.\n{rename_hint(next(iter(theirs)), lengths)}"
        )
    circular = frozenset(names.get(contig, contig) for contig in annotation.circular) & lengths.keys()
    return GeneSet(coding, noncoding, circular, annotation.skipped, sha256)


def rename_hint(theirs: str, genome: Collection[str]) -> str:
    """Say how to give contigs the genome's names; with an example to copy, where there is one like it, or only one."""
    close = get_close_matches(theirs, genome, 1) if len(genome) > 1 else list(genome)
    example = f", such as --rename-contigs <(echo {quote(f'{theirs} {close[0]}')})" if close else ""
    return f"Where these are the same under other names, give lines of both names with --rename-contigs{example}."
