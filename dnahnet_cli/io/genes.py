"""Read protein-coding genes from GFF3, GTF, BED or GenBank, or call them with pyrodigal.

A gene is a coding sequence (CDS): lines of one ID (or one Parent, or in GTF one transcript) are its parts. Of several
products of one gene, such as those of alternative starts, the longest stands for the gene; the others are `skipped`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from types import MappingProxyType
from typing import Any, Final, cast

from dnahnet_cli.errors import InputError
from dnahnet_cli.genetic_code import DEFAULT_CODE
from dnahnet_cli.genome import Gene, Strand, decode
from dnahnet_cli.io import genbank
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.gff import Feature, Features, parse_features
from dnahnet_cli.io.regions import is_bed_comment
from dnahnet_cli.io.streams import Source, counted, describe, name_some, whole_number

_LOCUS_KEYS: Final = ("locus_tag", "gene_id", "ID", "Name")
_SYMBOL_KEYS: Final = ("gene", "gene_name")
_BIOTYPE_KEYS: Final = ("gene_biotype", "biotype", "gene_type")
_TRUE: Final = ("true", "1", "yes")
_PRODIGAL_PARTIAL: Final = ("01", "10", "11")
# Prodigal cannot be trained on less; it says so itself.
_MIN_TRAINING_BP: Final = 100_000

Parts = tuple[tuple[int, int], ...]


@dataclass
class Annotation:
    """Genes in the order of the file, contigs that the file calls circular, and what was left out: (locus, reason)."""

    genes: list[Gene]
    circular: frozenset[str] = frozenset()
    skipped: list[tuple[str, str]] = field(default_factory=list)


def read_genes(
    path: str, id_attr: str | None = None, circles: Mapping[str, int] = MappingProxyType({}), *, needed: bool = True
) -> Annotation:
    """Read the protein-coding genes of a GFF3, GTF, BED or GenBank file, gzip or not; `-` is stdin.

    `locus_tag` is the first there is of locus_tag, gene_id, ID, Name, in the CDS or its parents, after `id_attr` if
    that is given. Without any CDS, gene features that are protein_coding, or say nothing, are taken. `circles` are the
    lengths (bp) of contigs that are circular whatever a GFF3 or GTF file says. Raise InputError for a malformed line,
    a file of another kind, or, if they are `needed`, one without protein-coding genes.
    """
    with Source(path) as source:
        kind = describe(source.head)
        if kind not in ("a GFF file", "a text file of another kind", genbank.KIND):
            raise InputError(f"{source.name} is {kind}: genes are read from GFF3, GTF, BED or GenBank.")
        is_genbank, lines = kind == genbank.KIND, source.lines()
        skimmed, is_bed = ([], False) if is_genbank else _skim(source.name, lines)
        if is_genbank:
            annotation, found = _read_genbank(source, id_attr), "no CDS features"
        elif is_bed:
            annotation, found = _read_bed(source.name, chain(skimmed, lines)), "no BED lines"
        else:
            features = parse_features(source.name, chain(skimmed, lines), circles)
            annotation = _from_features(features, source.name, id_attr)
            found = ", ".join(f"{count} {kind}" for kind, count in features.kinds.most_common(6)) or "no features"
    _leave_out_nested(annotation)
    if needed and not annotation.genes:
        if annotation.skipped:
            locus, reason = annotation.skipped[0]
            found = (
                f"{counted(len(annotation.skipped), 'coding sequence')} that cannot be used, such as {locus} ({reason})"
            )
        raise InputError(f"{source.name} has no protein-coding genes: it holds {found}.\nCDS features are needed.")
    return annotation


def _leave_out_nested(annotation: Annotation) -> None:
    """Leave out genes that have a part within another, as when a file was put together twice."""
    usable = []
    for gene in annotation.genes:
        if any(after[1] <= before[1] for before, after in pairwise(gene.parts)):
            annotation.skipped.append((gene.locus_tag, "one of its parts lies within another"))
        else:
            usable.append(gene)
    annotation.genes = usable


def call_genes(fasta: Fasta, genetic_code: int | None = None) -> Annotation:
    """Call genes with pyrodigal: trained on the genome from 100 kb on, with its metagenomic models below that.

    With a `genetic_code`, an NCBI table, it is always trained; otherwise with table 11. Genes are not called over the
    origin of circular contigs. Raise InputError when pyrodigal is not installed, cannot be trained, or finds nothing.
    """
    try:
        import pyrodigal
    except ImportError as error:
        raise InputError(
            "Genes can only be called with pyrodigal, which is not installed.\n"
            "Install it with: pip install 'dnahnet[genes]', or give a GFF3, GTF, BED or GenBank file."
        ) from error
    sequences = {name: decode(fasta.codes(name, 0, length)) for name, length in fasta.lengths.items() if length}
    is_trained = genetic_code is not None or sum(map(len, sequences.values())) >= _MIN_TRAINING_BP
    finder = pyrodigal.GeneFinder(meta=not is_trained, closed=False)
    if is_trained:
        first, *others = sequences.values()
        try:
            with warnings.catch_warnings(action="ignore"):  # below 100 kb, where the code was asked for
                finder.train(first, *others, translation_table=cast(Any, genetic_code or DEFAULT_CODE))
        except ValueError as error:
            raise InputError(f"pyrodigal cannot be trained on {fasta.path}: {error}.") from error
    genes = []
    for contig, sequence in sequences.items():
        for number, called in enumerate(finder.find_genes(sequence), 1):
            locus = f"{contig}_{number}"
            strand = Strand.FORWARD if called.strand == 1 else Strand.REVERSE
            edges = called.partial_begin, called.partial_end
            cut = edges[0 if strand is Strand.FORWARD else 1]
            part = (called.begin - 1, called.end)
            genes.append(Gene(contig, strand, (part,), locus, locus, partial=any(edges), cut_at_start=cut))
    if not genes:
        raise InputError(f"pyrodigal finds no genes in {fasta.path}: give a GFF3, GTF, BED or GenBank file.")
    return Annotation(genes, fasta.circular)


def _read_genbank(source: Source, id_attr: str | None) -> Annotation:
    annotation = Annotation([])
    present: dict[str, str] = {}
    for record in genbank.read_records(source):
        genes, skipped = genbank.genes_of(record, id_attr)
        present |= {key: "" for feature in record.features if feature.kind == "CDS" for key in feature.qualifiers}
        annotation.genes += genes
        annotation.skipped += skipped
        if record.circular:
            annotation.circular |= {record.name}
    if id_attr is not None and annotation.genes and id_attr not in present:
        raise InputError(f"{source.name}: no CDS has the qualifier {id_attr!r}; there are {name_some(present, 12)}.")
    return annotation


def _skim(name: str, lines: Iterator[tuple[int, bytes]]) -> tuple[list[tuple[int, bytes]], bool]:
    """Read to the first line with data; return what was read, and whether that line is BED rather than GFF."""
    skimmed = []
    for number, line in lines:
        skimmed.append((number, line))
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith((">", "##FASTA")):
            break
        if is_bed_comment(text):
            continue
        fields = text.split("\t")
        if len(fields) >= 3 and None not in map(whole_number, fields[1:3]):
            return skimmed, True
        if len(fields) >= 5:
            break
        raise InputError(
            f"{name}:{number} is neither GFF3, GTF nor BED: {text[:60]!r}.\nColumns must be separated by tabs."
        )
    return skimmed, False


def _from_features(features: Features, name: str, id_attr: str | None) -> Annotation:
    skipped: list[tuple[str, str]] = []
    genes: list[Gene] = []
    place_of: dict[tuple[str, str], int] = {}
    groups = _coding_groups(features) if features.coding else [[gene] for gene in features.genes if _may_code(gene)]
    _check_id_attr(features, groups, name, id_attr)
    for group in groups:
        gene_or_reason = _build(features, group, id_attr)
        if isinstance(gene_or_reason, str):
            skipped.append((_locus(features, group[0], id_attr), gene_or_reason))
            continue
        gene = gene_or_reason
        owner = next((f for f in features.ancestry(group[0]) if f is not group[0] and f.kind == "gene"), None)
        key = (gene.contig, str(owner.line_number if owner else -group[0].line_number))
        if key not in place_of:
            place_of[key] = len(genes)
            genes.append(gene)
            continue
        place = place_of[key]
        shorter = gene if gene.length <= genes[place].length else genes[place]
        genes[place] = genes[place] if shorter is gene else gene
        skipped.append((shorter.locus_tag, "another product of this gene is longer"))
    return Annotation(genes, frozenset(features.circular), skipped)


def _coding_groups(features: Features) -> list[list[Feature]]:
    """Join the CDS lines that are parts of one coding sequence."""
    groups: dict[tuple[str, ...], list[Feature]] = {}
    for feature in features.coding:
        groups.setdefault(_group_key(features, feature), []).append(feature)
    if features.is_gtf:
        # GTF leaves the stop codon out of the CDS; GFF3 and everything here counts it in.
        for stop in features.stop_codons:
            groups.get(_group_key(features, stop), []).append(stop)
    return list(groups.values())


def _group_key(features: Features, feature: Feature) -> tuple[str, ...]:
    get = feature.attributes.get
    if features.is_gtf:
        name = get("transcript_id") or get("gene_id")
        return (feature.contig, name) if name else (feature.contig, "line", str(feature.line_number))
    if "ID" in feature.attributes or "Parent" in feature.attributes:
        return (feature.contig, get("ID", ""), get("Parent", ""))
    return (feature.contig, "line", str(feature.line_number))


def _build(features: Features, group: Sequence[Feature], id_attr: str | None) -> Gene | str:
    """Return the gene, or the reason why there is none."""
    first = group[0]
    strands = {feature.strand for feature in group}
    if len(strands) > 1:
        return "its parts lie on both strands"
    if first.strand not in ("+", "-"):
        return "no strand"
    lines = list(features.ancestry(first))
    locus = _locus(features, first, id_attr)
    symbol = _first_value(lines, _SYMBOL_KEYS) or next(
        (f.attributes["Name"] for f in lines if f.kind == "gene" and "Name" in f.attributes), ""
    )
    length = features.lengths.get(first.contig) if first.contig in features.circular else None
    parts = _parts(group, length)
    code = _first_value(lines, ("transl_table",))
    return Gene(
        first.contig,
        Strand(first.strand),
        parts,
        symbol or locus,
        locus,
        _first_value(lines, ("product",)),
        partial=any(_is_partial(feature.attributes) for feature in chain(group, lines)),
        cut_at_start=any(_is_cut_at_start(feature.attributes, first.strand) for feature in chain(group, lines)),
        pseudo=any(_is_pseudo(feature) for feature in chain(group, lines)),
        phase=_phase(group, parts, length or 0),
        genetic_code=whole_number(code),
    )


def _phase(group: Sequence[Feature], parts: Parts, circular_length: int) -> int:
    """Return how many bases precede the first whole codon: the phase of the line on which the gene begins."""
    is_forward = group[0].strand == "+"
    edge = parts[0][0] if is_forward else parts[-1][1]
    begins = (f.phase for f in group if (f.start if is_forward else f.end) in (edge, edge - circular_length))
    return next(begins, 0)


def _parts(group: Sequence[Feature], circular_length: int | None) -> Parts:
    """Return the coding parts in genome order; those past the origin of a circular contig are shifted by its length."""
    parts = sorted((feature.start, feature.end) for feature in group if feature.kind != "stop_codon")
    for stop in (feature for feature in group if feature.kind == "stop_codon"):
        _add_stop(parts, (stop.start, stop.end))
    if circular_length is not None and len(parts) > 1 and parts[0][0] == 0 and parts[-1][1] == circular_length:
        gaps = [after[0] - before[1] for before, after in pairwise(parts)]
        num_past = gaps.index(max(gaps)) + 1
        shifted = [(start + circular_length, end + circular_length) for start, end in parts[:num_past]]
        parts = parts[num_past:] + shifted
    return tuple(parts)


def _add_stop(parts: list[tuple[int, int]], stop: tuple[int, int]) -> None:
    for place, (start, end) in enumerate(parts):
        if start <= stop[0] and stop[1] <= end:
            return
        if stop[1] == start or stop[0] == end:
            parts[place] = (min(start, stop[0]), max(end, stop[1]))
            return
    parts.append(stop)
    parts.sort()


def _locus(features: Features, feature: Feature, id_attr: str | None) -> str:
    keys = (id_attr, *_LOCUS_KEYS) if id_attr else _LOCUS_KEYS
    named = _first_value(list(features.ancestry(feature)), keys)
    return named or f"{feature.contig}:{feature.start + 1}-{feature.end}"


def _first_value(lines: Sequence[Feature], keys: Iterable[str]) -> str:
    """Return the value of the first key that any of the lines has, looking in the lines in order; empty if none."""
    return next((line.attributes[key] for key in keys for line in lines if key in line.attributes), "")


def _check_id_attr(features: Features, groups: list[list[Feature]], name: str, id_attr: str | None) -> None:
    if id_attr is None or not groups:
        return
    present = {key: "" for group in groups for line in features.ancestry(group[0]) for key in line.attributes}
    if id_attr not in present:
        raise InputError(f"{name}: no gene has the attribute {id_attr!r}; there are {name_some(present, 12)}.")


def _may_code(gene: Feature) -> bool:
    biotypes = [gene.attributes[key] for key in _BIOTYPE_KEYS if key in gene.attributes]
    return all(biotype == "protein_coding" for biotype in biotypes)


def _is_partial(attributes: dict[str, str]) -> bool:
    value = attributes.get("partial", "").lower()
    return value in _TRUE or value in _PRODIGAL_PARTIAL or "start_range" in attributes or "end_range" in attributes


def _is_cut_at_start(attributes: dict[str, str], strand: str) -> bool:
    value = attributes.get("partial", "")
    if value in _PRODIGAL_PARTIAL:  # the left and the right end
        return value[0 if strand == "+" else 1] == "1"
    return ("start_range" if strand == "+" else "end_range") in attributes


def _is_pseudo(feature: Feature) -> bool:
    attributes = feature.attributes
    return (
        feature.kind == "pseudogene"
        or attributes.get("pseudo", "").lower() in _TRUE
        or "pseudogene" in attributes
        or any(attributes.get(key, "").endswith("pseudogene") for key in _BIOTYPE_KEYS)
    )


def _read_bed(name: str, lines: Iterable[tuple[int, bytes]]) -> Annotation:
    annotation = Annotation([])
    for number, line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if is_bed_comment(text):
            continue
        where = f"{name}:{number}"
        fields = text.split("\t")
        if len(fields) < 6:
            raise InputError(
                f"{where} has {counted(len(fields), 'column')}: genes need BED6 (strand in column 6) or BED12."
            )
        contig, start, end = fields[0], whole_number(fields[1]), whole_number(fields[2])
        if start is None or end is None or start >= end:
            raise InputError(
                f"{where} has the start {fields[1]!r} and end {fields[2]!r}: they are whole numbers, and "
                "start must be less than end."
            )
        locus = fields[3] if fields[3] not in ("", ".") else f"{contig}:{start + 1}-{end}"
        parts = _bed12_parts(where, fields, start) if len(fields) >= 12 else ((start, end),)
        if fields[5] not in ("+", "-"):
            annotation.skipped.append((locus, "no strand"))
        elif not parts:
            annotation.skipped.append((locus, "not coding: thickStart equals thickEnd"))
        else:
            annotation.genes.append(Gene(contig, Strand(fields[5]), parts, locus, locus))
    return annotation


def _bed12_parts(where: str, fields: list[str], start: int) -> Parts:
    """Return the blocks of a BED12 line within its coding (thick) stretch."""
    try:
        thick_start, thick_end = map(_whole, fields[6:8])
        sizes, offsets = (map(_whole, field.rstrip(",").split(",")) for field in fields[10:12])
        blocks = [(start + offset, start + offset + size) for offset, size in zip(offsets, sizes, strict=True)]
    except ValueError as error:
        raise InputError(
            f"{where} is not BED12: columns 7, 8, 11 and 12 must be numbers, as many in 11 as in 12."
        ) from error
    coding = ((max(begin, thick_start), min(end, thick_end)) for begin, end in sorted(blocks))
    return tuple((begin, end) for begin, end in coding if begin < end)


def _whole(text: str) -> int:
    """Return the number that a text means; raise ValueError if it means none."""
    number = whole_number(text)
    if number is None:
        raise ValueError(text)
    return number
