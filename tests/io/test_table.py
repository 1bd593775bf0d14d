from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.io.table import Column, open_table

COLUMNS = [Column("chrom", "str"), Column("pos", "int"), Column("llr", "float"), Column("circular", "bool")]
ROWS = [
    {"chrom": "c#1", "pos": 1, "llr": -1.23456789, "circular": True},
    {"chrom": "a\tb\nc", "pos": np.int64(2**40), "llr": np.float32(0.5), "circular": np.bool_(False)},
    {"chrom": "d", "pos": None, "llr": None, "circular": None},
    {"chrom": "e"},
    {"chrom": "f", "llr": 1e-9},
    {"chrom": "g", "llr": -0.0},
    {"chrom": "h", "llr": 3},
]
LINES = [
    "##dnahnet_version=0.1.0",
    "##dnahnet_command=a b",
    "chrom\tpos\tllr\tcircular",
    "c#1\t1\t-1.23457\ttrue",
    "a b c\t1099511627776\t0.5\tfalse",
    "d\t\t\t",
    "e\t\t\t",
    "f\t\t1e-09\t",
    "g\t\t0\t",
    "h\t\t3\t",
]
PROVENANCE = {"version": "0.1.0", "command": "a\nb"}


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".TSV"])
def test_tsv(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with open_table(path, COLUMNS, provenance=PROVENANCE) as table:
        table.write(ROWS[:2])
        table.write(iter(ROWS[2:]))
    data = path.read_bytes()
    text = (gzip.decompress(data) if suffix.endswith(".gz") else data).decode()
    assert text == "\n".join(LINES) + "\n"


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with open_table(path, COLUMNS, provenance=PROVENANCE) as table:
        table.write(ROWS)
    read = pq.read_table(path)
    assert [str(field.type) for field in read.schema] == ["string", "int64", "double", "bool"]
    metadata = read.schema.metadata
    assert metadata[b"dnahnet.version"] == b"0.1.0" and metadata[b"dnahnet.command"] == b"a\nb"
    assert read.to_pylist()[:3] == [
        {"chrom": "c#1", "pos": 1, "llr": -1.23456789, "circular": True},
        {"chrom": "a\tb\nc", "pos": 2**40, "llr": 0.5, "circular": False},
        {"chrom": "d", "pos": None, "llr": None, "circular": None},
    ]


def test_parquet_streams_in_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with open_table(path, COLUMNS, provenance={}) as table:
        table.write({"chrom": "c", "pos": number} for number in range(70_000))
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 5
    assert file.read(["pos"])["pos"].to_pylist() == list(range(70_000))


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_no_rows_is_a_valid_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with open_table(path, COLUMNS, provenance={}):
        pass
    if suffix == ".tsv":
        assert path.read_text() == "chrom\tpos\tllr\tcircular\n"
    else:
        assert pq.read_table(path).num_rows == 0
        assert pq.read_schema(path).names == ["chrom", "pos", "llr", "circular"]


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".parquet"])
@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"llr": float("nan")}, ValueError),
        ({"llr": np.float32("inf")}, ValueError),
        ({"llr": "1"}, TypeError),
        ({"pos": 1.0}, TypeError),
        ({"chrom": 1}, TypeError),
        ({"circular": 1}, TypeError),
        ({"chorm": "c"}, ValueError),
    ],
)
def test_a_wrong_value_never_gets_into_a_file(tmp_path: Path, suffix: str, row: dict, error: type[Exception]) -> None:
    with (
        pytest.raises(error, match="column"),
        open_table(tmp_path / f"out{suffix}", COLUMNS, provenance={}) as table,
    ):
        table.write([ROWS[0], row])
    assert list(tmp_path.iterdir()) == []


def test_suffix_and_format(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.tsv, \.tsv\.gz, \.parquet"):
        open_table(tmp_path / "out.xlsx", COLUMNS, provenance={})
    with open_table(tmp_path / "out.dat", COLUMNS, format="parquet", provenance={}) as table:
        table.write(ROWS)
    assert pq.read_table(tmp_path / "out.dat").num_rows == len(ROWS)
    source = tmp_path / "in.tsv"
    source.write_text("x")
    with pytest.raises(UsageError, match="also an input"):
        open_table(source, COLUMNS, provenance={}, forbidden=[source])
    with pytest.raises(OutputError):
        open_table(tmp_path / "none" / "x.tsv", COLUMNS, provenance={})


def test_stdout(capfdbinary) -> None:
    with open_table("-", COLUMNS, provenance=PROVENANCE) as table:
        table.write(ROWS)
    assert capfdbinary.readouterr().out.decode().splitlines() == LINES
    with open_table(None, COLUMNS, format="parquet", provenance={}) as table:
        table.write(ROWS)
    data = capfdbinary.readouterr().out
    assert pq.read_table(io.BytesIO(data)).num_rows == len(ROWS)


def test_parquet_cut_short_on_stdout_does_not_look_complete(capfdbinary) -> None:
    with pytest.raises(KeyboardInterrupt), open_table(None, COLUMNS, format="parquet", provenance={}) as table:
        table.write(ROWS)
        raise KeyboardInterrupt
    data = capfdbinary.readouterr().out
    assert data == b"PAR1", "the opening mark, but neither rows nor the footer"


def test_tsv_needs_no_pyarrow() -> None:
    code = (
        "import sys\nfrom dnahnet_cli.io.table import Column, open_table\n"
        "with open_table('-', [Column('a', 'str')], provenance={}) as table: table.write([{'a': 'x'}])\n"
        "assert not {'pyarrow', 'pandas', 'torch', 'pysam'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"a\nx\n"


@given(
    st.lists(st.tuples(st.text(), st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(-1e300, 1e300)))
)
def test_tsv_has_one_line_per_row_and_reads_back(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    path = tmp_path_factory.getbasetemp() / "property.tsv"
    with open_table(path, COLUMNS[:3], provenance={}) as table:
        table.write({"chrom": chrom, "pos": pos, "llr": llr} for chrom, pos, llr in rows)
    lines = path.read_bytes().decode().split("\n")[1:-1]
    assert len(lines) == len(rows)
    for line, (chrom, pos, llr) in zip(lines, rows, strict=True):
        cells = line.split("\t")
        assert cells[0] == chrom.translate(str.maketrans("\t\n\r", "   "))
        assert cells[1] == ("" if pos is None else str(pos))
        assert cells[2] == "" if llr is None else float(cells[2]) == pytest.approx(llr, rel=1e-5)
