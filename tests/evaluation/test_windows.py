"""Windows: drawn fairly and reproducibly; sums agree with what the scan and the Markov models say base by base."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.baselines.adaptive import adaptive_log_probs
from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.evaluation.regions import CLASSES, classify
from dnahnet_cli.evaluation.windows import ADAPTIVE, BINS, ENTROPY, MODEL, WindowSums, draw_windows, sum_windows
from dnahnet_cli.genome import N_CODE, Gene, Interval, Strand
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes

OPTIONS = EngineOptions(grid=TileGrid(tile=64, context=50, max_scored=40))
MODEL_ = lively_model()
SEQUENCE = random_codes(700, 5)
SEQUENCE[[30, 31, 32, 400, 699]] = N_CODE
GENOME = MemoryGenome({"c": SEQUENCE, "short": random_codes(90, 6)})
GENES = [Gene("c", Strand.FORWARD, ((100, 190),), "one"), Gene("c", Strand.REVERSE, ((250, 400),), "two")]
WINDOWS = [Interval("c", 0, 100), Interval("c", 150, 310), Interval("c", 600, 700), Interval("short", 0, 90)]
ORDER = 2


def test_windows_cover_everything_or_are_drawn() -> None:
    lengths = {"c": 105, "empty": 0, "d": 20}
    everything = draw_windows(lengths, 10, None, [1])
    assert sum(map(len, everything)) == 125 and everything[10] == Interval("c", 100, 105)
    assert draw_windows(lengths, 10, 99, [1]) == everything
    drawn = draw_windows(lengths, 10, 4, [1])
    assert len(set(drawn)) == 4 and set(drawn) <= set(everything) and drawn == sorted(drawn, key=everything.index)
    assert drawn == draw_windows(lengths, 10, 4, [1]) != draw_windows(lengths, 10, 4, [2])
    often = [w for seed in range(600) for w in draw_windows(lengths, 10, 4, [seed])]
    counts = [often.count(window) for window in everything]
    expected = 600 * 4 / len(everything)
    assert sum((count - expected) ** 2 / expected for count in counts) < 34.5  # chi-squared, 12 degrees, p > 0.0006


@pytest.fixture(scope="module", params=[(), ("c",)], ids=["linear", "circular"])
def measured(request: pytest.FixtureRequest) -> tuple[Engine, WindowSums]:
    engine = Engine(MODEL_, GENOME, OPTIONS, frozenset(request.param))
    fitted = {"fitted": MarkovModel.fit(GENOME.sequences.values(), ORDER)}
    done: list[int] = []

    def classes_of(contig: str, length: int):  # type: ignore[no-untyped-def]
        return classify(GENES if contig == "c" else [], [], length)

    sums = sum_windows(engine, WINDOWS, classes_of, ORDER, fitted, done.append)
    assert sum(done) == 2 * sum(map(len, WINDOWS))
    return engine, sums


def slow(engine: Engine) -> dict[str, np.ndarray]:
    """Add up base by base what `sum_windows` adds up by arrays."""
    shape = (len(WINDOWS), 2, len(CLASSES))
    sums = {name: np.zeros(shape) for name in ("bases", MODEL, ENTROPY, ADAPTIVE, "fitted")}
    sums["called"] = np.zeros((len(WINDOWS), 2, 4, len(BINS) - 1, 3))
    fitted = MarkovModel.fit(GENOME.sequences.values(), ORDER)
    for at, strand in enumerate(engine.strands):
        for number, window in enumerate(WINDOWS):
            reading = engine.reading(window.contig, strand)
            classes = classify(GENES if window.contig == "c" else [], [], len(reading))[strand]
            adaptive = np.concatenate(list(adaptive_log_probs(reading.codes[:], ORDER)))
            static = fitted.log_probs(reading.codes[:])
            for scan in engine.scan(reading, range(reading.num_tiles)):
                for local in range(scan.start, scan.start + len(scan.log_probs_L4)):
                    place, code = int(reading.to_forward(np.array([local]))[0]), int(reading.codes[local])
                    if not window.start <= place < window.end or code == N_CODE:
                        continue
                    cell = number, at, classes[place]
                    own = scan.log_probs_L4[local - scan.start].astype(float)
                    sums["bases"][cell] += 1
                    sums[MODEL][cell] -= own[code]
                    sums[ENTROPY][cell] -= (np.exp(own) * own).sum()
                    sums[ADAPTIVE][cell] -= adaptive[local]
                    sums["fitted"][cell] -= static[local]
                    best = int(own.argmax())
                    bin_ = min(int((math.exp(own[best]) - 0.25) / 0.05), len(BINS) - 2)
                    sums["called"][number, at, best, bin_] += (1, math.exp(own[best]), best == code)
    return sums


def test_sums_are_those_of_single_bases(measured: tuple[Engine, WindowSums]) -> None:
    engine, sums = measured
    expected = slow(engine)
    np.testing.assert_array_equal(sums.bases_WSC4.sum(axis=3), expected["bases"])
    for name in (MODEL, ENTROPY, ADAPTIVE, "fitted"):
        np.testing.assert_allclose(sums.nats_WSC[name], expected[name], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(sums.called_WS4B3.sum(axis=3), expected["called"].sum(axis=3), rtol=1e-4)
    assert np.abs(sums.called_WS4B3[..., 0] - expected["called"][..., 0]).sum() <= 4  # on the edge of a bin
    for number, window in enumerate(WINDOWS):
        codes = GENOME.codes(window.contig, window.start, window.end)
        counts = np.bincount(codes, minlength=5)[:4]
        np.testing.assert_array_equal(sums.bases_WSC4[number].sum(axis=1), [counts, counts[::-1]])


def test_what_is_kept_comes_back_only_for_the_same_settings(
    measured: tuple[Engine, WindowSums], tmp_path: Path
) -> None:
    sums, made_by = measured[1], {"seed": 1, "context": 50}
    path = tmp_path / "g.npz"
    assert WindowSums.load(path, WINDOWS, sums.strands, made_by) is None
    sums.save(path, made_by, {"xz": 1.9})
    found = WindowSums.load(path, WINDOWS, sums.strands, made_by)
    assert found is not None and found[1] == {"xz": 1.9}
    np.testing.assert_array_equal(found[0].bases_WSC4, sums.bases_WSC4)
    np.testing.assert_array_equal(found[0].called_WS4B3, sums.called_WS4B3)
    assert found[0].nats_WSC.keys() == sums.nats_WSC.keys()
    assert WindowSums.load(path, WINDOWS, sums.strands, made_by | {"seed": 2}) is None
    assert WindowSums.load(path, WINDOWS[:2], sums.strands, made_by) is None
    path.write_bytes(path.read_bytes()[:-200])
    assert WindowSums.load(path, WINDOWS, sums.strands, made_by) is None
    path.write_bytes(b"PK\x03\x04 nonsense")
    assert WindowSums.load(path, WINDOWS, sums.strands, made_by) is None
