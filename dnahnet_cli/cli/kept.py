"""What outlives its run: an engine's results, unit by unit, kept in the journal of an output.

Only what the network computes is kept, because only that takes time. A run that goes on reads its input again, takes
the results that it finds and computes the others, and writes all rows anew: every command and format is resumed in the
same way, and nothing of the output depends on where the first run was stopped.
"""

from __future__ import annotations

import base64
import hashlib
import signal
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from dnahnet_cli import __version__
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.cli.session import Session
from dnahnet_cli.errors import InputError, Interrupted, UsageError, WrongAssemblyError
from dnahnet_cli.genome import Edit, GenomeSource, Strand, blocks
from dnahnet_cli.io.journal import Journal
from dnahnet_cli.scoring.engine import Engine, ScanUnit, StrandScore, TileCuts
from dnahnet_cli.scoring.variants import UnitScores

Unit = TypeVar("Unit")
Result = TypeVar("Result", bound=Sized)


class ByUnits(Protocol):
    """What computes unit by unit: an engine, or one that remembers."""

    def score_units(self, units: Iterable[Sequence[Edit]], progress: Callable[[int], None]) -> Iterator[UnitScores]: ...

    def scan_units(self, units: Iterable[ScanUnit]) -> Iterator[Sequence[TileCuts]]: ...


