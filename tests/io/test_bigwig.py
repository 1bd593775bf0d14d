"""Tracks: what goes in comes out of bigWig and bedGraph, whatever the order, and nothing half-written stays."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pybigtools
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.bigwig import Track, TrackOutput, check_disjoint

LENGTHS = {"z": 200_000, "a": 50, "none": 10}


def filled() -> Track:
    track = Track()
    track.add("a", np.array([3, 4, 9]), np.array([0.5, 1.0, 2.0]))
    track.add("z", np.arange(150_000, 200_000), np.linspace(0, 1, 50_000))
    track.add("z", np.arange(0, 100_000, 2), np.arange(50_000, dtype=np.float32))
    track.add("z", np.array([], dtype=np.int64), np.array([]))
    return track


def test_bigwig_holds_the_values_in_order(tmp_path: Path) -> None:
    with filled() as track:
        assert TrackOutput(tmp_path / "t.bw").write(track, LENGTHS, {})
        expected = list(track.intervals(LENGTHS))
    assert [path.name for path in tmp_path.iterdir()] == ["t.bw"]
    reader = pybigtools.open(str(tmp_path / "t.bw"))
    assert reader.chroms() == {"z": 200_000, "a": 50}  # contigs without values are left out
    found = [(contig, *record) for contig in ("z", "a") for record in reader.records(contig)]
    assert [row[:3] for row in found] == [row[:3] for row in expected] and len(found) == 100_003
    assert np.allclose([row[3] for row in found], [row[3] for row in expected])
    assert list(reader.records("a")) == [(3, 4, 0.5), (4, 5, 1.0), (9, 10, 2.0)]


def test_bedgraph_is_text_that_tabix_finds_its_way_in(tmp_path: Path) -> None:
    with filled() as track:
        for name in ("t.bedgraph", "t.bg.gz"):
            assert TrackOutput(tmp_path / name).write(track, LENGTHS, {"model": "m"})
    text = (tmp_path / "t.bedgraph").read_text().splitlines()
    assert text[:2] == ["#dnahnet_model=m", "z\t0\t1\t0"] and text[-1] == "a\t9\t10\t2"
    with pysam.TabixFile(str(tmp_path / "t.bg.gz")) as indexed:
        assert list(indexed.fetch("a", 4, 9)) == ["a\t4\t5\t1"]
        assert next(indexed.fetch("z", 150_000, 150_001)) == "z\t150000\t150001\t0"


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 400), min_size=1), min_size=1), st.randoms())
def test_any_pieces_in_any_order(positions: dict[str, set[int]], random: object) -> None:
    rng = np.random.default_rng(len(positions))
    pieces = []
    for contig, own in positions.items():
        for piece in np.array_split(np.array(sorted(own)), 3):
            pieces.append((contig, piece))
    rng.shuffle(pieces)  # type: ignore[arg-type]
    with Track() as track:
        for contig, piece in pieces:
            track.add(contig, piece, piece / 7)
        lengths = dict.fromkeys("abc", 401)
        expected = [(c, p, p + 1) for c in "abc" for p in sorted(positions.get(c, ()))]
        rows = list(track.intervals(lengths))
        assert [row[:3] for row in rows] == expected and np.allclose([r[3] for r in rows], [r[1] / 7 for r in rows])
        with tempfile.TemporaryDirectory() as folder:
            TrackOutput(Path(folder) / "t.bigWig").write(track, lengths, {})
            reader = pybigtools.open(str(Path(folder) / "t.bigWig"))
            found = [(c, s, e) for c in "abc" if c in positions for s, e, _ in reader.records(c)]
    assert found == expected


def test_a_track_without_values_is_not_written(tmp_path: Path) -> None:
    with Track() as track:
        assert not TrackOutput(tmp_path / "t.bw").write(track, LENGTHS, {})
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "g.bw").write_text("input")
    with pytest.raises(UsageError, match="unknown suffix"):
        TrackOutput(tmp_path / "t.wig")
    with pytest.raises(UsageError, match="also an input"):
        TrackOutput(tmp_path / "g.bw", [tmp_path / "g.bw"])
    with pytest.raises(OutputError, match="does not exist"):
        TrackOutput(tmp_path / "missing" / "t.bw")
    check_disjoint([Interval("a", 5, 9), Interval("b", 0, 9), Interval("a", 0, 5)])
    with pytest.raises(UsageError, match="a:1-6 and a:6-9 overlap"):
        check_disjoint([Interval("a", 5, 9), Interval("a", 0, 6)])
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    with pytest.raises(UsageError, match=r"dnahnet\[tracks\]"):
        TrackOutput(tmp_path / "t.bw")
    TrackOutput(tmp_path / "t.bedgraph")  # needs nothing


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pybigtools ends its file quietly when what it reads from fails: that must not look like success."""

    def failing(self: Track, lengths: object) -> object:
        yield ("a", 1, 2, 1.0)
        raise OSError("disk gone")

    with filled() as track:
        monkeypatch.setattr(Track, "intervals", failing)
        with pytest.raises(OutputError, match="disk gone"):
            TrackOutput(tmp_path / "t.bw").write(track, LENGTHS, {})
    assert list(tmp_path.iterdir()) == []
