"""Rows of figures: what they are of, how they are averaged, and what their intervals say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnahnet_cli.evaluation.assays import Assay
from dnahnet_cli.evaluation.fitness import MODEL, SCORES, STATISTICS, add_peers, columns, fitness_rows
from dnahnet_cli.evaluation.mutants import BASELINES, AssayScores, FitnessOptions, Skip
from dnahnet_cli.evaluation.peers import parameters_of, reads_sequence_alone
from dnahnet_cli.evaluation.statistics import auroc, ndcg, spearman

OPTIONS = FitnessOptions(suffixes=(64,), draws=200)


def scores_of(name: str, protein: str, seed: int, *, size: int = 60, tie: float = 1.0, **changes: Any) -> AssayScores:
    """Return made-up scores: the model's and blosum62 follow the measurement, the others do not."""
    random = np.random.default_rng(seed)
    measured = random.normal(size=size)
    status = [Skip.OK] * size
    names = tuple(f"A{at + 1}C" for at in range(size))
    beside = {score: random.normal(size=size) for score in BASELINES}
    beside["blosum62"] = np.round(measured + random.normal(size=size))
    beside["num_residues"] = np.full(size, -1.0)
    fields = {"measured": measured, "positive": (measured > 0).astype(float), "residues": "A" * size, **changes}
    assay = Assay(name, protein, Path("none") / name, names, variants=None, sha256=name, dna_sha256=name, **fields)
    scores = AssayScores(assay, {64: status}, {64: tie * measured + random.normal(size=size)}, beside)
    return scores


