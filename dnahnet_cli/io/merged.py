"""Write the outputs of all shards as one: scored variants, and tables whose rows depend on one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.io.index import Order, index_output
from dnahnet_cli.io.output import open_output
from dnahnet_cli.io.shards import Kind, ShardFile, common_header, common_provenance
from dnahnet_cli.io.table import Column, Table, open_table
from dnahnet_cli.io.variant_output import VariantFormat
from dnahnet_cli.io.vcf import open_vcf_lines


def kind_of(format: VariantFormat) -> Kind:
    """Return what shards must be, to be written in a format."""
    if format == "parquet":
        return "parquet"
    return "tsv" if format in ("tsv", "tsv.gz") else "vcf"


def write_merged(
    path: str,
    format: VariantFormat,
    shards: Sequence[ShardFile],
    *,
    added: Mapping[str, str],
    clobber: bool = True,
    index: bool = True,
    tmpdir: Path | None = None,
) -> str | None:
    """Write the rows of shards, which are in order and complete; `added` goes into the header.

    Returns why an output that could have an index cannot be indexed, or None. Raises UsageError when the shards are of
    another kind, InputError when one has not the rows that its header says, and as `open_output`.
    """
    _check_kind(format, shards)
    order = Order()
    forbidden = [Path(shard.name) for shard in shards]
    if format == "parquet":
        provenance = {**common_provenance(shards), **added}
        with open_table(
            path, shards[0].columns, format="parquet", provenance=provenance, forbidden=forbidden, clobber=clobber
        ) as table:
            for shard in shards:
                for row, *_ in shard.rows():
                    _write(table, [row], shard.name)
        return None
    header = common_header(shards, added)
    bgzip = format.endswith(".gz")
    if kind_of(format) == "vcf":
        opened = open_vcf_lines(
            path, binary=format == "bcf", bgzip=bgzip, forbidden=forbidden, clobber=clobber, tmpdir=tmpdir
        )
    else:
        opened = open_output(path, binary=True, bgzip=bgzip, forbidden=forbidden, clobber=clobber)
    with opened as file:
        file.write(b"".join(header))
        for shard in shards:
            for line, contig, start, _ in shard.rows():
                order.add(contig, start, start + 1)
                file.write(line)
    return index_output(path, format, len(header), order, index)[1]


def write_table(
    path: str,
    format: VariantFormat,
    shards: Sequence[ShardFile],
    columns: Sequence[Column],
    complete: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]],
    *,
    added: Mapping[str, str],
    clobber: bool = True,
) -> None:
    """Write the rows of shards when `complete` has seen them all, which gives them what depends on the others.

    Shards that are text have all digits of their numbers. Raises as `write_merged`.
    """
    _check_kind(format, shards)
    opened = open_table(
        path,
        columns,
        format="parquet" if format == "parquet" else "tsv",
        provenance={**common_provenance(shards), **added},
        forbidden=[Path(shard.name) for shard in shards],
        bgzip=format == "tsv.gz",
        clobber=clobber,
    )
    rows = complete([row for shard in shards for row in shard.cells(columns)])
    with opened as table:
        _write(table, rows, shards[0].name)


def _write(table: Table, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    try:
        table.write(rows)
    except (TypeError, ValueError) as error:  # what a table refuses cannot come from this program
        raise InputError(f"{name} has a row that was changed: {error}.") from error


def _check_kind(format: VariantFormat, shards: Sequence[ShardFile]) -> None:
    if shards[0].kind != kind_of(format):
        raise UsageError(
            f"{shards[0].name} is {_NAMES[shards[0].kind]}, which cannot be written as {format}: tables go into .tsv "
            "or .tsv.gz, Parquet into .parquet, VCF and BCF into .vcf, .vcf.gz or .bcf."
        )


_NAMES: Mapping[Kind, str] = {"tsv": "a table", "vcf": "VCF or BCF", "parquet": "Parquet"}
