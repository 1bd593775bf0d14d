"""Write rows as TSV or Parquet, streaming.

TSV: provenance as leading `##dnahnet_key=value` lines, a plain header line, then the rows; missing is empty. Contig
names may hold '#', so do not read it with pandas' `comment="#"`, which cuts cells at any '#'. Skip the leading lines
by their two marks or by their number:
`grep -v '^##' scores.tsv`, `polars.read_csv(path, separator="\\t", comment_prefix="##")`,
`pandas.read_csv(path, sep="\\t", skiprows=num_lines)`.

Parquet: provenance as key-value metadata `dnahnet.<key>`; missing is null. Only Parquet holds vectors: fixed-size lists
of float32.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol, SupportsIndex, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import UsageError
from dnahnet_cli.io.output import open_output

if TYPE_CHECKING:
    import pyarrow as pa

TableFormat = Literal["tsv", "parquet"]
_SUFFIXES: Final[Mapping[str, TableFormat]] = {".tsv": "tsv", ".tsv.gz": "tsv", ".parquet": "parquet"}
_ROWS_PER_GROUP: Final = 16_384
_VECTORS_PER_GROUP: Final = 2_048  # rows of a table with vectors, which are a thousand times as large
_ROWS_AT_ONCE: Final = 2_048  # that are kept as Python's objects, which take ten times the room of Arrow's
_BREAKS: Final = str.maketrans("\t\n\r", "   ")

Cell: TypeAlias = "str | int | float | bool | npt.NDArray[np.float32] | None"


@dataclass(frozen=True)
class Column:
    """A named column; `type` is what its values are, apart from None for missing.

    A vector is a one-dimensional array of `size` numbers.
    """

    name: str
    type: Literal["str", "int", "float", "bool", "vector"]
    size: int = 0

    def check(self, value: object) -> Cell:
        """Return the value as its plain Python type.

        Raise TypeError for another type and ValueError for NaN and infinities: these are bugs of the caller, not of the
        user, and must not get into a file.
        """
        if value is None:
            return None
        return _check_vector(self, value) if self.type == "vector" else _CHECKS[self.type](self.name, value)


class Table(Protocol):
    """Takes rows: mappings from column names to values; one left out is missing, an unknown one is a ValueError."""

    def write(self, rows: Iterable[Mapping[str, object]]) -> None: ...


class OpenTable:
    """A table being written; as a context manager it opens the output, and completes or removes it (see Output)."""

    def __init__(
        self,
        path: str | Path | None,
        columns: Sequence[Column],
        format: TableFormat,
        provenance: Mapping[str, str],
        forbidden: Sequence[Path],
        bgzip: bool | None = None,
        clobber: bool = True,
        exact: bool = False,
    ) -> None:
        if format == "tsv" and any(column.type == "vector" for column in columns):
            raise UsageError("Vectors are written as Parquet only: give an output whose name ends in .parquet.")
        self.format = format
        self._columns = columns
        self._provenance = provenance
        self._exact = exact
        self._stack = ExitStack()
        if format == "tsv":
            self._open: Callable[[], Table] = self._open_tsv
            self._text = open_output(path, forbidden=forbidden, bgzip=bgzip, clobber=clobber)
        else:
            self._open = self._open_parquet
            self._bytes = open_output(path, binary=True, forbidden=forbidden, bgzip=False, clobber=clobber)

    def __enter__(self) -> Table:
        with ExitStack() as stack:
            self._stack = stack
            table = self._open()
            self._stack = stack.pop_all()
        return table

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _open_tsv(self) -> Table:
        return _TsvTable(self._stack.enter_context(self._text), self._columns, self._provenance, self._exact)

    def _open_parquet(self) -> Table:
        table = _ParquetTable(self._stack.enter_context(self._bytes), self._columns, self._provenance)
        self._stack.push(table.finish)
        return table


def open_table(
    path: str | Path | None,
    columns: Sequence[Column],
    *,
    format: TableFormat | None = None,
    provenance: Mapping[str, str],
    forbidden: Sequence[Path] = (),
    bgzip: bool | None = None,
    clobber: bool = True,
    exact: bool = False,
) -> OpenTable:
    """Return a table to be opened with `with`; stdout (`-` or None) is TSV unless `format` says otherwise.

    Raise UsageError for an unknown suffix or an output that is one of the inputs (`forbidden`), OutputError for a place
    that cannot be written to. `bgzip` and `clobber` are those of `open_output`; Parquet has its own compression. TSV
    has six digits of a number, or if it is to be `exact`, as Parquet is, as many as tell it from all others.
    """
    return OpenTable(path, columns, format or _format_of(path), provenance, forbidden, bgzip, clobber, exact)


def arrow_schema(columns: Sequence[Column], provenance: Mapping[str, str]) -> pa.Schema:
    """Return the schema of a table as Parquet and Arrow have it."""
    import pyarrow as pa

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    fields = [(c.name, pa.list_(pa.float32(), c.size) if c.type == "vector" else types[c.type]) for c in columns]
    return pa.schema(fields, metadata={f"dnahnet.{key}": value for key, value in provenance.items()})


def columns_of(schema: pa.Schema) -> list[Column]:
    """Return the columns of a schema that `arrow_schema` has made; those of vectors are not among them."""
    types: Mapping[str, Literal["str", "int", "float", "bool"]]
    types = {"string": "str", "int64": "int", "double": "float", "bool": "bool"}
    return [Column(field.name, types[str(field.type)]) for field in schema if str(field.type) in types]


def _format_of(path: str | Path | None) -> TableFormat:
    if path is None or str(path) == "-":
        return "tsv"
    name = Path(path).name.lower()
    for suffix, format in _SUFFIXES.items():
        if name.endswith(suffix):
            return format
    known = ", ".join(_SUFFIXES)
    raise UsageError(f"The output {path} has an unknown suffix: use one of {known}, or give the format with -O.")


class _Rows:
    """The check that both formats share."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._names = {column.name for column in columns}

    def values(self, row: Mapping[str, object]) -> list[Cell]:
        if not row.keys() <= self._names:
            raise ValueError(f"unknown columns {sorted(row.keys() - self._names)}")
        return [column.check(row.get(column.name)) for column in self._columns]


