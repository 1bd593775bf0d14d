"""RNA genes of an annotation, which `dnahnet_cli.io.genes` leaves out because they have no codons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

from dnahnet_cli.genome import Strand
from dnahnet_cli.io.gff import Feature, parse_features
from dnahnet_cli.io.streams import Source

RRNA, TRNA, OTHER_RNA = "rRNA", "tRNA", "other_RNA"

_KIND: Final = {"rRNA": RRNA, "tRNA": TRNA} | dict.fromkeys(
    ("tmRNA", "ncRNA", "sRNA", "antisense_RNA", "RNase_P_RNA", "SRP_RNA", "misc_RNA"), OTHER_RNA
)
_BIOTYPES: Final = ("gene_biotype", "biotype", "gene_type")


@dataclass(frozen=True)
class RnaGene:
    """A gene whose product is RNA; [start, end) 0-based. `kind` is RRNA, TRNA or OTHER_RNA, `strand` may be unknown."""

    contig: str
    start: int
    end: int
    strand: Strand | None
    kind: str


def read_rna_genes(path: str) -> list[RnaGene]:
    """Read the RNA genes of a GFF3 or GTF file; a BED has none. A gene and its RNA on the same bases are one.

    Raises InputError.
    """
    with Source(path) as source:
        lines = ((number, line) for number, line in source.lines() if line.strip() and not line.startswith(b"#"))
        first = next(lines, None)
        if first is None or b"".join(first[1].split(b"\t")[1:2]).isdigit():  # BED
            return []
        features = parse_features(source.name, chain([first], lines))
    found = {}
    for feature in chain(features.by_id.values(), features.genes):
        kind = _kind(feature)
        if kind is not None:
            strand = Strand(feature.strand) if feature.strand in ("+", "-") else None
            found[feature.contig, feature.start, feature.end, strand] = kind
    return [RnaGene(*place, kind) for place, kind in found.items()]


def _kind(feature: Feature) -> str | None:
    biotype = next((feature.attributes[key] for key in _BIOTYPES if key in feature.attributes), "")
    return _KIND.get(feature.kind, _KIND.get(biotype) if feature.kind == "gene" else None)
