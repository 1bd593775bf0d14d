"""The variants of a page: the most damaging of them, and counts of all."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any, Final

from dnahnet_cli.report.contigs import Contigs, Place
from dnahnet_cli.report.tables import Row, ScoredTable

NEEDED: Final = ("chrom", "pos", "ref", "alt", "status", "damage")
_SHOWN: Final = {
    "chrom": "contig",
    "pos": "position",
    "id": "id",
    "ref": "ref",
    "alt": "alt",
    "damage": "damage",
    "phred": "phred",
    "gene": "gene",
    "consequence": "consequence",
    "aa_change": "protein",
    "product": "product",
    "locus_tag": "locus tag",
    "codon_change": "codon",
    "llr_fwd": "llr forward",
    "llr_rev": "llr reverse",
    "status": "status",
}


@dataclass(frozen=True)
class Variants:
    """Rows to show, the most damaging first and then those without a score; `places` are theirs in the genome.

    `status` counts all rows of the table, `damage` holds all scores by consequence and is empty without genes.
    """

    rows: Sequence[Row]
    places: Sequence[Place | None]
    columns: Sequence[str]
    status: Counter[str]
    damage: dict[str, array[float]] = field(default_factory=dict)

    @property
    def num_left_out(self) -> int:
        return self.status.total() - len(self.rows)

    def by_consequence(self) -> list[tuple[str, int, float]]:
        """Return each consequence with the number of variants scored and their median damage, the highest first."""
        found = [(name, len(values), median(values)) for name, values in self.damage.items()]
        return sorted(found, key=lambda row: (-row[2], row[0]))

    def as_json(self) -> dict[str, Any]:
        """Return the table as the page takes it."""
        return table_json(_SHOWN, self.columns, self.rows, self.places)


def select_variants(table: ScoredTable, contigs: Contigs, top: int) -> Variants:
    """Read all rows and keep `top` of them, the highest damage first; memory does not grow with their number."""
    status: Counter[str] = Counter()
    damage: dict[str, array[float]] = {}
    unscored: list[Row] = []

    def scored() -> Iterable[tuple[float, int, Row]]:
        for number, row in enumerate(table.rows):
            status[str(row.get("status") or "")] += 1
            value = row.get("damage")
            if not isinstance(value, (int, float)):
                if len(unscored) < top:
                    unscored.append(row)
                continue
            if term := row.get("consequence"):
                damage.setdefault(str(term), array("d")).append(value)
            yield value, -number, row

    best = heapq.nlargest(top, scored(), key=lambda found: found[:2])
    rows = [row for _, _, row in best] + unscored[: top - len(best)]
    places = [_place(row, contigs) for row in rows]
    return Variants(rows, places, table.columns, status, damage)


def table_json(
    shown: dict[str, str], columns: Sequence[str], rows: Sequence[Row], places: Sequence[Place | None]
) -> dict[str, Any]:
    """Return the columns of `shown` (name to heading) that say something, the rows, and their places.

    Columns that are empty, all `ok`, or all of one contig are left away.
    """
    present = [name for name in shown if name in columns and any(_has(row, name) for row in rows)]
    for name, plain in (("status", {"ok"}), ("chrom", {row.get("chrom") for row in rows[:1]})):
        if name in present and {row.get(name) for row in rows} == plain:
            present.remove(name)
    return {
        "columns": [{"key": name, "label": shown[name]} for name in present],
        "rows": [[_short(row.get(name)) for name in present] for row in rows],
        "places": list(places),
    }


def _has(row: Row, name: str) -> bool:
    return row.get(name) not in (None, "", ".")


def _short(value: object) -> object:
    """Return a cell with the digits that a table needs."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _place(row: Row, contigs: Contigs) -> Place | None:
    start = row.get("pos")
    if not isinstance(start, int):
        return None
    return contigs.place(str(row.get("chrom")), start - 1, start - 1 + len(str(row.get("ref") or ".")))


def first_places(places: Iterable[Place | None], number: int) -> list[Place]:
    """Return the first places that there are."""
    return list(islice((place for place in places if place), number))
