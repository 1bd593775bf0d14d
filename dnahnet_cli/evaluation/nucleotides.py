"""Changes of several bases of a stretch of DNA as edits, by the rule that mutants of a protein follow.

Changes of one row are one edit, from the first changed base to the last, as long as none is further from the one before
it than the engine's suffix: so far reach the bases by which an edit is judged. Changes further apart are edits of their
own, and their scores are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnahnet_cli.genome import Edit, GenomeSource, Variant, encode


def fits(genome: GenomeSource, changes: Sequence[Variant]) -> bool:
    """Tell whether the genome has the `ref` of each change, which must lie within it."""
    return all((genome.codes(c.contig, c.start, c.end) == encode(c.ref)).all() for c in changes)


def joined_edits(genome: GenomeSource, changes: Sequence[Variant], near_bp: int) -> list[Edit]:
    """Return the edits of single-base changes of one contig, which must be in order and fit it."""
    starts = np.array([change.start for change in changes])
    edits = []
    for group in np.split(np.arange(len(changes)), np.flatnonzero(np.diff(starts) > near_bp) + 1):
        own = [changes[at] for at in group]
        begin, end = own[0].start, own[-1].end
        replacement = genome.codes(own[0].contig, begin, end).copy()
        replacement[starts[group] - begin] = encode("".join(change.alt for change in own))
        edits.append(Edit(own[0].contig, begin, end, replacement))
    return edits
