"""The Python API: the rows of the commands, imported without anything heavy, and documented as it works."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import dnahnet_cli as dnahnet
from dnahnet_cli import limits
from dnahnet_cli.errors import DnahnetError, InputError, UsageError
from dnahnet_cli.genome import decode
from tests.cli.conftest import Call
from tests.conftest import random_codes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md"
CHROMOSOME = decode(random_codes(3000, 1))
GFF = "".join(
    f"chr1\tx\tCDS\t{start}\t{end}\t.\t{strand}\t0\tID={name}\n"
    for start, end, strand, name in ((101, 400, "+", "g1"), (501, 800, "-", "g2"), (5, 9, "-", "g3"))
)
GENE = "ATGAAACTGGGGTACTTCTGTGCGGATACC"


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> dnahnet.Model:
    return dnahnet.load_model(tiny_model, device="cpu", threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genome.fa").write_text(f">chr1\n{CHROMOSOME}\n")
    (tmp_path / "genes.gff").write_text(GFF)
    rows = "".join(f"chr1\t{pos}\t.\t{CHROMOSOME[pos - 1]}\t{alt}\t.\t.\t.\n" for pos, alt in ((50, "N"), (700, "ACG")))
    (tmp_path / "calls.vcf").write_text(f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{rows}")
    other = (tmp_path / "calls.vcf").read_text().replace("chr1", "other").replace("other\t700\t.\t", "other\t700\t.\tG")
    (tmp_path / "other.vcf").write_text(other)
    (tmp_path / "names").write_text("other chr1\n")
    (tmp_path / "gene.fa").write_text(f">gene\n{GENE}\n")
    (tmp_path / "m.tsv").write_text("mutant\tscore\tother\nK2R\t1.5\t7\nW2R\t2\t\nc.4_6del\t\t1\n")
    return tmp_path


CASES: dict[str, tuple[list[str], Any]] = {
    "variants": (["score-variants", "genome.fa", "calls.vcf"], lambda m: m.score_variants("genome.fa", "calls.vcf")),
    "genes, phred and other names": (
        [
            *("score-variants", "genome.fa", "other.vcf", "--genes", "genes.gff", "--null", "9", "-r", "chr1:60-900"),
            *("--rename-contigs", "names", "--genetic-code", "4", "--upstream", "50"),
            *("--on-ref-mismatch", "use-genome"),
        ],
        lambda m: m.score_variants(
            "genome.fa",
            "other.vcf",
            genes="genes.gff",
            null=9,
            rename_contigs={"other": "chr1"},
            regions=["chr1:60-900"],
            genetic_code=4,
            upstream=50,
            on_ref_mismatch="use-genome",
        ),
    ),
    "all SNVs": (
        ["score-variants", "genome.fa", "--all-snvs", "-r", "chr1:99-102", "--genes", "genes.gff"],
        lambda m: m.score_variants("genome.fa", regions=["chr1:99-102"], genes="genes.gff"),
    ),
    "score": (["score", "genome.fa", "--markov", "2"], lambda m: m.score("genome.fa", markov=2)),
    "regions": (
        ["score", "genome.fa", "-r", "chr1:5-90", "--strand", "forward"],
        lambda m: m.score("genome.fa", regions=["chr1:5-90"], strand="forward"),
    ),
    "essentiality": (
        ["essentiality", "genome.fa", "genes.gff", "--protocol", "multi", "--suffix", "100", "--circular", "all"],
        lambda m: m.essentiality("genome.fa", "genes.gff", protocol="multi", suffix=100, circular="all"),
    ),
    "genes of a region": (
        ["essentiality", "genome.fa", "genes.gff", "-r", "chr1:450-1000"],
        lambda m: m.essentiality("genome.fa", "genes.gff", regions=["chr1:450-1000"]),
    ),
    "some of the saturation": (
        ["fitness", "gene.fa", "--saturate", "--positions", "2-3", "--stops"],
        lambda m: m.fitness("gene.fa", positions=(2, 3), stops=True),
    ),
    "named measurements": (
        ["fitness", "gene.fa", "m.tsv", "--measured", "other"],
        lambda m: m.fitness("gene.fa", "m.tsv", measured="other"),
    ),
    "fitness": (["fitness", "gene.fa", "m.tsv"], lambda m: m.fitness("gene.fa", "m.tsv")),
    "saturation": (["fitness", "gene.fa", "--saturate"], lambda m: m.fitness("gene.fa")),
    "embed genes of a region": (
        ["embed", "genome.fa", "--genes", "genes.gff", "-r", "chr1:450-1000", "--stage", "1"],
        lambda m: m.embed("genome.fa", genes="genes.gff", regions=["chr1:450-1000"], stages=[1]),
    ),
    "embed": (
        ["embed", "genome.fa", "--genes", "genes.gff", "--stage", "1", "--per-strand"],
        lambda m: m.embed("genome.fa", genes="genes.gff", stages=[1], per_strand=True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_are_those_of_the_command(call: Call, model: dnahnet.Model, folder: Path, case: str) -> None:
    arguments, method = CASES[case]
    result = call(*arguments, "-o", "out.parquet")
    assert result.exit_code == 0, result.stderr
    expected = pq.read_table(folder / "out.parquet")
    table = method(model).to_arrow()
    assert table.equals(expected) and table.num_rows
    if not case.startswith("embed"):  # there vectors are arrays
        assert list(method(model)) == expected.to_pylist()
    kept = {key: value for key, value in expected.schema.metadata.items() if key in table.schema.metadata}
    by_command = {key.decode() for key in expected.schema.metadata if key.startswith(b"dnahnet.")}
    told = {key.decode() for key in kept}
    assert by_command - told <= {"dnahnet.command", "dnahnet.reference"} and "dnahnet.dtype" in told
    assert all(table.schema.metadata[key] == value for key, value in kept.items())


def test_variants_in_memory(model: dnahnet.Model) -> None:
    rows = list(model.score_variants("genome.fa", "calls.vcf", genes="genes.gff", null=5))
    tuples = [("other", 50, CHROMOSOME[49], "N"), ("other", 700, CHROMOSOME[699], "ACG")]
    renamed: dict[str, Any] = {"genes": "genes.gff", "null": 5, "rename_contigs": {"other": "chr1"}}
    in_memory = list(model.score_variants({"chr1": CHROMOSOME}, tuples, **renamed))
    assert [row | {"chrom": "chr1"} for row in in_memory] == rows
    assert rows[1]["gene"] == "g2" and rows[1]["phred"] >= 0 and rows[0]["phred"] is None


def test_boundaries_are_the_lines_of_the_bed(call: Call, model: dnahnet.Model) -> None:
    lines = [line.split("\t") for line in call("boundaries", "genome.fa").stdout.splitlines() if line[0] != "#"]
    rows = list(model.boundaries("genome.fa"))
    assert lines == [
        [
            r["chrom"],
            str(r["start"]),
            str(r["end"]),
            f"stage{r['stage']}",
            str(round(1000 * r["probability"])),
            r["strand"],
        ]
        for r in rows
    ]
    assert list(model.boundaries("genome.fa", stages=[2])) == [row for row in rows if row["stage"] == 2]
    frame = model.boundaries("genome.fa", regions=["chr1:1-100"]).to_pandas()
    assert (frame["end"] - frame["start"]).groupby([frame["stage"], frame["strand"]]).sum().tolist() == [100] * 4


def test_generated_sequences(call: Call, model: dnahnet.Model) -> None:
    text = call("generate", "--prompt", "ACGTAC", "-n", "2", "-l", "40", "--seed", "3").stdout
    rows = list(model.generate(["ACGTAC"], number=2, length=40, seed=3))
    assert re.findall(r">(\S+) .*\n([ACGT]+)\n", text) == [(row["name"], row["sequence"]) for row in rows]
    assert [row["name"] for row in model.generate({"one": "A"}, length=1)] == ["one_1"]
    assert list(model.generate("ACGTAC", number=2, length=40, seed=3)) == rows


def test_rows_come_once_and_one_by_one(model: dnahnet.Model) -> None:
    rows = model.score({"a": CHROMOSOME[:200], "b": "NN", "c": CHROMOSOME[:100]})
    assert isinstance(rows, dnahnet.Rows)
    first = next(rows)
    assert list(first) == rows.columns and first["chrom"] == "a"
    rest = rows.to_pandas()
    assert rest["chrom"].tolist() == ["b", "c"] and list(rows) == []
    assert rest["num_bases"].dtype == pd.Int64Dtype() and pd.isna(rest["bits_per_base"][0])
    genes = model.essentiality("genome.fa", "genes.gff").to_pandas()
    assert genes["rank"].dtype == pd.Int64Dtype() and genes["rank"].isna().tolist() == [False, False, True]


def test_regions_without_a_variant_make_a_warning(model: dnahnet.Model) -> None:
    elsewhere = [("chromosome", 100, CHROMOSOME[99], "A")]
    with pytest.warns(UserWarning, match="no variant lies in the regions; if they have another name for chr1"):
        assert list(model.score_variants("genome.fa", elsewhere, regions=["chr1:60-900"])) == []


def test_what_is_wrong_raises(model: dnahnet.Model) -> None:
    for wrong, kind in (
        (lambda: list(model.score("missing.fa")), InputError),
        (lambda: list(model.score("genome.fa", regions=["nowhere"])), UsageError),
        (lambda: list(model.score("genome.fa", strand="sideways")), UsageError),
        (lambda: list(model.score("genome.fa", circular=["nowhere"])), InputError),
        (lambda: model.score_variants("genome.fa", on_ref_mismatch="guess"), UsageError),
        (lambda: list(model.score_variants("genome.fa", rename_contigs={"a": "b"})), InputError),
        (lambda: list(model.score_variants("genome.fa", genes="calls.vcf")), InputError),
        (lambda: model.embed("genome.fa", stages=[9]), UsageError),
        (lambda: list(model.essentiality({"a": "ACGT"})), UsageError),
        (lambda: model.boundaries("genome.fa", stages=[0]), UsageError),
        (lambda: model.fitness("gene.fa", ["K2R"], stops=True), UsageError),
        (lambda: list(model.fitness("gene.fa", positions=(3, 99))), UsageError),
        (lambda: list(model.score("genome.fa", circular=1)), UsageError),
        (lambda: list(model.score("genome.fa", regions="nowhere")), UsageError),
        (lambda: list(model.score("genome.fa", regions=[1])), UsageError),
        (lambda: list(model.score({"a": None})), InputError),
        (lambda: model.score("genome.fa", markov=12), UsageError),
        (lambda: model.score("genome.fa", markov="2"), UsageError),
        (lambda: model.essentiality("genome.fa", protocol="triple"), UsageError),
        (lambda: model.embed("genome.fa", pool="mean"), UsageError),
        (lambda: model.embed("genome.fa", stages=1), UsageError),
        (lambda: model.embed("genome.fa", stages=["1"]), UsageError),
        (lambda: model.score_variants("genome.fa", context=-3), UsageError),
        (lambda: model.score_variants("genome.fa", context=4097), UsageError),
        (lambda: model.score_variants("genome.fa", suffix=-3), UsageError),
        (lambda: model.score_variants("genome.fa", suffix=1.5), UsageError),
        (lambda: model.score_variants("genome.fa", max_indel=5000), UsageError),
        (lambda: model.score_variants("genome.fa", null=-1), UsageError),
        (lambda: model.score_variants("genome.fa", null=9, seed=-1), UsageError),
        (lambda: model.score_variants("genome.fa", upstream=-1), UsageError),
        (lambda: list(model.score_variants("genome.fa", [("chr1", 50, "A", None)])), InputError),
        (lambda: list(model.score_variants("genome.fa", [("chr1", "50", "A", "C")])), InputError),
        (lambda: list(model.score_variants("genome.fa", [("chr1", 50, "A")])), InputError),
        (lambda: list(model.score_variants("genome.fa", [None])), InputError),
        (lambda: model.fitness("gene.fa", [None]), InputError),
        (lambda: list(model.fitness("gene.fa", positions=("a", "b"))), UsageError),
        (lambda: list(model.fitness("gene.fa", positions=(1, 2, 3))), UsageError),
        (lambda: model.generate(length=0), UsageError),
        (lambda: model.generate(number=0), UsageError),
        (lambda: model.generate(seed=-1), UsageError),
        (lambda: model.generate(temperature=float("nan")), UsageError),
        (lambda: model.generate(top_p="much"), UsageError),
        (lambda: model.generate(["HELLO!"]), UsageError),
        (lambda: model.generate([None]), UsageError),
        (lambda: dnahnet.load_model(threads=0), UsageError),
        (lambda: dnahnet.load_model("nonsense"), DnahnetError),
        (lambda: dnahnet.load_model(device="abacus"), UsageError),
        (lambda: dnahnet.load_model(dtype="float8"), UsageError),
    ):
        with pytest.raises(kind):
            wrong()
    with pytest.raises(AttributeError):
        dnahnet.nothing  # noqa: B018


def test_provenance_says_which_contigs_were_read_as_circular(model: dnahnet.Model) -> None:
    variant = [("b", 4, CHROMOSOME[3], "N"), ("b", 5, CHROMOSOME[4], "ACGT"[CHROMOSOME[4] == "A"])]
    genome = {"b": CHROMOSOME[:300], "a": CHROMOSOME[300:600]}
    none, every = (model.score_variants(genome, variant, circular=circular) for circular in ("none", "all"))
    before = dict(every.provenance)
    llrs = [rows.to_pandas()["llr"][1] for rows in (none, every)]
    assert llrs[0] != llrs[1] and "circular" not in none.provenance
    assert every.provenance == before | {"circular": "a,b"} and before["dtype"] == "float32"
    some = model.score(genome, circular=["b"]).to_arrow()
    assert some.schema.metadata[b"dnahnet.circular"] == b"b"


def test_numbers_of_numpy_are_numbers(model: dnahnet.Model) -> None:
    position, length = np.arange(50, 51)[0], np.int32(3)
    (row,) = model.score_variants("genome.fa", [["chr1", position, CHROMOSOME[49], "N"]], context=np.int64(64))
    assert row["pos"] == 50 and row["status"] == "alt_not_acgt"
    (drawn,) = model.generate(length=length, temperature=np.float32(0.5))
    assert len(drawn["sequence"]) == 3


def test_limits_are_those_of_the_commands(call: Call, model: dnahnet.Model) -> None:
    for name, arguments, method in (
        ("max_indel", ("score-variants", "genome.fa", "calls.vcf"), model.score_variants),
        ("suffix", ("score-variants", "genome.fa", "calls.vcf"), model.score_variants),
        ("context", ("score", "genome.fa"), model.score),
        ("markov", ("score", "genome.fa"), model.score),
    ):
        for value in (getattr(limits, name.upper()).least - 1, getattr(limits, name.upper()).most + 1):
            assert call(*arguments, f"--{name.replace('_', '-')}", value).exit_code == 2
            with pytest.raises(UsageError, match=f"{name} {value}: expected a whole number from "):
                method("genome.fa", **{name: value})


def test_importing_imports_nothing_heavy() -> None:
    code = (
        "import sys, dnahnet_cli\n"
        "assert dnahnet_cli.__version__ and set(dnahnet_cli.__all__) <= set(dir(dnahnet_cli))\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'numpy', 'pysam', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import dnahnet_cli.networks.devices\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_works_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """All code of the page, from top to bottom, as a reader would paste it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    shown = capsys.readouterr().out
    assert "missing.fa does not exist" in shown and "spanning_deletion None" in shown
    methods = dict(re.findall(r"^\| `(\w+)\((.*?)\)`", PAGE.read_text(), re.MULTILINE))
    public = {name for name in vars(dnahnet.Model) if not name.startswith("_")}
    assert set(methods) == public
    for name, given in methods.items():
        described = re.findall(r"(\w+)(?:=[^,]*)?(?:, |$)", given.replace("*, ", "").replace('("",)', "0"))
        assert described == list(inspect.signature(getattr(dnahnet.Model, name)).parameters)[1:], name


@pytest.mark.parametrize("circular", ["auto", "all", ["c"]])
def test_genes_over_the_origin_of_what_the_genome_calls_circular(tmp_path: Path, circular: str | list[str]) -> None:
    (tmp_path / "g.fa").write_text(">c circular=true\n" + "ACGGATTCAGC" * 60 + "\n")
    line = "c\tx\tCDS\t{}\t{}\t.\t+\t0\tID=a\n"
    (tmp_path / "g.gff").write_text("##gff-version 3\n" + line.format(601, 660) + line.format(1, 60))
    rows = list(
        dnahnet.load_model("dnahnet-tiny").essentiality(tmp_path / "g.fa", tmp_path / "g.gff", circular=circular)
    )
    assert [(row["start"], row["end"]) for row in rows] == [(601, 720)]
