"""The outputs of shards: which part of a run each is, what it holds, and whether together they are the whole.

A shard says in its header which rows, genes or bases it has, of how many, and a checksum of the run (`cli/shard.py`
writes it). What a header says about one shard only is left out of the whole, so that this is the output of one run, to
the byte if the shards were made with --no-version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.streams import Source, describe
from dnahnet_cli.io.table import Column, columns_of
from dnahnet_cli.io.variants import read_variants

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Kind = Literal["tsv", "vcf", "parquet"]  # tsv is any text, BED too
Counted = Literal["rows", "genes", "bases"]  # what score-variants, essentiality and boundaries divide
Row = tuple[Any, str, int, int]  # a line or a mapping, its contig, its start (0-based) and how many rows it counts for

_VCF: Final = ("a VCF file", "a BCF file")
_WHAT: Final = "|".join(get_args(Counted))
_SAYS: Final = re.compile(
    rf"(\d{{1,9}})/(\d{{1,9}}), ({_WHAT}) (\d{{1,18}})-(\d{{1,18}}) of (\d{{1,18}}), run ([0-9a-f]+)"
)
_OF_ONE: Final = ("shard", "command", "tracks")  # keys of provenance that differ between the shards of a run
_POSITION: Final = re.compile(rb"-?[0-9]{1,18}")
_KEY: Final = re.compile(rb"##dnahnet_([^=]+)=(.*)")
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: {"true": True, "false": False}[text],
}


@dataclass(frozen=True)
class Part:
    """Which shard a file is: of what is `counted`, [start, end) of `total`, from 0, of the run of this checksum."""

    index: int
    number: int
    counted: Counted
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
        index, number, first, last, total = map(int, match.group(1, 2, 4, 5, 6))
        counted: Counted = match[3]  # type: ignore[assignment]
        return cls(index, number, counted, first - 1, last, total, match[7])


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
                metadata = {_decoded(k): _decoded(v) for k, v in (file.schema_arrow.metadata or {}).items()}
                self.columns = columns_of(file.schema_arrow)
            self.provenance = {k.removeprefix("dnahnet."): v for k, v in metadata.items() if k.startswith("dnahnet.")}
        else:
            self.header = self._read_header()
            matches = (_KEY.match(line.rstrip(b"\r\n")) for line in self.header)
            self.provenance = {_decoded(match[1]): _decoded(match[2]) for match in matches if match}
        self.part = Part.of(path, self.provenance)
        if self.part.counted == "bases" and not self.header[-1].startswith(b"##"):
            self.header.pop()  # BED has no names of columns

    def rows(self) -> Iterator[Row]:
        """Yield scored variants, to be written as they are. Raises InputError when they are not what the header says"""
        count = 0
        for row in {"parquet": self._parquet_rows, "vcf": self._records, "tsv": self._lines}[self.kind]():
            count += row[3]
            yield row
        self._check_number(count)

    def cells(self, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table that has these columns, as values. Raises InputError as `rows`."""
        names = [column.name for column in columns]
        if names != ([column.name for column in self.columns] if self.columns else _fields(self.header[-1])):
            raise InputError(f"{self.name} has other columns than this version of the program writes.")
        count = 0
        for row in self._parquet_cells() if self.kind == "parquet" else self._text_cells(columns):
            count += 1
            yield row
        self._check_number(count)

    def chunks(self) -> Iterator[tuple[bytes, str, int, int, tuple[bytes, bytes]]]:
        """Yield the lines of BED, each with its contig, start, end, and stage and strand. Raises InputError."""
        for number, line in self._text():
            fields = line.split(b"\t")
            if len(fields) != 6 or not all(map(_POSITION.fullmatch, fields[1:3])) or line[-1:] != b"\n":
                raise InputError(f"{self.name}:{number} is cut off, or no chunk.")
            yield line, _decoded(fields[0]), int(fields[1]), int(fields[2]), (fields[3], fields[5].rstrip())

    def _check_number(self, count: int) -> None:
        held = self.part.end - self.part.start
        if count != held:
            raise InputError(f"{self.name} has {count} rows where its header says {held}: it is not whole, or changed.")

    def _read_header(self) -> list[bytes]:
        if self.kind == "vcf":
            with read_variants(self.name, self._tmpdir) as reader:
                return reader.header
        header = []
        with Source(self.name) as source:
            for _, line in source.lines():
                header.append(line)
                if not line.startswith(b"##"):  # the names of the columns
                    break
        return header

    def _text(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines behind the header with their numbers."""
        with Source(self.name) as source:
            yield from islice(source.lines(), len(self.header), None)

    def _lines(self) -> Iterator[Row]:
        for number, line in self._text():
            contig, position, _ = [*line.split(b"\t", 2), b"", b""][:3]
            if not line.endswith(b"\n") or not _POSITION.fullmatch(position):
                raise InputError(f"{self.name}:{number} is cut off, or no row of scored variants.")
            yield line, _decoded(contig), int(position) - 1, 1

    def _records(self) -> Iterator[Row]:
        with read_variants(self.name, self._tmpdir) as reader:
            for record in reader.records():
                first = record.variants[0]
                yield record.line, first.contig, first.start, len(record.variants)

    def _parquet_rows(self) -> Iterator[Row]:
        for row in self._parquet_cells():
            contig, position = row.get("chrom"), row.get("pos")
            if not isinstance(contig, str) or not isinstance(position, int):
                raise InputError(f"{self.name} has a row without chrom or pos: no row of scored variants.")
            yield row, contig, position - 1, 1

    def _text_cells(self, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
        read = [(column.name, _READ[column.type]) for column in columns]
        for number, line in self._text():
            fields = _fields(line)
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("no end of line")
                row = zip(read, fields, strict=True)
                yield {name: value_of(text) if text else None for (name, value_of), text in row}
            except (ValueError, KeyError) as error:
                raise InputError(f"{self.name}:{number} is cut off, or no row of such a table.") from error

    def _parquet_cells(self) -> Iterator[dict[str, Any]]:
        with self._parquet() as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()

    @contextmanager
    def _parquet(self) -> Iterator[pq.ParquetFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.name) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.name} is no whole Parquet file ({' '.join(str(error).split())}).") from error


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
            raise InputError(
                f"{shard.name} and {other} are both shard {shard.part.index} of {shard.part.number}: give each once."
            )
        of_run[shard.part.index] = shard
    missing = [str(i) for i in islice((i for i in range(1, first.part.number + 1) if i not in of_run), 11)]
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        num_missing = first.part.number - len(of_run)
        raise InputError(
            f"{num_missing:,} of {first.part.number:,} shards are missing: {shown}. Give the outputs of all."
        )
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
    num_last = 0 if shards[0].part.counted == "bases" else 1  # the names of the columns
    lines: list[bytes] = []
    known: set[bytes] = set()
    for shard in shards:
        own = shard.header[: len(shard.header) - num_last]
        lines += [line for line in own if line not in known and not _is_of_one(line)]
        known.update(own)
    first = shards[0].header[0]
    end = first[len(first.rstrip(b"\r\n")) :]
    more = [f"##dnahnet_{key}={value}".encode() + end for key, value in added.items()]
    return [*lines, *more, *shards[0].header[len(shards[0].header) - num_last :]]


def parts_of(scopes: Sequence[Interval], bases: range) -> list[tuple[Interval, Interval]]:
    """Return the parts of stretches that some of their bases make up, counted one stretch after the other.

    Each comes behind the stretch that it is of.
    """
    parts, before = [], 0
    for scope in scopes:
        start, end = max(bases.start - before, 0), min(bases.stop - before, len(scope))
        if start < end:
            parts.append((scope, Interval(scope.contig, scope.start + start, scope.start + end)))
        before += len(scope)
    return parts


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _fields(line: bytes) -> list[str]:
    return _decoded(line).rstrip("\r\n").split("\t")


def _is_of_one(line: bytes) -> bool:
    match = _KEY.match(line)
    return match is not None and _decoded(match[1]) in _OF_ONE


def _difference(one: ShardFile, other: ShardFile) -> str:
    for key in one.provenance.keys() | other.provenance.keys():
        mine, theirs = one.provenance.get(key, "none"), other.provenance.get(key, "none")
        if key not in _OF_ONE and mine != theirs:
            return f"{key} is {mine} and {theirs}"
    if one.part.counted != other.part.counted:
        return f"one has {one.part.counted} and one {other.part.counted}"
    if one.part.number != other.part.number:
        return f"one of {one.part.number} and one of {other.part.number}"
    return "their genome, variants or options are not the same"
