"""Write results: to stdout, or to a file that appears under its name only when it is complete."""

from __future__ import annotations

import errno
import io
import os
import secrets
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Final, Generic, Literal, TypeVar, cast, overload

from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.io.bgzf import BgzfStream

Stream = TypeVar("Stream", bound=IO[Any])

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Output(Generic[Stream]):
    """A place to write to; as a context manager it gives the file object (UTF-8 text with LF line ends, or bytes).

    A file is written under a private name in the same folder and renamed when the block ends well; on any exception,
    KeyboardInterrupt too, it is removed and an older file of that name stays. A path ending in .gz is written as bgzip,
    unless `bgzip` says otherwise. Devices and named pipes (/dev/null, >(command)) are written to directly. `path` is
    None for stdout.
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        binary: bool,
        forbidden: Sequence[Path] = (),
        bgzip: bool | None = None,
        clobber: bool = True,
    ) -> None:
        """Check the place without touching it: UsageError if it is one of `forbidden`, OutputError if unusable."""
        self.path = None if path is None or str(path) == "-" else Path(path)
        self._binary = binary
        self._bgzip = bgzip if bgzip is not None else self.path is not None and self.path.suffix == ".gz"
        self._private: Path | None = None
        self._blocks: BgzfStream | None = None
        self._file: IO[Any] | None = None
        if self.path is not None:
            _check(self.path, forbidden, clobber)

    @property
    def name(self) -> str:
        return "standard output" if self.path is None else str(self.path)

    def __enter__(self) -> Stream:
        try:
            self._file = self._open()
        except OSError as error:
            self._discard()
            raise OutputError(f"{self.name} cannot be written: {error.strerror or error}.") from error
        except BaseException:  # an interruption just now
            self._discard()
            raise
        return cast(Stream, self._file)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BrokenPipeError:
            raise
        except OSError as failure:
            raise OutputError(f"{self.name} could not be completed: {failure.strerror or failure}.") from failure
        finally:
            self._discard()
        if isinstance(error, OSError) and error.errno in _FULL:
            raise OutputError(f"{self.name} could not be completed: {error.strerror}.") from error

    def _open(self) -> IO[Any]:
        if self.path is None:
            return self._open_stdout()
        place = self.path
        if not place.exists() or place.is_file():
            # Through a symbolic link, the file it points to is replaced and the link stays.
            target = Path(os.path.realpath(place))
            place = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
            # Opened by hand because the tempfile module makes files that only their owner can read.
            self._private = place  # first: a signal that comes while it is being made must find it
            # One that comes when this has returned and the block has not begun finds no handler: so at the end, too.
            weakref.finalize(self, _remove, place, os.getpid())
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        raw = _open_bgzip(place) if self._bgzip else place.open("wb")
        return raw if self._binary else io.TextIOWrapper(raw, encoding="utf-8", newline="\n")

    def _open_stdout(self) -> IO[Any]:
        if not self._bgzip and not self._binary and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # who reads from the pipe gets a row when it is known
        if not self._bgzip:
            return cast(IO[Any], sys.stdout.buffer if self._binary else sys.stdout)
        sys.stdout.flush()
        self._blocks = BgzfStream(sys.stdout.buffer)
        if self._binary:
            return cast(IO[bytes], self._blocks)
        return io.TextIOWrapper(cast(BinaryIO, self._blocks), encoding="utf-8", newline="\n", write_through=True)

    def _finish(self) -> None:
        assert self._file is not None
        if self.path is None:
            self._file.flush()
            if self._blocks is not None:
                self._blocks.finish()
            return
        self._file.close()
        if self._private is not None:
            os.replace(self._private, os.path.realpath(self.path))
            self._private = None

    def _discard(self) -> None:
        if self._file is not None and self.path is not None:
            # Closing flushes, which fails again on a full disk; what matters then is the first error.
            with _ignoring_os_errors():
                self._file.close()
        if self._private is not None:
            self._private.unlink(missing_ok=True)
            self._private = None


def _remove(private: Path, process: int) -> None:
    """Remove a file of this process that was left under its private name; a finished one has another."""
    with _ignoring_os_errors():
        if os.getpid() == process:
            private.unlink(missing_ok=True)


def _open_bgzip(place: Path) -> BinaryIO:
    import pysam

    return cast(BinaryIO, pysam.BGZFile(str(place), "wb", None))


@overload
def open_output(
    path: str | Path | None,
    *,
    binary: Literal[False] = False,
    forbidden: Sequence[Path] = (),
    bgzip: bool | None = None,
    clobber: bool = True,
) -> Output[IO[str]]: ...
@overload
def open_output(
    path: str | Path | None,
    *,
    binary: Literal[True],
    forbidden: Sequence[Path] = (),
    bgzip: bool | None = None,
    clobber: bool = True,
) -> Output[IO[bytes]]: ...
def open_output(
    path: str | Path | None,
    *,
    binary: bool = False,
    forbidden: Sequence[Path] = (),
    bgzip: bool | None = None,
    clobber: bool = True,
) -> Output[Any]:
    """Return the Output for a path, or for stdout when it is `-` or None.

    `forbidden` are the inputs: writing over one of them is a UsageError, and so is writing over any file if `clobber`
    is false. `bgzip` compresses whatever the suffix, or never. A missing or unwritable folder is an OutputError, raised
    here, before any work is done.
    """
    return Output(path, binary=binary, forbidden=forbidden, bgzip=bgzip, clobber=clobber)


def _check(path: Path, forbidden: Sequence[Path], clobber: bool) -> None:
    for other in forbidden:
        if path.exists() and other.exists() and path.samefile(other):
            raise UsageError(f"The output {path} is also an input ({other}): give it another name.")
    if path.is_dir():
        raise OutputError(f"{path} is a directory: give the name of a file.")
    if path.is_file() and not clobber:
        raise UsageError(f"The output {path} exists already, and --no-clobber says to leave it alone.")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise OutputError(f"The folder {folder} does not exist: make it with mkdir -p, or write elsewhere.")
    is_device = path.exists() and not path.is_file()
    if not os.access(path if is_device else folder, os.W_OK):
        raise OutputError(f"{path if is_device else folder} is not writable: choose another place for {path.name}.")


@contextmanager
def _ignoring_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        return
