"""Bits per base: ratios of sums by hand and by scikit-learn, intervals over windows, means over genomes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from dnahnet_cli.evaluation.compression import BACKGROUND, GenomeSums, columns, compression_rows
from dnahnet_cli.evaluation.regions import CLASSES
from dnahnet_cli.evaluation.report.compression import section
from dnahnet_cli.evaluation.results import EvaluationResult
from dnahnet_cli.evaluation.windows import ADAPTIVE, BINS, ENTROPY, MODEL, WindowSums
from dnahnet_cli.genome import Interval, Strand

STRANDS = (Strand.FORWARD, Strand.REVERSE)
W, C, PER = 12, len(CLASSES), 100
SETTINGS = {"windows": 12, "window_bp": PER, "seed": 1, "markov": 9, "inputs_sha256": {"g": "0"}}


def genome(name: str = "g", seed: int = 1, model: float = 1.8, adaptive: float = 1.9, num: int = W) -> GenomeSums:
    """Return made-up sums: about `model` bits, and `adaptive`, of bases of classes 0 to 4, on two contigs."""
    random = np.random.default_rng(seed)
    bases = np.zeros((num, 2, C, 4))
    bases[:, :, :5] = random.integers(1, 6, (num, 2, 5, 4))
    total = bases.sum(axis=3)
    nats = {
        n: total * (bits + random.normal(0, 0.02, total.shape)) * math.log(2)
        for n, bits in ((MODEL, model), (ENTROPY, model - 0.1), (ADAPTIVE, adaptive))
    }
    called = np.zeros((num, 2, 4, len(BINS) - 1, 3))
    number = random.integers(0, 50, called.shape[:-1])
    called[..., 0] = number
    called[..., 1] = number * (BINS[:-1] + 0.02)
    called[..., 2] = random.binomial(number, 0.5)
    windows = [Interval("a" if at < num - 2 else "b", at * PER, (at + 1) * PER) for at in range(num)]
    sums = WindowSums(windows, STRANDS, bases, nats, called)
    return GenomeSums(name, sums, {"a": 1000, "b": 200, "undrawn": 50}, {"xz": 1.95, "bz2": 2.1}, True)


def level(rows: list[dict[str, Any]], name: str, **more: Any) -> list[dict[str, Any]]:
    return [row for row in rows if row["level"] == name and all(row.get(k) == v for k, v in more.items())]


def test_rows_have_only_known_columns_and_values() -> None:
    rows = compression_rows([genome(), genome("h", 2)], 50, 1)
    known = {column.name: column for column in columns()}
    for row in rows:
        assert row.keys() <= known.keys()
        for name, value in row.items():
            known[name].check(value)
    assert len(known) == len(columns())


def test_figures_are_ratios_of_sums() -> None:
    own = genome()
    rows = compression_rows([own], 200, 1)
    [row] = level(rows, "genome")
    total = own.sums.bases_WSC4.sum()
    for name, figure in ((MODEL, "bits_per_base"), (ENTROPY, "entropy"), (ADAPTIVE, ADAPTIVE)):
        assert row[figure] == pytest.approx(own.sums.nats_WSC[name].sum() / total / math.log(2))
        assert row[f"{figure}_low"] < row[figure] < row[f"{figure}_high"]
    assert row["excess"] == pytest.approx(row["bits_per_base"] - row["entropy"])
    assert (row["num_predictions"], row["num_windows"]) == (total, W)
    bases = own.sums.bases_WSC4[:, 0].sum(axis=(0, 1))
    share = bases / bases.sum()
    assert row["order0"] == pytest.approx(-(share * np.log2(share)).sum())
    assert (row["compressor"], row["compressor_name"], row["in_training"]) == (1.95, "xz", False)
    assert (row["best_baseline"], row["difference"]) == (ADAPTIVE, row["bits_per_base"] - row[ADAPTIVE])
    assert row["difference_high"] < 0 and row["difference_p"] == pytest.approx(2 / 201)
    forward = own.sums.nats_WSC[MODEL][:, 0].sum() / own.sums.bases_WSC4[:, 0].sum() / math.log(2)
    assert row["bits_per_base_fwd"] == pytest.approx(forward)


def test_classes_and_contigs() -> None:
    own = genome()
    rows = compression_rows([own], 200, 1)
    regions = level(rows, "region")
    assert [row["region"] for row in regions] == ["coding", *CLASSES[:5]]  # no row for what is not there
    n, x = own.sums.bases_WSC4.sum(axis=3), own.sums.nats_WSC[MODEL] / math.log(2)
    assert regions[0]["bits_per_base"] == pytest.approx(x[:, :, 1:4].sum() / n[:, :, 1:4].sum())
    assert regions[5]["bits_per_base"] == pytest.approx(x[:, :, 4].sum() / n[:, :, 4].sum())
    p = [row["difference_p"] for row in regions[1:]]
    assert [row["difference_p_adjusted"] for row in regions[1:]] == pytest.approx([5 * min(p)] * 5)
    contigs = level(rows, "contig")
    assert [(row["contig"], row["status"]) for row in contigs] == [("a", "ok"), ("b", "ok"), ("undrawn", "not_drawn")]
    assert contigs[0]["bits_per_base"] == pytest.approx(x[: W - 2].sum() / n[: W - 2].sum())
    assert "bits_per_base_low" in contigs[0] and "bits_per_base_low" not in contigs[1]  # two windows: no interval
    assert contigs[2].get("bits_per_base") is None and "compressor" not in contigs[0]


def test_the_interval_is_that_of_resampled_windows() -> None:
    own = genome()
    [row] = level(compression_rows([own], 4000, 3), "genome")
    n, x = own.sums.bases_WSC4.sum(axis=(1, 2, 3)), own.sums.nats_WSC[MODEL].sum(axis=(1, 2)) / math.log(2)
    random = np.random.default_rng(0)
    picks = random.integers(0, W, (4000, W))
    expected = np.quantile(x[picks].sum(axis=1) / n[picks].sum(axis=1), (0.025, 0.975))
    assert [row["bits_per_base_low"], row["bits_per_base_high"]] == pytest.approx(expected, abs=2e-3)


def test_the_mean_is_over_genomes() -> None:
    genomes = [genome(f"g{at}", at, 1.6 + at / 20) for at in range(6)]
    rows = compression_rows(genomes, 500, 1)
    own = [row["bits_per_base"] for row in level(rows, "genome")]
    [row] = level(rows, "mean", region=None)
    assert (row["bits_per_base"], row["num_averaged"]) == (pytest.approx(np.mean(own)), 6)
    assert row["bits_per_base_low"] < np.mean(own) - 0.04 and row["bits_per_base_high"] > np.mean(own) + 0.04
    assert row["compressor"] == 1.95 and "compressor_low" not in row
    assert [each["region"] for each in level(rows, "mean")][1:] == ["coding", *CLASSES[:5]]
    assert level(compression_rows(genomes[:1], 50, 1), "mean") == []
    [few] = level(compression_rows(genomes[:4], 50, 1), "mean", region=None)
    assert "bits_per_base" in few and "bits_per_base_low" not in few and "difference_p" not in few


def test_hindsight_is_no_rival_and_a_background_is() -> None:
    own = genome()
    bits = own.sums.bases_WSC4.sum(axis=3) * math.log(2)
    own.sums.nats_WSC["markov_hindsight"] = bits * 1.0  # type: ignore[index]
    own.sums.nats_WSC[BACKGROUND] = bits * 1.7  # type: ignore[index]
    [row] = level(compression_rows([own], 50, 1), "genome")
    assert (row["markov_hindsight"], row["best_baseline"]) == (pytest.approx(1.0), BACKGROUND)
    assert row["difference"] > 0 and row["difference_low"] > 0


def test_reliability_agrees_with_scikit_learn() -> None:
    """One prediction in each of many windows: bins, means and frequencies as `calibration_curve` has them."""
    random = np.random.default_rng(4)
    confidence = random.uniform(0.25, 1.0, 400)
    right = random.random(400) < confidence
    called = np.zeros((400, 2, 4, len(BINS) - 1, 3))
    place = np.searchsorted(BINS, confidence, side="right") - 1
    called[np.arange(400), 0, random.integers(0, 4, 400), place] = np.stack([np.ones(400), confidence, right], axis=1)
    like = genome(num=400)
    sums = WindowSums(like.sums.windows, STRANDS, like.sums.bases_WSC4, like.sums.nats_WSC, called)
    rows = compression_rows([GenomeSums("g", sums, like.lengths)], 50, 1)
    bins = [row for row in level(rows, "bin", strand="+") if row["num_predictions"]]
    # scikit-learn has equal bins of 0..1: 15 bins of 0.25..1 are the last of 20
    frequency, predicted = calibration_curve(right, confidence, n_bins=20)
    assert [row["accuracy"] for row in bins] == pytest.approx(frequency)
    assert [row["confidence"] for row in bins] == pytest.approx(predicted)
    [row] = level(rows, "genome")
    assert (row["confidence"], row["accuracy"]) == pytest.approx((confidence.mean(), right.mean()))
    sizes = np.array([r["num_predictions"] for r in bins])
    assert row["ece"] == pytest.approx((sizes * np.abs(frequency - predicted)).sum() / 400)
    assert row["overconfidence_low"] < row["overconfidence"] < row["overconfidence_high"]
    assert len(level(rows, "reliability")) == 6
    assert sum(r["num_predictions"] for r in level(rows, "reliability") if r.get("base")) == 400
    assert level(rows, "reliability", strand="-")[0].get("ece") is None  # nothing was called there


def test_windows_without_bases() -> None:
    own = genome()
    own.sums.bases_WSC4[:] = 0
    for values in own.sums.nats_WSC.values():
        values[:] = 0
    own.sums.called_WS4B3[:] = 0
    rows = compression_rows([own, genome("h")], 50, 1)
    assert level(rows, "genome", genome="g")[0]["status"] == "no_bases"
    assert level(rows, "genome", genome="g")[0].get("bits_per_base") is None
    [row] = level(rows, "mean", region=None)
    assert row["num_averaged"] == 1 and row["bits_per_base"] == level(rows, "genome", genome="h")[0]["bits_per_base"]
    assert "bits_per_base_low" not in row


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (1.8, "It beats adaptive"),
        (1.99, "It does not beat adaptive"),
        (1.9, "no difference beyond chance from adaptive"),
    ],
)
@pytest.mark.parametrize("number", [1, 5])
def test_the_section_says_what_the_figures_say(tmp_path: Path, model: float, says: str, number: int) -> None:
    genomes = [genome(f"g{at}", at, model) for at in range(number)]
    result = EvaluationResult("compression", {"sha256": "0"}, SETTINGS, compression_rows(genomes, 300, 1))
    text = section(EvaluationResult.from_json(result.to_json()), tmp_path)
    assert text.startswith("## ") and says in text
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert len(pictures) == 3 and all(f"({tmp_path.name}/{name})" in text for name in pictures)
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert "surer than it should be" in text  # 0.1 bits more than expected
    assert "None" not in text and "nan" not in text


def test_the_section_without_figures(tmp_path: Path) -> None:
    few = genome(num=3)
    rows = compression_rows([few], 50, 1)
    text = section(EvaluationResult("compression", {"sha256": "0"}, SETTINGS, rows), tmp_path)
    assert "too few windows for a test" in text and "None" not in text
    rows = compression_rows([genome("g"), genome("h")], 50, 1)
    text = section(EvaluationResult("compression", {"sha256": "0"}, SETTINGS, rows), tmp_path)
    assert "too few genomes for a test" in text and "Holm)." not in text and "None" not in text
    empty = [{"level": "genome", "genome": "g", "status": "no_bases"}]
    assert "No base" in section(EvaluationResult("compression", {"sha256": "0"}, SETTINGS, empty), tmp_path)
