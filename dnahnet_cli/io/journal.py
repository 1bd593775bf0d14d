"""Keep the finished pieces of long work beside its output, so that a run that ends early can be gone on with.

The journal of `scores.tsv` is `scores.tsv.partial`: a first line that says what the work is, then one line for each
piece, in order, each with a checksum and what it was made from. A line is written in one go, so after kill -9 or on a
full disk all lines but the last are whole, and the last is cut off when the work is gone on with. Where power is lost,
so may be the lines of the last second; whatever the disk then holds of them, they are cut off too. One run at a time
holds a journal. It goes away when the output is complete.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from dnahnet_cli.errors import InputError, OutputError, UsageError

_MAGIC: Final = b"dnahnet partial 1 "
_LINE: Final = 1 << 26  # bytes, more than any line has
_SYNC_S: Final = 1.0


def journal_of(output: str | Path) -> Path:
    """Return the name of an output's journal: beside the file that a symbolic link points to."""
    return Path(f"{os.path.realpath(output) if os.path.islink(output) else output}.partial")


class Journal:
    """The pieces of one piece of work. Use as a context manager; on the way out it stays if it has any pieces.

    `num_pieces` counts those that there are, `num_found` those of an earlier run.
    """

    def __init__(
        self,
        output: str | Path,
        made_by: Mapping[str, str],
        *,
        resume: bool | None,
        others: Sequence[str | Path] = (),
    ) -> None:
        """Open or make the journal. `made_by` is what the pieces depend on, apart from what each is made from.

        `others` are further outputs of the run. What a killed run has left of any of them is removed.

        Pieces of an earlier run are gone on from if `resume`, thrown away if it is False, and UsageError if it is None.
        Raises UsageError, too, if they were made otherwise, or the file is something else; OutputError if it cannot be
        written or another run holds it.
        """
        self.path = journal_of(output)
        self._made_by = dict(made_by)
        self.num_pieces = self.num_found = 0
        self._synced = time.monotonic()
        try:
            self._target = _open_locked(self.path)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        self._source = self.path.open("rb")
        try:
            self._begin(resume)
        except BaseException:
            self._close()
            raise
        for written in (output, *others):
            _remove_abandoned(Path(os.path.realpath(written)))

    def next(self, made_from: str) -> Any:
        """Return the next piece of the earlier run, None after the last; InputError if it was made from others."""
        if self._at == self.num_found:
            return None
        found, piece = json.loads(self._source.readline()[9:])
        if found != made_from:
            raise InputError(
                f"{self.path} does not belong to this input: what comes after {self._at} pieces of it is not what it "
                f"was made from.\nGive the input and the selection of that run, or --no-resume to start again."
            )
        self._at += 1
        return piece

    def append(self, made_from: str, piece: Any) -> None:
        """Keep a piece: anything that JSON holds. Raises OutputError."""
        line = _line([made_from, piece])
        self.num_pieces += 1  # first, because an interruption just after the writing must not remove what it wrote
        try:
            self._write(line)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def check_used(self) -> None:
        """Raise InputError when the earlier run had more pieces than this one asked for."""
        if self._at < self.num_found:
            raise InputError(
                f"{self.path} does not belong to this input, which ends before it does.\n"
                "Give the whole input of that run, or --no-resume to start again."
            )

    def remove(self) -> None:
        """Remove the journal: the output is complete."""
        self.num_pieces = 0

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.num_pieces:
            self.path.unlink(missing_ok=True)  # while it is still held, lest another run's go
        self._close()

    def _begin(self, resume: bool | None) -> None:
        """Read what there is, and stop before the first piece."""
        head = self._source.readline(_LINE)
        if not _MAGIC.startswith(head[: len(_MAGIC)]):
            raise UsageError(f"{self.path} exists and is no journal of dnahnet: move it away, or write elsewhere.")
        made_by = _whole(head.removeprefix(_MAGIC))
        end = begin = self._source.tell()
        while isinstance(made_by, dict) and _is_piece(line := self._source.readline(_LINE)):
            end += len(line)
            self.num_found += 1
        if self.num_found and resume is None:
            raise UsageError(
                f"{self.path} holds what an unfinished run has done.\n"
                "--resume goes on from there, --no-resume starts again."
            )
        if self.num_found and resume:
            self._check_made_by(made_by)
            self._cut(end)
        else:
            self.num_found = 0
            self._cut(0)
            self._write(_MAGIC + _line(self._made_by))
        self._source.seek(begin)
        self._at, self.num_pieces = 0, self.num_found

    def _check_made_by(self, then: Any) -> None:
        for key in sorted(then.keys() | self._made_by.keys()):
            before, now = then.get(key, "not given"), self._made_by.get(key, "not given")
            if before != now:
                raise UsageError(
                    f"{self.path} was made with another {key.replace('_', ' ')}: {_short(before)}, now {_short(now)}."
                    "\nGo on with the same command, or give --no-resume to start again."
                )

    def _cut(self, size: int) -> None:
        os.ftruncate(self._target, size)
        os.lseek(self._target, size, os.SEEK_SET)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._target, line) :]
        if time.monotonic() - self._synced >= _SYNC_S:  # a disk would be slower than a network that is quick
            os.fsync(self._target)
            self._synced = time.monotonic()

    def _close(self) -> None:
        self._source.close()
        os.close(self._target)


def _line(content: Any) -> bytes:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _whole(line: bytes) -> Any:
    """Return the content of a line, None if it is not whole."""
    text = line[9:-1]
    if line[-1:] != b"\n" or line[:9] != b"%08x " % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a checksum that fits, of something that this program did not write
        return None


def _is_piece(line: bytes) -> bool:
    content = _whole(line)
    return isinstance(content, list) and len(content) == 2


def _short(value: object) -> str:
    text = " ".join(str(value).split())  # a damaged file may have line ends in it
    return text if len(text) <= 40 else f"{text[:37]}..."


def _open_locked(path: Path) -> int:
    while True:
        target = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(target)
            if path.exists() and os.path.samestat(os.fstat(target), path.stat()):
                return target
        except BlockingIOError as error:
            os.close(target)
            raise OutputError(f"Another run is writing to {path.with_suffix('')}: wait for it, or stop it.") from error
        except BaseException:
            os.close(target)
            raise
        os.close(target)  # the run that held it has just finished and taken it away


def _lock(target: int) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise  # some network file systems have no locks


def _remove_abandoned(output: Path) -> None:
    """Remove what a killed run has left of an output, or of its index, that was being written."""
    for suffix in ("", ".tbi", ".csi"):
        for left in output.parent.glob(f".{glob.escape(output.name)}{suffix}.????????.tmp"):
            left.unlink(missing_ok=True)
