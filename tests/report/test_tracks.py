"""Places, windows, chunks, values and pictures, against plain definitions of what they should be."""

from __future__ import annotations

import base64
import gzip
import xml.etree.ElementTree as xml
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.bigwig import Track, TrackOutput
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.pictures import RESIDUES
from dnahnet_cli.report.contigs import Contigs, sequence
from dnahnet_cli.report.pictures import draw_map, draw_ranking, mutant_map
from dnahnet_cli.report.signals import BIN_BP, read_chunks, read_signal
from dnahnet_cli.report.windows import choose_windows
from tests.report.pages import EVIL, LENGTHS, chunk_lines, fitness_rows

_STRETCHES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(1, 30)).map(
        lambda own: Interval(own[0], own[1], own[1] + own[2])
    )
)


@given(st.lists(st.text(), unique=True))
def test_plain_names_are_plain_and_no_two_are_one(names: list[str]) -> None:
    plain = Contigs(dict.fromkeys(names, 1)).plain
    assert len({name.lower().removeprefix("chr") for name in [*plain, "all"]}) == len(names) + 1
    assert not set("".join(plain)) & set("<>&:\"', \t\n")


def test_names_that_need_no_change_are_kept() -> None:
    names = ["gi|9626243|ref|NC_001416.1|", "NC_000913.3", "contig#1", "contig_1"]
    assert Contigs(dict.fromkeys(names, 1)).plain == names


def test_a_stretch_over_the_origin_has_two_places() -> None:
    contigs = Contigs({"a": 50, "b": 100}, {"old": "b"})
    assert contigs.places("old", 90, 110) == [(1, 90, 100), (1, 0, 10)]
    assert contigs.places("b", 90, 100) == [(1, 90, 100)]
    assert contigs.places("b", 100, 110) == contigs.places("c", 0, 5) == []


@given(_STRETCHES, st.integers(1, 100))
def test_windows_cover_what_is_wanted_first(wanted: list[Interval], limit: int) -> None:
    windows = choose_windows(wanted, limit)
    bases = [(own.contig, at) for own in windows for at in range(own.start, own.end)]
    asked = [(own.contig, at) for own in wanted for at in range(own.start, own.end)]
    assert len(bases) == len(set(bases)) == min(limit, len(set(asked)))
    assert set(bases) <= set(asked)
    covered: set[tuple[str, int]] = set()
    for own in wanted:  # all stretches before the first that does not fit are whole
        covered |= {(own.contig, at) for at in range(own.start, own.end)}
        if len(covered) > limit:
            break
        assert covered <= set(bases)


def test_chunks_come_back_within_windows(tmp_path: Path) -> None:
    path = tmp_path / "chunks.bed"
    path.write_text("".join(chunk_lines()))
    contigs = Contigs(LENGTHS)
    found = read_chunks(str(path), LENGTHS)
    assert found.scopes() == [Interval(name, 0, length) for name, length in LENGTHS.items()]
    windows = [Interval("first", 100, 200), Interval(EVIL, 0, 50)]
    tracks = found.tracks(windows, contigs)
    assert len(tracks) == 4
    lines = [line.split("\t") for line in chunk_lines() if not line.startswith("#")]
    for track in tracks:
        stage = track["name"].split()[2].rstrip(",")
        wanted = [
            (list(LENGTHS).index(row[0]), int(row[1]), int(row[2]), int(row[4]))
            for row in lines
            if row[3] == f"stage{stage}" and row[5].strip() == track["strand"]
            if any(own.overlaps(Interval(row[0], int(row[1]), int(row[2]))) for own in windows)
        ]
        shown = []
        for part in track["parts"]:
            contig, at = part["at"]
            for length, score in zip(part["lengths"], part["scores"], strict=True):
                shown.append((contig, at, at + length, score))
                at += length
        assert shown == wanted


def test_the_overview_has_the_mean_length_of_chunks(tmp_path: Path) -> None:
    path = tmp_path / "chunks.bed"
    path.write_text("".join(chunk_lines()))
    first, second = read_chunks(str(path), LENGTHS).overviews(Contigs(LENGTHS))
    assert {value for *_, value in first["values"]} == {3.0} and {value for *_, value in second["values"]} == {6.0}
    bins = [(contig, start, end) for contig, start, end, _ in first["values"]]
    assert bins == [(n, at, at + BIN_BP) for n, size in enumerate(LENGTHS.values()) for at in range(0, size, BIN_BP)]


