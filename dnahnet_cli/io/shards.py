"""Join the outputs of shards: check that they are all of one run and whole, and copy their rows in order.

A shard says in its header which rows it has, of how many, and a checksum of the run (`cli/shard.py` writes it). Rows
are copied as they stand. What a header says about one shard only is left out, so that what comes out is the output of
one run, to the byte if the shards were made with --no-version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.streams import Source, describe
from dnahnet_cli.io.table import Column, columns_of
from dnahnet_cli.io.variants import read_variants

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Kind = Literal["tsv", "vcf", "parquet"]
Row = tuple[Any, str, int, int]  # a line or a mapping, its contig, its start (0-based) and how many rows it counts for

_VCF: Final = ("a VCF file", "a BCF file")
_SAYS: Final = re.compile(r"(\d+)/(\d+), rows (\d+)-(\d+) of (\d+), run ([0-9a-f]+)")
_OF_ONE: Final = ("shard", "command")  # keys of provenance that differ between the shards of a run
_KEY: Final = re.compile(rb"##dnahnet_([^=]+)=(.*)")


@dataclass(frozen=True)
class Part:
    """Which shard a file is: rows [start, end) of `total`, counted from 0, of the run of this checksum."""

    index: int
    number: int
    start: int
    end: int
    total: int
    run: str

    @classmethod
    def of(cls, name: str, provenance: Mapping[str, str]) -> Part:
        """Read what a shard's header says. Raises InputError if it is none."""
        match = _SAYS.fullmatch(provenance.get("shard", ""))
        if match is None:
            raise InputError(f"{name} is not the output of a run with --shard: its header says nothing of it.")
        index, number, first, last, total = map(int, match.groups()[:5])
        return cls(index, number, first - 1, last, total, match[6])


class ShardFile:
    """The output of a shard. It is open only while it is read, because there may be thousands.

    `header` are its lines in front of the rows (none in Parquet), `columns` are those of a Parquet file.
    """

    def __init__(self, path: str, tmpdir: Path | None = None) -> None:
        """Read the header. Raises InputError when it is not that of a shard."""
        self.name, self._tmpdir = path, tmpdir
        self.header: list[bytes] = []
        self.columns: list[Column] = []
        with Source(path) as source:
            head = source.head
        kind = describe(head)
        self.kind: Kind = "parquet" if kind == "a Parquet file" else "vcf" if kind in _VCF else "tsv"
        if self.kind == "parquet":
            with self._parquet() as file:
                metadata = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items()}
                self.columns = columns_of(file.schema_arrow)
            self.provenance = {k.removeprefix("dnahnet."): v for k, v in metadata.items() if k.startswith("dnahnet.")}
        else:
            if self.kind == "vcf":
                with read_variants(path, tmpdir) as reader:
                    self.header = reader.header
            else:
                with Source(path) as source:
                    self.header = _leading(source.lines())
            matches = (_KEY.match(line.rstrip(b"\r\n")) for line in self.header)
            self.provenance = {match[1].decode(): match[2].decode() for match in matches if match}
        self.part = Part.of(path, self.provenance)

    def rows(self) -> Iterator[Row]:
        """Yield what there is, to be written as it is. Raises InputError when it is not what the header says."""
        count = 0
        for row in {"parquet": self._parquet_rows, "vcf": self._records, "tsv": self._lines}[self.kind]():
            count += row[3]
            yield row
        held = self.part.end - self.part.start
        if count != held:
            raise InputError(f"{self.name} has {count} rows where its header says {held}: it is not whole, or changed.")

    def _lines(self) -> Iterator[Row]:
        with Source(self.name) as source:
            lines = source.lines()
            _leading(lines)
            for number, line in lines:
                contig, position, _ = [*line.split(b"\t", 2), b"", b""][:3]
                if not line.endswith(b"\n") or not position.lstrip(b"-").isdigit():
                    raise InputError(f"{self.name}:{number} is cut off, or no row of scored variants.")
                yield line, contig.decode(), int(position) - 1, 1

    def _records(self) -> Iterator[Row]:
        with read_variants(self.name, self._tmpdir) as reader:
            for record in reader.records():
                first = record.variants[0]
                yield record.line, first.contig, first.start, len(record.variants)

    def _parquet_rows(self) -> Iterator[Row]:
        with self._parquet() as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    yield row, row["chrom"], row["pos"] - 1, 1

    @contextmanager
    def _parquet(self) -> Iterator[pq.ParquetFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.name) as file:
                yield file
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{self.name} is no whole Parquet file ({error}).") from error


