"""Where scored variants go: a table, or the VCF itself; by suffix, compressed and indexed where the suffix says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from dnahnet_cli.errors import UsageError
from dnahnet_cli.io.index import Order, index_output
from dnahnet_cli.io.table import Column, Table, open_table
from dnahnet_cli.io.variants import Record
from dnahnet_cli.io.vcf import InfoField, VcfWriter, open_vcf

VariantFormat = Literal["tsv", "tsv.gz", "parquet", "vcf", "vcf.gz", "bcf"]


def format_of(path: str) -> VariantFormat:
    """Return the format that a suffix says; `-` is TSV. Raises UsageError."""
    formats: tuple[VariantFormat, ...] = get_args(VariantFormat)
    if path == "-":
        return "tsv"
    for format in formats:
        if path.lower().endswith(f".{format}"):
            return format
    names = ", ".join(f".{format}" for format in formats)
    raise UsageError(f"The output {path} has an unknown suffix: use one of {names}, or give the format with -O.")


class VariantRows:
    """Takes the records of an output."""

    def __init__(self, place: Table | VcfWriter, order: Order) -> None:
        self._place, self._order = place, order

    def write(self, record: Record, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a record as it was read; `rows` (column name to value) are one for each ALT, in its order."""
        first = record.variants[0]
        self._order.add(first.contig, first.start, first.end)
        if isinstance(self._place, VcfWriter):
            self._place.write(record, rows)
        else:
            self._place.write(rows)


class VariantOutput:
    """An output of scored variants; `opened` completes it, or removes what is incomplete (see Output).

    After that, `indexed` is the index that was written, or None; `problem` says why an output that could have an index
    cannot be indexed.
    """

    def __init__(
        self,
        path: str,
        format: VariantFormat,
        keys: Sequence[Column],
        fields: Sequence[InfoField],
        *,
        header: Sequence[bytes] = (),
        provenance: Mapping[str, str],
        lengths: Mapping[str, int],
        forbidden: Sequence[Path] = (),
        clobber: bool = True,
        index: bool = True,
        tmpdir: Path | None = None,
    ) -> None:
        """`keys` are the columns that a VCF has already, `header` the lines of the one that came in, if one did.

        Raises UsageError and OutputError as `open_output`, before anything is computed.
        """
        self.path, self.format, self.index = path, format, index
        self.indexed: Path | None = None
        self.problem: str | None = None
        self._num_header_lines = len(provenance) + 1
        columns = [*keys, *(field.column for field in fields)]
        self._table = self._vcf = None
        if format in ("tsv", "tsv.gz", "parquet"):
            self._table = open_table(
                path,
                columns,
                format="parquet" if format == "parquet" else "tsv",
                provenance=provenance,
                forbidden=forbidden,
                bgzip=format == "tsv.gz",
                clobber=clobber,
            )
        else:
            self._vcf = open_vcf(
                path,
                header,
                fields,
                binary=format == "bcf",
                bgzip=format == "vcf.gz",
                provenance=provenance,
                lengths=lengths,
                forbidden=forbidden,
                clobber=clobber,
                tmpdir=tmpdir,
            )

    @contextmanager
    def opened(self) -> Iterator[VariantRows]:
        """Open the output, and at the end complete it and write its index."""
        order = Order()
        if self._table is not None:
            with self._table as table:
                yield VariantRows(table, order)
        elif self._vcf is not None:
            with self._vcf as vcf:
                yield VariantRows(vcf, order)
        self.indexed, self.problem = index_output(self.path, self.format, self._num_header_lines, order, self.index)
