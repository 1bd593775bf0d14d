"""Files made to take time or memory: each is read, or refused, in time that grows with its size and no faster."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dnahnet_cli.errors import DnahnetError, InputError
from dnahnet_cli.io import streams
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import read_genes
from dnahnet_cli.io.mutants import read_mutants
from dnahnet_cli.io.regions import read_regions
from dnahnet_cli.io.rnas import read_noncoding
from dnahnet_cli.io.variants import read_variants

SIZE = 400_000
RECORD = b"LOCUS       c1  60 bp\nFEATURES             Location/Qualifiers\n     CDS             "


def variants(path: Path) -> None:
    for _ in read_variants(str(path)):
        pass


def genes(path: Path) -> None:
    read_noncoding(str(path))
    read_genes(str(path))


def genome(path: Path) -> None:
    with Fasta(path):
        pass


GTF = b'c1\tx\tCDS\t1\t9\t.\t+\t0\tgene_id "a"; '
VCF = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nc1\t5\t.\tA\t"
TRAPS: list[tuple[str, Callable[[Path], object], bytes]] = [
    ("a word without end in GTF", genes, GTF + b"a" * SIZE),
    ("keys without values in GTF", genes, GTF + b'a "' * (SIZE // 3)),
    ("blanks in GTF", genes, GTF + b"a" + b" " * SIZE),
    ("backslashes in GTF", genes, GTF + b'a "' + b"\\" * SIZE),
    ("a parent of itself", genes, b"c1\tx\tCDS\t1\t9\t.\t+\t0\tID=a;Parent=a\n" * (SIZE // 40)),
    (
        "a chain of parents",
        genes,
        b"".join(
            b"c1\tx\tCDS\t1\t9\t.\t+\t0\tID=c%d;Parent=0\nc1\tx\tx\t1\t9\t.\t+\t0\tID=%d;Parent=%d\n" % (n, n, n + 1)
            for n in range(9000)
        ),
    ),
    ("digits in LOCUS", genes, b"LOCUS " + b"1" * SIZE + b"\n"),
    ("locations within locations", genes, RECORD + b"join(" * (SIZE // 5) + b")" * (SIZE // 5) + b"\n"),
    ("a location of many parts", genes, RECORD + b"join(" + b"1..2," * (SIZE // 5) + b"4..5)\n"),
    (
        "a qualifier of many lines",
        genes,
        RECORD + b'1..9\n                     /note="' + b"\n                     x" * 20_000,
    ),
    ("many ALTs", variants, VCF + b"C," * (SIZE // 2) + b"C\t.\t.\t.\n"),
    ("brackets in a table", variants, b"c1\t5\t.\tA\t" + b"[]" * (SIZE // 2) + b"\n"),
    ("many headers", genome, b"".join(b">c%d\n" % number for number in range(SIZE // 10)) + b"A\n"),
    ("a position of many digits", variants, VCF[:-8] + b"9" * SIZE + b"\t.\tA\tC\t.\t.\t.\n"),
    ("a start of many digits", lambda path: read_regions(str(path), {"c1": 9}), b"c1\t" + b"9" * SIZE + b"\t9\n"),
    ("a cell of a megabyte", lambda path: read_mutants(str(path)), b"mutant,score\n" + b"A" * SIZE + b",1\n"),
]


@pytest.mark.parametrize(("read", "data"), [pytest.param(read, data, id=name) for name, read, data in TRAPS])
def test_no_file_takes_more_time_than_its_size_explains(
    read: Callable[[Path], object], data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "trap"
    path.write_bytes(data)
    began = time.process_time()
    try:
        read(path)
    except DnahnetError as error:
        assert len(str(error)) < 2100
    assert time.process_time() - began < 3  # less than 1 s, where nothing else runs


def test_a_decompression_bomb_is_refused_before_it_fills_memory_or_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_ALWAYS_EXPANDED", 1 << 20)
    comments = b"#" * 99 + b"\n"
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(b">c1\n" + b"A" * (1 << 25)))
    (tmp_path / "g.gff").write_bytes(gzip.compress(b"##gff-version 3\n" + comments * 300_000))
    tracemalloc.start()
    for read, name in ((genome, "g.fa.gz"), (genes, "g.gff")):
        with pytest.raises(InputError, match="decompression bomb"):
            read(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()
    (tmp_path / "v.vcf").write_bytes(gzip.compress(VCF + b"C\t.\t.\t.\n" + comments * 30_000))
    with read_variants(str(tmp_path / "v.vcf")) as reader:  # what is not kept may unpack to any size
        assert sum(1 for _ in reader) == 1


def test_a_disk_that_is_full_is_told_from_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(b">c1\nACGT\n")
    source = streams.Source(tmp_path / "g.fa")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with source, pytest.raises(DnahnetError, match="--tmpdir"):
        source.copy_to(full)
