"""Which stretches of the genome a page shows base by base, since a whole genome would be too much of it."""

from __future__ import annotations

from collections.abc import Iterable

from dnahnet_cli.evaluation.chunks import merged
from dnahnet_cli.genome import Interval

MAX_BP = 100_000


def choose_windows(wanted: Iterable[Interval], max_bp: int = MAX_BP) -> list[Interval]:
    """Return stretches that cover what is `wanted`, the first first, until there are `max_bp` bases of them.

    They do not overlap; a wanted stretch that does not fit any more is cut off, and the rest of them are left out.
    """
    windows: list[Interval] = []
    for stretch in wanted:
        left = max_bp - sum(map(len, windows))
        if left <= 0:
            break
        windows = merged([*windows, _fitting(stretch, windows, left)])
    return sorted(windows, key=lambda window: (window.contig, window.start))


def _fitting(stretch: Interval, windows: Iterable[Interval], left: int) -> Interval:
    """Return as much of a stretch as adds no more than `left` bases to windows that do not overlap."""
    at = stretch.start
    for own in sorted((own for own in windows if own.overlaps(stretch)), key=lambda own: own.start):
        gap = max(0, own.start - at)
        if gap >= left:
            break
        left -= gap
        at = max(at, own.end)
    return Interval(stretch.contig, stretch.start, min(stretch.end, at + left))
