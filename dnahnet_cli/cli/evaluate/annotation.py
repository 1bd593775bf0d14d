"""Genes for evaluations that look at classes of bases: read, called, or said to be missing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import InputError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.regions import Features
    from dnahnet_cli.io.fasta import Fasta

NONE = "none"  # as the value of --genes: no classes of bases


def features_of(
    fasta: Fasta, genes: str | None, circular: str, reporter: Reporter
) -> tuple[Features | None, frozenset[str]]:
    """Return the genes and the circular contigs (`circular`: auto, all, none) of a genome.

    Without a file they are those of a GenBank genome, or called; where that cannot be, a note says why.
    """
    from dnahnet_cli.evaluation.regions import Features
    from dnahnet_cli.io.genes import call_genes, read_genes
    from dnahnet_cli.io.rnas import read_rna_genes

    annotation = None
    if genes is None and fasta.annotated:
        genes = str(fasta.path)
    if genes is None:
        try:
            annotation = call_genes(fasta)
        except InputError as error:  # no pyrodigal, or no genes
            reporter.note(f"{fasta.path}: no classes of bases: {str(error).partition(chr(10))[0]}")
    elif genes != NONE:
        annotation = read_genes(genes, circles=fasta.circles)
    marked = fasta.circular | (annotation.circular & fasta.lengths.keys() if annotation else frozenset())
    chosen = {"auto": marked, "all": frozenset(fasta.lengths), "none": frozenset[str]()}[circular]
    if annotation is None:
        return None, chosen
    rnas = read_rna_genes(genes) if genes is not None else []
    return Features.of(annotation, rnas, fasta.lengths, chosen), chosen


def note_skipped(reporter: Reporter, skipped: Sequence[tuple[str, str]], before: str = "") -> None:
    """Say what of an annotation was left out, each reason once with its first example."""
    for reason in dict.fromkeys(reason for _, reason in skipped):
        own = [gene for gene, why in skipped if why == reason]
        reporter.note(f"  {before}{len(own):,} genes left out: {reason} (first: {own[0]})")


def sequence_sha256(fasta: Fasta) -> str:
    """Return the digest of the bases of all contigs, as model cards have it of training genomes."""
    digest = hashlib.sha256()
    for contig, length in fasta.lengths.items():
        digest.update(fasta.codes(contig, 0, length).data)
    return digest.hexdigest()


def sha256_of(genes: str | None) -> str:
    """Return what stands for an annotation in settings: the digest of its file, `called` or `none`."""
    if genes in (None, NONE):
        return genes or "called"
    return hashlib.sha256(Path(genes).read_bytes()).hexdigest()