class Kept:
    """An engine that remembers: both its methods are the engine's, but take what a journal has."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine, self._journal = engine, journal
        self.num_computed = 0  # edits and tiles, in this run

    def score_units(self, units: Iterable[Sequence[Edit]], progress: Callable[[int], None]) -> Iterator[UnitScores]:
        """Yield the scores of each unit of edits, and keep those that are new before they are given out."""

        def known(unit: Sequence[Edit], kept: Any) -> UnitScores:
            progress(len(unit) * len(self._engine.strands))
            return _scores(kept)

        return self._through(
            units, lambda new: self._engine.score_units(new, progress), _name_of_edits, _scores_kept, known
        )

    def scan_units(self, units: Iterable[ScanUnit]) -> Iterator[Sequence[TileCuts]]:
        """Yield the cuts of each unit of tiles, and keep those that are new before they are given out."""

        def known(unit: ScanUnit, kept: Any) -> Sequence[TileCuts]:
            contig, strand, tiles = unit
            reading = self._engine.reading(contig, strand)
            return [
                TileCuts(reading, reading.tile_bounds(tile)[1], *_arrays(text))
                for tile, text in zip(tiles, kept, strict=True)
            ]

        return self._through(units, self._engine.scan_units, _name_of_tiles, _cuts_kept, known)

    def _through(
        self,
        units: Iterable[Unit],
        compute: Callable[[Iterable[Unit]], Iterator[Result]],
        name_of: Callable[[Unit], str],
        kept_as: Callable[[Result], Any],
        known: Callable[[Unit, Any], Result],
    ) -> Iterator[Result]:
        units = iter(units)
        for unit in units:
            kept = self._journal.next(name_of(unit))
            if kept is None:
                break
            try:
                result = known(unit, kept)
            except (ArithmeticError, LookupError, TypeError, ValueError, zlib.error) as error:
                raise InputError(
                    f"{self._journal.path} is damaged, or was not made by this program: --no-resume starts again."
                ) from error
            yield result
        else:
            return
        names: deque[str] = deque()

        def named() -> Iterator[Unit]:
            for new in chain([unit], units):
                names.append(name_of(new))
                yield new

        for result in compute(named()):
            self._journal.append(names.popleft(), kept_as(result))
            self.num_computed += len(result)
            yield result


@contextmanager
def keeping(
    output: str,
    engine: Engine,
    made_by: Mapping[str, str],
    resume: bool | None,
    reporter: Reporter,
    others: Sequence[str | Path] = (),
) -> Iterator[ByUnits]:
    """Give an engine that keeps what it computes until the output is complete, when the block ends well.

    What is not a file (standard output, a device) has no journal, and nothing is kept. `others` are further outputs of
    the run. Raises as `Journal`, and Interrupted in place of KeyboardInterrupt and of SystemExit.
    """
    place = Path(output)
    if output == "-" or (place.exists() and not place.is_file()):
        yield engine
        return
    with Journal(output, made_by, resume=resume, others=others) as journal:
        if journal.num_found:
            reporter.note(f"going on with {journal.path}")
        elif resume:
            reporter.note(f"{journal.path}: nothing to go on from, a new run")
        kept = Kept(engine, journal)
        try:
            yield kept
        except (KeyboardInterrupt, SystemExit) as stopped:
            code = 128 + signal.SIGINT if isinstance(stopped, KeyboardInterrupt) else int(stopped.code or 0)
            raise Interrupted(f"interrupted; {_what_is_left(journal)}", code) from stopped
        except BaseException as error:
            reporter.stop()
            if isinstance(error, WrongAssemblyError) or not (kept.num_computed or journal.num_found):
                journal.remove()  # nothing in it is worth going on from
            elif journal.num_pieces:
                reporter.note(_what_is_left(journal))
            raise
        journal.check_used()
        journal.remove()


def check_resume(resume: bool | None, output: str) -> None:
    """Raise UsageError for --resume without an output to go on from."""
    if resume and output == "-":
        raise UsageError("--resume needs the output of the run that is gone on with: give it with -o.")


def what_made(
    command: str, session: Session, engine: Engine, files: Mapping[str, str | None], provenance: Mapping[str, str]
) -> dict[str, str]:
    """Return what the results of a run depend on, in any command; `provenance` is without paths.

    `files` are inputs beside the genome, by the option that names them; what came through a pipe has gone by.
    """
    return {
        "command": command,
        "version": __version__,
        "genome": digest_of_genome(session.fasta),
        **provenance,
        **{name: digest_of_file(path) for name, path in files.items() if path is not None and Path(path).is_file()},
        "circular": ", ".join(sorted(engine.circular)),
        "device": engine.device.type,
        "batch_size": str(engine.options.batch_branches),
    }


def digest_of_genome(genome: GenomeSource) -> str:
    """Return a checksum of names and bases of all contigs."""
    digest = hashlib.sha256()
    for name, length in genome.lengths.items():
        digest.update(f"{name}\t{length}\n".encode())
        for codes in blocks(genome, name):
            digest.update(codes.tobytes())
    return digest.hexdigest()


def digest_of_file(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _what_is_left(journal: Journal) -> str:
    if not journal.num_pieces:
        return "nothing had been computed yet"
    return (
        f"what is done stays in {journal.path}: the same command with --resume goes on from there, "
        "with --no-resume it starts again"
    )


def _name_of_edits(unit: Sequence[Edit]) -> str:
    digest = hashlib.sha256()
    for edit in unit:
        digest.update(f"{edit.contig}\t{edit.start}\t{edit.end}\t{edit.replacement.tobytes().hex()}\n".encode())
    return digest.hexdigest()[:16]


def _name_of_tiles(unit: ScanUnit) -> str:
    contig, strand, tiles = unit
    return f"{contig} {strand.value} {','.join(map(str, tiles))}"


def _scores_kept(scores: UnitScores) -> list[list[list[str | float] | None]]:
    # Python writes a float with as many digits as tell it from all others, so that it comes back as it was.
    return [
        [[strand.value, s.ref_logp, s.alt_logp, s.scored_bp] if s else [strand.value] for strand, s in own.items()]
        for own in scores
    ]


def _scores(kept: list[list[list[str | float]]]) -> UnitScores:
    return [{Strand(strand): StrandScore(*s) if s else None for strand, *s in own} for own in kept]  # type: ignore[arg-type]


def _cuts_kept(tiles: Sequence[TileCuts]) -> list[list[str]]:
    return [[_text_of(cuts.probability_SL), _text_of(cuts.mask_SL)] for cuts in tiles]


def _text_of(array_SL: np.ndarray) -> str:
    raw = np.ascontiguousarray(array_SL).tobytes()
    return f"{len(array_SL)} {base64.b64encode(zlib.compress(raw, 1)).decode()}"


def _arrays(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    probability, mask = texts
    return _array(probability, np.float32), _array(mask, np.bool_)


def _array(text: str, dtype: type[np.generic]) -> np.ndarray:
    rows, _, packed = text.partition(" ")
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype).reshape(int(rows), -1)
