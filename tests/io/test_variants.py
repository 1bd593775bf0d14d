from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.variants import read_variants

from .conftest import COMPRESSIONS, SHARED

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
HEADER = "##fileformat=VCFv4.2\n" + COLUMNS
BODY = (
    "chr2\t7\trs1\tac\tA,<DEL>,*\t.\t.\tX=1\n"
    "chr1\t5\t.\tN\t.\t.\t.\t.\n"
    "chr1\t5\t.\tN\t.\t.\t.\t.\n"
    "chr1\t0\t.\tA\tG]chr1:9]\t.\t.\t.\n"
)
EXPECTED = [
    Variant("chr2", 6, "ac", "A", "rs1", 1),
    Variant("chr2", 6, "ac", "<DEL>", "rs1", 2),
    Variant("chr2", 6, "ac", "*", "rs1", 3),
    Variant("chr1", 4, "N", "."),
    Variant("chr1", 4, "N", "."),
    Variant("chr1", -1, "A", "G]chr1:9]"),
]


@pytest.fixture
def read(tmp_path: Path):
    def read(data: bytes | str, name: str = "variants.vcf") -> list[Variant]:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        with read_variants(str(path)) as reader:
            return list(reader)

    return read


def write_bcf(path: Path, text: str, compression: str = "bgzip") -> None:
    declared = "##contig=<ID=chr1>\n##contig=<ID=chr2>\n##INFO=<ID=X,Number=1,Type=Integer,Description=x>\n"
    declared += "##INFO=<ID=END,Number=1,Type=Integer,Description=x>\n"
    source = path.with_suffix(".source.vcf")
    source.write_text("##fileformat=VCFv4.2\n" + declared + text.removeprefix("##fileformat=VCFv4.2\n"))
    verbosity = pysam.set_verbosity(0)
    with pysam.VariantFile(str(source)) as records, pysam.VariantFile(str(path), "wb", header=records.header) as out:
        for record in records:
            out.write(record)
    pysam.set_verbosity(verbosity)
    if compression != "bgzip":
        path.write_bytes(COMPRESSIONS[compression](gzip.decompress(path.read_bytes())))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", ["v.vcf", "v.vcf.gz", "v.txt"])
def test_vcf_is_told_by_content(read, compression: str, name: str) -> None:
    assert read(COMPRESSIONS[compression]((HEADER + BODY).encode()), name) == EXPECTED


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_vcf_from_stdin(stdin, compression: str) -> None:
    stdin(COMPRESSIONS[compression]((HEADER + BODY).encode()))
    with read_variants("-") as reader:
        assert list(reader) == EXPECTED
        assert (reader.format, reader.num_records) == ("vcf", 4)


@pytest.mark.parametrize("from_stdin", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bcf(tmp_path: Path, stdin, capfd, from_stdin: bool, compression: str) -> None:
    path = tmp_path / "v.bcf"
    write_bcf(path, HEADER + BODY, compression)
    stdin(path.read_bytes())
    capfd.readouterr()
    with read_variants("-" if from_stdin else str(path), tmpdir=tmp_path) as reader:
        assert list(reader) == EXPECTED
        assert reader.format == "bcf"
    assert not list(tmp_path.glob("dnahnet-*"))
    assert capfd.readouterr().err == ""


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="terminal"):
        read_variants("-")


def test_contig_names_that_begin_like_binary_files(read) -> None:
    for name in ("CRAM1", "PAR1", "BZh9", "BCF2", "PK"):
        assert read(f"{name}\t5\tA\tC\n") == [Variant(name, 4, "A", "C")]


def test_a_slow_pipe_is_not_held_back() -> None:
    code = "from dnahnet_cli.io.variants import read_variants\nfor v in read_variants('-'): print(v.start, flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write((HEADER + BODY).encode())
        process.stdin.flush()
        assert process.stdout.readline() == b"6\n"
        process.stdin.close()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "header",
    [
        COLUMNS,
        "##header foo=bar\n" + COLUMNS,
        "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=3>\n" + COLUMNS,
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n",
    ],
)
def test_odd_headers(read, header: str, line_end: str) -> None:
    text = header + "chr1\t5\t\tA\tC\t.\t.\t.\n\nchr1\t6\t.\tA\t\t.\t.\t.\n"
    assert read(text.replace("\n", line_end)) == [Variant("chr1", 4, "A", "C"), Variant("chr1", 5, "A", ".")]


def test_no_final_newline_and_a_header_alone(read) -> None:
    assert read((HEADER + BODY).rstrip("\n")) == EXPECTED
    assert read(HEADER) == []
    assert read("chrom\tpos\tref\talt\n") == []
    assert read("#chrom\tpos\tref\talt\n") == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    "text",
    [
        "chrom\tpos\tref\talt\nchr1\t5\tA\tC,T\nchr1\t-3\tA\t\n",
        "#chrom\tpos\tref\talt\n# note\nchr1\t5\tA\tC,T\n\nchr1\t-3\tA\t.\n",
        "##key=value\nALT\tscore\tREF\tPOS\tCONTIG\nC,T\t0.5\tA\t5\tchr1\n.\t1\tA\t-3\tchr1\n",
        "chr1\t5\tA\tC,T\nchr1\t-3\tA\t.\n",
        "\ufeffchr1\t5\t.\tA\tC,T\r\nchr1\t-3\t.\tA\t.\r\n",
    ],
)
def test_tables(read, text: str, compression: str) -> None:
    expected = [Variant("chr1", 4, "A", "C"), Variant("chr1", 4, "A", "T", ".", 2), Variant("chr1", -4, "A", ".")]
    assert read(COMPRESSIONS[compression](text.encode()), "v.tsv") == expected


