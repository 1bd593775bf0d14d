"""Divide the variants of an input over several runs, so that their outputs joined are that of one run.

A shard has whole units of variants, because what a variant scores depends in its last digits on its unit. It follows
from the input, its number and how many there are: a unit goes to the shard in whose share of the rows its
middle lies.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from dnahnet_cli.errors import UsageError
from dnahnet_cli.io.intake import Intake
from dnahnet_cli.scoring.variants import VariantScorer, units


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `number`: its rows (ALTs, counted from 0) of `total`, from its first unit on.

    `run` is a checksum of everything that the rows of all shards depend on. As text it stands in the output.
    """

    index: int
    number: int
    rows: range
    total: int
    first_unit: int
    run: str

    def __str__(self) -> str:
        held = f"{self.rows.start + 1}-{self.rows.stop}"
        return f"{self.index}/{self.number}, rows {held} of {self.total}, run {self.run}"


def parse_shard(text: str) -> tuple[int, int]:
    """Return I and N of `I/N`. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    index, number = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= number:
        raise UsageError(f"--shard {text}: give I/N, the I-th of N shards, such as 1/8 for the first of eight.")
    return index, number


def plan_shard(wanted: tuple[int, int], intake: Intake, scorer: VariantScorer, made_by: Mapping[str, str]) -> Shard:
    """Read all variants, and return which of them a shard has.

    The REF alleles are compared with the genome here, because what one run would refuse, all shards must.
    """
    index, number = wanted
    digest = hashlib.sha256(json.dumps({**made_by, "shard": ""}, sort_keys=True).encode())
    bounds = [0]
    for unit in units(intake.variants()):
        scorer.check_assembly([scorer.status_of(v) for v in unit] if scorer.wants_statuses else [])
        digest.update("".join(f"{v.contig}\t{v.start}\t{v.id}\t{v.ref}\t{v.alt}\n" for v in unit).encode())
        bounds.append(bounds[-1] + len(unit))
    scorer.check_assembly([], last=True)
    total = bounds[-1]
    shard_of = [(begin + end) * number // (2 * total) for begin, end in pairwise(bounds)]  # counted from 0
    first, last = bisect_left(shard_of, index - 1), bisect_left(shard_of, index)
    return Shard(index, number, range(bounds[first], bounds[last]), total, first, digest.hexdigest()[:16])
