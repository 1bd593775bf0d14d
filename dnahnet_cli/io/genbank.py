"""Read GenBank flat files: the records' sequences, and their coding sequences as genes.

A record is named by its VERSION, which is what NCBI's FASTA of the same record has; without it by ACCESSION, then by
LOCUS. Prokka and Bakta write the names of the assembly's contigs there. The format is that of NCBI's release notes
(section 3.4), read with the liberties that Prokka takes with it. Of locations, join, order, complement, ranges, single
bases and the marks of incomplete ends (< and >) are understood; a location on another record is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Gene, Strand
from dnahnet_cli.io.streams import Source, whole_number

KIND: Final = "a GenBank file"  # as `streams.describe` calls it
_LOCUS_KEYS: Final = ("locus_tag", "gene", "protein_id")
_KEY_COLUMNS: Final = slice(5, 21)
_LOCATION_COLUMN: Final = 21
_QUALIFIER: Final = re.compile(r"/([\w.-]+)(?:=(.*))?", re.DOTALL)
_RANGE: Final = re.compile(r"<?([0-9]{1,18})(?:\.\.>?([0-9]{1,18}))?")
_DEPTH: Final = 8  # of locations within one another; join(complement(1..2),3..4) has 2
_NOT_BASES: Final = bytes(range(ord("0"), ord("9") + 1)) + b" \t\r\n/"

Part: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class GenBankFeature:
    """A feature as written: its location, without blanks, and its qualifiers, those without a value being empty."""

    kind: str
    location: str
    qualifiers: Mapping[str, str]
    line_number: int


@dataclass
class GenBankRecord:
    """One LOCUS. `bases` is what stands under ORIGIN, maybe nothing; `length` is in bp."""

    name: str
    length: int
    circular: bool
    features: list[GenBankFeature] = field(default_factory=list)
    bases: bytes = b""


def read_records(source: Source) -> Iterator[GenBankRecord]:
    """Yield the records of an open GenBank file. Raises InputError for a malformed one."""
    block: list[tuple[int, str]] = []
    bases: list[bytes] = []
    in_origin = False
    for number, line in source.lines():
        if line.startswith(b"//") or (line.startswith(b"LOCUS ") and block):  # some records have no end mark
            if block:
                yield _record(source.name, block, bases)
            block, bases, in_origin = [], [], False
        if line.startswith(b"//") or not line.strip():
            continue
        if in_origin and (line[:1].isspace() or line[:1].isdigit()):  # from 100,000,000 on no blank is left
            bases.append(line.translate(None, _NOT_BASES))
            if bases[-1] and not bases[-1].isalpha():
                raise InputError(
                    f"{source.name}:{number} has other signs than letters among its bases under ORIGIN: correct it."
                )
            continue
        in_origin = line.startswith(b"ORIGIN")
        block.append((number, line.decode("utf-8", "replace").rstrip("\r\n")))
    if block:
        yield _record(source.name, block, bases)


def genes_of(record: GenBankRecord, id_attr: str | None = None) -> tuple[list[Gene], list[tuple[str, str]]]:
    """Return the genes of a record's CDS features, and those left out: (locus, reason).

    A gene is named after the first there is of the qualifiers `id_attr`, locus_tag, gene and protein_id. Of several
    products of one locus_tag, or without that of one name on the same bases, the longest stands for the gene.
    """
    keys = (id_attr, *_LOCUS_KEYS) if id_attr else _LOCUS_KEYS
    genes: list[Gene] = []
    places: dict[str, list[int]] = {}  # of the genes of a name
    skipped = []
    for feature in record.features:
        if feature.kind != "CDS":
            continue
        locus = next((v for key in keys if (v := feature.qualifiers.get(key))), "")
        locus = locus or f"{record.name}:{feature.location}"
        gene = _gene(record, feature, locus)
        if isinstance(gene, str):
            skipped.append((locus, gene))
            continue
        tag = feature.qualifiers.get("locus_tag")
        alike = places.setdefault(tag or locus, [])
        # A gene may have copies of its name elsewhere, as transposases have.
        same = next((at for at in alike if tag or (genes[at].start < gene.end and gene.start < genes[at].end)), None)
        if same is None:
            alike.append(len(genes))
            genes.append(gene)
        else:
            shorter, genes[same] = sorted((genes[same], gene), key=lambda each: each.length)
            skipped.append((shorter.locus_tag, "another product of this gene is longer"))
    return genes, skipped


def write_fasta(source: Source, target: Path) -> None:
    """Write the sequences of an open GenBank file as FASTA, circular records marked as such. Raises InputError."""
    with target.open("wb") as out:
        for record in read_records(source):
            if not record.bases and record.length:
                raise InputError(
                    f"{source.name}: record {record.name} has no sequence under ORIGIN.\n"
                    "Give the genome as FASTA, or a GenBank file with sequences."
                )
            mark = b" topology=circular" if record.circular else b""
            out.write(b">" + record.name.encode() + mark + b"\n" + record.bases + b"\n")


def _record(source: str, block: Sequence[tuple[int, str]], bases: Sequence[bytes]) -> GenBankRecord:
    """Make a record of its lines but those of the sequence."""
    first, locus = block[0]
    if not locus.startswith("LOCUS"):
        raise InputError(f"{source}:{first} is not GenBank: a record must begin with LOCUS, not {locus[:30]!r}.")
    sequence = b"".join(bases)
    features = list(_features(source, block))
    declared = re.search(r"(?<![0-9])([0-9]{1,18})\s+(?:bp|aa)\b", locus)
    source_end = next((_RANGE.fullmatch(f.location) for f in features if f.kind == "source"), None)
    annotated = int((source_end and source_end[2]) or 0)
    length = len(sequence) or annotated or int(declared[1] if declared else 0)
    head = {line[:12].strip(): line[12:].split() for _, line in reversed(block) if line[:1].isalpha()}
    name = next((words[0] for key in ("VERSION", "ACCESSION") if (words := head.get(key)) and words[0] != "."), "")
    if not name:
        words = locus.split()
        name = words[1] if len(words) > 1 else ""
        if len(words) > 2 and words[2] in ("bp", "aa"):  # Prokka runs a long name and the length together
            name = name.removesuffix(str(length))
    if not name:
        raise InputError(f"{source}:{first} names no record: VERSION, ACCESSION and LOCUS are empty.")
    if sequence and len(sequence) < annotated:
        raise InputError(
            f"{source}: record {name} is cut off: it has {len(sequence):,} of its {annotated:,} bases under ORIGIN."
        )
    return GenBankRecord(name, length, "circular" in locus.lower().split()[2:], features, sequence)


def _features(source: str, block: Iterable[tuple[int, str]]) -> Iterator[GenBankFeature]:
    """Yield the features of a record's lines."""
    inside = False
    current: tuple[int, str, list[str]] | None = None  # line number, kind, and the lines of location and qualifiers
    for number, line in block:
        if line[:1].isalpha():  # the next section
            inside = line.startswith("FEATURES")
            continue
        if not inside:
            continue
        kind, text = line[_KEY_COLUMNS].strip(), line[_LOCATION_COLUMN:].strip()
        if kind:
            if current:
                yield _feature(*current)
            if not text:
                raise InputError(f"{source}:{number} is a feature without a location: {line.strip()[:60]!r}.")
            current = (number, kind, [text])
        elif current:
            current[2].append(text)
    if current:
        yield _feature(*current)


