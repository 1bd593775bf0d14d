"""Scan and branch against the slow way: re-running the whole edited tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.genome import Codes, Edit, Strand, encode, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.scoring.engine import Engine, EngineOptions, NumericalError, StrandScore
from dnahnet_cli.scoring.reading import Reading, TileGrid, canonical_origin
from tests.conftest import MemoryGenome, lively_model, random_codes

GRID = TileGrid(tile=200, context=100, max_scored=90)
OPTIONS = EngineOptions(grid=GRID, suffix=20, batch_tokens=900, batch_branches=5)
MODEL = lively_model()
GENOME = MemoryGenome({"chr": random_codes(1000, 1), "small": random_codes(150, 2), "two": random_codes(730, 3)})


def logp(model: HNet, codes: Codes) -> np.ndarray:
    token = torch.tensor([[BOS, *codes.tolist()]])
    with torch.no_grad():
        output, _ = model(token)
    return output.logits_BL4[0].log_softmax(-1).double().numpy()


def oracle(reading: Reading, edit: Edit, suffix: int) -> tuple[float, float, int]:
    """Score an edit by running the reference and the edited tile from its first context base."""
    local = reading.localise(edit)
    replacement = np.frombuffer(local.replacement, dtype=np.uint8)
    number = min(max(len(replacement), local.end - local.start) + suffix, reading.grid.max_scored)
    begin, _, _ = reading.tile_bounds(reading.tile_of(local.start))
    before = reading.window(begin, local.start)
    ref = reading.window(local.start, local.start + number)
    alt = np.concatenate([replacement, reading.window(local.end, local.end + number)])[:number]
    number = min(len(ref), len(alt))
    sums = []
    for allele in (ref, alt):
        log_probs = logp(MODEL, np.concatenate([before, allele[:number]]))
        own = log_probs[len(before) : len(before) + number]
        sums.append(own[np.arange(number), allele[:number]].sum())
    return sums[0], sums[1], number


def edits_of(contig: str, length: int) -> st.SearchStrategy[Edit]:
    return st.builds(
        lambda start, size, letters: Edit(contig, start, min(start + size, length), encode(letters)),
        st.integers(0, length),
        st.integers(0, 12),
        st.text("ACGT", max_size=12),
    ).filter(lambda e: e.num_replaced + len(e.replacement) > 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(edits_of("chr", 1000), min_size=1, max_size=8), st.booleans())
def test_branch_equals_full_rerun(edits: list[Edit], circular: bool) -> None:
    engine = Engine(MODEL, GENOME, OPTIONS, frozenset({"chr"}) if circular else frozenset())
    for edit, by_strand in zip(edits, engine.score(edits), strict=True):
        for strand, score in by_strand.items():
            ref, alt, number = oracle(engine.reading("chr", strand), edit, OPTIONS.suffix)
            if number == 0:
                assert score is None
            else:
                assert score is not None and score.scored_bp == number
                assert score.ref_logp == pytest.approx(ref, abs=1e-4)
                assert score.alt_logp == pytest.approx(alt, abs=1e-4)


def all_snvs(contig: str, start: int, end: int) -> list[Edit]:
    codes = GENOME.codes(contig, 0, GENOME.lengths[contig])
    return [
        Edit(contig, at, at + 1, np.array([base], dtype=np.uint8))
        for at in range(start, end)
        for base in range(4)
        if base != codes[at]
    ]


def llrs(scores: list[dict[Strand, StrandScore | None]]) -> np.ndarray:
    return np.array([[s.alt_logp - s.ref_logp if s else np.nan for s in row.values()] for row in scores])


def test_scores_do_not_depend_on_company() -> None:
    """Order, duplicates, neighbours, batch sizes and segmenting change nothing."""
    edits = all_snvs("chr", 180, 240) + all_snvs("two", 700, 730) + all_snvs("small", 0, 20)
    together = llrs(Engine(MODEL, GENOME, OPTIONS).score(edits))
    alone = np.concatenate([llrs(Engine(MODEL, GENOME, OPTIONS).score([edit])) for edit in edits[::17]])
    np.testing.assert_allclose(alone, together[::17], atol=2e-5)
    backwards = llrs(Engine(MODEL, GENOME, OPTIONS).score([*edits[::-1], *edits[:5]]))
    np.testing.assert_allclose(backwards[: len(edits)][::-1], together, atol=2e-5)
    other = EngineOptions(grid=GRID, suffix=20, batch_tokens=100_000, batch_branches=64)
    np.testing.assert_allclose(llrs(Engine(MODEL, GENOME, other).score(edits)), together, atol=2e-5)


def test_more_rows_branch_off_at_one_place_than_are_computed_together() -> None:
    genome = MemoryGenome({f"c{number}": random_codes(60, number) for number in range(7)})
    edits = [Edit(name, 10, 11, (codes[10:11] + 1) % 4) for name, codes in genome.sequences.items()]
    values = [
        llrs(Engine(MODEL, genome, EngineOptions(suffix=20, batch_branches=number)).score(edits))
        for number in (64, 3, 2, 1)
    ]
    for other in values[1:]:
        np.testing.assert_allclose(other, values[0], atol=2e-5)


def test_reverse_complement_swaps_the_strands() -> None:
    length = GENOME.lengths["chr"]
    edits = [*all_snvs("chr", 300, 320), Edit("chr", 401, 404, encode("")), Edit("chr", 500, 500, encode("ACCA"))]
    turned = MemoryGenome({"chr": reverse_complement(GENOME.sequences["chr"])})
    turned_edits = [Edit("chr", length - e.end, length - e.start, reverse_complement(e.replacement)) for e in edits]
    one = llrs(Engine(MODEL, GENOME, OPTIONS).score(edits))
    other = llrs(Engine(MODEL, turned, OPTIONS).score(turned_edits))
    np.testing.assert_allclose(one, other[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("name", ["chr", "small", "two"])
@pytest.mark.parametrize("turn", [1, 57, 149])
def test_rotating_a_circle_changes_only_coordinates(name: str, turn: int) -> None:
    codes = GENOME.sequences[name]
    length = len(codes)
    rotated = MemoryGenome({name: np.roll(codes, -turn)})
    edits = all_snvs(name, 0, 12) + all_snvs(name, length - 12, length)
    moved = [Edit(name, (e.start - turn) % length, (e.start - turn) % length + 1, e.replacement) for e in edits]
    circular = frozenset({name})
    one = llrs(Engine(MODEL, GENOME, OPTIONS, circular).score(edits))
    other = llrs(Engine(MODEL, rotated, OPTIONS, circular).score(moved))
    np.testing.assert_allclose(one, other, atol=1e-5)
    for strand in Strand:
        masks = []
        for genome in (GENOME, rotated):
            engine = Engine(MODEL, genome, OPTIONS, circular)
            reading = engine.reading(name, strand)
            mask = np.zeros((2, length), dtype=bool)
            for scan in engine.scan(reading, range(reading.num_tiles)):
                local = np.arange(scan.start, scan.start + len(scan.log_probs_L4))
                mask[:, reading.to_forward(local)] = scan.mask_SL
            masks.append(mask)
        np.testing.assert_array_equal(np.roll(masks[0], -turn, axis=1), masks[1])


def test_the_same_haplotype_scores_the_same_however_it_is_written() -> None:
    genome = MemoryGenome({"c": encode("ACGTTGCA" * 5 + "GATTTTTTCACACACAGT" + "TTGACCAT" * 5)})
    engine = Engine(MODEL, genome, OPTIONS)
    sequence = genome.codes("c", 0, 98)
    deletions = [Edit("c", at, at + 1, encode("")) for at in range(42, 48)]  # any T of the run
    insertions = [Edit("c", at, at, encode(text)) for at, text in ((48, "CA"), (49, "AC"), (50, "CA"), (54, "CA"))]
    padded = [Edit("c", 40, 50, encode("GATTTTTCA"))]
    assert "".join("ACGTN"[c] for c in sequence[40:50]) == "GATTTTTTCA"
    values = llrs(engine.score([*deletions, *padded]))
    np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))
    values = llrs(engine.score(insertions))
    np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))


@pytest.mark.parametrize("circular", [False, True])
def test_a_repeat_longer_than_the_suffix_is_passed_over(circular: bool) -> None:
    """What differs stands behind the repeat: the same as one edit next to it, with a larger suffix in between."""
    before, unit, after = random_codes(60, 11), random_codes(7, 12), random_codes(60, 13)
    repeat = np.tile(unit, 6)
    genome = MemoryGenome({"c": np.concatenate([before, repeat, after])})
    engine = Engine(MODEL, genome, OPTIONS, frozenset({"c"} if circular else ()))
    edits = [Edit("c", 60, 67, encode("")), Edit("c", 60, 60, unit), Edit("c", 74, 95, encode(""))]
    for edit, scores in zip(edits, engine.score(edits), strict=True):
        for strand, score in scores.items():
            assert score is not None and score.scored_bp == max(edit.num_replaced, len(edit.replacement)) + 20
            local = engine.reading("c", strand).localise(edit)
            ref = engine.reading("c", strand).window(local.start, local.start + 20)
            alt = np.concatenate(
                [
                    np.frombuffer(local.replacement, np.uint8),
                    engine.reading("c", strand).window(local.end, local.end + 20),
                ]
            )
            assert ref[0] != alt[0]
            assert abs(score.alt_logp - score.ref_logp) > 0.01


def test_a_repeat_up_to_the_end_of_a_contig_leaves_nothing_to_compare() -> None:
    genome = MemoryGenome({"c": np.concatenate([random_codes(60, 11), encode("CA" * 10)])})
    (scores,) = Engine(MODEL, genome, OPTIONS).score([Edit("c", 60, 62, encode(""))])
    assert scores[Strand.FORWARD] is None and scores[Strand.REVERSE] is not None


def test_bases_that_are_not_acgt_are_never_scored() -> None:
    codes = random_codes(400, 9)
    codes[210:230] = 4
    engine = Engine(MODEL, MemoryGenome({"c": codes}), OPTIONS)
    (near,) = engine.score([Edit("c", 205, 206, encode("ACGT"[(codes[205] + 1) % 4]))])
    assert near[Strand.FORWARD] is not None and near[Strand.FORWARD].scored_bp == 5
    assert near[Strand.REVERSE] is not None and near[Strand.REVERSE].scored_bp == 21
    (gone,) = engine.score([Edit("c", 398, 400, encode(""))])
    assert gone[Strand.FORWARD] is None  # nothing of the alternative is left to compare
    assert gone[Strand.REVERSE] is not None


@pytest.mark.parametrize("name", ["chr", "two"])
def test_scan_equals_one_run_per_tile(name: str) -> None:
    engine = Engine(MODEL, GENOME, OPTIONS)
    reading = engine.reading(name, Strand.REVERSE)
    for tile, scan in enumerate(engine.scan(reading, range(reading.num_tiles))):
        begin, start, end = reading.tile_bounds(tile)
        expected = logp(MODEL, reading.window(begin, end))[start - begin : end - begin]
        np.testing.assert_allclose(scan.log_probs_L4, expected, atol=1e-5)
        assert scan.mask_SL.shape == (2, end - start)
        assert not np.any(scan.mask_SL[1] & ~scan.mask_SL[0])
        assert np.array_equal(np.isnan(scan.probability_SL[1]), ~scan.mask_SL[0])


@pytest.fixture
def num_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("num_threads")
def test_threads_do_not_change_a_score() -> None:
    edits = all_snvs("chr", 380, 400)
    values = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        values.append(llrs(Engine(MODEL, GENOME, OPTIONS).score(edits)))
    np.testing.assert_allclose(values[0], values[1], atol=2e-5)


@pytest.mark.usefixtures("num_threads")
def test_workers_change_no_bit() -> None:
    edits = [*all_snvs("chr", 180, 240), Edit("two", 300, 340, encode("")), *all_snvs("small", 0, 20)]
    torch.set_num_threads(1)
    done: list[int] = []
    alone, together = (Engine(MODEL, GENOME, replace(OPTIONS, workers=workers)) for workers in (1, 3))
    np.testing.assert_array_equal(llrs(alone.score(edits)), llrs(together.score(edits, done.append)))
    assert sum(done) == 2 * len(edits)
    reading = alone.reading("chr", Strand.REVERSE)
    scans = [engine.scan(reading, range(reading.num_tiles)) for engine in (alone, together)]
    for one, other in zip(*scans, strict=True):
        assert one.start == other.start
        np.testing.assert_array_equal(one.log_probs_L4, other.log_probs_L4)
        np.testing.assert_array_equal(one.mask_SL, other.mask_SL)


@pytest.mark.usefixtures("num_threads")
def test_what_goes_wrong_in_a_worker_is_raised_and_ends_the_others() -> None:
    broken = lively_model()
    with torch.no_grad():
        broken.head.weight.fill_(torch.nan)
    engine = Engine(broken, GENOME, replace(OPTIONS, workers=2))
    with pytest.raises(NumericalError):
        engine.score(all_snvs("chr", 0, 400))


def test_a_tile_of_many_branches_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a tile score what the whole does, and a part reads no further than it needs."""
    edits = all_snvs("chr", 40, 100)
    whole = llrs(Engine(MODEL, GENOME, OPTIONS).score(edits))
    monkeypatch.setattr("dnahnet_cli.scoring.engine.JOB_BRANCHES", 50)
    np.testing.assert_allclose(llrs(Engine(MODEL, GENOME, OPTIONS).score(edits)), whole, atol=2e-5)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 4]), min_size=1, max_size=60), st.integers(0, 60))
def test_canonical_origin_is_the_smallest_rotation(letters: list[int], turn: int) -> None:
    codes = np.roll(np.array(letters, dtype=np.uint8), turn)
    origin = canonical_origin(codes)
    rotations = [np.roll(codes, -start).tobytes() for start in range(len(codes))]
    assert rotations[origin] == min(rotations)
