"""Genes of an annotation without a protein, which `dnahnet_cli.io.genes` leaves out: of RNA, and pseudogenes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
from types import MappingProxyType
from typing import Final, TypeAlias

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
_GENE_KINDS: Final = ("gene", "ncRNA_gene", "pseudogene")

Parts: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RnaGene:
    """A gene whose product is RNA; [start, end) 0-based. `kind` is RRNA, TRNA or OTHER_RNA, `strand` may be unknown.

    `parts` are its stretches in forward order, such as the exons of spliced RNA; empty if nothing is said of any.
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
    parts: Parts = field(default=(), compare=False)


def read_rna_genes(path: str) -> list[RnaGene]:
    """Read the RNA genes of a GFF3, GTF or GenBank file; a BED has none. A gene and its RNA on the same bases are one.

    Raises InputError.
    """
    return [gene for gene in read_noncoding(path) if gene.kind != PSEUDOGENE]


def read_noncoding(path: str, circles: Mapping[str, int] = MappingProxyType({})) -> list[RnaGene]:
    """Read RNA genes, as `read_rna_genes`, and pseudogenes that have no CDS. Raises InputError.

    `circles` are the lengths (bp) of contigs that are circular whatever a GFF3 or GTF file says.
    """
    with Source(path) as source:
        if describe(source.head) == genbank.KIND:
            return list(_of_genbank(source))
        lines = (
            (number, line) for number, line in source.lines() if not is_bed_comment(line.decode("utf-8", "replace"))
        )
        first = next(lines, None)
        if first is None or b"".join(first[1].split(b"\t")[1:2]).isdigit():  # BED
            return []
        features = parse_features(source.name, chain([first], lines), circles)
    found: dict[tuple[str, int, int, Strand | None], RnaGene] = {}
    for gene in _candidates(features):
        place = gene.contig, gene.start, gene.end, gene.strand
        before = found.get(place, gene)
        known = {key: getattr(before, key) or getattr(gene, key) for key in ("name", "locus_tag", "product", "parts")}
        found[place] = replace(gene, **known)
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
            names = get("gene") or locus, locus, get("product", "")
            yield RnaGene(record.name, start, end, strand, kind, *names, parts)


def _gene_of(feature: genbank.GenBankFeature) -> str:
    """Return what a gene and its coding sequence share: a CDS of several parts has another location than its gene."""
    return feature.qualifiers.get("locus_tag") or feature.location


def _candidates(features: Features) -> Iterator[RnaGene]:
    """Yield what each line says of a gene; lines of GFF3 that share an ID are parts of one."""
    coding = {(f.contig, f.start, f.end) for cds in features.coding for f in features.ancestry(cds)}
    groups: dict[tuple[str, ...], tuple[str, list[Feature]]] = {}
    below: dict[int, list[Feature]] = defaultdict(list)  # of each line: its exons and transcripts
    for feature in chain(features.by_id.values(), features.nameless):
        if feature.kind in ("exon", "transcript"):
            for ancestor in islice(features.ancestry(feature), 1, None):
                if ancestor.contig == feature.contig:
                    below[ancestor.line_number].append(feature)
        kind = _kind(feature)
        if kind is None or (kind == PSEUDOGENE and (feature.contig, feature.start, feature.end) in coding):
            continue
        own = "" if features.is_gtf else feature.attributes.get("ID", "")
        key = (feature.contig, feature.strand, feature.kind, own) if own else (str(feature.line_number),)
        groups.setdefault(key, (kind, []))[1].append(feature)
    for kind, lines in groups.values():
        yield _rna_gene(features, kind, lines, [feature for line in lines for feature in below[line.line_number]])


def _rna_gene(features: Features, kind: str, lines: Sequence[Feature], below: Sequence[Feature]) -> RnaGene:
    """Return the gene of lines that share an ID, with what stands below them."""
    first, ancestry = lines[0], list(features.ancestry(lines[0]))
    stretches = _stretches(features, lines)
    exons = _stretches(features, [feature for feature in below if feature.kind == "exon"])
    locus = _first_value(ancestry, _LOCUS_KEYS)
    symbol = _first_value(ancestry, _SYMBOL_KEYS) or _first_value(
        [feature for feature in ancestry if feature.kind in _GENE_KINDS], ("Name",)
    )
    return RnaGene(
        first.contig,
        stretches[0][0],
        stretches[-1][1],
        Strand(first.strand) if first.strand in ("+", "-") else None,
        kind,
        symbol or locus,
        locus,
        _first_value([first, *below], ("product",)),
        exons or (stretches if len(stretches) > 1 else ()),
    )


def _stretches(features: Features, lines: Sequence[Feature]) -> Parts:
    """Return what lines cover, in order; what lies past the origin of a circular contig is shifted by its length."""
    covered: list[tuple[int, int]] = []
    for start, end in sorted((line.start, line.end) for line in lines):
        if covered and start <= covered[-1][1]:
            covered[-1] = covered[-1][0], max(end, covered[-1][1])
        else:
            covered.append((start, end))
    length = next((features.lengths.get(line.contig) for line in lines if line.contig in features.circular), None)
    if length and len(covered) > 1 and covered[0][0] == 0 and covered[-1][1] == length:
        gaps = [after - before for (_, before), (after, _) in pairwise(covered)]
        num_past = gaps.index(max(gaps)) + 1
        covered = covered[num_past:] + [(start + length, end + length) for start, end in covered[:num_past]]
    return tuple(covered)


def _kind(feature: Feature) -> str | None:
    is_gene, biotype = feature.kind in _GENE_KINDS, _first_value([feature], _BIOTYPES)
    if feature.kind == "pseudogene" or (is_gene and biotype.endswith("pseudogene")):
        return PSEUDOGENE
    if feature.kind == "ncRNA_gene":  # as Ensembl calls genes of any RNA
        return _KIND.get(biotype, OTHER_RNA)
    return _KIND.get(feature.kind, _KIND.get(biotype) if is_gene else None)


def _first_value(lines: Sequence[Feature], keys: tuple[str, ...]) -> str:
    """Return the value of the first key that any of the lines has, looking in the lines in order; empty if none."""
    return next((line.attributes[key] for key in keys for line in lines if key in line.attributes), "")
