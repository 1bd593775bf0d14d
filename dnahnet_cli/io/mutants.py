"""Read a list of mutants, one a line or a table that may hold a measurement of each, and the protein they are of."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.io.streams import Source, counted, name_some

MUTANT_COLUMNS: Final = ("mutant", "mutation", "variant", "hgvs_nt", "hgvs_pro")
_HGVS: Final = ("hgvs_nt", "hgvs_pro")  # of one mutant: the protein's where the bases are not known
MEASURED_COLUMNS: Final = ("dms_score", "score", "fitness", "measured")
_MISSING: Final = frozenset({"", "na", "nan", "none", "null", "."})


@dataclass(frozen=True)
class MutantList:
    """Mutants as written, in the order of the file, and what was measured, if anything; NaN where it is missing."""

    mutants: tuple[str, ...]
    measured: tuple[float, ...] | None = None
    column: str = ""  # that of the measurement


def read_mutants(path: str, measured: str | None = None) -> MutantList:
    """Read mutants, gzip or not; `-` is stdin.

    A table is tab- or comma-separated, with a header; the mutants are in the first column there is of MUTANT_COLUMNS
    that has any value, and a row without hgvs_nt is taken by its hgvs_pro. Measurements are in the column called
    `measured`, else the first of MEASURED_COLUMNS. Letter case does not matter in names. A file without such a header
    has one mutant a line. Raises InputError, and UsageError where `measured` is missing.
    """
    with Source(path) as source:
        lines = [(number, line.decode("utf-8", "replace").rstrip("\r\n")) for number, line in source.lines()]
        name = source.name
    lines = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{name} holds no mutants: write one a line, such as M69L.")
    delimiter = "\t" if "\t" in lines[0][1] else ","
    header = [cell.strip().lower() for cell in _cells(f"{name}:{lines[0][0]}", lines[0][1], delimiter)]
    columns = [header.index(known) for known in MUTANT_COLUMNS if known in header]
    if not columns:
        if len(header) > 1:
            raise InputError(
                f"{name} is a table without a column of mutants: it needs one called {', '.join(MUTANT_COLUMNS[:3])}; "
                f"it has {name_some(header)}."
            )
        if measured is not None:
            raise UsageError(f"--measured {measured}: {name} is a plain list, without columns")
        return MutantList(tuple(line.strip() for _, line in lines))
    wanted = (measured.lower(),) if measured is not None else MEASURED_COLUMNS
    value = next((header.index(known) for known in wanted if known in header), None)
    if measured is not None and value is None:
        raise UsageError(f"--measured {measured}: {name} has no such column; it has {name_some(header)}")
    rows, values = [], []
    for number, line in lines[1:]:
        cells = _cells(f"{name}:{number}", line, delimiter)
        if len(cells) != len(header):
            raise InputError(
                f"{name}:{number} has {counted(len(cells), 'column')}, the header {len(header)}: correct the line."
            )
        rows.append([cells[column].strip() for column in columns])
        if value is not None:
            values.append(_number(f"{name}:{number}", header[value], cells[value].strip()))
    if not rows:
        raise InputError(f"{name} has a header and no rows: there is no mutant to score.")
    mutants = _mutants([header[column] for column in columns], rows)
    return MutantList(mutants, tuple(values) if value is not None else None, "" if value is None else header[value])


def _mutants(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the mutant of each row, from the cells of the columns that may hold it."""
    known = [name for at, name in enumerate(names) if any(row[at].lower() not in _MISSING for row in rows)]
    chosen = known[:1] or names[:1]
    if known[:1] == [_HGVS[0]]:
        chosen = [name for name in _HGVS if name in known]
    places = [names.index(name) for name in chosen]
    return tuple(next((row[at] for at in places if row[at].lower() not in _MISSING), row[places[0]]) for row in rows)


def read_protein(path: Path) -> tuple[str, str]:
    """Return the residues and the first word of the header of a FASTA file of one protein. Raises InputError."""
    headers: list[str] = []
    residues: list[str] = []
    with Source(path) as source:
        for _, line in source.lines():
            text = line.decode("utf-8", "replace").strip()
            (headers if text.startswith(">") else residues).append(text)
    if len(headers) != 1:
        raise InputError(f"{path} holds {len(headers)} sequences, not one.")
    return "".join(residues).upper().removesuffix("*"), next(iter(headers[0][1:].split()), "")


def _cells(where: str, line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"{where} is no line of a table ({error}).\nLines end in LF or CRLF, and cells are shorter than 128 KiB."
        ) from error


def _number(where: str, column: str, text: str) -> float:
    if text.lower() in _MISSING:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{where} has the {column} {text!r}, which is not a number.")
    return number