@pytest.mark.parametrize("name", ["t.bw", "t.bedgraph", "t.bedgraph.gz"])
def test_values_come_back_to_a_thousandth_of_their_range(tmp_path: Path, name: str) -> None:
    if name.endswith("bw"):
        pytest.importorskip("pybigtools")
    lengths, values = {"c": 400, "d": 50}, np.random.default_rng(2).normal(size=300)
    with Track() as track:
        track.add("c", np.arange(50, 350), values)
        TrackOutput(tmp_path / name).write(track, lengths, {})
    windows = [Interval("c", 0, 100), Interval("c", 200, 260), Interval("d", 0, 50)]
    found = read_signal(str(tmp_path / name), windows, Contigs(lengths))
    assert found["name"] == "t" and len(found["parts"]) == 2
    for part, window in zip(found["parts"], windows, strict=False):
        assert part["at"] == (0, window.start)
        for at, steps in enumerate(part["steps"], window.start):
            if 50 <= at < 350:
                reach = max(values.max(), 0) - min(values.min(), 0)
                assert found["low"] + found["step"] * steps == pytest.approx(values[at - 50], abs=reach / 1000)
            else:
                assert steps == -1


def test_tracks_of_other_kinds_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.bedgraph"
    bad.write_text("c\t1\t2\tmuch\n")
    with pytest.raises(InputError, match=r"bad\.bedgraph:1"):
        read_signal(str(bad), [], Contigs({"c": 9}))
    with pytest.raises(UsageError, match="bedgraph"):
        read_signal("values.wig", [], Contigs({"c": 9}))


def test_the_map_has_a_square_for_each_mutant() -> None:
    found = mutant_map([*fitness_rows(), {"mutant": "M1_K2del", "effect": "M1_K2del", "status": "ok", "llr": -1.0}])
    assert found is not None
    assert (found.first, found.protein, found.num_left_out) == (1, "MKLVAS", 1)
    assert int(np.isfinite(found.scores).sum()) == len(fitness_rows())
    row = fitness_rows()[30]
    position, residue = int(row["mutant"][1:-1]), row["mutant"][-1]
    assert found.scores[RESIDUES.index(residue), position - 1] == row["llr"]
    svg = xml.fromstring(draw_map(found, 0).partition("<p class")[0])
    squares = {path.get("class"): (path.get("d") or "").count("M") for path in svg.iter("path")}
    assert squares.pop("none") == 6  # the stop, which was not scored; the wild types are dots
    assert sum(squares.values()) == len(fitness_rows())
    assert len(list(svg.iter("circle"))) == 6
    assert mutant_map([{"effect": "K9fs", "llr": 1.0}]) is None


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.floats(-1e6, 1e6)), max_size=40))
def test_the_ranking_is_a_picture_of_its_scores(scores: list[tuple[str, float]]) -> None:
    scores.sort(key=lambda own: -own[1])
    text = draw_ranking(scores)
    if not scores:
        assert text == ""
        return
    try:
        svg = xml.fromstring(text)
    except xml.ParseError:  # letters that HTML has and XML has not
        assert any(not name.isprintable() for name, _ in scores)
        return
    assert len(list(svg.iter("circle"))) == min(15, len(scores))
    ends = [float(circle.get("cx") or "nan") for circle in svg.iter("circle")]
    assert ends == sorted(ends, reverse=True) and all(559.9 <= x <= 880.1 for x in ends)


def test_a_large_genome_is_there_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "g.fa").write_text(">c\n" + "ACGT" * 25 + "\n")
    with Fasta(tmp_path / "g.fa") as fasta:
        whole, is_whole = sequence(fasta, Contigs(fasta.lengths), [])
        assert is_whole and unpacked(whole) == ">c\n" + "ACGT" * 25 + "\n"
        monkeypatch.setattr("dnahnet_cli.report.contigs.MAX_SEQUENCE_BP", 99)
        part, is_whole = sequence(fasta, Contigs(fasta.lengths), [Interval("c", 4, 9), Interval("c", 8, 12)])
    assert not is_whole and unpacked(part) == ">c\nNNNN" + "ACGTACGT" + "N" * 88 + "\n"


def unpacked(text: str) -> str:
    return gzip.decompress(base64.b64decode(text)).decode()