def _feature(number: int, kind: str, lines: Sequence[str]) -> GenBankFeature:
    """Join the lines of a location and of each qualifier; a value in quotes may go on over several lines."""
    location, items, quoted = list[str](), list[list[str]](), False
    for line in lines:
        if line.startswith("/") and not quoted:
            items.append([line])
        else:
            (items[-1] if items else location).append(line)
        quoted ^= bool(items) and line.count('"') % 2 == 1
    qualifiers: dict[str, str] = {}
    for item in items:
        if match := _QUALIFIER.fullmatch(" ".join(item)):
            value = (match[2] or "").strip()
            qualifiers.setdefault(match[1], value.removeprefix('"').removesuffix('"').replace('""', '"'))
    return GenBankFeature(kind, "".join("".join(location).split()), qualifiers, number)


def _gene(record: GenBankRecord, feature: GenBankFeature, locus: str) -> Gene | str:
    """Return the gene of a CDS, or the reason why there is none."""
    parts = parts_of(feature.location)
    if isinstance(parts, str):
        return parts
    strands = {strand for _, _, strand in parts}
    if len(strands) > 1:
        return "its parts lie on both strands"
    (strand,) = strands
    if any(not 0 <= start < end <= record.length for start, end, _ in parts):
        return "its location is not within the record"
    get = feature.qualifiers.get
    start_codon, code = get("codon_start", "1"), get("transl_table", "")
    return Gene(
        record.name,
        strand,
        forward_parts(record, parts),
        get("gene") or locus,
        locus,
        get("product", ""),
        partial="<" in feature.location or ">" in feature.location,
        cut_at_start=("<" if strand is Strand.FORWARD else ">") in feature.location,
        pseudo="pseudo" in feature.qualifiers or "pseudogene" in feature.qualifiers,
        phase=int(start_codon) - 1 if start_codon in ("2", "3") else 0,
        genetic_code=whole_number(code),
    )


def forward_parts(record: GenBankRecord, location: Sequence[tuple[int, int, Strand]]) -> tuple[Part, ...]:
    """Return a location's parts in forward order, those past the origin of a circular record shifted by its length."""
    parts: list[Part] = []
    turn = 0
    for start, end, _ in location if location[0][2] is Strand.FORWARD else reversed(location):
        if record.circular and parts and parts[-1][1] == record.length and start == 0:
            turn = record.length
        parts.append((start + turn, end + turn))
    return tuple(sorted(parts))


def parts_of(text: str, depth: int = _DEPTH) -> list[tuple[int, int, Strand]] | str:
    """Return a location's parts in reading direction, 0-based half-open; or the reason why it is not understood."""
    for prefix in ("complement", "join", "order"):
        if text.startswith(prefix + "(") and text.endswith(")") and depth:
            parts: list[tuple[int, int, Strand]] = []
            for item in _split(text[len(prefix) + 1 : -1]):
                found = parts_of(item, depth - 1)
                if isinstance(found, str):
                    return found
                parts += found
            if prefix == "complement":
                return [(start, end, strand.opposite) for start, end, strand in reversed(parts)]
            return parts
    if ":" in text:
        return "it lies partly on another record"
    if not (match := _RANGE.fullmatch(text.replace(">", "").replace("<", ""))):
        return "its location is not understood"
    start = int(match[1])
    return [(start - 1, int(match[2] or start), Strand.FORWARD)]


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    items, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            items.append(text[begin:place])
            begin = place + 1
    return [*items, text[begin:]]
