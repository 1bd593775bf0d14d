"""Calibration: consequences by hand on both strands, shares and areas against independent figures, the section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.calibration import (
    Consequence,
    calibration_rows,
    columns,
    consequences,
    load_scores,
    save_scores,
)
from dnahnet_cli.evaluation.regions import Features
from dnahnet_cli.evaluation.report.calibration import section
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.genome import Gene, Strand, Variant, decode, encode, reverse_complement
from dnahnet_cli.io.genes import Annotation
from dnahnet_cli.io.rnas import OTHER_RNA, RnaGene
from dnahnet_cli.scoring.calibration import random_snvs
from dnahnet_cli.scoring.proteins import translate
from tests.conftest import MemoryGenome

CODING = "ATGAAACTTTGGTAA"  # M K L W stop
SEQUENCE = "CC" + CODING + "CCGG" + decode(reverse_complement(encode(CODING))) + "CC"
GENES = [Gene("c", Strand.FORWARD, ((2, 17),), "one"), Gene("c", Strand.REVERSE, ((21, 36),), "two")]
SETTINGS = {"genome": "g.fa", "null": 400, "test": 300}


def kind_of(place: int, alt: str, genes: list[Gene] = GENES, sequence: str = SEQUENCE) -> Consequence:
    genome = MemoryGenome({"c": sequence})
    features = Features.of(Annotation(genes), [RnaGene("c", 0, 1, None, OTHER_RNA)], genome.lengths, frozenset("c"))
    [kind] = consequences([Variant("c", place, sequence[place], alt)], genome, features)
    return kind


@pytest.mark.parametrize(
    ("in_gene", "alt", "kind"),
    [
        (0, "G", Consequence.START),
        (5, "G", Consequence.SYNONYMOUS),  # AAA > AAG
        (4, "G", Consequence.MISSENSE),  # AAA > AGA
        (3, "T", Consequence.NONSENSE),  # AAA > TAA
        (8, "A", Consequence.SYNONYMOUS),  # CTT > CTA
        (11, "A", Consequence.NONSENSE),  # TGG > TGA
        (13, "G", Consequence.STOP),  # TAA > TGA, a stop still
    ],
)
def test_consequences_by_hand_on_both_strands(in_gene: int, alt: str, kind: Consequence) -> None:
    assert kind_of(2 + in_gene, alt) is kind
    complement = {"A": "T", "C": "G", "G": "C", "T": "A"}[alt]
    assert kind_of(35 - in_gene, complement) is kind


def test_what_is_not_coding() -> None:
    assert kind_of(0, "A") is Consequence.RNA
    assert kind_of(18, "A") is Consequence.INTERGENIC
    overlapping = [*GENES, Gene("c", Strand.REVERSE, ((2, 5),), "three")]
    assert kind_of(3, "A", overlapping) is Consequence.UNCLEAR
    assert kind_of(6, "A", [Gene("c", Strand.FORWARD, ((2, 17),), "one", pseudo=True), GENES[1]]) is Consequence.UNCLEAR
    assert kind_of(6, "A", GENES, SEQUENCE[:7] + "N" + SEQUENCE[8:]) is Consequence.UNCLEAR


def test_a_gene_over_the_origin() -> None:
    turned = SEQUENCE[10:] + SEQUENCE[:10]  # the first gene now spans the end
    start = len(SEQUENCE) - 8
    genes = [Gene("c", Strand.FORWARD, ((start, start + 15),), "one")]
    assert kind_of(start + 4, "G", genes, turned) is Consequence.MISSENSE
    assert kind_of(start + 11 - len(SEQUENCE), "A", genes, turned) is Consequence.NONSENSE


def test_consequences_agree_with_translating_the_whole_gene() -> None:
    genome = MemoryGenome({"c": SEQUENCE})
    snvs = random_snvs(genome, 10**4, [0])
    features = Features.of(Annotation(GENES), [], genome.lengths)
    for snv, kind in zip(snvs, consequences(snvs, genome, features), strict=True):
        changed = encode(SEQUENCE[: snv.start] + snv.alt + SEQUENCE[snv.start + 1 :])
        proteins = [translate(changed[2:17]), translate(reverse_complement(changed[21:36]))]
        inside = [own for own in proteins if own != "MKLW*"]
        match kind:
            case Consequence.INTERGENIC | Consequence.SYNONYMOUS:
                assert not inside
            case Consequence.NONSENSE:
                assert "*" in inside[0][1:4]
            case Consequence.MISSENSE:
                assert sum(a != b for a, b in zip(inside[0], "MKLW*", strict=True)) == 1 and "*" not in inside[0][:4]
    assert {Consequence.START, Consequence.STOP} <= set(consequences(snvs, genome, features))


def made_up(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, list[Consequence]]:
    random = np.random.default_rng(5)
    kinds = [Consequence.SYNONYMOUS, Consequence.MISSENSE, Consequence.NONSENSE] * 100
    effect = {Consequence.SYNONYMOUS: 0.3, Consequence.MISSENSE: 0.0, Consequence.NONSENSE: -0.8}
    test = np.array([random.normal(effect[kind]) for kind in kinds])
    null = np.array([random.normal(effect[kinds[at % 300]]) for at in range(400)])
    return null, test + shift, kinds


def level(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["level"] == name]


def test_shares_are_counted_and_have_intervals() -> None:
    null, test, _ = made_up()
    rows = calibration_rows(null, test, None, 300, 1)
    known = {column.name: column for column in columns()}
    assert len(rows) == 12  # 400 in the null reach 26.03: a phred of 30 is out of reach
    for row in rows:
        for name, value in row.items():
            known[name].check(value)
        ranks = np.array([1 + (-null >= -llr).sum() for llr in test])
        share = (ranks / 401 <= 10 ** (-row["phred"] / 10) + 1e-9).mean()
        assert row["observed"] == pytest.approx(share)
        assert row["expected"] == pytest.approx(int(401 * 10 ** (-row["phred"] / 10)) / 401)
        assert row["observed_low"] <= row["observed"] <= row["observed_high"]
    assert min(row["p_adjusted"] for row in rows) > 0.05
    shifted = calibration_rows(null, test - 2, None, 1000, 1)  # fewer draws cannot tell after Holm
    assert min(row["p_adjusted"] for row in shifted) < 0.05


def test_the_interval_covers_what_is_expected_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = []
    for _ in range(60):
        rows = calibration_rows(random.normal(size=100), random.normal(size=150), None, 200, 1)
        [ten] = [row for row in rows if row["phred"] == 10]
        covered.append(ten["observed_low"] <= ten["expected"] <= ten["observed_high"])
    assert np.mean(covered) > 0.8


def test_consequences_have_means_and_areas() -> None:
    null, test, kinds = made_up()
    rows = level(calibration_rows(null, test, kinds, 300, 1), "consequence")
    assert [row["consequence"] for row in rows] == ["synonymous", "missense", "nonsense"]
    labels = np.array([kind.value for kind in kinds])
    for row in rows:
        own = labels == row["consequence"]
        assert row["llr"] == pytest.approx(test[own].mean()) and row["num_snvs"] == 100
        assert row["llr_low"] < row["llr"] < row["llr_high"]
    assert rows[0].get("auroc_synonymous") is None and rows[0].get("p") is None
    both = labels != "missense"
    assert rows[2]["auroc_synonymous"] == pytest.approx(roc_auc_score(labels[both] == "nonsense", -test[both]))
    assert rows[2]["p_adjusted"] == pytest.approx(2 * rows[2]["p"]) and rows[2]["p_adjusted"] < 0.05
    few = [kind if at < 27 else Consequence.SYNONYMOUS for at, kind in enumerate(kinds)]  # 9 of each other one
    for row in level(calibration_rows(null, test, few, 50, 1), "consequence")[1:]:
        assert row["num_snvs"] == 9 and row["auroc_synonymous"] is not None
        assert not {"p", "llr_low", "auroc_synonymous_high"} & row.keys()
    alone = level(calibration_rows(null, test, [Consequence.RNA] * 300, 50, 1), "consequence")
    assert len(alone) == 1 and alone[0].get("auroc_synonymous") is None


def test_scores_that_are_kept(tmp_path: Path) -> None:
    snvs = random_snvs(MemoryGenome({"c": SEQUENCE}), 5, [0])
    path, made_by = tmp_path / "s.parquet", {"seed": "1"}
    assert load_scores(path, made_by) is None
    save_scores(path, {"null": (snvs[:3], np.arange(3.0)), "test": (snvs[3:], np.arange(2.0))}, made_by)
    found = load_scores(path, made_by)
    assert found is not None and {name: llrs.tolist() for name, llrs in found.items()} == {
        "null": [0, 1, 2],
        "test": [0, 1],
    }
    assert load_scores(path, {"seed": "2"}) is None
    path.write_bytes(b"nonsense")
    assert load_scores(path, made_by) is None


@pytest.mark.parametrize(
    ("shift", "says"), [(0.0, "At none of 12 thresholds"), (-2.0, "differs from the expected one")]
)
def test_the_section_says_what_the_figures_say(tmp_path: Path, shift: float, says: str) -> None:
    null, test, kinds = made_up(shift)
    for own in (kinds, None):
        rows = calibration_rows(null, test, own, 1000, 1)
        text = section(EvaluationResult("calibration", {"sha256": "0"}, SETTINGS, rows), tmp_path)
        assert text.startswith("## ") and says in text and "None" not in text and "nan" not in text
        assert ("Nonsense SNVs are found more damaging" in text) is (own is not None)
    [picture] = tmp_path.iterdir()
    assert f"({tmp_path.name}/{picture.name})" in text and picture.read_bytes().startswith(b"\x89PNG")


def test_the_section_admits_what_is_not_told_apart(tmp_path: Path) -> None:
    null, test, kinds = made_up()
    rows = calibration_rows(null, np.random.default_rng(2).permutation(test), kinds, 200, 1)
    text = section(EvaluationResult("calibration", {"sha256": "0"}, SETTINGS, rows), tmp_path)
    assert "Missense SNVs are not told from synonymous ones beyond chance" in text


def test_no_base_no_null() -> None:
    with pytest.raises(InputError):
        random_snvs(MemoryGenome({}), 3, [1])
