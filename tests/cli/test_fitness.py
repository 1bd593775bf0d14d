"""fitness: one row per mutant in the order given, a map of all of them, and the correlation with what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dnahnet_cli.genome import decode
from tests.cli.conftest import Call, data_rows
from tests.conftest import random_codes

CDS = "ATGAAACTGGGGTACTTCTGTGCGGATACC"  # M K L G Y F C A D T


@pytest.fixture
def gene(tmp_path: Path) -> Path:
    (tmp_path / "gene.fa").write_text(f">geneA part of it\n{CDS}\n")
    around = decode(random_codes(500, 1)) + CDS + decode(random_codes(500, 2))
    (tmp_path / "genome.fa").write_text(f">chr\n{around}\n")
    return tmp_path / "gene.fa"


def test_rows_in_the_order_given_with_reasons(call: Call, gene: Path, tmp_path: Path) -> None:
    texts = ["K2R", "AAA2CGT", "c.4_6del", "rubbish", "W2R", "K2R:F6L"]
    (tmp_path / "m.txt").write_text("\n".join(texts) + "\n")
    result = call("fitness", gene, "m.txt", "--json-summary", "s.json")
    assert result.exit_code == 0, result.stderr
    rows = data_rows(result.stdout)
    assert [row["mutant"] for row in rows] == texts
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "unreadable", "does_not_fit", "ok"]
    assert [row["level"] for row in rows] == ["protein", "codon", "dna", "", "protein", "protein"]
    assert [row["effect"] for row in rows] == ["K2R", "K2R", "inframe_indel", "", "", "K2R:F6L"]
    assert [row["num_residues"] for row in rows] == ["1", "1", "", "", "", "2"]
    assert [row["blosum62"] for row in rows] == ["2", "2", "", "", "", "2"]
    for row in rows:
        numbers = [row[name] for name in ("llr", "llr_fwd", "llr_rev", "num_changes")]
        assert all(numbers) != bool(row["reason"]) and any(numbers) == all(numbers)
    assert "measured" not in rows[0] and "Spearman" not in result.stderr
    assert "geneA is K, not W" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["status"]["does_not_fit"] == 1
    assert call("fitness", gene, "m.txt", "--strict").exit_code == 3


def test_context_changes_scores_and_is_found_on_either_strand(call: Call, gene: Path, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("K2R\nc.9G>A\n")
    alone = data_rows(call("fitness", gene, "m.txt").stdout)
    within = data_rows(call("fitness", gene, "m.txt", "--genome", "genome.fa").stdout)
    assert [row["llr"] for row in alone] != [row["llr"] for row in within]
    swap = str.maketrans("ACGT", "TGCA")
    turned = (tmp_path / "genome.fa").read_text().split("\n")[1].translate(swap)[::-1]
    (tmp_path / "turned.fa").write_text(f">chr\n{turned}\n")
    other = data_rows(call("fitness", gene, "m.txt", "--genome", "turned.fa").stdout)
    for one, two in zip(within, other, strict=True):
        assert float(one["llr"]) == pytest.approx(float(two["llr"]), abs=1e-4)
        assert float(one["llr_fwd"]) == pytest.approx(float(two["llr_rev"]), abs=1e-4)


def test_saturation_and_its_map(call: Call, gene: Path, tmp_path: Path) -> None:
    result = call("fitness", gene, "--saturate", "--stops", "--positions", "2-4", "--plot", "map.png", "-o", "s.tsv")
    assert result.exit_code == 0, result.stderr
    rows = data_rows((tmp_path / "s.tsv").read_text())
    assert len(rows) == 3 * 20 and {row["status"] for row in rows} == {"ok"}
    assert [row["mutant"] for row in rows[:3]] == ["K2A", "K2C", "K2D"]
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_correlation_with_measurements(call: Call, gene: Path, tmp_path: Path, delimiter: str) -> None:
    texts = [f"K2{residue}" for residue in "ACDEFGHILMNPQRSTVWY"]
    measured = np.random.default_rng(1).normal(size=len(texts)).round(3)
    table = [["mutant", "other", "DMS_score"]] + [[t, "x", str(m)] for t, m in zip(texts, measured, strict=True)]
    table += [["K2A:L3A", "x", ""]]
    (tmp_path / "m.tsv").write_text("\n".join(delimiter.join(row) for row in table) + "\n")
    result = call("fitness", gene, "m.tsv", "-o", "out.tsv")
    assert result.exit_code == 0, result.stderr
    rows = data_rows((tmp_path / "out.tsv").read_text())
    assert [float(row["measured"]) for row in rows[:-1]] == measured.tolist() and rows[-1]["measured"] == ""
    assert "with dms_score, 19 mutants" in result.stderr
    for name, sign in (("llr", 1), ("blosum62", 1), ("hydropathy", 1), ("volume", 1), ("num_changes", -1)):
        expected = stats.spearmanr([sign * float(row[name]) for row in rows[:-1]], measured).statistic
        label = "fewer changes" if sign < 0 else name
        (line,) = (line.split(label)[1] for line in result.stderr.splitlines() if line.startswith(f"  {label}"))
        assert float(line.split()[0]) == pytest.approx(expected, abs=1e-3)


def test_a_table_of_mavedb_is_read_by_the_column_that_knows_the_mutant(call: Call, gene: Path, tmp_path: Path) -> None:
    header = "accession,hgvs_nt,hgvs_splice,hgvs_pro,score\n"
    rows = ["NA,NA,p.Lys2Glu", "c.4A>G,NA,p.Lys2Glu", "NA,NA,p.[Lys2Arg;Phe6Leu]", "_wt,NA,_wt", "NA,NA,p.Lys2="]
    numbered = [f"urn:mavedb:1#{number},{row},0.{number}\n" for number, row in enumerate(rows)]
    (tmp_path / "both.csv").write_text(header + "".join(numbered))
    (tmp_path / "protein.csv").write_text(header + numbered[0] + numbered[2])
    both = data_rows(call("fitness", gene, "both.csv").stdout)
    assert [row["mutant"] for row in both] == ["p.Lys2Glu", "c.4A>G", "p.[Lys2Arg;Phe6Leu]", "_wt", "p.Lys2="]
    assert [row["effect"] for row in both] == ["K2E", "K2E", "K2R:F6L", "", ""]
    assert [row["status"] for row in both[3:]] == ["does_not_fit"] * 2
    assert both[0]["llr"] == both[1]["llr"] and [row["measured"] for row in both[:2]] == ["0", "0.1"]
    result = call("fitness", gene, "protein.csv")
    assert result.exit_code == 0, result.stderr
    assert [row["llr"] for row in data_rows(result.stdout)] == [both[0]["llr"], both[2]["llr"]]
    (tmp_path / "none.csv").write_text("hgvs_nt,hgvs_pro\nNA,NA\n")
    assert "'NA' is not a mutation" in call("fitness", gene, "none.csv").stderr
    (tmp_path / "two.tsv").write_text("mutant\tvariant\n\tK2R\n")
    assert data_rows(call("fitness", gene, "two.tsv").stdout)[0]["mutant"] == "K2R"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["gene.fa"], 2, "either MUTANTS or --saturate"),
        (["gene.fa", "m.txt", "--saturate"], 2, "either MUTANTS or --saturate"),
        (["gene.fa", "m.txt", "--stops"], 2, "--saturate"),
        (["gene.fa", "--saturate", "--positions", "3-99"], 2, "within 1-10"),
        (["gene.fa", "m.txt", "--measured", "x"], 2, "plain list"),
        (["gene.fa", "t.tsv", "--measured", "x"], 2, "no such column; it has mutant, dms_score"),
        (["gene.fa", "t.tsv"], 1, "t.tsv:2 has the dms_score 'high'"),
        (["gene.fa", "empty.txt"], 1, "is empty"),
        (["gene.fa", "wrong.txt"], 1, "none of 1 mutants could be scored"),
        (["two.fa", "m.txt"], 1, "holds 2 sequences"),
        (["odd.fa", "m.txt"], 1, "not whole codons"),
        (["gene.fa", "m.txt", "--genome", "odd.fa"], 1, "occur 0 times"),
        (["gene.fa", "m.txt", "--plot", "x.gif"], 2, "unknown suffix"),
    ],
)
def test_errors(call: Call, gene: Path, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "m.txt").write_text("K2R\n")
    (tmp_path / "wrong.txt").write_text("W2R\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "t.tsv").write_text("mutant\tdms_score\nK2R\thigh\n")
    (tmp_path / "two.fa").write_text(">a\nATG\n>b\nATG\n")
    (tmp_path / "odd.fa").write_text(">a\nATGA\n")
    result = call("fitness", *arguments)
    assert result.exit_code == code and says in result.stderr and result.stdout.count("\n") <= 30
    assert "Traceback" not in result.stderr
