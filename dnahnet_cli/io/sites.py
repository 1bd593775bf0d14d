"""Read tables of sites on a genome: transcription starts, binding sites, or whatever else somebody measured.

Three forms are told apart by their content: BED; a tab-separated table with a header; and a table of information
footprints, one line for each base and condition. Sites whose contig the genome lacks are found by their sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Strand, decode, encode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.regions import is_bed_comment
from dnahnet_cli.io.streams import Source, counted, describe, whole_number

FOOTPRINT_KIND: Final = "binding_site"
FOOTPRINT_SHARE: Final = 0.1  # of a promoter's bases, those of the highest information, make up its binding sites
_FOOTPRINT_POSITION: Final = "genome_pos_"
_CONTIG: Final = ("contig", "accession", "chrom", "seqid")
_KIND: Final = ("kind", "type")
_NAME: Final = ("name", "id")
_SEQUENCE: Final = ("sequence", "sequence_5to3")
_OFFSET: Final = "offset0_in_sequence"
_STRANDS: Final[Mapping[str, Strand | None]] = {"+": Strand.FORWARD, "-": Strand.REVERSE, ".": None}

Lines = Iterator[tuple[str, list[str]]]


@dataclass(frozen=True)
class Site:
    """A site of some kind, [start, end) 0-based; `strand` is None where it has none.

    `sequence` is a stretch round the site, read along its strand; the site begins `offset` bases into it.
    """

    contig: str
    start: int
    end: int
    strand: Strand | None
    kind: str
    name: str = ""
    sequence: str = ""
    offset: int = 0

    def __str__(self) -> str:
        strand = "." if self.strand is None else self.strand.value
        return f"{self.kind} {self.name or 'without a name'} at {self.contig}:{self.start + 1}-{self.end}{strand}"


def read_sites(path: str) -> list[Site]:
    """Read the sites of a BED file, a table or a table of footprints, gzip or not; `-` is stdin.

    Table (1-based inclusive): columns contig (or accession), kind, start, end, strand, maybe name, sequence and
    offset0_in_sequence. BED: the kind is the file's name up to its first point. Footprints: columns promoter, strand,
    information_bits and genome_pos_CONTIG; a site is a base among the tenth of its promoter's with the highest mean
    information over conditions. Raise InputError for a malformed line, or a file without sites.
    """
    with Source(path) as source:
        kind = describe(source.head)
        if kind != "a text file of another kind":
            raise InputError(f"{source.name} is {kind}: sites are read from BED or a tab-separated table.")
        lines = _lines(source)
        first = next(lines, None)
        if first is None:
            raise InputError(f"{source.name} holds no sites: it needs lines with contig, kind, start, end and strand.")
        where, header = first
        if len(header) >= 3 and None not in map(whole_number, header[1:3]):
            file_kind = Path(path).name.split(".")[0].lower() if source.path else "site"
            sites = [_bed_site(where, fields, file_kind) for where, fields in chain([first], lines)]
        elif any(name.startswith(_FOOTPRINT_POSITION) for name in header):
            sites = _footprints(where, header, lines)
        else:
            sites = _table(where, header, lines)
        if not sites:
            raise InputError(f"{source.name} holds no sites: it needs lines with contig, kind, start, end and strand.")
    return sites


def place_sites(sites: Iterable[Site], fasta: Fasta) -> tuple[list[Site], list[tuple[str, str]]]:
    """Return the sites with coordinates on the genome, and of those that have none (site, reason).

    A site on a contig of another name is looked for by its sequence, which must occur exactly once on either strand.
    """
    placed, skipped, foreign = [], [], []
    for site in sites:
        length = fasta.lengths.get(site.contig)
        if length is None and site.sequence:
            foreign.append(site)
        elif length is None:
            reason = "the genome has no contig of that name, and there is no sequence to look for"
            skipped.append((str(site), reason))
        elif site.end > length:
            skipped.append((str(site), "it ends beyond its contig"))
        else:
            placed.append(site)
    for site, found in zip(foreign, _find(foreign, fasta), strict=True):
        if len(found) != 1:
            skipped.append((str(site), f"its sequence occurs {'more than once' if found else 'nowhere'} in the genome"))
        elif not 0 <= found[0].start < found[0].end <= fasta.lengths[found[0].contig]:
            skipped.append((str(site), "by its offset in its sequence it lies beyond its contig"))
        else:
            placed += found
    return placed, skipped


def _find(sites: Sequence[Site], fasta: Fasta) -> list[list[Site]]:
    """Return for each site where its sequence occurs, on either strand: one pass over the genome for all of them."""
    found: list[list[Site]] = [[] for _ in sites]
    size = min((len(site.sequence) for site in sites), default=0)
    seeds: dict[str, list[tuple[int, str, Strand]]] = {}  # by their first bases
    for number, site in enumerate(sites):
        codes = encode(site.sequence)
        for strand, query in ((Strand.FORWARD, decode(codes)), (Strand.REVERSE, decode(reverse_complement(codes)))):
            seeds.setdefault(query[:size], []).append((number, query, strand))
    for contig, length in fasta.lengths.items() if sites else ():
        text = decode(fasta.codes(contig, 0, length))
        for at in range(length - size + 1):
            for number, query, strand in seeds.get(text[at : at + size], ()):
                if text.startswith(query, at):
                    found[number].append(_placed(sites[number], contig, at, strand))
    return found


def _placed(site: Site, contig: str, at: int, strand: Strand) -> Site:
    """Return a site whose sequence, or its reverse complement, begins at a base of a contig."""
    width = site.end - site.start
    start = at + (site.offset if strand is Strand.FORWARD else len(site.sequence) - site.offset - width)
    return replace(site, contig=contig, start=start, end=start + width, strand=strand if site.strand else None)


def _lines(source: Source) -> Lines:
    for number, line in source.lines():
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not is_bed_comment(text):
            yield f"{source.name}:{number}", text.split("\t")


def _bed_site(where: str, fields: Sequence[str], kind: str) -> Site:
    start, end = (whole_number(field) for field in [*fields, "", ""][1:3])
    if start is None or end is None or start >= end:
        raise InputError(
            f"{where} is not BED: {' '.join(fields)[:60]!r}.\n"
            "Contig, start and end, separated by tabs, are needed, start less than end."
        )
    strand = _strand(where, fields[5]) if len(fields) > 5 else None
    return Site(fields[0], start, end, strand, kind, fields[3] if len(fields) > 3 else "")


def _table(where: str, header: Sequence[str], lines: Lines) -> list[Site]:
    at = {name: place for place, name in enumerate(header)}
    contig, kind, name, sequence = (
        next((at[key] for key in keys if key in at), None) for keys in (_CONTIG, _KIND, _NAME, _SEQUENCE)
    )
    offset = next((place for key, place in at.items() if key.endswith(_OFFSET)), None)
    needed = {"contig": contig, "kind": kind} | {key: at.get(key) for key in ("start", "end", "strand")}
    missing = [key for key, place in needed.items() if place is None]
    if missing or contig is None or kind is None:
        raise InputError(f"{where}: a table of sites lacks the columns {', '.join(missing)}.")
    sites = []
    for where, row in lines:
        _check_width(where, row, header)
        first, last = row[at["start"]], row[at["end"]]
        start, end = whole_number(first), whole_number(last)
        if start is None or end is None or not 1 <= start <= end:
            raise InputError(f"{where} has the start {first!r} and end {last!r}: 1 <= start <= end is needed.")
        shift = whole_number(row[offset]) if offset is not None else 0
        if shift is None:
            raise InputError(f"{where} has the offset {row[offset or 0]!r} in its sequence: a whole number is needed.")
        strand = _strand(where, row[at["strand"]])
        label = row[name] if name is not None else ""
        stretch = row[sequence] if sequence is not None else ""
        sites.append(Site(row[contig], start - 1, end, strand, row[kind].lower(), label, stretch, shift))
    return sites


def _footprints(where: str, header: Sequence[str], lines: Lines) -> list[Site]:
    at = {name: place for place, name in enumerate(header)}
    column = next(name for name in header if name.startswith(_FOOTPRINT_POSITION))
    contig = column.removeprefix(_FOOTPRINT_POSITION)
    missing = [key for key in ("promoter", "strand", "information_bits") if key not in at]
    if missing:
        raise InputError(f"{where}: a table of footprints lacks the columns {', '.join(missing)}.")
    bits: dict[tuple[str, Strand | None], dict[int, list[float]]] = {}
    for where, row in lines:
        _check_width(where, row, header)
        position, value = row[at[column]], row[at["information_bits"]]
        try:
            information = float(value)
        except ValueError as error:
            raise InputError(f"{where} has the information {value!r}, which is not a number.") from error
        place = whole_number(position)
        if not place:
            raise InputError(f"{where} has the position {position!r}: a whole number from 1 is needed.")
        if math.isfinite(information):
            promoter = bits.setdefault((row[at["promoter"]], _strand(where, row[at["strand"]])), {})
            promoter.setdefault(place - 1, []).append(information)
    sites = []
    for (name, strand), by_position in bits.items():
        mean = {position: math.fsum(values) / len(values) for position, values in by_position.items()}
        highest = sorted(mean, key=lambda position: (-mean[position], position))
        chosen = sorted(highest[: math.ceil(FOOTPRINT_SHARE * len(highest))])
        sites += [Site(contig, position, position + 1, strand, FOOTPRINT_KIND, name) for position in chosen]
    return sites


def _check_width(where: str, row: Sequence[str], header: Sequence[str]) -> None:
    if len(row) != len(header):
        raise InputError(f"{where} has {counted(len(row), 'column')}, the header {len(header)}: correct the line.")


def _strand(where: str, text: str) -> Strand | None:
    if text not in _STRANDS:
        raise InputError(f"{where} has the strand {text!r}: +, - or . is needed.")
    return _STRANDS[text]
