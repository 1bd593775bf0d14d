"""Indices of sorted, block-compressed outputs, for tabix, bcftools and genome browsers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from dnahnet_cli.errors import OutputError

Kind = Literal["tsv", "bed", "vcf", "bcf"]

_INDEXED: Final[Mapping[str, Kind]] = {"tsv.gz": "tsv", "bed.gz": "bed", "vcf.gz": "vcf", "bcf": "bcf"}
_SUFFIXES: Final = (".tbi", ".csi")
_LONGEST_TBI: Final = 1 << 29  # bases, beyond which a .tbi cannot point


@dataclass
class Order:
    """Follows rows as they are written, and knows why they cannot be indexed: `problem` is None as long as they can.

    An index needs contigs in one piece each, and positions that do not fall within them.
    """

    problem: str | None = None
    longest: int = 0
    _contig: str | None = None
    _start: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, contig: str, start: int, end: int) -> None:
        """Take in a row at [start, end), 0-based."""
        self.longest = max(self.longest, end)
        if self.problem is not None:
            return
        if contig != self._contig:
            if contig in self._seen:
                self.problem = f"{contig} comes again after other contigs"
            self._seen.add(contig)
            self._contig, self._start = contig, 0
        if start < 0:
            self.problem = f"{contig}:{start + 1} lies before the first base"
        elif start < self._start:
            self.problem = f"{contig}:{start + 1} comes after {contig}:{self._start + 1}"
        self._start = start


def index_output(
    path: str, format: str, num_header_lines: int, order: Order, wanted: bool
) -> tuple[Path | None, str | None]:
    """Write the index of a complete output if its format has one; an older index goes in any case.

    Returns the index that was written, and why an output that could have one cannot be indexed.
    """
    place, kind = Path(path), _INDEXED.get(format)
    if kind is None or path == "-" or not place.is_file():
        return None, None
    remove_indices(place)
    if not wanted or order.problem is not None:
        return None, order.problem
    return write_index(place, kind, num_header_lines, order.longest), None


def index_of(path: Path, kind: Kind, longest: int = 0) -> Path:
    """Return the name of a file's index: .csi for BCF and for contigs that a .tbi cannot hold, otherwise .tbi."""
    return Path(f"{path}{'.csi' if kind == 'bcf' or longest >= _LONGEST_TBI else '.tbi'}")


def write_index(path: Path, kind: Kind, num_header_lines: int = 0, longest: int = 0) -> Path:
    """Write the index of a complete bgzip or BCF file beside it, and return its name. Raises OutputError.

    A table has its contig in column 1 and its position, 1-based, in column 2.
    """
    import pysam

    target = index_of(path, kind, longest)
    private = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        _build(path, kind, private, num_header_lines, csi=target.suffix == ".csi")
        os.replace(private, target)
    except (OSError, ValueError, pysam.utils.SamtoolsError) as error:
        raise OutputError(f"{path} is complete, but its index could not be written: {error}.") from error
    finally:
        private.unlink(missing_ok=True)
    return target


def remove_indices(path: Path) -> None:
    """Remove the indices of a file that has been written anew: they point to what it held before."""
    for suffix in _SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _build(path: Path, kind: Kind, target: Path, num_header_lines: int, *, csi: bool) -> None:
    import pysam

    if kind == "tsv":
        pysam.tabix_index(
            str(path),
            force=True,
            seq_col=0,
            start_col=1,
            end_col=1,
            line_skip=num_header_lines,
            index=str(target),
            keep_original=True,
            csi=csi,
        )
    elif kind in ("bed", "vcf"):
        pysam.tabix_index(str(path), force=True, preset=kind, index=str(target), keep_original=True, csi=csi)
    else:
        from pysam import bcftools

        bcftools.index("--csi", "--output", str(target), str(path))
