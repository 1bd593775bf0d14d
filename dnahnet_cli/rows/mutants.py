"""The rows of `dnahnet fitness`: mutants of a gene, with what needs no model beside their scores."""

from __future__ import annotations

import math
from typing import Any

from dnahnet_cli.evaluation.baselines import blosum62, hydropathy, volume
from dnahnet_cli.genome import Strand
from dnahnet_cli.io.mutants import MutantList
from dnahnet_cli.io.table import Column
from dnahnet_cli.scoring.fitness import MutantScore


def columns(*, with_measured: bool) -> list[Column]:
    """Return the columns."""
    text, whole = ("mutant", "level", "status", "effect", "reason"), ("num_changes", "num_residues")
    names = ["mutant", "level", "status", "llr", "llr_fwd", "llr_rev", "effect", "num_changes", "num_residues"]
    names += ["blosum62", "hydropathy", "volume", *(["measured"] if with_measured else []), "reason"]
    return [Column(name, "str" if name in text else "int" if name in whole else "float") for name in names]


def row_of(row: MutantScore, given: MutantList, index: int) -> dict[str, Any]:
    """Return the row of the mutant that has this index in the list."""
    cells: dict[str, Any] = {"mutant": row.text, "status": row.status.value, "reason": row.reason or None}
    cells |= {
        "llr": row.llr,
        "llr_fwd": row.by_strand.get(Strand.FORWARD),
        "llr_rev": row.by_strand.get(Strand.REVERSE),
    }
    if row.mutant is not None:
        cells["level"] = row.mutant.level.value
    if row.recoded is not None:
        cells |= {"effect": row.recoded.effect, "num_changes": row.recoded.num_changes, **_beside(row)}
    if given.measured is not None and not math.isnan(given.measured[index]):
        cells["measured"] = given.measured[index]
    return cells


def _beside(row: MutantScore) -> dict[str, Any]:
    """Return what needs no model, higher being fitter; empty where the number of residues changes."""
    residues = row.recoded.residues if row.recoded is not None else None
    if residues is None:
        return {}
    found = {"blosum62": blosum62(residues), "hydropathy": hydropathy(residues), "volume": volume(residues)}
    return {"num_residues": len(residues), **{k: None if math.isnan(v) else v for k, v in found.items()}}
