"""Write a value for each of many bases: bigWig for genome browsers, or bedGraph; and read such a bigWig.

A track is kept in a temporary file while it is made (8 bytes a base), so that memory does not grow with the genome and
regions may come in any order. bigWig is written by pybigtools, which is not installed with the package.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError, OutputError, UsageError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.index import remove_indices, write_index
from dnahnet_cli.io.output import open_output

BIGWIG: Final = (".bw", ".bigwig")
BEDGRAPH: Final = (".bedgraph", ".bedgraph.gz", ".bg", ".bg.gz")
_RECORD: Final = np.dtype([("position", "<u4"), ("value", "<f4")])
_BLOCK: Final = 1 << 16

Positions: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = npt.NDArray[np.floating]


class Track:
    """Values of single bases of a genome, on disk until they are written; use it as a context manager."""

    def __init__(self, tmpdir: Path | None = None) -> None:
        self.tmpdir = tmpdir
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="dnahnet-track-", dir=tmpdir)  # noqa: SIM115
        self._segments: list[tuple[str, int, int, int]] = []  # contig, first position, offset in records, number
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, contig: str, position: Positions, value: Values) -> None:
        """Keep the values of some bases, whose positions (0-based, on the forward strand) ascend."""
        if len(position):
            records = np.empty(len(position), dtype=_RECORD)
            records["position"], records["value"] = position, value
            self._segments.append((contig, int(position[0]), self._size, len(position)))
            self._file.write(records.tobytes())
            self._size += len(position)

    def intervals(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, int, int, float]]:
        """Yield contig, start, end and value of each base, contigs in the order of `lengths`, bases ascending."""
        rank = {contig: number for number, contig in enumerate(lengths)}
        for contig, _, offset, number in sorted(self._segments, key=lambda segment: (rank[segment[0]], segment[1])):
            for first in range(offset, offset + number, _BLOCK):
                self._file.seek(first * _RECORD.itemsize)
                count = min(_BLOCK, offset + number - first)
                records = np.frombuffer(self._file.read(count * _RECORD.itemsize), dtype=_RECORD)
                for position, value in zip(records["position"].tolist(), records["value"].tolist(), strict=True):
                    yield contig, position, position + 1, value

    def __enter__(self) -> Track:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class TrackFile:
    """A bigWig that is read; use it as a context manager. `lengths` are those of the contigs that have values."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for what is no bigWig, and UsageError without pybigtools."""
        pybigtools = _pybigtools()
        self._errors = (OSError, ValueError, RuntimeError, KeyError, pybigtools.BBIReadError)
        self.path = path
        with self._named():
            self._file = pybigtools.open(str(path))
            self.lengths: dict[str, int] = self._file.chroms()

    def values(self, stretch: Interval) -> Iterator[tuple[Positions, Values]]:
        """Yield the positions and values of single bases inside a stretch, ascending."""
        for first in range(stretch.start, stretch.end if stretch.contig in self.lengths else 0, _BLOCK):
            with self._named():
                records = list(self._file.records(stretch.contig, first, min(first + _BLOCK, stretch.end)))
            if records:
                position, _, value = zip(*records, strict=True)
                yield np.array(position, np.int64), np.array(value, np.float32)

    def __enter__(self) -> TrackFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise InputError(f"{self.path} cannot be read as a bigWig: {error}.") from error


class TrackOutput:
    """A place for a track, checked when it is named, before any work is done.

    Raises UsageError for an unknown suffix, one of the inputs (`forbidden`), or a bigWig without pybigtools, and
    OutputError for a place that cannot be written to.
    """

    def __init__(self, path: str | Path, forbidden: Sequence[Path] = (), *, clobber: bool = True) -> None:
        self.path = Path(path)
        name = self.path.name.lower()
        self._is_bigwig = name.endswith(BIGWIG)
        if not self._is_bigwig and not name.endswith(BEDGRAPH):
            known = ", ".join((*BIGWIG, *BEDGRAPH))
            raise UsageError(f"The track {path} has an unknown suffix: use one of {known}.")
        if self._is_bigwig:
            _pybigtools()
        self._text = open_output(path, forbidden=forbidden, clobber=clobber)
        self._bytes = open_output(path, binary=True, forbidden=forbidden, clobber=clobber)

    def write(self, track: Track, lengths: Mapping[str, int], provenance: Mapping[str, str]) -> bool:
        """Write a track, and the index of a bedGraph that ends in .gz; False, and no file, when it has no values.

        Only bedGraph has room for provenance. Raises OutputError.
        """
        if not len(track):  # a bigWig cannot be empty
            return False
        if self._is_bigwig:
            with tempfile.TemporaryDirectory(prefix="dnahnet-bigwig-", dir=track.tmpdir) as folder, self._bytes as out:
                made = Path(folder) / "track.bw"
                _write_bigwig(made, track, lengths)
                with made.open("rb") as file:
                    shutil.copyfileobj(file, out)
            return True
        with self._text as text:
            text.writelines(f"#dnahnet_{key}={value}\n" for key, value in provenance.items())
            for contig, start, end, value in track.intervals(lengths):
                text.write(f"{contig}\t{start}\t{end}\t{value:.5g}\n")
        if self.path.suffix == ".gz" and self.path.is_file():
            remove_indices(self.path)
            write_index(self.path, "bed", longest=max(lengths.values()))
        return True


def check_disjoint(regions: Sequence[Interval]) -> None:
    """Raise UsageError when two regions overlap: a track has one value for a base."""
    ordered = sorted(regions, key=lambda region: (region.contig, region.start))
    for one, other in pairwise(ordered):
        if one.overlaps(other):
            raise UsageError(f"The regions {one} and {other} overlap: a track has one value for each base.")


def _pybigtools() -> Any:
    try:
        import pybigtools
    except ImportError as error:
        raise UsageError(
            "bigWig is written with pybigtools, which is not installed.\n"
            "Install it with: pip install 'dnahnet[tracks]', or give a name that ends in .bedgraph."
        ) from error
    return pybigtools


def _write_bigwig(path: Path, track: Track, lengths: Mapping[str, int]) -> None:
    errors: list[Exception] = []

    def intervals() -> Iterator[tuple[str, int, int, float]]:
        try:
            yield from track.intervals(lengths)
        except Exception as error:  # pybigtools ends the file quietly when its input fails
            errors.append(error)
            raise

    try:
        _pybigtools().open(str(path), "w").write(dict(lengths), intervals())
    except (OSError, ValueError, RuntimeError) as error:
        errors.append(error)
    if errors:
        raise OutputError(f"the bigWig could not be made: {errors[0]}") from errors[0]
