"""Read what the scoring commands wrote: rows as dictionaries, with the provenance that stands above them.

TSV and Parquet of any command; of score-variants also VCF and BCF, whose INFO fields become columns again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.streams import Source, describe, name_some
from dnahnet_cli.io.variants import Record, read_variants
from dnahnet_cli.io.vcf import PREFIX

Cell: TypeAlias = "str | int | float | bool | None"
Row: TypeAlias = "Mapping[str, Cell]"

_MARK: Final = "##dnahnet_"
_INFO: Final = 7
_DEFINED: Final = re.compile(rb"##INFO=<ID=" + PREFIX.encode() + rb"([A-Z_]+),")
_INTEGERS: Final = frozenset(
    {"pos", "alt_index", "num_changes", "scored_bp", "start", "end", "rank", "num_inserts", "length_bp", "num_residues"}
)
_FLOATS: Final = frozenset(
    {"llr", "llr_fwd", "llr_rev", "ref_logp", "alt_logp", "damage", "phred", "score", "score_sense", "score_antisense"}
    | {"percentile", "gc", "blosum62", "hydropathy", "volume", "measured"}
)
_BOOLEANS: Final = frozenset({"partial", "pseudo"})


@dataclass(frozen=True)
class ScoredTable:
    """A table to be read once: iterate over `rows`."""

    name: str
    columns: Sequence[str]
    provenance: Mapping[str, str]
    rows: Iterator[Row]


def read_scored(path: str, needed: Sequence[str], command: str) -> ScoredTable:
    """Open a table that `command` wrote and that has at least the columns `needed`; its kind is told by its content.

    Raise InputError for a file of another kind, without those columns, or, while reading, for a malformed row.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is not a file." if Path(path).exists() else f"{path} does not exist: check the path.")
    with Source(path) as source:
        kind = describe(source.head)
    if kind == "a Parquet file":
        table = _read_parquet(path)
    elif kind in ("a VCF file", "a BCF file") and command == "score-variants":
        table = _read_vcf(path)
    elif kind == "a text file of another kind":
        table = _read_tsv(path)
    else:
        raise InputError(f"{path} is {kind}, and not what `dnahnet {command}` writes.")
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r} but {name_some(table.columns, 12)}.\n"
            f"Give what `dnahnet {command}` wrote."
        )
    return table


def _read_tsv(path: str) -> ScoredTable:
    provenance: dict[str, str] = {}
    columns: list[str] = []
    with Source(path) as source:
        for _, line in source.lines():
            text = _text(line)
            if not text.startswith("##"):
                columns = text.split("\t")
                break
            _note(provenance, text)
    return ScoredTable(path, columns, provenance, _tsv_rows(path, columns))


def _tsv_rows(path: str, columns: Sequence[str]) -> Iterator[Row]:
    with Source(path) as source:
        lines = ((number, _text(line)) for number, line in source.lines())
        content = ((number, text) for number, text in lines if not text.startswith("##"))
        next(content, None)  # the names of the columns
        for number, text in content:
            cells = text.split("\t")
            if len(cells) != len(columns):
                raise InputError(f"{path}:{number} has {len(cells)} columns, the header {len(columns)}.")
            yield {
                name: _cell(f"{path}:{number}", name, cell) for name, cell in zip(columns, cells, strict=True) if cell
            }


def _read_parquet(path: str) -> ScoredTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}.") from error
    metadata = file.schema_arrow.metadata or {}
    known = {key.decode(): value.decode("utf-8", "replace") for key, value in metadata.items()}
    provenance = {key.removeprefix("dnahnet."): value for key, value in known.items() if key.startswith("dnahnet.")}

    def rows() -> Iterator[Row]:
        for batch in file.iter_batches():
            yield from batch.to_pylist()

    return ScoredTable(path, file.schema_arrow.names, provenance, rows())


def _read_vcf(path: str) -> ScoredTable:
    reader = read_variants(path)
    provenance: dict[str, str] = {}
    for line in reader.header:
        _note(provenance, _text(line))
    fields = [match[1].decode().lower() for line in reader.header if (match := _DEFINED.match(line))]
    if not fields:
        reader.close()
        raise InputError(
            f"{path} holds variants without scores.\n"
            "Score them first: dnahnet score-variants GENOME VARIANTS --genes GENES -o scored.vcf.gz"
        )
    columns = ["chrom", "pos", "id", "ref", "alt", "alt_index", *fields]

    def rows() -> Iterator[Row]:
        for record in reader.records():
            yield from _rows_of(path, record)

    return ScoredTable(path, columns, provenance, rows())


def _rows_of(path: str, record: Record) -> Iterator[Row]:
    columns = _text(record.line).split("\t")
    items = columns[_INFO].split(";") if len(columns) > _INFO else []
    pairs = (item.removeprefix(PREFIX).partition("=") for item in items if item.startswith(PREFIX))
    info = {name.lower(): value.split(",") for name, _, value in pairs}
    for variant in record.variants:
        where = f"{path}, {variant.contig}:{variant.start + 1}"
        own = {name: values[variant.alt_index - 1] for name, values in info.items() if len(values) >= variant.alt_index}
        row: dict[str, Cell] = {
            "chrom": variant.contig,
            "pos": variant.start + 1,
            "id": variant.id,
            "ref": variant.ref,
            "alt": variant.alt,
            "alt_index": variant.alt_index,
        }
        row |= {name: _cell(where, name, unquote(value)) for name, value in own.items() if value != "."}
        yield row if "status" in row else row | {"status": "no_alt" if variant.alt == "." else "not_scored"}


def _cell(where: str, name: str, text: str) -> Cell:
    if name in _BOOLEANS:
        return text == "true"
    if name not in _INTEGERS and name not in _FLOATS:
        return text
    try:
        value = float(text) if name in _FLOATS else int(text) if len(text) < 20 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where} has the {name} {text[:40]!r}, which is not a number.")
    return value


def _note(provenance: dict[str, str], line: str) -> None:
    key, is_pair, value = line.partition("=")
    if is_pair and key.startswith(_MARK):
        provenance[key.removeprefix(_MARK)] = value


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
