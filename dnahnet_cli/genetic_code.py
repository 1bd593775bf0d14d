"""Genetic codes of bacteria and archaea, and translation.

The tables are NCBI's (https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi). 11 is that of most prokaryotes and
plastids, 1 means the same but for its start codons, 4 is that of Mycoplasma and Spiroplasma, 15 that of some phages,
25 that of Gracilibacteria and Absconditabacteria.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Final

from dnahnet_cli.errors import UsageError

STOP: Final = "*"
UNKNOWN: Final = "X"
DEFAULT_CODE: Final = 11

_CODONS: Final = tuple(map("".join, product("TCAG", repeat=3)))  # the order of NCBI's tables
_STANDARD: Final = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CHANGES: Final[Mapping[int, Mapping[str, str]]] = {1: {}, 4: {"TGA": "W"}, 11: {}, 15: {"TAG": "Q"}, 25: {"TGA": "G"}}
_STARTS: Final[Mapping[int, str]] = {
    1: "TTG CTG ATG",
    4: "TTA TTG CTG ATT ATC ATA ATG GTG",
    11: "TTG CTG ATT ATC ATA ATG GTG",
    15: "ATG",
    25: "TTG ATG GTG",
}
CODES: Final = tuple(_STARTS)


@dataclass(frozen=True)
class GeneticCode:
    """An NCBI translation table: the residue of each codon (`*` a stop), and the codons that can begin a protein."""

    number: int
    amino_acid_of: Mapping[str, str] = field(compare=False)
    starts: frozenset[str] = field(compare=False)

    def translate(self, bases: str) -> str:
        """Return the residues of whole codons of A, C, G and T: X for a codon with another letter.

        What is left behind the last whole codon is not read, and a start codon is read like any other.
        """
        of = self.amino_acid_of
        return "".join(of.get(bases[at : at + 3], UNKNOWN) for at in range(0, len(bases) - len(bases) % 3, 3))


@cache
def genetic_code(number: int) -> GeneticCode:
    """Return an NCBI table by its number, one of CODES. Raises UsageError."""
    if number not in _STARTS:
        raise UsageError(f"genetic code {number} is not known: use one of {', '.join(map(str, CODES))}.")
    residues = dict(zip(_CODONS, _STANDARD, strict=True)) | dict(_CHANGES[number])
    return GeneticCode(number, residues, frozenset(_STARTS[number].split()))