def test_table_with_an_id_column(read) -> None:
    assert read("chrom\tpos\tref\talt\tid\nc\t1\tA\tC\tx\nc\t1\tA\tC\n") == [
        Variant("c", 0, "A", "C", "x"),
        Variant("c", 0, "A", "C"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        ("##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC\t.\t.\t.\n", ":2 is a VCF without its #CHROM line"),
        ("##fileformat=VCFv4.2\n", "VCF without its #CHROM line"),
        (BODY, ":1 is a VCF record, but the #CHROM line is missing"),
        (HEADER + BODY + "chr1\t9\t.\tA\n", ":7 has 4 columns where 8 are needed"),
        (HEADER + "chr1 9 . A C . . .\n", ":3 has 1 column where 8"),
        (HEADER[:-1] + "\tFORMAT\ts1\nchr1\t9\t.\tA\tC\t.\t.\t.\tGT\n", ":3 has 9 columns where 10 are needed"),
        (HEADER + "chr1\tx9\t.\tA\tC\t.\t.\t.\n", ":3 has the position 'x9'"),
        (HEADER + "chr1\t1_0\t.\tA\tC\t.\t.\t.\n", ":3 has the position '1_0'"),
        ("chrom\tpos\tref\talt\nc\t1.5\tA\tC\n", ":2 has the position '1.5'"),
        ("chrom\tpos\tref\talt\nc\t1\tA\n", ":2 has 3 columns where 4 are needed"),
        ("chrom pos ref alt\nc 1 A C\n", "separated by tabs"),
        ("c\t1\tA\tC\t0.5\n", "Name them in a first line"),
        ("c\t1\tA\tC\tT\n", "Name them in a first line"),
        ("c\t1\t200\tgene1\n", "neither VCF nor a table"),
        ("# a comment\n", "comments only"),
        (">chr1\nACGT\n", "is a FASTA file"),
        ("##gff-version 3\n", "is a GFF file"),
        (b"PK\x03\x04rest of the workbook", "is a zip or Excel file"),
        (b"\x1f\x8b\x08", "cut off or damaged"),
        (COMPRESSIONS["gzip"]((HEADER + BODY * 9).encode())[:-9], "cut off or damaged"),
        (COMPRESSIONS["bgzip"]((HEADER + BODY * 9).encode())[:-28], "no bgzip end marker"),
        (COMPRESSIONS["bgzip"]((HEADER + BODY * 9).encode())[:-40], "cut off or damaged"),
    ],
)
def test_malformed_input_is_refused(read, data: bytes | str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(data)
    assert "variants.vcf" in str(caught.value)
    assert str(caught.value).count("\n") < 2


@pytest.mark.parametrize(("compression", "cut"), [("bgzip", 28), ("bgzip", 60), ("plain", 5), ("gzip", 5)])
def test_truncated_bcf(tmp_path: Path, capfd, compression: str, cut: int) -> None:
    path = tmp_path / "v.bcf"
    write_bcf(path, HEADER + BODY, compression)
    path.write_bytes(path.read_bytes()[:-cut])
    capfd.readouterr()
    with pytest.raises(InputError, match=r"v\.bcf .*cut off"):
        list(read_variants(str(path)))
    assert capfd.readouterr().err == ""


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_variants(str(tmp_path / "none.vcf"))
    with pytest.raises(InputError, match="is a directory"):
        read_variants(str(tmp_path))


ALLELES = st.text("ACGTNacgtn", min_size=1, max_size=4)
RECORDS = st.lists(
    st.tuples(st.sampled_from(["c1", "x:1|2"]), st.integers(-5, 10**9), ALLELES, st.lists(ALLELES, max_size=3))
)


@given(RECORDS)
def test_one_variant_per_alt_in_order(tmp_path_factory: pytest.TempPathFactory, records) -> None:
    path = tmp_path_factory.getbasetemp() / "property.vcf"
    rows = [f"{c}\t{pos}\t.\t{ref}\t{','.join(alts) or '.'}\t.\t.\t.\n" for c, pos, ref, alts in records]
    path.write_text(HEADER + "".join(rows))
    expected = [
        Variant(c, pos - 1, ref, alt, ".", index)
        for c, pos, ref, alts in records
        for index, alt in enumerate(alts or ["."], 1)
    ]
    assert list(read_variants(str(path))) == expected


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the shared data folder is not beside this checkout")
@pytest.mark.parametrize("path", sorted((SHARED / "data" / "variants").glob("*/*.vcf")), ids=lambda path: path.name)
def test_real_files_agree_with_pysam(path: Path) -> None:
    if path.name == "samtools_variants_make_vcf_and_depths_files.expect.vcf":
        with pytest.raises(InputError, match="#CHROM line is missing"):
            read_variants(str(path))
        return
    if path.name == "filter_vcf_and_count_snps.in.vcf":
        # htslib refuses a VCF without ##fileformat.
        with read_variants(str(path)) as reader:
            assert [v.alt for v in reader] == ["C", "<*>"] * 6
        return
    verbosity = pysam.set_verbosity(0)
    with pysam.VariantFile(str(path)) as records:
        expected = [
            (r.chrom, r.pos - 1, r.ref, alt, r.id or ".", index)
            for r in records
            for index, alt in enumerate(r.alts or (".",), 1)
        ]
    pysam.set_verbosity(verbosity)
    with read_variants(str(path)) as reader:
        assert [(v.contig, v.start, v.ref, v.alt, v.id, v.alt_index) for v in reader] == expected
