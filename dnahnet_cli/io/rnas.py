"""Genes of an annotation without a protein, which `dnahnet_cli.io.genes` leaves out: of RNA, and pseudogenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from dnahnet_cli.genome import Strand
from dnahnet_cli.io import genbank
from dnahnet_cli.io.gff import Feature, Features, parse_features
from dnahnet_cli.io.regions import is_bed_comment
from dnahnet_cli.io.streams import Source, describe

RRNA, TRNA, OTHER_RNA, PSEUDOGENE = "rRNA", "tRNA", "other_RNA", "pseudogene"

_KIND: Final = {"rRNA": RRNA, "tRNA": TRNA} | dict.fromkeys(
    ("tmRNA", "ncRNA", "sRNA", "antisense_RNA", "RNase_P_RNA", "SRP_RNA", "misc_RNA"), OTHER_RNA
)
_BIOTYPES: Final = ("gene_biotype", "biotype", "gene_type")
_LOCUS_KEYS: Final = ("locus_tag", "gene_id", "ID", "Name")
_SYMBOL_KEYS: Final = ("gene", "gene_name")


@dataclass(frozen=True)
class RnaGene:
    """A gene whose product is RNA; [start, end) 0-based. `kind` is RRNA, TRNA or OTHER_RNA, `strand` may be unknown.

    `read_noncoding` returns pseudogenes as well, of the kind PSEUDOGENE.
    """

    contig: str
    start: int
    end: int
    strand: Strand | None
    kind: str
    name: str = field(default="", compare=False)
    locus_tag: str = field(default="", compare=False)
    product: str = field(default="", compare=False)


def read_rna_genes(path: str) -> list[RnaGene]:
    """Read the RNA genes of a GFF3, GTF or GenBank file; a BED has none. A gene and its RNA on the same bases are one.

    Raises InputError.
    """
    return [gene for gene in read_noncoding(path) if gene.kind != PSEUDOGENE]


def read_noncoding(path: str) -> list[RnaGene]:
    """Read RNA genes, as `read_rna_genes`, and pseudogenes that have no CDS. Raises InputError."""
    with Source(path) as source:
        if describe(source.head) == genbank.KIND:
            return list(_of_genbank(source))
        lines = (
            (number, line) for number, line in source.lines() if not is_bed_comment(line.decode("utf-8", "replace"))
        )
        first = next(lines, None)
        if first is None or b"".join(first[1].split(b"\t")[1:2]).isdigit():  # BED
            return []
        features = parse_features(source.name, chain([first], lines))
    coding = {(f.contig, f.start, f.end) for cds in features.coding for f in features.ancestry(cds)}
    found: dict[tuple[str, int, int, Strand | None], RnaGene] = {}
    for gene in _candidates(features):
        place = gene.contig, gene.start, gene.end, gene.strand
        if gene.kind == PSEUDOGENE and place[:3] in coding:
            continue
        before = found.get(place, gene)
        named = {key: getattr(before, key) or getattr(gene, key) for key in ("name", "locus_tag", "product")}
        found[place] = replace(gene, **named)
    return list(found.values())


def _of_genbank(source: Source) -> Iterator[RnaGene]:
    for record in genbank.read_records(source):
        coding = {_gene_of(feature) for feature in record.features if feature.kind == "CDS"}
        for feature in record.features:
            get = feature.qualifiers.get
            is_pseudo = feature.kind == "gene" and (
                "pseudo" in feature.qualifiers or "pseudogene" in feature.qualifiers
            )
            kind = PSEUDOGENE if is_pseudo and _gene_of(feature) not in coding else _KIND.get(feature.kind)
            location = genbank.parts_of(feature.location)
            if kind is None or isinstance(location, str):
                continue
            parts = genbank.forward_parts(record, location)
            start, end, strand = parts[0][0], max(end for _, end in parts), location[0][2]
            locus = get("locus_tag") or get("gene", "")
            yield RnaGene(record.name, start, end, strand, kind, get("gene") or locus, locus, get("product", ""))


def _gene_of(feature: genbank.GenBankFeature) -> str:
    """Return what a gene and its coding sequence share: a CDS of several parts has another location than its gene."""
    return feature.qualifiers.get("locus_tag") or feature.location


def _candidates(features: Features) -> Iterator[RnaGene]:
    for feature in chain(features.by_id.values(), features.genes, features.nameless):
        kind = _kind(feature)
        if kind is not None:
            strand = Strand(feature.strand) if feature.strand in ("+", "-") else None
            locus = _first_value(feature, _LOCUS_KEYS)
            name = _first_value(feature, _SYMBOL_KEYS) or locus
            product = feature.attributes.get("product", "")
            yield RnaGene(feature.contig, feature.start, feature.end, strand, kind, name, locus, product)


def _kind(feature: Feature) -> str | None:
    biotype = _first_value(feature, _BIOTYPES)
    if feature.kind == "pseudogene" or (feature.kind == "gene" and biotype.endswith("pseudogene")):
        return PSEUDOGENE
    return _KIND.get(feature.kind, _KIND.get(biotype) if feature.kind == "gene" else None)


def _first_value(feature: Feature, keys: tuple[str, ...]) -> str:
    return next((feature.attributes[key] for key in keys if key in feature.attributes), "")