def in_order(shards: Sequence[ShardFile]) -> list[ShardFile]:
    """Return the shards of a run by their numbers.

    Raises InputError when one is missing or comes twice, or when they are of different runs or kinds.
    """
    first = shards[0]
    of_run: dict[int, ShardFile] = {}
    for shard in shards:
        if (shard.part.run, shard.part.number) != (first.part.run, first.part.number):
            raise InputError(
                f"{shard.name} and {first.name} are shards of different runs: {_difference(shard, first)}."
            )
        if shard.kind != first.kind:
            raise InputError(f"{shard.name} is {shard.kind}, {first.name} is {first.kind}: shards are of one format.")
        if shard.part.index in of_run:
            other = of_run[shard.part.index].name
            raise InputError(f"{shard.name} and {other} are both shard {shard.part.index} of {shard.part.number}.")
        of_run[shard.part.index] = shard
    missing = [str(index) for index in range(1, first.part.number + 1) if index not in of_run]
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise InputError(f"{len(missing)} of {first.part.number} shards are missing: {shown}.")
    ordered = [of_run[index] for index in sorted(of_run)]
    ends = [0, *(shard.part.end for shard in ordered)]
    if [shard.part.start for shard in ordered] != ends[:-1] or ends[-1] != first.part.total:
        raise InputError("the rows that the shards say they have do not follow one another: a header was changed.")
    return ordered


def common_provenance(shards: Sequence[ShardFile]) -> dict[str, str]:
    """Return what the headers of all shards say."""
    return {key: value for key, value in shards[0].provenance.items() if key not in _OF_ONE}


def common_header(shards: Sequence[ShardFile], added: Mapping[str, str]) -> list[bytes]:
    """Return the header lines of the whole, with some provenance added.

    A BCF's header names contigs and fields as they are met, so a later shard may know more of them.
    """
    lines = [line for line in shards[0].header[:-1] if not _is_of_one(line)]
    known = set(lines)
    for shard in shards[1:]:
        more = [line for line in shard.header[:-1] if line not in known and not _is_of_one(line)]
        lines += more
        known.update(more)
    last = shards[0].header[-1]
    end = last[len(last.rstrip(b"\r\n")) :]
    return [*lines, *(f"##dnahnet_{key}={value}".encode() + end for key, value in added.items()), last]


def _leading(lines: Iterator[tuple[int, bytes]]) -> list[bytes]:
    """Take the lines in front of a table's rows: provenance, and the names of the columns."""
    header: list[bytes] = []
    for _, line in lines:
        header.append(line)
        if not line.startswith(b"##"):
            break
    return header


def _is_of_one(line: bytes) -> bool:
    match = _KEY.match(line)
    return match is not None and match[1].decode() in _OF_ONE


def _difference(one: ShardFile, other: ShardFile) -> str:
    for key in one.provenance.keys() | other.provenance.keys():
        mine, theirs = one.provenance.get(key, "none"), other.provenance.get(key, "none")
        if key not in _OF_ONE and mine != theirs:
            return f"{key} is {mine} and {theirs}"
    if one.part.number != other.part.number:
        return f"one of {one.part.number} and one of {other.part.number}"
    return "their genome, variants or options are not the same"
