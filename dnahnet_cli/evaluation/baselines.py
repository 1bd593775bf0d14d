"""Scores that need no model: what a figure has to beat before it says anything.

Each is oriented as the score beside it: higher means fitter for a protein's substitutions. They take a mutant's
substitutions as pairs of one-letter residues (wild type, mutant), `*` for a stop, and sum over them. Codon adaptation
is of a whole gene.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.genome import N_CODE, Codes, decode
from dnahnet_cli.scoring.proteins import AMINO_ACID_OF

Floats: TypeAlias = npt.NDArray[np.float64]
Residues: TypeAlias = Iterable[tuple[str, str]]

_ORDER: Final = "ARNDCQEGHILKMFPSTWYV"
# Half-bit log odds of blocks clustered at 62 % identity: Henikoff and Henikoff, PNAS 89:10915 (1992), figure 2; the
# lower triangle, rows and columns in the order above.
_TRIANGLE: Final = """
 4
-1  5
-2  0  6
-2 -2  1  6
 0 -3 -3 -3  9
-1  1  0  0 -3  5
-1  0  0  2 -4  2  5
 0 -2  0 -1 -3 -2 -2  6
-2  0  1 -1 -3  0  0 -2  8
-1 -3 -3 -3 -1 -3 -3 -4 -3  4
-1 -2 -3 -4 -1 -2 -3 -4 -3  2  4
-1  2  0 -1 -3  1  1 -2 -1 -3 -2  5
-1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1  5
-2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0  6
-1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4  7
 1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1  4
 0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1  5
-3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2 11
-2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2  7
 0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1  4
"""
# What NCBI's file of the matrix has for a stop against any residue, and against a stop.
_STOP, _STOP_STOP = -4, 1


def _matrix() -> dict[tuple[str, str], int]:
    matrix = {("*", "*"): _STOP_STOP}
    for one, line in zip(_ORDER, _TRIANGLE.split("\n")[1:-1], strict=True):
        matrix[one, "*"] = matrix["*", one] = _STOP
        for other, value in zip(_ORDER, line.split(), strict=False):
            matrix[one, other] = matrix[other, one] = int(value)
    return matrix


BLOSUM62: Final[Mapping[tuple[str, str], int]] = _matrix()

# Kyte and Doolittle, J. Mol. Biol. 157:105 (1982), table 2.
HYDROPATHY: Final[Mapping[str, float]] = {
    "I": 4.5, "V": 4.2, "L": 3.8, "F": 2.8, "C": 2.5, "M": 1.9, "A": 1.8, "G": -0.4, "T": -0.7, "S": -0.8,
    "W": -0.9, "Y": -1.3, "P": -1.6, "H": -3.2, "E": -3.5, "Q": -3.5, "D": -3.5, "N": -3.5, "K": -3.9, "R": -4.5,
}  # fmt: skip

# Cubic angstroms that a residue takes up in a protein: Zamyatnin, Prog. Biophys. Mol. Biol. 24:107 (1972). The
# backbone is in all of them, so differences are those of the side chains.
VOLUME: Final[Mapping[str, float]] = {
    "G": 60.1, "A": 88.6, "S": 89.0, "C": 108.5, "D": 111.1, "P": 112.7, "N": 114.1, "T": 116.1, "E": 138.4,
    "V": 140.0, "Q": 143.8, "H": 153.2, "M": 162.9, "I": 166.7, "L": 166.7, "K": 168.6, "R": 173.4, "F": 189.9,
    "Y": 193.6, "W": 227.8,
}  # fmt: skip


def fewer_changes(residues: Residues) -> float:
    """Return minus the number of residues changed; the same for all single substitutions."""
    return -float(sum(wild != mutant for wild, mutant in residues))


def blosum62(residues: Residues) -> float:
    """Return the summed BLOSUM62 values of the mutant residues against the wild type's, in half-bits."""
    return float(sum(BLOSUM62[pair] for pair in residues))


def hydropathy(residues: Residues) -> float:
    """Return minus the summed absolute change of hydropathy, Kyte-Doolittle; NaN where a residue is a stop."""
    return -sum(abs(HYDROPATHY.get(wild, math.nan) - HYDROPATHY.get(mutant, math.nan)) for wild, mutant in residues)


def volume(residues: Residues) -> float:
    """Return minus the summed absolute change of residue volume, cubic angstroms; NaN where a residue is a stop."""
    return -sum(abs(VOLUME.get(wild, math.nan) - VOLUME.get(mutant, math.nan)) for wild, mutant in residues)


# --- codon adaptation ---


def codon_weights(genes: Iterable[Codes]) -> Floats:
    """Return how often each codon is used in `genes`, relative to the commonest of its residue, (64,).

    As Sharp and Li define relative adaptiveness (Nucleic Acids Res. 15:1281, 1987): a codon that never occurs counts as
    half a time. `genes` are coding bases in reading direction; their first codon starts the gene and is not counted. A
    codon is numbered by its base codes, the first the most significant. NaN for stops and for residues of one codon.
    """
    counts = np.zeros(64)
    for codes in genes:
        counts += np.bincount(_codons(codes), minlength=64)
    counts = np.where(counts == 0, 0.5, counts)
    residues = np.array([AMINO_ACID_OF[_codon_text(codon)] for codon in range(64)])
    weights = np.full(64, math.nan)
    for residue in set(residues.tolist()) - {"*"}:
        synonymous = residues == residue
        if synonymous.sum() > 1:
            weights[synonymous] = counts[synonymous] / counts[synonymous].max()
    return weights


def codon_adaptation(codes: Codes, weights: Floats) -> float:
    """Return the codon adaptation index of a gene, 0 to 1: the geometric mean of its codons' weights; NaN of none."""
    own = weights[_codons(codes)]
    own = own[~np.isnan(own)]
    return float(np.exp(np.log(own).mean())) if len(own) else math.nan


def _codons(codes: Codes) -> npt.NDArray[np.int64]:
    """Return the numbers of a gene's whole codons after the first, those with an N left out."""
    triplets = codes[3 : len(codes) // 3 * 3].reshape(-1, 3).astype(np.int64)
    numbers: npt.NDArray[np.int64] = triplets @ np.array([16, 4, 1])
    return numbers[(triplets < N_CODE).all(axis=1)]


def _codon_text(codon: int) -> str:
    return decode(np.array([codon >> 4, codon >> 2 & 3, codon & 3], dtype=np.uint8))
