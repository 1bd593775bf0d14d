"""Cuts: the same from the engine and from the BED that it writes; windows that fit; faults with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.evaluation.chunks import CutCollector, Cuts, draw_windows, merged, read_cuts
from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.scoring.boundaries import bed_lines, chunks_of
from dnahnet_cli.scoring.engine import Engine, EngineOptions
from dnahnet_cli.scoring.reading import TileGrid
from tests.conftest import MemoryGenome, lively_model, random_codes

GENOME = MemoryGenome({"a": random_codes(900, 5), "b": random_codes(300, 6)})
SCOPES = [Interval("a", 0, 400), Interval("a", 500, 900), Interval("b", 0, 300)]


@pytest.fixture(scope="module")
def run() -> tuple[Cuts, str]:
    """Return the cuts of a run and its BED."""
    engine = Engine(lively_model(), GENOME, EngineOptions(grid=TileGrid(tile=64, context=50, max_scored=40)))
    collector, text = CutCollector(), "##dnahnet_model=x=y\n##dnahnet_context=50\n"
    for scope in SCOPES:
        for chunks in chunks_of(engine, scope):
            collector.add(scope.contig, chunks)
            text += bed_lines(scope.contig, chunks, (1, 2))
    return collector.cuts(SCOPES), text


def test_a_bed_holds_what_the_engine_found(run: tuple[Cuts, str], tmp_path: Path) -> None:
    cuts, text = run
    (tmp_path / "c.bed").write_text(text)
    again = read_cuts(str(tmp_path / "c.bed"), GENOME.lengths)
    assert again.made_by == {"model": "x=y", "context": "50"}
    assert (again.scopes, again.strands, again.num_stages) == (SCOPES, list(Strand), 2)
    assert again.opens.keys() == cuts.opens.keys() and len(cuts.opens) == 8
    for key, opens in cuts.opens.items():
        np.testing.assert_array_equal(opens, again.opens[key])
    for scope in SCOPES:  # a pass opens with a boundary: its first base on +, its last on -
        assert cuts.within(scope.contig, Strand.FORWARD, 2, scope)[0] == scope.start
        assert cuts.within(scope.contig, Strand.REVERSE, 2, scope)[-1] == scope.end - 1
    assert set(cuts.within("a", Strand.FORWARD, 2, SCOPES[0])) <= set(cuts.within("a", Strand.FORWARD, 1, SCOPES[0]))


def test_only_what_was_read(run: tuple[Cuts, str]) -> None:
    cuts, _ = run
    inner = Interval("a", 520, 600)
    assert cuts.only([inner]).scopes == [inner]
    with pytest.raises(UsageError, match="a:391-510 is not among the chunks, which cover a:1-400"):
        cuts.only([Interval("a", 390, 510)])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("##dnahnet_model=x\n", "holds no chunks"),
        ("a\t0\t9\n", "c.bed:1 is no chunk"),
        ("a\t0\t9\tgene\t0\t+\n", "stage 'gene'"),
        ("z\t0\t9\tstage1\t0\t+\n", "no contig 'z' in the genome, which has a, b"),
        ("a\t890\t901\tstage1\t0\t+\n", "not within a of 900 bases"),
        ("a\t0\t9\tstage2\t0\t+\n", "do not cover the same"),
        ("a\t0\t9\tstage1\t0\t+\na\t0\t8\tstage1\t0\t-\n", "stage 1 on the strand - do not cover the same"),
        (">a\nACGT\n", "is a FASTA file: chunks are read from BED"),
    ],
)
def test_malformed_chunks(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "c.bed").write_text(text)
    with pytest.raises(InputError, match=says):
        read_cuts(str(tmp_path / "c.bed"), GENOME.lengths)


def test_windows_are_seeded_apart_and_within() -> None:
    lengths = {"a": 5000, "short": 99, "b": 1000}
    windows = draw_windows(lengths, 20, 100, 7)
    assert windows == draw_windows(lengths, 20, 100, 7) != draw_windows(lengths, 20, 100, 8)
    assert len(merged(windows)) >= 15 and sum(map(len, merged(windows))) == 20 * 100
    assert all(window.end <= lengths[window.contig] and len(window) == 100 for window in windows)
    many = [window for seed in range(300) for window in draw_windows(lengths, 1, 100, seed)]
    assert sum(window.contig == "b" for window in many) / 300 == pytest.approx(901 / 5802, abs=0.07)
    assert draw_windows({"a": 100}, 1, 100, 0) == [Interval("a", 0, 100)]
    for number, window_bp in ((1, 6000), (60, 100)):
        with pytest.raises(UsageError, match="find no place"):
            draw_windows({"a": 5000}, number, window_bp, 1)


def test_merged_covers_the_same_once() -> None:
    scopes = [Interval("b", 5, 9), Interval("a", 4, 8), Interval("a", 0, 5), Interval("a", 8, 9), Interval("a", 20, 20)]
    assert merged(scopes) == [Interval("b", 5, 9), Interval("a", 0, 9)]
    assert merged([]) == []
