"""Read variants from VCF, BCF or a table: one `Variant` per ALT, in input order, none lost.

VCF text is parsed here and not by htslib, because only its first five columns matter and the line must survive as the
user wrote it, with the line number of whatever is wrong; contig and INFO definitions are never looked at. BCF is
pysam's, and its lines are those that htslib prints.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.streams import Source, counted, describe

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "chrom": ("chrom", "contig", "chr", "chromosome", "seqid"),
    "pos": ("pos", "position"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternate", "alternative"),
    "id": ("id", "variant_id", "rsid"),
}
_REQUIRED: Final = ("chrom", "pos", "ref", "alt")
_NUM_FIXED_COLUMNS: Final = 8
_NUCLEOTIDES: Final = re.compile(r"[ACGTUNacgtun]+")
_ALLELES: Final = re.compile(r"(?:[ACGTUNacgtun]+|[.*]|<[^>]+>|.*[\[\]].*)(?:,|$)")
_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,18}")

Format = Literal["vcf", "bcf", "tsv"]


@dataclass(frozen=True)
class Record:
    """The ALTs of one record, as written. `line` is its line of a VCF, with its line end; empty in a table."""

    variants: tuple[Variant, ...]
    line: bytes = b""


class VariantReader:
    """Variants of one input, to be iterated once; the input is closed at its end, or by the context manager.

    `format` is what the content showed; `num_records` counts the records (not ALTs) read so far. `header` has the lines
    of a VCF or BCF up to and with #CHROM, as written; it is empty for a table.
    """

    def __init__(self, path: str, tmpdir: Path | None = None) -> None:
        self._source = Source(path, streamed=True)
        self._tmpdir = tmpdir
        self.name = self._source.name
        self.num_records = 0
        self.format: Format = "tsv"
        self.header: list[bytes] = []
        self._bcf: Generator[Record, None, None] | None = None
        try:
            self._records = self._closing_at_end(self._open())
        except BaseException:
            self._source.close()
            raise

    def __iter__(self) -> Iterator[Variant]:
        for record in self._records:
            yield from record.variants

    def records(self) -> Iterator[Record]:
        """Return the records, in place of their variants one by one."""
        return self._records

    def close(self) -> None:
        self._source.close()
        if self._bcf is not None:
            self._bcf.close()  # it has a temporary folder, which goes now and not whenever

    def __enter__(self) -> VariantReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _closing_at_end(self, records: Iterator[Record]) -> Iterator[Record]:
        with self:
            yield from records

    def _open(self) -> Iterator[Record]:
        kind = describe(self._source.head)
        if kind == "a BCF file":
            self.format = "bcf"
            records = self._bcf = self._read_bcf()
            first = list(islice(records, 1))  # the header is known then
            return chain(first, records)
        if kind not in ("a VCF file", "a text file of another kind"):
            raise self._wrong_type(kind)
        lines = self._source.lines()
        comment, is_vcf = b"", kind == "a VCF file"
        number = 0
        for number, line in lines:
            text = line.rstrip(b"\r\n")
            self.header += [line] if text.startswith(b"#") else []
            if text.upper().startswith(b"#CHROM\tPOS\tID\tREF\tALT"):
                self.format = "vcf"
                return self._read_vcf(lines, 1 + text.count(b"\t"))
            if text.startswith(b"#"):
                comment = text
                is_vcf = is_vcf or text.startswith(b"##fileformat=VCF")
            elif text.strip():
                if is_vcf:
                    break
                self.header = []
                return self._open_table(comment, number, text, lines)
        else:
            if not is_vcf and _table_header(comment):
                return iter(())
        if is_vcf:
            raise InputError(
                f"{self.name}:{number} is a VCF without its #CHROM line.\n"
                "Put '#CHROM POS ID REF ALT QUAL FILTER INFO', separated by tabs, before the first record."
            )
        raise InputError(f"{self.name} holds comments only: no variants and no header.")

    def _read_vcf(self, lines: Iterator[tuple[int, bytes]], num_columns: int) -> Iterator[Record]:
        for number, line in lines:
            # 35 is '#': a second header, left by concatenation.
            if line[0] == 35 or not line.strip():
                continue
            num_tabs = line.count(b"\t")
            if num_tabs + 1 < num_columns:
                raise self._too_short(number, num_tabs + 1, num_columns)
            contig, position, id_, ref, alts = line.split(b"\t", 5)[:5]
            yield self._split(number, contig, position, id_, ref, alts.rstrip(b"\r\n"), line)

    def _open_table(
        self, comment: bytes, number: int, first: bytes, lines: Iterator[tuple[int, bytes]]
    ) -> Iterator[Record]:
        fields = first.decode("utf-8", "replace").split("\t")
        columns = _table_header(comment)
        if columns is None and (columns := _table_header(first)) is not None:
            return self._read_table(columns, lines)
        if columns is None:
            columns = self._headerless(number, fields)

        def rows() -> Iterator[tuple[int, bytes]]:
            yield number, first
            yield from lines

        return self._read_table(columns, rows())

    def _headerless(self, number: int, fields: list[str]) -> dict[str, int]:
        """Return the columns of a table without a header line, or raise InputError where they would be a guess."""
        is_position = len(fields) > 1 and fields[1].removeprefix("-").isdigit()
        if is_position and len(fields) == 4 and not fields[2].isdigit():
            return {"chrom": 0, "pos": 1, "ref": 2, "alt": 3}
        looks_like_vcf = is_position and len(fields) >= 5 and all(_ALLELES.match(field) for field in fields[3:5])
        if looks_like_vcf and len(fields) >= _NUM_FIXED_COLUMNS:
            raise InputError(
                f"{self.name}:{number} is a VCF record, but the #CHROM line is missing before it.\n"
                "Put '#CHROM POS ID REF ALT QUAL FILTER INFO', separated by tabs, before the first record."
            )
        if looks_like_vcf and len(fields) == 5 and not _NUCLEOTIDES.fullmatch(fields[2]):
            return {"chrom": 0, "pos": 1, "id": 2, "ref": 3, "alt": 4}
        found = " ".join(fields)[:80]
        cure = (
            "Columns must be separated by tabs."
            if len(fields) == 1
            else "Name them in a first line: chrom pos ref alt."
        )
        raise InputError(
            f"{self.name}:{number} is neither VCF nor a table with the columns chrom, pos, ref, alt: {found!r}.\n{cure}"
        )

    def _read_table(self, columns: dict[str, int], lines: Iterator[tuple[int, bytes]]) -> Iterator[Record]:
        num_needed = 1 + max(columns[name] for name in _REQUIRED)
        contig, position, ref, alt = (columns[name] for name in _REQUIRED)
        id_ = columns.get("id")
        for number, line in lines:
            if line.startswith(b"#") or not line.strip():
                continue
            fields = line.rstrip(b"\r\n").split(b"\t")
            if len(fields) < num_needed:
                raise self._too_short(number, len(fields), num_needed)
            name = b"" if id_ is None or id_ >= len(fields) else fields[id_]
            yield self._split(number, fields[contig], fields[position], name, fields[ref], fields[alt])

    def _split(
        self, number: int, contig: bytes, position: bytes, id_: bytes, ref: bytes, alts: bytes, line: bytes = b""
    ) -> Record:
        self.num_records += 1
        if not (position.isdigit() and len(position) < 19) and not _INTEGER.fullmatch(position.strip()):
            found = position.decode("utf-8", "replace")
            raise InputError(
                f"{self.name}:{number} has the position {found!r}, which is not an integer.\n"
                "Positions are 1-based whole numbers of at most 18 digits: correct the line."
            )
        name = contig.decode("utf-8", "replace")
        label = id_.decode("utf-8", "replace") or "."
        start = int(position) - 1
        reference = ref.decode("utf-8", "replace") or "."
        each = enumerate(alts.decode("utf-8", "replace").split(","), 1)
        return Record(tuple(Variant(name, start, reference, alt or ".", label, index) for index, alt in each), line)

    def _read_bcf(self) -> Generator[Record, None, None]:
        import pysam

        with tempfile.TemporaryDirectory(prefix="dnahnet-variants-", dir=self._tmpdir) as folder, quiet_htslib():
            path = self._source.path
            # htslib reads a BCF from a path; not from our stream, nor from plain gzip.
            if path is None or not path.is_file() or self._source.compression == "gzip":
                path = Path(folder) / "variants.bcf"
                self._source.copy_to(path)
            try:
                with pysam.VariantFile(str(path)) as records:
                    self.header = str(records.header).encode().splitlines(keepends=True)
                    for record in records:
                        self.num_records += 1
                        fixed = record.chrom, record.pos - 1, record.ref or "."
                        alts = enumerate(record.alts or (".",), 1)
                        variants = tuple(Variant(*fixed, alt, record.id or ".", index) for index, alt in alts)
                        yield Record(variants, str(record).encode())
            except Exception as error:  # a damaged record makes pysam raise nearly anything
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(
                    f"{self.name} is cut off or damaged after record {self.num_records} ({reason}).\n"
                    "Copy it again, or write it again with bcftools view -Ob."
                ) from error

    def _too_short(self, number: int, num_found: int, num_needed: int) -> InputError:
        return InputError(
            f"{self.name}:{number} has {counted(num_found, 'column')} where {num_needed} are needed.\n"
            "The file may have been cut off, or uses blanks where there should be tabs."
        )

    def _wrong_type(self, kind: str) -> InputError:
        return InputError(
            f"{self.name} is {kind}: variants are read from VCF, BCF, or a table with chrom, pos, ref, alt (tabs),\n"
            "plain or as gzip or bgzip."
        )


def read_variants(path: str, tmpdir: Path | None = None) -> VariantReader:
    """Open variants for reading; `-` is stdin.

    VCF (text, gzip, bgzip), BCF, and tab-separated tables (with or without gzip) are told apart by their content.
    A table has the columns chrom, pos (1-based), ref, alt and maybe id, named by a header line in any order; without
    one it is chrom pos ref alt or chrom pos id ref alt. Raise InputError for anything else, opening or iterating.
    """
    return VariantReader(path, tmpdir)


def _table_header(line: bytes) -> dict[str, int] | None:
    """Return the place of each known column if the line is a table's header."""
    names = [name.strip().lower() for name in line.decode("utf-8", "replace").lstrip("#").split("\t")]
    places = {
        column: next(names.index(alias) for alias in aliases if alias in names)
        for column, aliases in _ALIASES.items()
        if any(alias in names for alias in aliases)
    }
    return places if all(column in places for column in _REQUIRED) else None


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to stderr."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
