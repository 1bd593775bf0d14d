"""Read regions: samtools-style text (1-based, inclusive) and BED files (0-based, half-open)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.streams import Source, describe, name_some, whole_number

_RANGE: Final = re.compile(r"(?P<start>[0-9,]{0,30})(?P<dash>-?)(?P<end>[0-9,]{0,30})")


def parse_region(text: str, lengths: Mapping[str, int]) -> Interval:
    """Return the interval that a samtools-style region means; `lengths` maps the known contigs to their lengths in bp.

    `contig` is all of it, `contig:100-200` is 1-based inclusive, `contig:100` and `contig:100-` go to the end (as in
    samtools), `contig:-200` starts at 1; commas are allowed. A text that is itself a contig's name means that contig.
    Raise UsageError for an unknown contig, a range that is none, or one that leaves the contig.
    """
    if text in lengths:
        return Interval(text, 0, lengths[text])
    # Names may hold colons: the last colon gives the longest name, and a range never holds one.
    contig, colon, range_ = text.rpartition(":")
    if not colon or contig not in lengths:
        raise UsageError(f"Region {text!r}: no such contig in the genome, which has {name_some(lengths)}.")
    length = lengths[contig]
    match = _RANGE.fullmatch(range_)
    start_text, end_text = (match["start"].replace(",", ""), match["end"].replace(",", "")) if match else ("", "")
    if match is None or not (start_text or end_text):
        raise UsageError(f"Region {text!r}: write it as CONTIG, CONTIG:START or CONTIG:START-END (1-based, inclusive).")
    start = int(start_text) if start_text else 1
    end = int(end_text) if end_text else length
    if start < 1:
        raise UsageError(f"Region {text!r}: positions are 1-based, so the first base is 1.")
    if start > length or end > length:
        raise UsageError(f"Region {text!r} leaves {contig}, which has {length} bases.")
    if start > end:
        raise UsageError(f"Region {text!r} ends before it starts.")
    return Interval(contig, start - 1, end)


def read_regions(path: str, lengths: Mapping[str, int]) -> list[Interval]:
    """Read the intervals of a BED file (0-based, half-open; gzip or not; `-` is stdin), in its order.

    Raise InputError for a malformed line, an unknown contig, an interval that leaves its contig, or no interval at all.
    """
    regions = []
    with Source(path) as source:
        kind = describe(source.head)
        if kind != "a text file of another kind":
            raise InputError(f"{source.name} is {kind}: regions are read from BED.")
        for number, line in source.lines():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if is_bed_comment(text):
                continue
            where = f"{source.name}:{number}"
            fields = text.split("\t")
            start, end = (whole_number(field) for field in [*fields, "", ""][1:3])
            if start is None or end is None:
                raise InputError(
                    f"{where} is not BED: {text[:60]!r}.\nContig, start and end, separated by tabs, are needed."
                )
            contig = fields[0]
            if contig not in lengths:
                raise InputError(f"{where}: no contig {contig!r} in the genome, which has {name_some(lengths)}.")
            if not start <= end <= lengths[contig]:
                raise InputError(f"{where}: {start}-{end} (0-based) is not within {contig} of {lengths[contig]} bases.")
            regions.append(Interval(contig, start, end))
        if not regions:
            raise InputError(f"{source.name} holds no regions: it needs lines of contig, start and end.")
    return regions


def is_bed_comment(line: str) -> bool:
    """Tell whether a line of a BED file says nothing about the genome."""
    return not line.strip() or line.startswith("#") or line.split(None, 1)[0] in ("track", "browser")
