"""Parse GFF3 and GTF lines into features. What makes a gene of them is decided in genes.py."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.streams import counted, whole_number

_GTF_ATTRIBUTE: Final = re.compile(r'(?<![\w.:-])([\w.:-]+)\s+(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))\s*(?:;|$)')
_GENERATIONS: Final = 16  # CDS, mRNA and gene are three
_GTF_STYLE: Final = re.compile(r'\s*[\w.:-]+\s+(?:"|[^\s=;]+\s*;)')


@dataclass(frozen=True)
class Feature:
    """A line of the file: [start, end) 0-based on the forward strand; `strand` as written, `phase` 0 if not given."""

    contig: str
    kind: str
    start: int
    end: int
    strand: str
    attributes: dict[str, str]
    line_number: int
    phase: int = 0


@dataclass
class Features:
    """What a file holds: coding features in file order, all others that have a name by which a child can find them.

    `nameless` are those that no child can find: without a name, as barrnap writes RNA genes, the further ones of a
    name, and in GTF all but genes.
    `lengths` (bp) come from ##sequence-region and region lines; `kinds` counts the feature types for messages.
    """

    is_gtf: bool = False
    coding: list[Feature] = field(default_factory=list)
    stop_codons: list[Feature] = field(default_factory=list)
    genes: list[Feature] = field(default_factory=list)
    by_id: dict[str, Feature] = field(default_factory=dict)
    nameless: list[Feature] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)
    circular: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)

    def ancestry(self, feature: Feature) -> Iterator[Feature]:
        """Yield the feature, its parent, the parent's parent, and so on, each once, for a few generations."""
        seen: set[str] = set()
        current: Feature | None = feature
        while current is not None and len(seen) <= _GENERATIONS:
            yield current
            parent = self._parent_id(current)
            current = None if parent in seen else self.by_id.get(parent)
            seen.add(parent)

    def _parent_id(self, feature: Feature) -> str:
        if not self.is_gtf:
            return feature.attributes.get("Parent", "")
        return "" if feature.kind == "gene" else "gene " + feature.attributes.get("gene_id", "")


def parse_features(
    name: str, lines: Iterable[tuple[int, bytes]], circles: Mapping[str, int] = MappingProxyType({})
) -> Features:
    """Parse the numbered lines of a GFF3 or GTF file up to its ##FASTA tail; raise InputError at a malformed one.

    `circles` are the lengths (bp) of contigs that are known to be circular beside those that the file says are.
    """
    found = Features(lengths=dict(circles), circular=set(circles))
    is_first = True
    for number, line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith((">", "##FASTA")):
            break
        if text.startswith("##sequence-region"):
            _note_length(found, text)
        if text.startswith("#") or not text.strip():
            continue
        fields = text.split("\t")
        if is_first:
            found.is_gtf = len(fields) > 8 and _GTF_STYLE.match(fields[8]) is not None
            is_first = False
        _keep(found, _parse(f"{name}:{number}", number, fields, found))
    return found


def _parse(where: str, number: int, fields: list[str], found: Features) -> Feature:
    if len(fields) < 8:
        raise InputError(
            f"{where} has {counted(len(fields), 'column')}, a GFF line has 9, separated by tabs: correct the line."
        )
    first, end = whole_number(fields[3]), whole_number(fields[4])
    if first is None or end is None:
        raise InputError(f"{where} has the start {fields[3]!r} and end {fields[4]!r}: they must be whole numbers.")
    contig = fields[0] if found.is_gtf else unquote(fields[0])
    start = first - 1
    if end <= start and contig in found.circular and contig in found.lengths:
        end += found.lengths[contig]
    if not 0 <= start < end:
        raise InputError(f"{where} spans {start + 1}-{end}: a feature starts at 1 or later and ends after its start.")
    text = fields[8] if len(fields) > 8 else ""
    attributes = _gtf_attributes(text) if found.is_gtf else _gff3_attributes(text)
    phase = int(fields[7]) if fields[7] in ("1", "2") else 0
    return Feature(contig, fields[2], start, end, fields[6], attributes, number, phase)


def _gff3_attributes(text: str) -> dict[str, str]:
    # Of several parents the first counts. They are divided by commas; one in a name is written %2C.
    pairs = (item.strip().partition("=") for item in text.split(";"))
    return {
        key: unquote(value.split(",")[0] if key == "Parent" else value)
        for key, equals, value in pairs
        if equals and value
    }


def _gtf_attributes(text: str) -> dict[str, str]:
    # The first of several values counts; an empty one (NCBI writes transcript_id "") is none.
    attributes: dict[str, str] = {}
    for match in _GTF_ATTRIBUTE.finditer(text):
        value = match[2] if match[2] is not None else match[3]
        if value:
            attributes.setdefault(match[1], value)
    return attributes


def _keep(found: Features, feature: Feature) -> None:
    found.kinds[feature.kind] += 1
    attributes = feature.attributes
    if attributes.get("Is_circular", "").lower() == "true":
        found.circular.add(feature.contig)
    match feature.kind:
        case "CDS":
            found.coding.append(feature)
            return
        case "stop_codon":
            found.stop_codons.append(feature)
            return
        case "region" if feature.start == 0:
            found.lengths.setdefault(feature.contig, feature.end)
        case "gene":
            found.genes.append(feature)
    name = attributes.get("ID")
    if found.is_gtf:
        name = "gene " + attributes.get("gene_id", "") if feature.kind == "gene" else None
    if name is None or name in found.by_id:
        found.nameless.append(feature)
    else:
        found.by_id[name] = feature


def _note_length(found: Features, text: str) -> None:
    words = text.split()
    length = whole_number(words[3]) if len(words) == 4 else None
    if length is not None:
        found.lengths.setdefault(unquote(words[1]), length)
