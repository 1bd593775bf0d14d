"""A VCF comes out as it went in, but for the fields and header lines that are added."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.io.table import Column
from dnahnet_cli.io.variant_output import VariantFormat, VariantOutput, format_of
from dnahnet_cli.io.variants import Record, read_variants
from dnahnet_cli.io.vcf import PREFIX, InfoField, open_vcf
from tests.io.conftest import COMPRESSIONS

FIELDS = [
    InfoField(Column("status", "str"), "why"),
    InfoField(Column("llr", "float"), "log p(ALT) - log p(REF), natural log; negative: less likely"),
    InfoField(Column("num_changes", "int"), "bases"),
]
HEADER = b"##fileformat=VCFv4.2\n##contig=<ID=c1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
BCFTOOLS = pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")


def rows(record: Record) -> list[dict[str, object]]:
    """Stand-ins for scores: every second ALT has none."""
    return [
        {"status": "ok", "llr": -0.5 * n, "num_changes": n} if n % 2 else {"status": "a=b; c,d"}
        for n, _ in enumerate(record.variants, 1)
    ]


def copy(source: Path, target: Path, **more: object) -> None:
    with read_variants(str(source)) as reader:
        options = {"provenance": {"version": "1"}, "lengths": {"c1": 100}} | more
        with open_vcf(target, reader.header, FIELDS, **options) as out:  # type: ignore[arg-type]
            for record in reader.records():
                out.write(record, rows(record))


def without_ours(lines: Sequence[bytes]) -> list[bytes]:
    """Take off what was added, by the names alone."""
    kept = []
    for line in lines:
        if line.startswith((b"##dnahnet_", f"##INFO=<ID={PREFIX}".encode())):
            continue
        if not line.startswith(b"#") and PREFIX.encode() in line:
            text = line.rstrip(b"\r\n")
            columns = text.split(b"\t")
            items = [item for item in columns[7].split(b";") if not item.startswith(PREFIX.encode())]
            columns[7] = b";".join(items) or b"."
            line = b"\t".join(columns) + line[len(text) :]
        kept.append(line)
    return kept


def whole(lines: Iterable[bytes]) -> list[bytes]:
    """Take off the empty last item of INFO, which one of the real files has."""
    return [line if line.startswith(b"#") else line.replace(b";\t", b"\t") for line in lines]


def test_real_files_come_back_to_the_byte(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "variants").glob("*/*.vcf"))
    assert len(files) > 10
    for source in files:
        try:
            copy(source, tmp_path / "out.vcf")
        except Exception as error:
            assert "#CHROM" in str(error), source  # one of them has no header
            continue
        before, after = source.read_bytes().splitlines(True), (tmp_path / "out.vcf").read_bytes().splitlines(True)
        if not before[0].startswith(b"##fileformat"):
            assert after.pop(0).startswith(b"##fileformat=")
        assert whole(without_ours(after)) == whole(line for line in before if line.strip()), source
        copy(tmp_path / "out.vcf", tmp_path / "again.vcf")  # a second run replaces the fields of the first
        assert (tmp_path / "again.vcf").read_bytes() == (tmp_path / "out.vcf").read_bytes(), source


@BCFTOOLS
@pytest.mark.parametrize("suffix", ["vcf", "vcf.gz", "bcf"])
def test_bcftools_reads_real_files_as_before(shared: Path, tmp_path: Path, suffix: str) -> None:
    def view(path: Path) -> list[str]:
        command = ["bcftools", "view", "-H", "--no-version", str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    names = ("portiera_snippy_freebayes/test4", "listeria_cfsan_varscan/SRR1554259_var.flt", "mtb_mykrobe/test")
    for name in (*names, "lambda_phage_cfsan/snpma", "drprg_pandora_gene_refs/SRR6824468"):
        source, target = shared / "variants" / f"{name}.vcf", tmp_path / f"out.{suffix}"
        copy(source, target, binary=suffix == "bcf")
        plain = tmp_path / "plain.vcf"
        lines = view(target)
        assert any(f"{PREFIX}LLR=-0.5" in line for line in lines)
        assert without_ours([line.encode() for line in lines]) == [line.encode() for line in view(source)], name
        query = ["bcftools", "query", "-f", f"%INFO/{PREFIX}LLR\n", str(target)]
        values = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
        with read_variants(str(source)) as reader:
            for value, record in zip(values, reader.records(), strict=True):
                if record.variants[0].alt != ".":
                    assert len(value.split(",")) == len(record.variants)
        plain.unlink(missing_ok=True)


record_lines = st.lists(
    st.tuples(
        st.sampled_from([b"c1", b"odd name|1", "ü".encode()]),
        st.integers(1, 10**6),
        st.sampled_from([b"A", b"C,G", b".", b"<DEL>", b"A,*"]),
        st.sampled_from([b".", b"X=1", b"X=1;FLAG", b"DNAHNETX=3", b"A=;B"]),
        st.sampled_from([b"", b"\tGT\t0/1", b"\tGT:GL\t./.:-1,0,2"]),
        st.sampled_from([b"\n", b"\r\n"]),
    ),
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(record_lines)
def test_any_records_come_back_to_the_byte(tmp_path_factory: pytest.TempPathFactory, records: list[tuple]) -> None:
    folder = tmp_path_factory.mktemp("any")
    body = [b"%s\t%d\t.\tT\t%s\t.\tPASS\t%s%s%s" % record for record in records]
    (folder / "in.vcf").write_bytes(HEADER + b"".join(body))
    copy(folder / "in.vcf", folder / "out.vcf")
    lines = (folder / "out.vcf").read_bytes().splitlines(True)
    assert without_ours(lines) == (HEADER + b"".join(body)).splitlines(True)
    assert sum(not line.startswith(b"#") for line in lines) == len(records)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compressed_input_and_a_header_of_five_columns(tmp_path: Path, compression: str) -> None:
    text = b"#CHROM\tPOS\tID\tREF\tALT\r\nc1\t5\t.\tA\tC,G\r\nc1\t7\t.\tA\t.\r\n"
    (tmp_path / "in.vcf").write_bytes(COMPRESSIONS[compression](text))
    copy(tmp_path / "in.vcf", tmp_path / "out.vcf")
    lines = (tmp_path / "out.vcf").read_bytes().splitlines(True)
    assert lines[0] == b"##fileformat=VCFv4.2\r\n"
    added = f"{PREFIX}STATUS=ok,a%3Db%3B%20c%2Cd;{PREFIX}LLR=-0.5,.;{PREFIX}NUM_CHANGES=1,."
    assert lines[-2] == f"c1\t5\t.\tA\tC,G\t.\t.\t{added}\r\n".encode()
    assert lines[-1] == b"c1\t7\t.\tA\t.\r\n"  # nothing to say for no ALT
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as read:
        assert f"{PREFIX}LLR" in read.header.info


def test_bcf_goes_to_text_and_text_to_bcf(tmp_path: Path) -> None:
    body = b"c1\t5\trs1\tA\tC,G\t.\tPASS\tNEW=1\nelsewhere\t9\t.\tA\t<DEL>\t3.5\tq10\t.\n"  # much is not defined
    (tmp_path / "in.vcf").write_bytes(HEADER + body)
    copy(tmp_path / "in.vcf", tmp_path / "a.bcf", binary=True)
    copy(tmp_path / "a.bcf", tmp_path / "b.vcf")
    copy(tmp_path / "in.vcf", tmp_path / "c.vcf")
    records = [line for line in (tmp_path / "b.vcf").read_bytes().splitlines() if not line.startswith(b"#")]
    assert records == [line for line in (tmp_path / "c.vcf").read_bytes().splitlines() if not line.startswith(b"#")]


def test_what_a_bcf_cannot_hold_is_said(tmp_path: Path) -> None:
    (tmp_path / "in.vcf").write_bytes(HEADER.rstrip() + b"\tFORMAT\ts\nc1\t5\t.\tA\tC\t.\t.\tX\tGT:DP\t0/1:1:2:3\n")
    with pytest.raises(OutputError, match="BCF"):
        copy(tmp_path / "in.vcf", tmp_path / "out.bcf", binary=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf"]


@pytest.mark.parametrize(("info", "kept"), [("DP=3;", "DP=3;"), ("", ""), (";;", ""), (".", ""), ("A;;B", "A;B;")])
def test_empty_items_of_info_are_left_out(tmp_path: Path, info: str, kept: str) -> None:
    (tmp_path / "in.vcf").write_bytes(HEADER + f"c1\t5\t.\tA\tC\t.\t.\t{info}\n".encode())
    copy(tmp_path / "in.vcf", tmp_path / "out.vcf")
    line = (tmp_path / "out.vcf").read_text().splitlines()[-1]
    assert line.split("\t")[7].startswith(f"{kept}{PREFIX}STATUS=ok;")


def test_values_that_are_no_numbers_never_get_into_a_file() -> None:
    with pytest.raises(ValueError, match="not a number"):
        FIELDS[1].value(float("nan"))
    with pytest.raises(TypeError):
        FIELDS[2].value("three")


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("-", "tsv"),
        ("a.TSV", "tsv"),
        ("a.tsv.gz", "tsv.gz"),
        ("a.vcf", "vcf"),
        ("b.vcf.gz", "vcf.gz"),
        ("x.bcf", "bcf"),
    ],
)
def test_the_suffix_says_the_format(path: str, format: VariantFormat) -> None:
    assert format_of(path) == format


def test_an_unknown_suffix_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"\.vcf\.gz"):
        format_of("scores.xlsx")


@pytest.mark.parametrize("name", ["o.tsv.gz", "o.vcf.gz", "o.bcf"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_sorted_outputs_get_an_index(tmp_path: Path, name: str, is_sorted: bool) -> None:
    order = [("c1", 5), ("c1", 5), ("c1", 90), ("c2", 7)] if is_sorted else [("c1", 90), ("c1", 5), ("c2", 7)]
    text = HEADER.replace(b"#CHROM", b"##contig=<ID=c2>\n#CHROM")
    text += b"".join(f"{contig}\t{pos}\t.\tA\tC\t.\t.\t.\n".encode() for contig, pos in order)
    (tmp_path / "in.vcf").write_bytes(text)
    target = tmp_path / name
    Path(f"{target}.tbi").write_text("of an older file")
    keys = [Column("chrom", "str"), Column("pos", "int")]
    with read_variants(str(tmp_path / "in.vcf")) as reader:
        places = {"header": reader.header, "provenance": {"a": "b", "c": "d"}, "lengths": {"c1": 100, "c2": 100}}
        out = VariantOutput(str(target), format_of(name), keys, FIELDS, **places)  # type: ignore[arg-type]
        with out.opened() as place:
            for record in reader.records():
                first = record.variants[0]
                keyed = [{"chrom": first.contig, "pos": first.start + 1} | row for row in rows(record)]
                is_table = name == "o.tsv.gz"
                place.write(record, keyed if is_table else rows(record))
    index = Path(f"{target}{'.csi' if name == 'o.bcf' else '.tbi'}")
    if not is_sorted:
        assert out.indexed is None and "after" in str(out.problem)
        assert not list(tmp_path.glob("*.tbi")) and not list(tmp_path.glob("*.csi"))
        return
    assert out.indexed == index and index.is_file()
    if name == "o.tsv.gz":
        with pysam.TabixFile(str(target)) as table:
            assert [line.split("\t")[1] for line in table.fetch("c1", 4, 5)] == ["5", "5"]
            assert len(list(table.fetch("c2"))) == 1
    else:
        with pysam.VariantFile(str(target)) as found:
            assert [record.pos for record in found.fetch("c1", 4, 95)] == [5, 5, 90]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_writer_takes_variants_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("chrom\tpos\tref\talt\nc1\t5\tA\tC,G\n")
    copy(tmp_path / "in.tsv", tmp_path / "out.vcf")
    lines = (tmp_path / "out.vcf").read_text().splitlines()
    assert lines[1] == "##contig=<ID=c1,length=100>" and lines[-1].startswith("c1\t5\t.\tA\tC,G\t.\t.\tDNAHNET_")
