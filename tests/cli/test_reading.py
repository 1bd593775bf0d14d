"""What docs/reference/outputs.md says of other programs holds: they read the outputs, and get the same from each."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from dnahnet_cli.benchmarking import forward, scaling, yardsticks
from dnahnet_cli.io.table import Column
from tests.annotations.test_annotations import HERE, SNIPPY, genome_of
from tests.cli.conftest import Call
from tests.cli.conftest import call as call

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "outputs.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTION = TEXT.partition("## Reading the files\n")[2].partition("\n## ")[0]


@pytest.fixture
def outputs(call: Call, tmp_path: Path) -> Path:
    """The files that the section names, of Prokka's genes and snippy's calls, in the working directory."""
    genome, genes = genome_of(HERE / "prokka.gff", tmp_path), HERE / "prokka.gff"
    for name in ("scores.parquet", "scores.tsv", "scored.vcf.gz"):
        assert call("score-variants", genome, SNIPPY, "--genes", genes, "--suffix", "8", "-o", name).exit_code == 0
    assert call("boundaries", genome, "-o", "chunks.bed.gz").exit_code == 0
    assert call("score", genome, "--per-base", "bits.bedgraph.gz", "-o", "t.tsv").exit_code == 0
    lines = (line.split("\t") for line in genes.read_text().partition("##FASTA")[0].splitlines())
    cds = (line for line in lines if len(line) == 9 and line[2] == "CDS")
    rows = (f"{line[0]}\t{int(line[3]) - 1}\t{line[4]}\tg{line[3]}\t.\t{line[6]}\n" for line in cds)
    (tmp_path / "genes.bed").write_text("".join(rows))
    return tmp_path


def test_pandas_polars_and_duckdb_agree(outputs: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    table, parquet = names["scores"], pd.read_parquet("scores.parquet")
    assert isinstance(table, pl.DataFrame) and table.columns == list(parquet.columns)
    assert table["damage"].to_list() == pytest.approx(parquet["damage"].tolist(), rel=1e-5)
    genes = [None if pd.isna(gene) else gene for gene in parquet["gene"]]
    assert pl.read_parquet("scores.parquet")["gene"].to_list() == genes and genes[0] is None
    found = {term: (count, mean) for term, count, mean in names["by_term"]}
    for term, own in parquet.groupby("consequence")["damage"]:
        assert found.pop(term) == (len(own), pytest.approx(own.mean()))
    assert not found
    count = "SELECT count(*) FROM read_csv('chunks.bed.gz', delim='\t', comment='#', header=false)"
    chunks = duckdb.sql(count).fetchall()
    assert chunks == [(len(pd.read_csv("chunks.bed.gz", sep="\t", comment="#", header=None)),)]


@pytest.mark.skipif(not (shutil.which("bedtools") and shutil.which("bcftools")), reason="neither is installed")
def test_bedtools_and_bcftools_read_the_outputs(outputs: Path) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    shown = {}
    for command in block.strip().splitlines():
        done = subprocess.run(["bash", "-c", command], cwd=outputs, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command
        shown[command.split(" -")[0]] = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    overlaps, means, inside, query = (
        shown[name] for name in ("bedtools intersect", "bedtools map", "bcftools view", "bcftools query")
    )
    bits = pd.read_csv(outputs / "bits.bedgraph.gz", sep="\t", comment="#", header=None)[3]
    for line in means:
        _, start, end, *_, mean = line.split("\t")
        assert float(mean) == pytest.approx(bits[int(start) : int(end)].mean(), rel=1e-6)
    assert len(means) == 4
    parquet = pd.read_parquet(outputs / "scores.parquet")
    assert len(query) == len(parquet) == 13
    assert [line.split("\t")[2] for line in query] == parquet["consequence"].tolist()
    assert len(inside) == int((parquet["damage"] > 0.3).sum())
    coding = parquet["codon_change"].notna()
    assert len(overlaps) == int(coding.sum())  # of `intersect -u`, the last with that name


@pytest.mark.parametrize(
    ("section", "columns"),
    [
        ("benchmark forward", forward.COLUMNS),
        ("benchmark scaling", scaling.columns()),
        ("benchmark tool", yardsticks.COLUMNS),
    ],
)
def test_the_columns_of_a_benchmark_are_described(section: str, columns: list[Column]) -> None:
    text = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", text))
    stems = {"floor", "scale", "exponent"}  # of which there are three each, described together
    missing = [c.name for c in columns if c.name not in named and c.name.rsplit("_", 1)[0] not in stems]
    assert not missing
