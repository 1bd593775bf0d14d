"""Divide the work of a command over several runs, so that their outputs joined are that of one run.

A shard has whole units of rows, genes or bases, because what is computed depends in its last digits on what is computed
with it. It follows from the input, its number and how many there are: a unit goes to the shard in whose share of the
whole its middle lies.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from dnahnet_cli.errors import UsageError
from dnahnet_cli.genome import Gene, Interval
from dnahnet_cli.io.intake import Intake
from dnahnet_cli.io.shards import Counted
from dnahnet_cli.scoring.essentiality import GENES_AT_ONCE
from dnahnet_cli.scoring.variants import VariantScorer, units

BASES: Final = 4096  # of a unit, as many as a tile has


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `number`: its `rows` (ALTs, genes or bases, counted from 0) of `total`.

    `first_unit` is the number of its first unit, `run` a checksum of everything that the rows of all shards depend on.
    As text it stands in the output.
    """

    index: int
    number: int
    rows: range
    total: int
    first_unit: int
    run: str
    counted: Counted = "rows"

    def __str__(self) -> str:
        held = f"{self.rows.start + 1}-{self.rows.stop}"
        return f"{self.index}/{self.number}, {self.counted} {held} of {self.total}, run {self.run}"


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return I and N of `I/N`, None for None. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    index, number = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= number:
        raise UsageError(f"--shard {text}: give I/N, the I-th of N shards, such as 1/8 for the first of eight.")
    return index, number


def plan_shard(wanted: tuple[int, int], intake: Intake, scorer: VariantScorer, made_by: Mapping[str, str]) -> Shard:
    """Read all variants, and return which of them a shard has.

    The REF alleles are compared with the genome here, because what one run would refuse, all shards must.
    """
    run, sizes = _run(made_by), []
    for unit in units(intake.variants()):
        scorer.check_assembly([scorer.status_of(v) for v in unit] if scorer.wants_statuses else [])
        run.update("".join(f"{v.contig}\t{v.start}\t{v.id}\t{v.ref}\t{v.alt}\n" for v in unit).encode())
        sizes.append(len(unit))
    scorer.check_assembly([], last=True)
    return _shard(wanted, sizes, "rows", run.hexdigest())


def plan_genes(wanted: tuple[int, int], genes: Sequence[Gene], made_by: Mapping[str, str]) -> Shard:
    """Return which of some genes a shard has."""
    run = _run(made_by)
    run.update("".join(f"{gene}\n" for gene in genes).encode())
    sizes = [min(GENES_AT_ONCE, len(genes) - first) for first in range(0, len(genes), GENES_AT_ONCE)]
    return _shard(wanted, sizes, "genes", run.hexdigest())


def plan_bases(wanted: tuple[int, int], scopes: Sequence[Interval], made_by: Mapping[str, str]) -> Shard:
    """Return which bases of some stretches, one after the other, a shard has."""
    run = _run(made_by)
    run.update("".join(f"{scope}\n" for scope in scopes).encode())
    sizes = []
    for scope in filter(len, scopes):  # at multiples of a unit, where tiles of the forward strand end
        edges = range(scope.start // BASES * BASES + BASES, scope.end, BASES)
        sizes += [end - begin for begin, end in pairwise([scope.start, *edges, scope.end])]
    return _shard(wanted, sizes, "bases", run.hexdigest())


def _run(made_by: Mapping[str, str]) -> hashlib._Hash:
    return hashlib.sha256(json.dumps({**made_by, "shard": ""}, sort_keys=True).encode())


def _shard(wanted: tuple[int, int], sizes: Iterable[int], counted: Counted, run: str) -> Shard:
    index, number = wanted
    bounds = [*accumulate(sizes, initial=0)]
    total = bounds[-1]
    shard_of = [(begin + end) * number // (2 * total) for begin, end in pairwise(bounds)]  # counted from 0
    first, last = bisect_left(shard_of, index - 1), bisect_left(shard_of, index)
    return Shard(index, number, range(bounds[first], bounds[last]), total, first, run[:16], counted)