@pytest.fixture(autouse=True)
def with_dna(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let assays that lie nowhere have DNA unless their name says otherwise."""
    monkeypatch.setattr(Assay, "dna", property(lambda self: None if self.name.startswith("bare") else self.folder))


def row_of(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    (row,) = (row for row in rows if all(row.get(key) == value for key, value in wanted.items()))
    return row


def test_an_assay_has_the_figures_of_its_columns() -> None:
    scores = scores_of("a", "P", 1)
    row = fitness_rows([scores], OPTIONS)[0]
    for score in SCORES:
        column = scores.model[64] if score == MODEL else scores.beside[score]
        prefix = "" if score == MODEL else f"{score}_"
        if score == "num_residues":  # constant: ranks nothing
            assert all(row[f"{prefix}{s}{end}"] is None for s in STATISTICS for end in ("", "_low", "_high"))
            continue
        assert row[f"{prefix}spearman"] == spearman(column, scores.assay.measured)
        assert row[f"{prefix}auc"] == auroc(column, scores.assay.positive)
        assert row[f"{prefix}ndcg"] == ndcg(column, scores.assay.measured)
        assert row[f"{prefix}spearman_low"] < row[f"{prefix}spearman"] < row[f"{prefix}spearman_high"]
    assert row["best_baseline"] == "blosum62"
    assert row["difference"] == row["spearman"] - row["blosum62_spearman"]
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert {**row}.keys() <= {column.name for column in columns(with_peers=False)}


def test_the_sign_is_kept() -> None:
    row = fitness_rows([scores_of("a", "P", 1, tie=-2.0)], OPTIONS)[0]
    assert row["spearman_high"] < -0.5 and row["auc"] < 0.3
    assert row["difference_high"] < 0 and row["difference_p"] < 0.05


def test_a_difference_that_is_none_has_no_small_p() -> None:
    scores = scores_of("a", "P", 4)
    scores.beside["blosum62"][:] = scores.model[64]  # type: ignore[index]
    row = fitness_rows([scores], OPTIONS)[0]
    assert (row["difference"], row["difference_low"], row["difference_high"], row["difference_p"]) == (0, 0, 0, 1)


def test_assays_of_a_protein_are_averaged_before_proteins() -> None:
    scored = [scores_of("a", "P", 1), scores_of("b", "P", 2, tie=0.2), scores_of("c", "Q", 3, tie=3.0)]
    rows = fitness_rows(scored, OPTIONS)
    assert [(row["level"], row.get("assay"), row.get("protein")) for row in rows] == [
        ("assay", "a", "P"), ("assay", "b", "P"), ("assay", "c", "Q"),
        ("protein", None, "P"), ("protein", None, "Q"), ("mean", None, None),
    ]  # fmt: skip
    one, two, other, protein, _, mean = (row["spearman"] for row in rows)
    assert protein == pytest.approx((one + two) / 2)
    assert mean == pytest.approx((protein + other) / 2)
    assert [row["num_averaged"] for row in rows] == [None, None, None, 2, 1, 2]
    assert [row["num_scored"] for row in rows] == [60, 60, 60, 120, 60, 180]
    width = [row["spearman_high"] - row["spearman_low"] for row in rows]
    assert width[-1] > max(width[3:5])  # two unlike proteins: which of them is drawn matters most
    assert rows[-1]["blosum62_spearman"] == pytest.approx(
        np.mean([rows[3]["blosum62_spearman"], rows[4]["blosum62_spearman"]])
    )


def test_the_assays_of_a_protein_share_their_resamples() -> None:
    """Twice the same assay is no more evidence than once."""
    rows = fitness_rows([scores_of("a", "P", 1), scores_of("b", "P", 1)], OPTIONS)
    assert rows[0]["spearman_low"] == rows[1]["spearman_low"] == pytest.approx(rows[2]["spearman_low"])


def test_figures_do_not_depend_on_the_company() -> None:
    alone = fitness_rows([scores_of("a", "P", 1)], OPTIONS)[0]
    among = fitness_rows([scores_of("c", "Q", 3), scores_of("a", "P", 1)], OPTIONS)[1]
    assert alone == among
    other_seed = fitness_rows([scores_of("a", "P", 1)], FitnessOptions(suffixes=(64,), draws=200, seed=2))[0]
    assert other_seed["spearman"] == alone["spearman"] and other_seed["spearman_low"] != alone["spearman_low"]


def test_assays_without_figures_have_rows_and_go_into_no_mean() -> None:
    constant = scores_of("constant", "P", 1, measured=np.full(60, 2.0))
    bare = scores_of("bare", "Q", 2)
    bare = AssayScores(bare.assay, {64: [Skip.NO_DNA] * 60}, {64: np.full(60, math.nan)}, bare.beside)
    nothing = scores_of("nothing", "R", 3)
    nothing = AssayScores(nothing.assay, {64: [Skip.STOP] * 60}, {64: np.full(60, math.nan)}, nothing.beside)
    good = scores_of("good", "S", 4)
    rows = fitness_rows([constant, bare, nothing, good], OPTIONS)
    assert [row["status"] for row in rows[:4]] == ["constant_scores", "no_dna", "nothing_scored", "ok"]
    assert [row["num_scored"] for row in rows[:4]] == [60, 0, 0, 60]
    assert [row["skipped"] for row in rows[:4]] == ["", "no_dna=60", "stop=60", ""]
    assert [row["spearman"] is None for row in rows[:4]] == [True, True, True, False]
    assert rows[1]["blosum62_spearman"] is not None and "best_baseline" not in rows[1]
    assert [(row["level"], row["num_averaged"]) for row in rows[4:]] == [("protein", 1), ("mean", 1)]
    assert rows[-1]["spearman"] == rows[3]["spearman"]


def test_without_classes_there_is_no_auc() -> None:
    row = fitness_rows([scores_of("a", "P", 1, positive=np.full(60, math.nan))], OPTIONS)[0]
    assert row["auc"] is None and row["auc_low"] is None and row["spearman"] is not None
    row = fitness_rows([scores_of("a", "P", 1, positive=np.ones(60))], OPTIONS)[0]
    assert row["auc"] is None


def test_differences_are_of_paired_resamples_and_averaged_where_both_are_defined() -> None:
    whole, lacking = scores_of("a", "P", 1), scores_of("b", "Q", 2)
    lacking.beside["num_changes"][:] = -1.0  # constant: no correlation
    rows = fitness_rows([whole, lacking], OPTIONS)
    first, second, mean = row_of(rows, assay="a"), row_of(rows, assay="b"), row_of(rows, level="mean")
    for score in ("num_changes", "blosum62", "markov"):
        assert first[f"{score}_difference"] == first["spearman"] - first[f"{score}_spearman"]
    assert first["blosum62_difference_p"] == first["difference_p"]  # blosum62 is the best one
    assert first["blosum62_difference_low"] == first["difference_low"]
    width = first["blosum62_difference_high"] - first["blosum62_difference_low"]
    separate = (first["spearman_high"] - first["spearman_low"]) + (
        first["blosum62_spearman_high"] - first["blosum62_spearman_low"]
    )
    assert width < separate  # both follow the measurement, so their resamples move together
    assert second["num_changes_difference"] is None and "num_changes_difference_p" not in second
    assert mean["num_changes_spearman"] is None
    assert mean["num_changes_difference"] == pytest.approx(first["num_changes_difference"])
    assert mean["blosum62_difference"] == pytest.approx(
        (first["blosum62_difference"] + second["blosum62_difference"]) / 2
    )
    assert all("num_residues_difference_p" not in row for row in rows)


@pytest.mark.parametrize(
    ("name", "parameters", "alone"),
    [
        ("ESM2 (650M)", 650_000_000, True),
        ("CARP (600K)", 600_000, True),
        ("xTrimoPGLM-100B-int4", 100_000_000_000, True),
        ("Progen3 112m", 112_000_000, True),
        ("Unirep", 18_200_000, True),
        ("Unirep evotuned", None, False),
        ("AIDO Protein-RAG (16B)", 16_000_000_000, False),
        ("ProSST (K=2048)", None, False),
        ("Tranception L", None, False),
        ("Tranception L no retrieval", 700_000_000, True),
        ("EVmutation", None, False),
    ],
)
def test_what_is_known_of_a_published_model(name: str, parameters: int | None, alone: bool) -> None:
    assert (parameters_of(name), reads_sequence_alone(name)) == (parameters, alone)


def test_peers_stand_beside_with_the_same_averaging() -> None:
    scored = [scores_of("a", "P", 1), scores_of("b", "P", 2), scores_of("c", "Q", 3), scores_of("bare", "R", 5)]
    scored[3] = AssayScores(scored[3].assay, {64: [Skip.NO_DNA] * 60}, {64: np.full(60, math.nan)}, scored[3].beside)
    rows = fitness_rows(scored, OPTIONS)
    peers = {
        "a": {"x": 0.99, "y": 0.0, "part": 1.0},
        "b": {"x": 0.97, "y": 0.2, "part": 1.0},
        "c": {"x": 0.9, "y": 0.5},
    }
    add_peers(rows, "spearman", peers)
    first, mean = row_of(rows, assay="a"), row_of(rows, level="mean")
    assert (first["num_peers"], first["peer_best"], first["peer_name"], first["peer_rank"]) == (3, 1.0, "part", 3)
    assert first["peer_median"] == 0.99
    assert row_of(rows, level="protein", protein="P")["peer_name"] == "part"
    assert (mean["num_peers"], mean["peer_name"]) == (2, "x")
    assert mean["peer_best"] == pytest.approx((0.98 + 0.9) / 2)
    assert mean["peer_median"] == pytest.approx(np.mean([(0.98 + 0.9) / 2, (0.1 + 0.5) / 2]))
    published = [row for row in rows if row["level"] == "peer"]
    assert [(row["peer_name"], row["num_averaged"]) for row in published] == [("x", 2), ("y", 2)]
    assert published[0]["spearman"] == mean["peer_best"] and published[0]["peer_reads"] == "more"
    assert row_of(rows, assay="bare")["num_peers"] == 0 and "peer_rank" not in row_of(rows, assay="bare")
    assert all(row.keys() <= {column.name for column in columns(with_peers=True)} for row in rows)
