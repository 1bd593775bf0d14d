"""Read a genome: contigs by name, any stretch of them as nucleotide codes.

pyfaidx does the random access. Its index is made here, in one pass over a memory map, and lives in a private temporary
folder for as long as the genome is open: nothing is written beside the user's file, a read-only folder needs no special
case, and no index can be stale. The pass takes about a second per gigabase. What pyfaidx cannot read in place
(gzip, bgzip, pipes, uneven lines, blanks within lines) is rewritten in that folder, one line per contig.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import pyfaidx

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Codes, encode
from dnahnet_cli.io import genbank
from dnahnet_cli.io.streams import Source, describe, name_some

_CIRCULAR: Final = re.compile(r"(?:\bcircular|\btopology)\s*=\s*(?:true|circular)\b", re.IGNORECASE)
_BLANKS: Final = b" \t\r\n"
_LONGEST_HEADER: Final = 1 << 16  # bytes
_BLOCK: Final = 1 << 20  # bases
_NO_ASCII: Final = bytes([*range(128), *b"N" * 128])  # as a table: pyfaidx reads text
_IUPAC: Final = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv-.*"
# pyfaidx decides by these suffixes that a file is compressed, whatever it holds.
_SUFFIXES_PYFAIDX_MISREADS: Final = (".gz", ".bgz", ".bz2", ".zip")


@dataclass(frozen=True)
class _Record:
    """A contig within a FASTA file: `body` [start, end) in bytes; the last three are the columns of a .fai line.

    `line_bases` is -1 when lines are uneven, so that no .fai line can describe the contig.
    """

    header: str
    body: tuple[int, int]
    length: int
    line_bases: int
    line_bytes: int

    @property
    def name(self) -> str:
        return self.header.split()[0]


class Fasta:
    """A genome, open for random access; use it as a context manager.

    `lengths` maps contig names (the first word of each header) to lengths in bp, in the order of the file.
    `circular` holds the contigs whose header says so: `circular=true` or `topology=circular`. `annotated` tells whether
    it is a GenBank file, whose genes `read_genes` finds in the same file.
    """

    def __init__(self, path: Path, tmpdir: Path | None = None) -> None:
        """Open a FASTA or GenBank file, plain, gzip or bgzip; raise InputError when it is not one."""
        if str(path) == "-":
            raise UsageError("The genome cannot be read from standard input: give a FASTA file.")
        self.path = path
        self.annotated = False
        self._folder = tempfile.TemporaryDirectory(prefix="dnahnet-genome-", dir=tmpdir)
        try:
            readable, records = self._prepare(Path(self._folder.name))
            index = Path(self._folder.name) / "genome.fai"
            index.write_text(
                "".join(f"{r.name}\t{r.length}\t{r.body[0]}\t{r.line_bases}\t{r.line_bytes}\n" for r in records)
            )
            self._faidx = pyfaidx.Faidx(
                str(readable), indexname=str(index), as_raw=True, strict_bounds=True, build_index=False
            )
        except BaseException:
            self._folder.cleanup()
            raise
        self._as_opened = self._state()
        self.lengths: dict[str, int] = {record.name: record.length for record in records}
        self.circular = frozenset(record.name for record in records if _CIRCULAR.search(record.header))

    @property
    def circles(self) -> dict[str, int]:
        """Return the lengths (bp) of the circular contigs."""
        return {name: self.lengths[name] for name in self.circular}

    def codes(self, contig: str, start: int, end: int) -> Codes:
        """Return the codes (uint8) of [start, end), 0-based; raise InputError if they are not all in the genome."""
        length = self.lengths.get(contig)
        if length is None:
            raise InputError(f"{self.path} has no contig {contig!r}; it has {name_some(self.lengths)}.")
        if not 0 <= start <= end <= length:
            raise InputError(
                f"{contig}:{start + 1}-{end} is not within {contig}, which has {length} bases ({self.path})."
            )
        codes = np.empty(end - start, dtype=np.uint8)
        for low in range(start, end, _BLOCK):  # the text of a whole contig would take several times its room
            high = min(low + _BLOCK, end)
            sequence: str = self._faidx.fetch(contig, low + 1, high)
            if len(sequence) != high - low or self._state() != self._as_opened:
                raise InputError(f"{self.path} changed while it was being read: run the command again.")
            codes[low - start : high - start] = encode(sequence)
        return codes

    def _state(self) -> tuple[int, int]:
        """Return what changes when somebody writes into the open file; one in its place is another file."""
        state = os.fstat(self._faidx.file.fileno())
        return state.st_size, state.st_mtime_ns

    def close(self) -> None:
        self._faidx.close()
        self._folder.cleanup()

    def __enter__(self) -> Fasta:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, folder: Path) -> tuple[Path, Sequence[_Record]]:
        """Return a file that pyfaidx can read in place, and its records."""
        readable = self.path
        with Source(self.path) as source:
            if describe(source.head) == genbank.KIND:
                self.annotated = True
                readable = folder / "genbank.fa"
                genbank.write_fasta(source, readable)
            elif source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b">", b";", b""):
                raise InputError(
                    f"{self.path} is {describe(source.head)}, not FASTA: a line beginning with '>' is missing."
                )
            elif source.compression != "none" or not self.path.is_file():
                readable = folder / "plain.fa"
                source.copy_to(readable)
        with readable.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            records = list(self._records(data))
            self._check_letters(data, records)
            if all(r.line_bases >= 0 for r in records) and readable.suffix.lower() not in _SUFFIXES_PYFAIDX_MISREADS:
                return readable, records
            return folder / "even.fa", _rewrite(data, records, folder / "even.fa")

    def _records(self, data: mmap.mmap) -> Iterator[_Record]:
        """Find all contigs; raise InputError for text before the first, a nameless header, or a name used twice."""
        line_of: dict[str, int] = {}
        position, line = self._first_header(data)
        while position >= 0:
            header_end = data.find(b"\n", position)
            body_start = len(data) if header_end < 0 else header_end + 1
            header = data[position + 1 : min(body_start, position + _LONGEST_HEADER)].decode("utf-8", "replace").strip()
            if not header:
                raise InputError(f"{self.path}:{line} is a header without a name: write one after the '>'.")
            if body_start - position > _LONGEST_HEADER:
                raise InputError(
                    f"{self.path}:{line} is a header of {body_start - position:,} letters: put its sequence on a line "
                    "of its own."
                )
            if "\r" in header:
                raise InputError(f"{self.path} has old Macintosh line ends: convert it with tr '\\r' '\\n'.")
            name = header.split()[0]
            if name in line_of:
                raise InputError(
                    f"{self.path} names two contigs {name!r}, at lines {line_of[name]} and {line}.\n"
                    "Names (up to the first blank) must differ: rename one."
                )
            line_of[name] = line
            following = _find(data, b"\n>", body_start - 1)
            body_end = len(data) if following < 0 else following + 1
            layout, num_line_ends = _layout(data, body_start, body_end)
            yield _Record(header, (body_start, body_end), *layout)
            line += 1 + num_line_ends
            position = -1 if following < 0 else body_end

    def _first_header(self, data: mmap.mmap) -> tuple[int, int]:
        """Return the position and line number of the first '>'; blank lines and `;` comments may stand before it."""
        position, line = 0, 1
        while position < len(data):
            end = data.find(b"\n", position)
            end = len(data) if end < 0 else end + 1
            text = data[position:end].removeprefix(b"\xef\xbb\xbf")
            if text.startswith(b">"):
                return end - len(text), line
            if text.strip() and not text.startswith(b";"):
                raise InputError(f"{self.path}:{line} is not FASTA: the first line must begin with '>'.")
            position, line = end, line + 1
        raise InputError(f"{self.path} is not FASTA: no line begins with '>'.")

    def _check_letters(self, data: mmap.mmap, records: Sequence[_Record]) -> None:
        """Refuse proteins, and binary files that happen to begin with '>'; a few odd letters only count as N."""
        for record in records:
            start, end = record.body
            sample = data[start : min(end, start + 10_000)].translate(None, _BLANKS)
            if sample:
                num_odd = len(sample.translate(None, _IUPAC))
                if num_odd > 0.05 * len(sample):
                    raise InputError(
                        f"{self.path} does not hold nucleotides: {num_odd} of the first {len(sample)} letters of "
                        f"{record.name} are not nucleotide codes. Is it a protein file?"
                    )
                return


def _find(data: mmap.mmap, what: bytes, start: int) -> int:
    """Return where two letters stand next, or -1. What was looked at does not stay in memory."""
    for low in range(max(start, 0), len(data), _BLOCK):
        found = data.find(what, low, low + _BLOCK + 1)
        if found >= 0:
            return found
        _forget(data, low)
    return -1


def _forget(data: mmap.mmap, low: int) -> None:
    """Let go of the pages of a block of a mapped file, which count as this program's memory."""
    low -= low % mmap.PAGESIZE
    if hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED, low, min(_BLOCK, len(data) - low))


