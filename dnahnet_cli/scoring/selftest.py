"""A test of an installation, in seconds: do scores come out as they were when the weights were bundled?

A made-up contig, the same everywhere, is scored with a few edits. The values are compared with kept ones of the same
weights, and with those of the reverse complement, which must be the same: the second needs nothing kept, so it also
tests weights of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dnahnet_cli.genome import Codes, Edit, encode, reverse_complement
from dnahnet_cli.model.network import Network
from dnahnet_cli.scoring.engine import Engine, EngineOptions, StrandScore
from dnahnet_cli.scoring.reading import TileGrid

GOLDEN: Final = Path(__file__).with_name("golden.json")
# How far scores may lie from kept ones: other processors add up in another order, and bfloat16 has 8 bits.
TOLERANCE: Final[Mapping[str, float]] = {"float32": 1e-3, "bfloat16": 0.25}
_LENGTH: Final = 1500


@dataclass(frozen=True)
class SelfTest:
    """The llr of the edits, and how far they are from the kept ones (None if there are none) and from the mirror's."""

    scores: tuple[float, ...]
    from_golden: float | None
    from_mirror: float


class _OneContig:
    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self.lengths = {"c": len(codes)}

    def codes(self, contig: str, start: int, end: int) -> Codes:
        return self._codes[start:end]


def self_test(model: Network, sha256: str) -> SelfTest:
    """Score the made-up contig's edits with a network whose weights have that digest."""
    codes = _contig()
    scores = _scores(model, codes, _edits())
    mirrored = [
        Edit("c", len(codes) - edit.end, len(codes) - edit.start, reverse_complement(edit.replacement))
        for edit in _edits()
    ]
    mirror = _scores(model, reverse_complement(codes), mirrored)
    golden = json.loads(GOLDEN.read_text()).get(sha256)
    return SelfTest(
        tuple(scores),
        None if golden is None else float(np.abs(np.subtract(scores, golden)).max()),
        float(np.abs(np.subtract(scores, mirror)).max()),
    )


def _contig() -> Codes:
    """Return bases from a linear congruential generator: no library's random numbers, which may change."""
    state, bases = 12345, np.empty(_LENGTH, dtype=np.uint8)
    for at in range(_LENGTH):
        state = (1103515245 * state + 12345) % 2**31
        bases[at] = state >> 29
    return bases


def _edits() -> list[Edit]:
    """Return a substitution, an insertion, a deletion and a stop, wherever they fall on the contig."""
    codes = _contig()
    return [
        Edit("c", 200, 201, (codes[200:201] + 1) % 4),
        Edit("c", 700, 700, encode("ACGTTGCA")),
        Edit("c", 900, 904, encode("")),
        Edit("c", 1300, 1303, encode("TAA")),
    ]


def _scores(model: Network, codes: Codes, edits: list[Edit]) -> list[float]:
    engine = Engine(model, _OneContig(codes), EngineOptions(TileGrid(tile=1024, context=256), suffix=64))
    return [float(np.mean([_llr(score) for score in scored.values()])) for scored in engine.score(edits)]


def _llr(score: StrandScore | None) -> float:
    assert score is not None  # the contig has no N, and the edits lie far from its ends
    return score.alt_logp - score.ref_logp
