"""The tables of facts, by what is known of them as a whole, and the scores made of them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import brentq

from dnahnet_cli.evaluation.baselines import BLOSUM62, HYDROPATHY, VOLUME, blosum62, fewer_changes, hydropathy, volume

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
# Per thousand residues: Robinson and Robinson, PNAS 88:8880 (1991), the background of BLAST's statistics.
ROBINSON = {
    "A": 78.05, "C": 19.25, "D": 53.64, "E": 62.95, "F": 38.56, "G": 73.77, "H": 21.99, "I": 51.42, "K": 57.44,
    "L": 90.19, "M": 22.43, "N": 44.87, "P": 52.03, "Q": 42.64, "R": 51.29, "S": 71.20, "T": 58.41, "V": 64.41,
    "W": 13.30, "Y": 32.16,
}  # fmt: skip


def test_blosum62_has_the_lambda_that_blast_prints() -> None:
    """The scale of ungapped alignments, 0.3176, depends on every value of the matrix."""
    frequency = np.array([ROBINSON[residue] for residue in RESIDUES]) / sum(ROBINSON.values())
    score = np.array([[BLOSUM62[one, other] for other in RESIDUES] for one in RESIDUES])
    weight = np.outer(frequency, frequency)
    scale = brentq(lambda x: float((weight * np.exp(x * score)).sum()) - 1, 0.1, 1)
    assert scale == pytest.approx(0.3176, abs=5e-5)


def test_blosum62_is_symmetric_and_prefers_identity() -> None:
    letters = RESIDUES + "*"
    assert len(BLOSUM62) == 21 * 21
    assert all(BLOSUM62[a, b] == BLOSUM62[b, a] for a in letters for b in letters)
    assert all(BLOSUM62[a, a] > BLOSUM62[a, b] for a in letters for b in letters if a != b)


@pytest.mark.parametrize(("pair", "value"), [("WW", 11), ("CC", 9), ("IV", 3), ("DE", 2), ("WC", -2), ("G*", -4)])
def test_known_values(pair: str, value: int) -> None:
    assert BLOSUM62[pair[0], pair[1]] == value


def test_hydropathy_covers_the_residues() -> None:
    assert set(HYDROPATHY) == set(RESIDUES)
    assert max(HYDROPATHY, key=lambda residue: HYDROPATHY[residue]) == "I"
    assert min(HYDROPATHY, key=lambda residue: HYDROPATHY[residue]) == "R"
    assert sum(HYDROPATHY.values()) == pytest.approx(-9.8)


def test_scores_are_sums_and_higher_is_milder() -> None:
    conservative, radical = [("I", "V")], [("I", "R")]
    for score in (blosum62, hydropathy):
        assert score(conservative) > score(radical)
        assert score(conservative + radical) == pytest.approx(score(conservative) + score(radical))
    assert hydropathy(radical) == pytest.approx(-9.0)
    assert fewer_changes(conservative) == -1 > fewer_changes([*conservative, *radical])


def test_volumes_grow_with_the_side_chain() -> None:
    assert set(VOLUME) == set(RESIDUES)
    assert VOLUME["L"] == VOLUME["I"]
    for chain in ("GAVI", "GSTV", "SC", "DE", "NQ", "AFYW", "FY"):  # each has atoms that the one before it lacks
        assert all(VOLUME[small] < VOLUME[large] for small, large in pairwise(chain))
    assert volume([("G", "W")]) == min(volume([(a, b)]) for a in RESIDUES for b in RESIDUES)
    assert volume([("G", "A"), ("A", "G")]) == pytest.approx(-57.0)


def test_a_stop_has_no_hydropathy() -> None:
    assert math.isnan(volume([("I", "*")]))
    assert math.isnan(hydropathy([("I", "*")]))
    assert blosum62([("I", "*")]) == -4
