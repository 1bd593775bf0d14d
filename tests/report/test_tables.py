"""What the commands write comes back as it was, whatever the format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.table import Column, open_table
from dnahnet_cli.io.variants import read_variants
from dnahnet_cli.io.vcf import InfoField, open_vcf
from dnahnet_cli.report.tables import read_scored
from dnahnet_cli.report.variants import NEEDED
from tests.report.pages import MODEL, VARIANT_COLUMNS, variant_rows

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029"), min_size=1)


def known(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return rows without what is missing, numbers with the digits of a TSV."""
    return [
        {key: float(f"{v:.6g}") if isinstance(v, float) else v for key, v in row.items() if v is not None}
        for row in rows
    ]


@pytest.mark.parametrize("name", ["v.tsv", "v.tsv.gz", "v.parquet"])
def test_tables_come_back(tmp_path: Path, name: str) -> None:
    with open_table(tmp_path / name, VARIANT_COLUMNS, provenance=MODEL) as table:
        table.write(variant_rows())
    found = read_scored(str(tmp_path / name), NEEDED, "score-variants")
    assert list(found.columns) == [column.name for column in VARIANT_COLUMNS]
    assert found.provenance == MODEL
    assert known(found.rows) == known(variant_rows())


@given(_TEXT, st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str, score: float) -> None:
    path = tmp_path_factory.mktemp("any") / "any.tsv"
    row = {"gene": text, "score": score}
    with open_table(path, [Column("gene", "str"), Column("score", "float")], provenance={}) as table:
        table.write([row])
    assert known(read_scored(str(path), ("gene",), "essentiality").rows) == known([row])


@pytest.mark.parametrize("name", ["v.vcf", "v.vcf.gz", "v.bcf"])
def test_fields_of_a_vcf_become_columns(tmp_path: Path, name: str) -> None:
    plain = tmp_path / "in.vcf"
    plain.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=c,length=100>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "c\t7\t.\tA\tC,<DEL>\t.\t.\tDP=3\nc\t9\tx\tG\t.\t.\t.\t.\n"
    )
    columns = [Column("status", "str"), Column("damage", "float"), Column("gene", "str"), Column("product", "str")]
    product = "N-acetyl_glucosamine kinase_A, 100% a%20b"
    values = [{"status": "ok", "damage": 1.25, "gene": "a;b=c,d%e", "product": product}, {"status": "symbolic"}]
    reader = read_variants(str(plain))
    fields = [InfoField(column, "made up") for column in columns]
    with open_vcf(
        tmp_path / name, reader.header, fields, binary=name.endswith("bcf"), provenance=MODEL, lengths={"c": 100}
    ) as out:
        for record, rows in zip(reader.records(), [values, [{}]], strict=True):
            out.write(record, rows)
    found = read_scored(str(tmp_path / name), NEEDED, "score-variants")
    assert found.provenance == MODEL
    place = {"chrom": "c", "pos": 7, "id": ".", "ref": "A"}
    assert list(found.rows) == [
        place | {"alt": "C", "alt_index": 1} | values[0],
        place | {"alt": "<DEL>", "alt_index": 2} | values[1],
        {"chrom": "c", "pos": 9, "id": "x", "ref": "G", "alt": ".", "alt_index": 1, "status": "no_alt"},
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nc\t1\t.\tA\tC\n", "variants without scores"),
        ("chrom\tpos\nc\t1\n", "no column 'ref'"),
        (">c\nACGT\n", "is a FASTA file"),
        ("chrom\tpos\tref\talt\tstatus\tdamage\nc\t1\tA\n", ":2 has 3 columns"),
        ("chrom\tpos\tref\talt\tstatus\tdamage\nc\tone\tA\tC\tok\t1\n", "pos 'one'"),
        ("chrom\tpos\tref\talt\tstatus\tdamage\nc\t1\tA\tC\tok\tnan\n", "damage 'nan'"),
    ],
)
def test_what_cannot_be_shown_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "input"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        list(read_scored(str(path), NEEDED, "score-variants").rows)