def _layout(data: mmap.mmap, start: int, end: int) -> tuple[tuple[int, int, int], int]:
    """Return length, bases per line and bytes per line of a contig's text [start, end), and its number of line ends.

    Bases per line is -1 when lines differ, and where there are letters that are not ASCII.
    """
    if start == end:
        return (0, 0, 0), 0
    first_end = data.find(b"\n", start, end)
    if first_end < 0:
        first_end = end
    line_bytes = first_end + 1 - start
    line_bases = line_bytes - 1 - (data[first_end - 1 : first_end] == b"\r" and line_bytes > 1)
    line_end = data[start + line_bases : min(start + line_bytes, end)]
    # Lines are even when all blanks stand where lines of this size end, and the last line is not longer.
    text_bytes = _end_of_text(data, start, end) - start
    num_full, rest = divmod(max(0, text_bytes - 1), max(1, line_bytes))
    num_blanks = num_line_ends = 0
    even = line_bases > 0 and rest < line_bases
    for low in range(start, end, _BLOCK):
        block = data[low : min(low + _BLOCK, end)]
        num_blanks += sum(block.count(blank) for blank in (b" ", b"\t", b"\r", b"\n"))
        num_line_ends += block.count(b"\n")
        letters = np.frombuffer(block, dtype=np.uint8)[: max(0, start + num_full * line_bytes - low)]
        even = (
            even
            and block.isascii()
            and all(
                np.all(letters[(start + line_bases + offset - low) % line_bytes :: line_bytes] == blank)
                for offset, blank in enumerate(line_end)
            )
        )
        if len(block) == _BLOCK:
            _forget(data, low)
    length = end - start - num_blanks
    if length == 0:
        return (0, 0, 0), num_line_ends
    even = even and text_bytes - num_full * len(line_end) == length
    return (length, line_bases if even else -1, line_bytes if line_bases else 0), num_line_ends


def _end_of_text(data: mmap.mmap, start: int, end: int) -> int:
    """Return where the blanks begin that [start, end) ends with."""
    while end > start:
        tail = data[max(start, end - _BLOCK) : end]
        kept = len(tail.rstrip(_BLANKS))
        if kept:
            return end - len(tail) + kept
        end -= len(tail)
    return start


def _rewrite(data: mmap.mmap, records: Sequence[_Record], target: Path) -> list[_Record]:
    """Write every contig on one line and return where they are now."""
    rewritten = []
    with target.open("wb") as out:
        for record in records:
            out.write(b">" + record.name.encode() + b"\n")
            start = out.tell()
            out.write(data[record.body[0] : record.body[1]].translate(_NO_ASCII, _BLANKS) + b"\n")
            body = (start, out.tell())
            rewritten.append(_Record(record.header, body, record.length, record.length, record.length + 1))
    return rewritten
