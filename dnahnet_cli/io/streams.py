"""Open what the user gave: a path or `-`, gzip taken off, its kind told by its first bytes and never by its suffix."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, cast

from dnahnet_cli.errors import InputError, OutputError, UsageError
from dnahnet_cli.io.bgzf import END as _BGZIP_END

_BUFFER_SIZE: Final = 1 << 18
_HEAD_SIZE: Final = 64
_LONGEST_LINE: Final = 1 << 26  # bytes; a VCF of 100,000 samples has shorter ones
# gzip can pack a thousand bytes of nothing into one; text that somebody means is seldom a tenth of that.
_MOST_EXPANSION: Final = 100
_ALWAYS_EXPANDED: Final = 1 << 30  # bytes

_KINDS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"BCF\x02", "a BCF file"),
    (b"BAM\x01", "a BAM file"),
    (b"CRAM\x02", "a CRAM file"),
    (b"CRAM\x03", "a CRAM file"),
    (b"PAR1\x15", "a Parquet file"),
    (b"PK\x03\x04", "a zip or Excel file"),
    (b"\xfd7zXZ", "an xz-compressed file"),
    (b"BZh91AY&SY", "a bzip2-compressed file"),
    (b"\x28\xb5\x2f\xfd", "a zstd-compressed file"),
    (b"\x1f\x8b", "a twice-compressed gzip file"),
    (b"\x43\x27\x41\x1a", "a 2bit file"),
    (b"\xff\xfe", "a UTF-16 text file"),
    (b"\xfe\xff", "a UTF-16 text file"),
    (b"LOCUS ", "a GenBank file"),
    (b"##fileformat=VCF", "a VCF file"),
    (b"##gff-version", "a GFF file"),
    (b"#CHROM\tPOS", "a VCF file"),
    (b">", "a FASTA file"),
    (b"@", "a FASTQ or SAM file"),
    (b"<", "an HTML or XML file"),
    (b"{", "a JSON file"),
)


def describe(head: bytes) -> str:
    """Name the kind of file that begins with `head` (gzip already taken off), for use after "is"."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in _KINDS:
        if head.startswith(magic) or text.startswith(magic):
            return kind
    return "a binary file" if b"\0" in head else "a text file of another kind"


def name_some(names: Iterable[str], num_shown: int = 5) -> str:
    """Return a few contig names and how many more there are, for a message."""
    known = list(names)
    shown = ", ".join(known[:num_shown])
    return f"{shown} and {len(known) - num_shown} more" if len(known) > num_shown else shown or "none"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 column, 4 columns."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(allele: str) -> str:
    """Return an allele for a message, the end of a long one left out."""
    return allele if len(allele) <= 20 else f"{allele[:17]}..."


def whole_number(text: str) -> int | None:
    """Return what decimal digits mean; None for anything else, and for more digits than a coordinate can have."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdecimal() else None


class _Replay(io.RawIOBase):
    """Give back the bytes that were read for sniffing, then the rest; remember the last bytes that went by."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest
        self.tail = b""
        self.num_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            # read1 returns what a pipe has now: a slow producer's rows are not held back until a buffer is full.
            read1 = getattr(self._rest, "read1", self._rest.read)
            data = read1(len(buffer))
        buffer[: len(data)] = data
        self.num_read += len(data)
        size = len(_BGZIP_END)
        self.tail = data[-size:] if len(data) >= size else (self.tail + data)[-size:]
        return len(data)


class _Unzipped(gzip.GzipFile):
    """Plain bytes. With `bounded`, those of a file that is nearly all air are refused before they fill the machine."""

    def __init__(self, file: io.BufferedReader[Any], replay: _Replay, name: str, bounded: bool) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._replay, self._source, self.bounded = replay, name, bounded
        self._num_plain = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._num_plain += count
        if self.bounded and self._num_plain > max(_ALWAYS_EXPANDED, _MOST_EXPANSION * self._replay.num_read):
            raise InputError(
                f"{self._source} unpacks to more than {_MOST_EXPANSION} times its size, and more than "
                "1 GiB: this looks like a decompression bomb.\n"
                "If it is what it should be, give it unpacked."
            )
        return count