class _TsvTable:
    def __init__(self, file: IO[str], columns: Sequence[Column], provenance: Mapping[str, str], exact: bool) -> None:
        self._file = file
        self._rows = _Rows(columns)
        self._exact = exact
        for key, value in provenance.items():
            file.write(f"##dnahnet_{key}={value.translate(_BREAKS)}\n")
        file.write("\t".join(column.name for column in columns) + "\n")

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        for row in rows:
            self._file.write("\t".join(self._cell(value) for value in self._rows.values(row)) + "\n")

    def _cell(self, value: Cell) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return value.translate(_BREAKS)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            value += 0.0  # -0.0 becomes 0.0
            return repr(value) if self._exact else format(value, ".6g")
        return str(value)


class _ParquetTable:
    def __init__(self, file: IO[bytes], columns: Sequence[Column], provenance: Mapping[str, str]) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(columns, provenance)
        self._rows = _Rows(columns)
        self._rows_per_group = _VECTORS_PER_GROUP if any(c.type == "vector" for c in columns) else _ROWS_PER_GROUP
        self._pending: list[list[Cell]] = []
        self._batches: list[pa.RecordBatch] = []  # of the row group that is not complete yet
        self._num_batched = 0
        self._sink = _Sink(file)
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        for row in rows:
            self._pending.append(self._rows.values(row))
            if len(self._pending) == _ROWS_AT_ONCE:
                self._batch()
            if self._num_batched == self._rows_per_group:
                self._flush()

    def finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is pending and the footer; after an exception no footer, lest stdout look complete."""
        if error is None:
            self._batch()
            self._flush()
        else:
            self._sink.dropping = True
        self._writer.close()

    def _batch(self) -> None:
        import pyarrow as pa

        if self._pending:
            cells = zip(*self._pending, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(cells, self._schema, strict=True)]
            self._batches.append(pa.record_batch(arrays, schema=self._schema))
            self._num_batched += len(self._pending)
            self._pending.clear()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches), row_group_size=self._rows_per_group)
            self._batches.clear()
            self._num_batched = 0


class _Sink:
    """A file that can be told to drop what comes: pyarrow writes the footer whenever a writer goes away."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.dropping = False

    def write(self, data: bytes) -> int:
        return len(data) if self.dropping else self._file.write(data)

    def flush(self) -> None:
        if not self.dropping:
            self._file.flush()


def _check_str(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"column {name}: {value!r} is not a str")
    return str(value)


def _check_int(name: str, value: object) -> int:
    try:
        return operator.index(cast(SupportsIndex, value))
    except TypeError as error:
        raise TypeError(f"column {name}: {value!r} is not an int") from error


def _check_float(name: str, value: object) -> float:
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"column {name}: {value!r} is not a float")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"column {name}: {number} is not a number to print")
    return number


def _check_bool(name: str, value: object) -> bool:
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"column {name}: {value!r} is not a bool")
    return bool(value)


def _check_vector(column: Column, value: object) -> npt.NDArray[np.float32]:
    vector = np.asarray(value, dtype=np.float32)
    if vector.shape != (column.size,):
        raise TypeError(f"column {column.name}: a vector of {column.size} is wanted, not of shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"column {column.name}: a vector holds what is not a number")
    return vector


_CHECKS: Final[Mapping[str, Callable[[str, object], str | int | float | bool]]] = {
    "str": _check_str,
    "int": _check_int,
    "float": _check_float,
    "bool": _check_bool,
}
