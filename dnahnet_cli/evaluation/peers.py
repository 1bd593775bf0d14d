"""What is known of published models whose figures stand beside ours: their size, and whether they read one sequence.

Sizes are in most names ("ESM2 (650M)"); the others are approximate, as remembered from their papers, and serve to sort
the models by class of size.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([KMB])\b", re.IGNORECASE)
_UNIT: Final = {"K": 1e3, "M": 1e6, "B": 1e9}
_STATED: Final = {
    "ESM-1b": 650e6,
    "ESM-1v (single)": 650e6,
    "Progen2 S": 151e6,
    "Progen2 M": 764e6,
    "Progen2 Base": 764e6,
    "Progen2 L": 2.7e9,
    "Progen2 XL": 6.4e9,
    "ProtGPT2": 738e6,
    "RITA S": 85e6,
    "RITA M": 300e6,
    "RITA L": 680e6,
    "RITA XL": 1.2e9,
    "Tranception S no retrieval": 85e6,
    "Tranception M no retrieval": 300e6,
    "Tranception L no retrieval": 700e6,
    "Unirep": 18.2e6,
}
# These score a mutant from its sequence alone; others also read an alignment, a structure, or relatives of the protein.
_SEQUENCE_ALONE: Final = ("CARP (", "ESM-C (", "ESM2 (", "Progen3 ", "xTrimoPGLM-")


def parameters_of(name: str) -> int | None:
    """Return the number of parameters of a model of that name, None where it is not known."""
    found = _SIZE.search(name)
    if found:
        return round(float(found[1]) * _UNIT[found[2].upper()])
    return round(_STATED[name]) if name in _STATED else None


def reads_sequence_alone(name: str) -> bool:
    """Tell whether a model is known to need nothing but the sequence of a mutant."""
    return name in _STATED or name.startswith(_SEQUENCE_ALONE)
