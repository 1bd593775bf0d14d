"""`score-variants --dry-run`: what would be done, and how long it takes on this machine."""

from __future__ import annotations

import time
from collections import Counter

from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.genome import Edit, Variant, encode
from dnahnet_cli.io.intake import Intake
from dnahnet_cli.io.variant_output import VariantOutput
from dnahnet_cli.rows.variants import reasons
from dnahnet_cli.scoring.variants import Status, VariantScorer
from dnahnet_cli.spread.engine import SpreadEngine

_TIMED = 32  # edits


def say_plan(
    reporter: Reporter, given: str | None, intake: Intake, scorer: VariantScorer, out: VariantOutput, num_null: int
) -> None:
    """Read all variants, time a few of them, and say what a run would do. Raises InputError as reading them does."""
    statuses: Counter[Status] = Counter()
    tiles: set[tuple[str, int]] = set()
    first: dict[Status, Variant] = {}
    size = scorer.engine.options.grid.tile
    for variant in intake.variants():
        status = scorer.status_of(variant)
        statuses[status] += 1
        first.setdefault(status, variant)
        if status is Status.OK:
            tiles.add((variant.contig, variant.start // size))
    lengths = scorer.engine.genome.lengths
    _say(reporter, "genome", f"{len(lengths):,} contigs, {sum(lengths.values()):,} bases")
    circular = ", ".join(sorted(scorer.engine.circular)) or "none"
    _say(reporter, "circular", circular)
    _say(reporter, "variants", f"{given or 'all SNVs'}: {statuses[Status.OK]:,} to score")
    for name, reason in reasons(statuses, first).items():
        _say(reporter, "", f"{statuses[Status(name)]:,} {name}: {reason}")
    if num_null:
        _say(reporter, "null", f"{num_null:,} random SNVs, scored first")
    place = "standard output" if out.path == "-" else out.path
    _say(reporter, "output", f"{place}, {out.format}")
    if Status.OK not in first:
        _say(reporter, "time", "nothing to score")
        return
    per_tile, per_edit = _timed(scorer, first[Status.OK])
    num_tiles = len(tiles) + min(num_null, sum(-(-length // size) for length in lengths.values()))
    engine = scorer.engine
    workers = engine.num_workers if isinstance(engine, SpreadEngine) else 1
    seconds = (num_tiles * per_tile + (statuses[Status.OK] + num_null) * per_edit) / workers
    _say(
        reporter,
        "time",
        f"about {_duration(seconds)}: {num_tiles:,} tiles of {size:,} bases at {per_tile:.2g} s, "
        f"and {per_edit:.2g} s a variant, timed just now{f', on each of {workers} workers' if workers > 1 else ''}",
    )


def _say(reporter: Reporter, what: str, text: str) -> None:
    reporter.note(f"{what:<9} {text}")


def _timed(scorer: VariantScorer, variant: Variant) -> tuple[float, float]:
    """Return the seconds of a tile's scan, and of one of many edits in it."""
    engine = scorer.engine
    edit = Edit(variant.contig, variant.start, variant.end, encode(variant.alt))
    length = engine.genome.lengths[variant.contig]
    size = engine.options.grid.tile
    begin = variant.start // size * size
    step = max(1, min(size, length - begin) // _TIMED)
    many = [
        Edit(variant.contig, place, place, encode("ACGTT")) for place in range(begin, min(begin + size, length), step)
    ]
    engine.score([edit])  # the first call is slower
    began = time.perf_counter()
    engine.score([edit])
    one = time.perf_counter() - began
    began = time.perf_counter()
    engine.score(many)
    per_edit = max(0.0, time.perf_counter() - began - one) / max(1, len(many) - 1)
    return max(0.0, one - per_edit), per_edit


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
