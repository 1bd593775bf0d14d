"""The rows of `dnahnet score`: how likely contigs and regions are."""

from __future__ import annotations

from typing import Any

from dnahnet_cli.genome import Interval, Strand
from dnahnet_cli.io.table import Column
from dnahnet_cli.scoring.likelihood import Likelihood


def columns() -> list[Column]:
    """Return the columns."""
    text, whole = ("chrom", "status"), ("start", "end", "num_bases", "num_unknown")
    measures = ("log_likelihood", "bits_per_base", "perplexity")
    numbers = [f"{measure}{strand}" for measure in measures for strand in ("", "_fwd", "_rev")]
    return [
        Column(name, "str" if name in text else "int" if name in whole else "float")
        for name in ("chrom", "start", "end", "status", *whole[2:], *numbers, "bits_order0", "bits_markov")
    ]


def row_of(scope: Interval, found: Likelihood) -> dict[str, Any]:
    """Return the row of a scope."""
    return {
        "chrom": scope.contig,
        "start": scope.start + 1,
        "end": scope.end,
        "status": found.status.value,
        **numbers_of(found),
    }


def numbers_of(found: Likelihood) -> dict[str, Any]:
    """Return what a row and the total have in common."""
    numbers: dict[str, Any] = {"num_bases": found.num_bases, "num_unknown": found.num_unknown}
    strands = {"": None, "_fwd": Strand.FORWARD, "_rev": Strand.REVERSE}
    numbers |= {f"log_likelihood{name}": found.log_likelihood(strand) for name, strand in strands.items()}
    numbers |= {f"bits_per_base{name}": found.bits_per_base(strand) for name, strand in strands.items()}
    numbers |= {f"perplexity{name}": found.perplexity(strand) for name, strand in strands.items()}
    return {**numbers, "bits_order0": found.bits_order0, "bits_markov": found.bits_markov}
