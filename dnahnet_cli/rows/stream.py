"""Rows as they come, one after another; or all of them as a table of Arrow or pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dnahnet_cli.io.table import Column, arrow_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Rows:
    """The rows of a result, computed while they are read, once: a second loop finds nothing left.

    A row is a dictionary with a value for every column, None where it is missing. `provenance` says what made them; the
    rows add to it what is known when the first one is: which contigs were read as circular.
    """

    def __init__(
        self, columns: Sequence[Column], rows: Iterator[Mapping[str, Any]], provenance: dict[str, str]
    ) -> None:
        self._columns, self._rows = columns, rows
        self.provenance = provenance

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return [column.name for column in self._columns]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        row = next(self._rows)
        return {column.name: row.get(column.name) for column in self._columns}

    def to_arrow(self) -> pa.Table:
        """Return all rows that are left as an Arrow table, whose metadata are the provenance."""
        import pyarrow as pa

        cells: list[list[Any]] = [[] for _ in self._columns]
        for row in self:
            for own, column in zip(cells, self._columns, strict=True):
                own.append(column.check(row[column.name]))
        schema = arrow_schema(self._columns, self.provenance)  # which is complete now
        arrays = [pa.array(own, field.type) for own, field in zip(cells, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows that are left as a data frame; whole numbers and booleans with gaps keep their kind."""
        import pandas as pd
        import pyarrow as pa

        kept = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=kept.get)
        return frame
