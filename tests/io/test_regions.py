from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.regions import parse_region, read_regions

LENGTHS = {"chr1": 1000, "chr1:5": 50, "gi|9626243|ref|NC_001416.1|": 2_000_000, "HLA:01:02": 10}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1", Interval("chr1", 0, 1000)),
        ("chr1:100-200", Interval("chr1", 99, 200)),
        ("chr1:100", Interval("chr1", 99, 1000)),
        ("chr1:100-", Interval("chr1", 99, 1000)),
        ("chr1:-100", Interval("chr1", 0, 100)),
        ("chr1:7-7", Interval("chr1", 6, 7)),
        ("chr1:5", Interval("chr1:5", 0, 50)),
        ("chr1:5:5-6", Interval("chr1:5", 4, 6)),
        (
            "gi|9626243|ref|NC_001416.1|:1,000,001-1,500,000",
            Interval("gi|9626243|ref|NC_001416.1|", 1_000_000, 1_500_000),
        ),
        ("HLA:01:02", Interval("HLA:01:02", 0, 10)),
        ("HLA:01:02:3-4", Interval("HLA:01:02", 2, 4)),
    ],
)
def test_region_texts(text: str, expected: Interval) -> None:
    assert parse_region(text, LENGTHS) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr2", "which has chr1, chr1:5, gi"),
        ("chr2:1-5", "no such contig"),
        ("", "no such contig"),
        ("chr1:", "write it as"),
        ("chr1:-", "write it as"),
        ("chr1:a-b", "write it as"),
        ("chr1:1-2-3", "write it as"),
        ("chr1:0-5", "1-based"),
        ("chr1:9-5", "ends before it starts"),
        ("chr1:900-1001", "leaves chr1, which has 1000 bases"),
        ("chr1:1001", "leaves chr1"),
    ],
)
def test_wrong_region_texts(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_region(text, LENGTHS)


@given(st.sampled_from(sorted(LENGTHS)), st.data())
def test_text_of_an_interval_reads_back(contig: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, LENGTHS[contig] - 1))
    interval = Interval(contig, start, data.draw(st.integers(start + 1, LENGTHS[contig])))
    assert parse_region(str(interval), LENGTHS) == interval


def test_bed(tmp_path: Path) -> None:
    path = tmp_path / "regions.bed"
    path.write_text(
        "track name=x\nbrowser position\n# note\nchr1\t0\t5\nchr1\t3\t1000\tname\t0\t+\r\n\nHLA:01:02\t2\t2"
    )
    assert read_regions(str(path), LENGTHS) == [
        Interval("chr1", 0, 5),
        Interval("chr1", 3, 1000),
        Interval("HLA:01:02", 2, 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t0\n", ":1 is not BED"),
        ("chr1 0 5\n", "separated by tabs"),
        ("chr1\t0\t5\nchr1\t-1\t5\n", ":2 is not BED"),
        ("chr1\t0\t5\nchrX\t0\t5\n", ":2: no contig 'chrX'"),
        ("chr1\t0\t1001\n", ":1: 0-1001 .* is not within chr1"),
        ("chr1\t9\t5\n", "is not within"),
        ("# nothing\n", "holds no regions"),
        ("", "is empty"),
        ("##gff-version 3\n", "is a GFF file"),
    ],
)
def test_malformed_bed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "regions.bed"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_regions(str(path), LENGTHS)
