"""Write a VCF or BCF: the one that came in, with INFO fields added, record for record.

Everything else stays as it was, to the byte: lines are copied, not parsed and written anew. Fields and header lines of
an earlier run are replaced, and empty items of INFO left out. A record without an ALT has nothing to say for each ALT
and stays as it is. Variants from a table become records of a plain VCF. BCF is made by htslib of the same text.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from dnahnet_cli.errors import OutputError
from dnahnet_cli.io.output import open_output
from dnahnet_cli.io.table import Column
from dnahnet_cli.io.variants import Record, quiet_htslib

PREFIX: Final = "DNAHNET_"
_INFO: Final = 7  # its column
_TYPES: Final = {"str": "String", "int": "Integer", "float": "Float"}
_ENCODED: Final = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%;=, \t\r\n"})
_FIXED: Final = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@dataclass(frozen=True)
class InfoField:
    """A value for each ALT: the column of the table, and what it means, with sign and unit."""

    column: Column
    description: str

    @property
    def id(self) -> str:
        return PREFIX + self.column.name.upper()

    @property
    def header(self) -> str:
        """Return the line that defines the field."""
        return f'##INFO=<ID={self.id},Number=A,Type={_TYPES[self.column.type]},Description="{self.description}">'

    def value(self, value: object) -> str:
        """Return a value as INFO has it; raise TypeError or ValueError as `Column.check`."""
        checked = self.column.check(value)
        if checked is None or checked == "":
            return "."
        if isinstance(checked, float):
            return format(checked + 0.0, ".6g")
        return str(checked).translate(_ENCODED)


class VcfWriter:
    """Adds fields to records of one input."""

    def __init__(
        self,
        file: IO[bytes],
        header: Sequence[bytes],
        fields: Sequence[InfoField],
        provenance: Mapping[str, str],
        lengths: Mapping[str, int],
    ) -> None:
        self._file, self._fields = file, fields
        added = [f"##dnahnet_{key}={' '.join(value.split())}" for key, value in provenance.items()]
        added += [field.header for field in fields]
        file.write(b"".join(_with_header(header or _plain_header(lengths), added)))

    def write(self, record: Record, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a record with its rows, one for each ALT; of a row only the fields count."""
        line = record.line or _plain_line(record)
        if [variant.alt for variant in record.variants] == ["."]:
            self._file.write(line)
            return
        text = line.rstrip(b"\r\n")
        columns = text.split(b"\t")
        columns += [b"."] * (_INFO + 1 - len(columns))
        items = columns[_INFO].split(b";")
        kept = [item for item in items if item and not item.startswith(PREFIX.encode())]
        kept = [] if kept == [b"."] else kept
        for field in self._fields:
            values = ",".join(field.value(row.get(field.column.name)) for row in rows)
            kept.append(f"{field.id}={values}".encode())
        columns[_INFO] = b";".join(kept)
        self._file.write(b"\t".join(columns) + line[len(text) :])


def open_vcf(
    path: str | Path | None,
    header: Sequence[bytes],
    fields: Sequence[InfoField],
    *,
    binary: bool = False,
    bgzip: bool | None = None,
    provenance: Mapping[str, str],
    lengths: Mapping[str, int],
    forbidden: Sequence[Path] = (),
    clobber: bool = True,
    tmpdir: Path | None = None,
) -> AbstractContextManager[VcfWriter]:
    """Return a VCF, or with `binary` a BCF, to be opened with `with`; `-` or None is stdout.

    `header` are the lines of the input's, empty for a table, in place of which contigs of these `lengths` are named.
    Raises as `open_output`; OutputError for records that a BCF cannot hold.
    """
    lines = open_vcf_lines(path, binary=binary, bgzip=bgzip, forbidden=forbidden, clobber=clobber, tmpdir=tmpdir)

    @contextmanager
    def opened() -> Iterator[VcfWriter]:
        with lines as file:
            yield VcfWriter(file, header, fields, provenance, lengths)

    return opened()


def open_vcf_lines(
    path: str | Path | None,
    *,
    binary: bool = False,
    bgzip: bool | None = None,
    forbidden: Sequence[Path] = (),
    clobber: bool = True,
    tmpdir: Path | None = None,
) -> AbstractContextManager[IO[bytes]]:
    """Return a place for the lines of a VCF, which becomes a BCF with `binary`; otherwise as `open_vcf`."""
    output = open_output(path, binary=True, forbidden=forbidden, bgzip=False if binary else bgzip, clobber=clobber)

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with output as file:
            if not binary:
                yield file
                return
            with tempfile.TemporaryDirectory(prefix="dnahnet-bcf-", dir=tmpdir) as folder:
                text, made = Path(folder) / "text.vcf", Path(folder) / "binary.bcf"
                with text.open("wb") as plain:
                    yield plain
                _to_bcf(text, made, output.name)
                with made.open("rb") as complete:
                    shutil.copyfileobj(complete, file, 1 << 20)

    return opened()


def _with_header(lines: Sequence[bytes], added: Sequence[str]) -> list[bytes]:
    """Return a header with lines added before #CHROM, those of an earlier run taken out."""
    ours = (f"##INFO=<ID={PREFIX}".encode(), b"##dnahnet_")
    kept = [line for line in lines if not line.startswith(ours)]
    last = kept.pop()
    names = last.rstrip(b"\r\n")
    end = last[len(names) :] or b"\n"
    num_columns = names.count(b"\t") + 1
    if num_columns <= _INFO:
        last = _FIXED + end
    missing = [] if kept and kept[0].startswith(b"##fileformat=") else [b"##fileformat=VCFv4.2" + end]
    return [*missing, *kept, *(line.encode() + end for line in added), last]


def _plain_header(lengths: Mapping[str, int]) -> list[bytes]:
    contigs = [f"##contig=<ID={name},length={length}>\n".encode() for name, length in lengths.items()]
    return [b"##fileformat=VCFv4.2\n", *contigs, _FIXED + b"\n"]


def _plain_line(record: Record) -> bytes:
    first = record.variants[0]
    alts = ",".join(variant.alt for variant in record.variants)
    return f"{first.contig}\t{first.start + 1}\t{first.id}\t{first.ref}\t{alts}\t.\t.\t.\n".encode()


def _to_bcf(text: Path, target: Path, name: str) -> None:
    """Convert a VCF, whose header may lack contigs and fields: htslib adds those that it meets while reading.

    A BCF begins with its header, so they must be known before the first record is written: the text is read twice, the
    second time with the header that the first has completed. Written by bcftools' code, which pysam carries, because
    pysam's own writer adds and removes END.
    """
    import pysam
    from pysam import bcftools

    complete = text.with_name("complete.vcf")
    try:
        with quiet_htslib():
            with pysam.VariantFile(str(text)) as reading:
                for _ in reading:
                    pass
                header = str(reading.header).encode()
            with text.open("rb") as old, complete.open("wb") as new:
                new.write(header)
                new.writelines(line for line in old if not line.startswith(b"#"))
            bcftools.view("--no-version", "-Ob", "-o", str(target), str(complete), catch_stdout=False)
    except (OSError, ValueError, pysam.utils.SamtoolsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OutputError(
            f"{name} cannot be written as BCF, because htslib does not take the records ({reason}).\n"
            "Write .vcf.gz, which keeps them as they are."
        ) from error
