"""Scores that outlive their run: an engine's, unit by unit, kept in the journal of an output.

Only scores are kept, because only they take time. A run that goes on reads its input again, takes the scores that it
finds and computes the others, and writes all rows anew: every format is resumed in the same way, and nothing of the
output depends on where the first run was stopped.
"""

from __future__ import annotations

import hashlib
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import Interrupted
from dnahnet_cli.genome import Edit, Strand
from dnahnet_cli.io.journal import Journal
from dnahnet_cli.scoring.engine import Engine, GenomeSource, StrandScore
from dnahnet_cli.scoring.variants import ScoreUnits, UnitScores


class KeptScores:
    """An engine that remembers: `score_units` is the engine's, but takes what a journal has."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine, self._journal = engine, journal
        self.num_scored = 0  # edits, in this run

    def score_units(self, units: Iterable[Sequence[Edit]], progress: Callable[[int], None]) -> Iterator[UnitScores]:
        """Yield the scores of each unit, and keep those that are new before they are given out."""
        units = iter(units)
        for unit in units:
            kept = self._journal.next(_digest(unit))
            if kept is None:
                break
            progress(len(unit) * len(self._engine.strands))
            yield _from_json(kept)
        else:
            return
        names: deque[str] = deque()

        def named() -> Iterator[Sequence[Edit]]:
            for new in chain([unit], units):
                names.append(_digest(new))
                yield new

        for scores in self._engine.score_units(named(), progress):
            self._journal.append(names.popleft(), _to_json(scores))
            self.num_scored += len(scores)
            yield scores


@contextmanager
def keeping(
    output: str, engine: Engine, made_by: Mapping[str, str], resume: bool | None, reporter: Reporter
) -> Iterator[ScoreUnits]:
    """Give a `score_units` that keeps its scores until the output is complete, when the block ends well.

    What is not a file (standard output, a device) has no journal, and nothing is kept. Raises as `Journal`, and
    Interrupted in place of KeyboardInterrupt and of SystemExit.
    """
    place = Path(output)
    if output == "-" or (place.exists() and not place.is_file()):
        yield engine.score_units
        return
    with Journal(output, made_by, resume=resume) as journal:
        if journal.num_found:
            reporter.note(f"going on with {journal.path}")
        elif resume:
            reporter.note(f"there is no {journal.path} to go on from: a new run")
        kept = KeptScores(engine, journal)
        try:
            yield kept.score_units
        except (KeyboardInterrupt, SystemExit) as stopped:
            code = 128 + signal.SIGINT if isinstance(stopped, KeyboardInterrupt) else int(stopped.code or 0)
            raise Interrupted(f"interrupted; {_what_is_left(journal)}", code) from stopped
        except BaseException:
            reporter.stop()
            if not kept.num_scored and not journal.num_found:
                journal.remove()  # nothing in it is worth going on from
            elif journal.num_pieces:
                reporter.note(_what_is_left(journal))
            raise
        journal.check_used()
        journal.remove()


def digest_of_genome(genome: GenomeSource) -> str:
    """Return a checksum of names and bases of all contigs."""
    digest = hashlib.sha256()
    for name, length in genome.lengths.items():
        digest.update(f"{name}\t{length}\n".encode())
        digest.update(genome.codes(name, 0, length).tobytes())
    return digest.hexdigest()


def digest_of_file(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _what_is_left(journal: Journal) -> str:
    if not journal.num_pieces:
        return "nothing had been scored yet"
    return f"what is scored stays in {journal.path}: the same command with --resume goes on from there"


def _digest(unit: Sequence[Edit]) -> str:
    digest = hashlib.sha256()
    for edit in unit:
        digest.update(f"{edit.contig}\t{edit.start}\t{edit.end}\t{edit.replacement.tobytes().hex()}\n".encode())
    return digest.hexdigest()[:16]


def _to_json(scores: UnitScores) -> list[list[list[str | float] | None]]:
    # Python writes a float with as many digits as tell it from all others, so that it comes back as it was.
    return [
        [[strand.value, s.ref_logp, s.alt_logp, s.scored_bp] if s else [strand.value] for strand, s in own.items()]
        for own in scores
    ]


def _from_json(kept: list[list[list[str | float]]]) -> UnitScores:
    return [{Strand(strand): StrandScore(*s) if s else None for strand, *s in own} for own in kept]  # type: ignore[arg-type]
