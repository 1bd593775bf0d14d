"""embed: one row per contig, region or gene, read by what users have."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

from dnahnet_cli.genome import decode
from tests.cli.conftest import Call
from tests.conftest import random_codes

CODES = random_codes(6000, 1)
GFF = "##gff-version 3\n" + "".join(
    f"c\tx\tCDS\t{start}\t{end}\t.\t{strand}\t0\tID={name};locus_tag={name}\n"
    for name, start, end, strand in (("g1", 11, 310, "+"), ("g2", 5001, 5300, "-"), ("g3", 5900, 6199, "+"))
)


def write_genome(folder: Path) -> None:
    (folder / "g.fa").write_text(f">c\n{decode(CODES)}\n>empty\n")
    (folder / "g.gff").write_text(GFF)


def test_contigs_read_by_pandas_polars_duckdb(call: Call, tmp_path: Path) -> None:
    write_genome(tmp_path)
    result = call("embed", "g.fa", "-o", "e.parquet", "--json-summary", "s.json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "" and "1 no_bases: the contig or region is empty (first: empty:1-0)" in result.stderr
    table = pq.read_table(tmp_path / "e.parquet")
    types = {name: str(table.schema.field(name).type) for name in ("base", "stage1", "stage2")}
    assert types == {
        "base": "fixed_size_list<element: float>[32]",
        "stage1": "fixed_size_list<element: float>[48]",
        "stage2": "fixed_size_list<element: float>[64]",
    }
    metadata = table.schema.metadata
    assert metadata[b"dnahnet.pool"] == b"bases" and b"dnahnet.model_sha256" in metadata
    assert table["status"].to_pylist() == ["ok", "no_bases"] and table["base"].to_pylist()[1] is None
    assert json.loads((tmp_path / "s.json").read_text())["status"]["no_bases"] == 1
    expected = np.array(table["stage2"].to_pylist()[0], dtype=np.float32)
    with_pandas = np.stack(pd.read_parquet(tmp_path / "e.parquet").dropna(subset="stage2")["stage2"].to_numpy())
    with_polars = pl.read_parquet(tmp_path / "e.parquet").drop_nulls("stage2")["stage2"].to_numpy()
    path = str(tmp_path / "e.parquet")
    with_duckdb = duckdb.sql(f"SELECT stage2[3] FROM '{path}' WHERE status = 'ok'").fetchall()
    assert np.array_equal(with_pandas, [expected]) and np.array_equal(with_polars, [expected])
    assert with_duckdb == [(expected[2],)]


def test_genes_and_regions(call: Call, tmp_path: Path) -> None:
    write_genome(tmp_path)
    result = call("embed", "g.fa", "--genes", "g.gff", "--stage", "0", "--per-strand", "-o", "e.parquet", "--strict")
    assert result.exit_code == 3 and "1 out_of_range" in result.stderr and "g3 on c" in result.stderr
    genes = pq.read_table(tmp_path / "e.parquet")
    assert genes.column_names == [
        *("chrom", "start", "end", "strand", "gene", "locus_tag", "product", "status", "num_bases"),
        *("base_fwd", "base_rev"),
    ]
    assert genes["locus_tag"].to_pylist() == ["g1", "g2", "g3"]
    result = call("embed", "g.fa", "-r", "c:5001-5300", "--strand", "reverse", "--no-version", "-o", "r.parquet")
    assert result.exit_code == 0
    region = pq.read_table(tmp_path / "r.parquet")
    assert region["base"].to_pylist()[0] == genes["base_rev"].to_pylist()[1]
    assert b"dnahnet.command" not in region.schema.metadata


def test_parquet_goes_through_a_pipe_and_errors_are_one_line(call: Call, tmp_path: Path) -> None:
    write_genome(tmp_path)
    for arguments, code, says in (
        (["-o", "x.tsv"], 2, "Parquet only"),
        (["-o", "x.parquet", "--stage", "7"], 2, "--stage 7: model tiny has 2 stages"),
        (["-r", "c:1-7000"], 2, "leaves c"),
        (["-r", "empty"], 1, "no row of 1 has vectors"),
        (["--genes", "g.fa"], 1, "is a FASTA file"),
    ):
        result = call("embed", "g.fa", *arguments)
        assert result.exit_code == code and says in result.stderr and len(result.stderr.splitlines()) <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.fa", "g.gff"]