class Source:
    """A user's input as a stream of plain bytes, to be read once.

    `name` is what messages call it, `path` is None for stdin, `head` holds some of the first bytes (1 at least).
    `streamed` says that the caller keeps little of it, so that it may unpack to any size.
    Raise InputError when the input is missing, a directory, unreadable, empty, damaged or cut off, has a line of more
    than 64 MiB, or unpacks to a hundred times its size.
    """

    def __init__(self, path: str | Path, *, streamed: bool = False) -> None:
        self.path = None if str(path) == "-" else Path(path)
        self.name = "standard input" if self.path is None else str(path)
        raw = _stdin() if self.path is None else _open(self.path)
        self._owned = None if self.path is None else raw
        try:
            with self._reading():
                head = _read_fully(raw, _HEAD_SIZE)
                if not head:
                    raise InputError(f"{self.name} is empty: what should have written it did not.")
                self._replay = _Replay(head, raw)
                self._file: io.BufferedReader[Any] = io.BufferedReader(self._replay, _BUFFER_SIZE)
                self.compression: Literal["none", "gzip", "bgzip"] = _compression(head)
                if self.compression != "none":
                    self._unzipped = _Unzipped(self._file, self._replay, self.name, not streamed)
                    self._file = io.BufferedReader(cast(io.RawIOBase, self._unzipped), _BUFFER_SIZE)
                self.head = self._file.peek(_HEAD_SIZE)
                if not self.head:
                    raise InputError(f"{self.name} is empty once decompressed: what should have written it did not.")
        except BaseException:
            self.close()
            raise

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line with its 1-based number; line ends are left on, a UTF-8 byte-order mark is not."""
        with self._reading():
            number = 0
            while line := self._file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise InputError(
                        f"{self.name}:{number} is a line of more than {_LONGEST_LINE >> 20} MiB: are line ends missing?"
                    )
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            self._check_end()

    def copy_to(self, target: Path) -> None:
        """Write the plain bytes to a temporary file. Raises OutputError when it cannot be written."""
        if self.compression != "none":
            self._unzipped.bounded = True
        with self._writing(target), target.open("wb") as out:
            while data := self._next():
                out.write(data)

    def _next(self) -> bytes:
        with self._reading():
            data = self._file.read(_BUFFER_SIZE)
            if not data:
                self._check_end()
            return data

    @contextmanager
    def _writing(self, target: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be unpacked into {target.parent}: {error.strerror or error}.\n"
                "Give a folder with more room with --tmpdir."
            ) from error

    def close(self) -> None:
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{self.name} is cut off or damaged ({error}).\nCopy or compress it again.") from error
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}.") from error

    def _check_end(self) -> None:
        if self.compression == "bgzip" and self._replay.tail != _BGZIP_END:
            raise InputError(
                f"{self.name} has no bgzip end marker, so it was probably cut off.\n"
                "Copy it again; if it is whole, compress it again with bgzip."
            )


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise UsageError("'-' reads standard input, which is a terminal: pipe a file into the command.")
    return sys.stdin.buffer


def _open(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory: give a file in it.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}.") from error


def _read_fully(raw: BinaryIO, size: int) -> bytes:
    """Read `size` bytes even from a pipe that hands them over piecemeal; less only at the end."""
    head = b""
    while len(head) < size and (more := raw.read(size - len(head))):
        head += more
    return head


def _compression(head: bytes) -> Literal["none", "gzip", "bgzip"]:
    if not head.startswith(b"\x1f\x8b"):
        return "none"
    has_extra_field = len(head) > 13 and bool(head[3] & 4)
    return "bgzip" if has_extra_field and head[12:14] == b"BC" else "gzip"
