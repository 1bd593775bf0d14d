"""Readings: origins found block by block, and places as messages name them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.genome import Strand, encode, reverse_complement
from dnahnet_cli.scoring import reading
from dnahnet_cli.scoring.reading import Reading, StrandCodes, TileGrid, canonical_origin
from tests.conftest import MemoryGenome


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.sampled_from([1, 3, 7]))
def test_the_origin_does_not_depend_on_the_blocks(letters: list[int], block: int) -> None:
    twice = letters + letters
    first = min(range(len(letters)), key=lambda at: (twice[at : at + len(letters)], at))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK", block)
        assert canonical_origin(np.array(letters, dtype=np.uint8)) == first


@pytest.mark.parametrize(
    ("strand", "circular", "start", "end", "place"),
    [
        (Strand.FORWARD, False, 0, 4, "c:1-4 (+ strand)"),
        (Strand.FORWARD, False, 2, 2, "c:3 (+ strand)"),  # an insertion
        (Strand.FORWARD, False, 8, 8, "c:8 (+ strand)"),  # at the very end
        (Strand.REVERSE, False, 0, 3, "c:6-8 (- strand)"),
        (Strand.REVERSE, False, 8, 8, "c:1 (- strand)"),
        (Strand.FORWARD, True, 4, 6, "c:8-1 (+ strand)"),  # over the end of the file; the reading begins at c:4
    ],
)
def test_a_place_is_written_as_people_write_it(
    strand: Strand, circular: bool, start: int, end: int, place: str
) -> None:
    own = Reading.of(MemoryGenome({"c": "TGCAACGT"}), "c", strand, circular=circular, grid=TileGrid())
    assert own.place(start, end) == place


@given(st.text("ACGTN", max_size=12), st.sampled_from(list(Strand)), st.data())
def test_a_strand_that_is_read_as_needed_is_the_strand(bases: str, strand: Strand, data: st.DataObject) -> None:
    codes = encode(bases)
    whole = codes if strand is Strand.FORWARD else reverse_complement(codes)
    lazy = StrandCodes(MemoryGenome({"c": bases}), "c", strand, len(bases))
    start, end = (data.draw(st.none() | st.integers(-15, 15)) for _ in range(2))
    assert lazy[start:end].tolist() == whole[start:end].tolist() and len(lazy) == len(whole)
    if bases:
        at = data.draw(st.integers(0, len(bases) - 1))
        assert lazy[at] == whole[at]
