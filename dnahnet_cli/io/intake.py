"""What stands between the records that were read and the variants that are scored.

Contigs get the names that the genome has for them, records outside the regions are left out, and REF alleles that are
not the genome's are dealt with as asked. Records stay as they were read, so that they can be written as they were.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Literal, TypeVar

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import N_CODE, GenomeSource, Interval, Variant, decode, encode
from dnahnet_cli.io.streams import Source, name_some, shortened
from dnahnet_cli.io.variants import Record

OnRefMismatch = Literal["skip", "error", "use-genome"]
Score = TypeVar("Score")

_BASES: Final = "ACGT"
_WINDOW: Final = 65_536


class Intake:
    """Feeds variants to a scorer, and gives the scores back to their records.

    `num_replaced` counts the ALTs whose REF was replaced by the genome's; `first_replaced` is the first, as read.
    """

    def __init__(
        self,
        records: Iterable[Record],
        genome: GenomeSource,
        *,
        names: Mapping[str, str] | None = None,
        regions: Sequence[Interval] | None = None,
        on_ref_mismatch: OnRefMismatch = "skip",
        rows: range | None = None,
    ) -> None:
        """`names` are the genome's names of contigs, by those of the records; others are taken as they are.

        `rows` are those of a shard: of all ALTs that would be scored, counted from 0, no record divided.
        """
        self._genome, self._names, self._on_ref_mismatch = genome, names or {}, on_ref_mismatch
        self._regions = None if regions is None else _joined(regions)
        self._records, self._rows = iter(records), rows
        self._waiting: deque[Record] = deque()
        self.num_replaced = 0
        self.first_replaced: Variant | None = None

    def variants(self) -> Iterator[Variant]:
        """Yield what is to be scored. Raises InputError for a wrong REF where that is to be an error."""
        next_row = 0
        for record in self._records:
            contig = self._names.get(record.variants[0].contig, record.variants[0].contig)
            if self._regions is not None and not _holds(self._regions.get(contig, ()), record.variants[0].start):
                continue
            row, next_row = next_row, next_row + len(record.variants)
            if self._rows is not None and row not in self._rows:
                if row >= self._rows.stop:
                    return
                continue
            self._waiting.append(record)
            for variant in record.variants:
                yield self._checked(variant if contig == variant.contig else replace(variant, contig=contig), variant)

    def grouped(self, scores: Iterator[Score]) -> Iterator[tuple[Record, list[Score]]]:
        """Yield each record with the scores of its variants, which come in the order of `variants`."""
        for first in scores:
            record = self._waiting.popleft()
            yield record, [first, *islice(scores, len(record.variants) - 1)]

    def _checked(self, variant: Variant, written: Variant) -> Variant:
        if self._on_ref_mismatch == "skip":
            return variant
        length = self._genome.lengths.get(variant.contig)
        if length is None or not 0 <= variant.start < variant.end <= length:
            return variant
        ref, here = encode(variant.ref), self._genome.codes(variant.contig, variant.start, variant.end)
        if (ref == here).all() or (ref == N_CODE).any() or (here == N_CODE).any():
            return variant
        if self._on_ref_mismatch == "error":
            raise InputError(
                f"{written.contig}:{written.start + 1}: REF is {shortened(written.ref)}, the genome has "
                f"{shortened(decode(here))}. Give the genome that the calls were made on, or another --on-ref-mismatch."
            )
        self.num_replaced += 1
        self.first_replaced = self.first_replaced or written
        return replace(variant, ref=decode(here))


def all_snvs(genome: GenomeSource, regions: Sequence[Interval] | None = None) -> Iterator[Record]:
    """Yield a record with three ALTs for each A, C, G or T of the regions, in their order, or of the genome."""
    chosen = regions if regions is not None else [Interval(name, 0, n) for name, n in genome.lengths.items()]
    for region in chosen:
        for low in range(region.start, region.end, _WINDOW):
            bases = decode(genome.codes(region.contig, low, min(region.end, low + _WINDOW)))
            for start, ref in enumerate(bases, low):
                if ref in _BASES:
                    alts = enumerate((base for base in _BASES if base != ref), 1)
                    yield Record(tuple(Variant(region.contig, start, ref, alt, ".", index) for index, alt in alts))


def read_names(path: str, genome: Mapping[str, int]) -> dict[str, str]:
    """Read new names of contigs: lines of an old and a new name, separated by blanks, as bcftools takes them.

    Raises InputError for another line, an old name that comes twice, or a new one that the genome does not have.
    """
    names: dict[str, str] = {}
    with Source(path) as source:
        for number, line in source.lines():
            words = line.decode("utf-8", "replace").split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2:
                raise InputError(f"{source.name}:{number} has {len(words)} words: an old and a new name are needed.")
            old, new = words
            if names.get(old, new) != new:
                raise InputError(f"{source.name}:{number} renames {old!r} a second time: keep one of the lines.")
            if new not in genome:
                raise InputError(f"{source.name}:{number}: the genome has no contig {new!r}, but {name_some(genome)}.")
            names[old] = new
    return names


def _joined(regions: Sequence[Interval]) -> dict[str, list[tuple[int, int]]]:
    """Return the regions by contig, sorted, those that overlap joined."""
    by_contig: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for region in sorted(regions, key=lambda r: (r.contig, r.start, r.end)):
        own = by_contig[region.contig]
        if own and region.start <= own[-1][1]:
            own[-1] = (own[-1][0], max(own[-1][1], region.end))
        else:
            own.append((region.start, region.end))
    return by_contig


def _holds(regions: Sequence[tuple[int, int]], place: int) -> bool:
    at = bisect_right(regions, place, key=lambda region: region[0])
    return at > 0 and place < regions[at - 1][1]
