"""Classes of bases that a boundary might prefer: parts of genes, what lies between them, and measured sites.

All is by strand, on forward coordinates. What an annotation does not hold is predicted by a simple rule and named so:

- operon: neighbouring genes on one strand with at most OPERON_GAP_BP between them, nothing on the other strand between.
- promoter_predicted: what is intergenic of the PROMOTER_BP bases before a start codon that is first in its operon.
- operon_end_predicted: the base behind the last stop codon of an operon.
- rbs_predicted: of the bases 20 to 4 before a start codon, the longest match, of four bases at least, to a part of
  AAGGAGGT, the complement of the 3' end of 16S ribosomal RNA; the one nearest to the gene if there are several.
- terminator_predicted: within 100 bases behind an operon's end, the first perfect hairpin (stem of 6 to 12 base pairs,
  four or more of them G-C, loop of 3 to 8) that is followed by 8 bases with 6 or more T.
- promoter_measured: TSS_UPSTREAM_BP bases before a measured transcription start, and the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, Gene, Strand, decode, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.rnas import RnaGene
from dnahnet_cli.io.sites import Site
from dnahnet_cli.io.streams import name_some

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]
Place: TypeAlias = tuple[int, int]

PROMOTER_BP: Final = 100
OPERON_GAP_BP: Final = 50
TSS_UPSTREAM_BP: Final = 60
SHINE_DALGARNO: Final = "AAGGAGGT"
SHINE_DALGARNO_BP: Final = (20, 4)  # before the start codon: where the window begins and ends
LEAST_MATCH: Final = 4
TERMINATOR_BP: Final = 100
STEM_BP, LOOP_BP, TAIL_BP = (6, 12), (3, 8), 8
LEAST_GC, LEAST_T = 4, 6

CODON_POSITIONS: Final = ("codon_position_1", "codon_position_2", "codon_position_3")
ANNOTATED: Final = (*CODON_POSITIONS, "start_codon", "stop_codon", "coding", "intergenic", "rna_gene")
PREDICTED: Final = ("promoter_predicted", "operon_end_predicted", "rbs_predicted", "terminator_predicted")
STRANDLESS: Final = ("intergenic",)
POINTS: Final = ("start_codon", "stop_codon", "operon_end_predicted", "tss_measured")

_MANY: Final = 2  # genes that cover a base: how many more does not matter
_STOPS: Final = ("TAA", "TAG", "TGA")
_PAIR: Final = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Marks:
    """What the bases of one contig are: masks (L,) and points (the base that a boundary would open), by strand."""

    masks: Mapping[tuple[str, Strand], Mask]
    points: Mapping[tuple[str, Strand], Positions]


def check_genes(genes: Sequence[Gene], fasta: Fasta) -> tuple[list[Gene], list[tuple[str, str]]]:
    """Return the genes on contigs of the genome, and (name, reason) of those that are not, or whose frame is not clear.

    The latter stay: their bases are neither intergenic nor of any class. Raise InputError where no gene is on the
    genome, or most do not end with a stop codon there.
    """
    known, odd, ends = [], [], []
    for gene in genes:
        length = fasta.lengths.get(gene.contig)
        if length is None:
            odd.append((gene.name, "the genome has no contig of that name: ignored"))
            continue
        known.append(gene)
        if gene.end > length:
            odd.append((gene.name, "over the origin, or beyond its contig: its bases are of no class"))
        elif not _is_clear(gene):
            odd.append((gene.name, "pseudogene, in several parts, or not whole codons: its bases are of no class"))
        elif not gene.partial:
            is_forward = gene.strand is Strand.FORWARD
            codon = fasta.codes(
                gene.contig, *((gene.end - 3, gene.end) if is_forward else (gene.start, gene.start + 3))
            )
            ends.append(decode(codon if is_forward else reverse_complement(codon)) in _STOPS)
    if not known:
        names, contigs = name_some(dict.fromkeys(gene.contig for gene in genes)), name_some(fasta.lengths)
        raise InputError(f"no gene is on the genome: the genes are on {names}, the genome has {contigs}.")
    if 2 * sum(ends) < len(ends):
        raise InputError(
            f"{len(ends) - sum(ends):,} of {len(ends):,} genes do not end with a stop codon. "
            "Do the annotation and the genome belong together?"
        )
    return known, odd


def _is_clear(gene: Gene) -> bool:
    return not gene.pseudo and len(gene.parts) == 1 and gene.length % 3 == 0


def mark(codes: Codes, genes: Iterable[Gene], rnas: Iterable[RnaGene], sites: Iterable[Site]) -> Marks:
    """Mark a contig's bases; `codes` are its own, (L,), and so are the genes and sites. Classes may overlap.

    Codon positions, start and stop codons and coding bases are those that exactly one gene covers, a coding sequence of
    whole codons in one piece; intergenic is what no gene covers on either strand.
    """
    length, genes, rnas = len(codes), list(genes), list(rnas)
    num_genes = np.zeros(length, dtype=np.int8)
    for start, end in chain(((r.start, r.end) for r in rnas), *(g.parts for g in genes)):
        for low, high in ((start, min(end, length)), (0, max(end - length, 0))):  # the latter over the origin
            num_genes[low:high] = np.minimum(num_genes[low:high] + 1, _MANY)
    clear = [gene for gene in genes if gene.end <= length and _is_clear(gene)]
    masks: dict[tuple[str, Strand], Mask] = {}
    points: dict[tuple[str, Strand], Positions] = {}
    for strand in Strand:
        marker = _Marker(codes, strand, num_genes)
        marker.coding([gene for gene in clear if gene.strand is strand])
        marker.rna([rna for rna in rnas if rna.strand is strand])
        marker.operons([gene for gene in clear if gene.strand is strand], *operon_ends([*genes, *rnas], strand))
        marker.sites([site for site in sites if site.strand in (strand, None)])
        masks |= {(name, strand): marker.turned(mask) for name, mask in marker.masks.items()}
        for name, places in marker.points.items():
            own = np.unique(np.array(places, dtype=np.int64))
            points[name, strand] = own if strand is Strand.FORWARD else np.sort(length - 1 - own)
    return Marks(masks, points)


def operon_ends(genes: Iterable[Gene | RnaGene], strand: Strand) -> tuple[set[Place], set[Place]]:
    """Return the places (start, end) of a strand's genes that are first, and last, of a predicted operon."""
    ordered = sorted(genes, key=lambda gene: (gene.start, gene.end))
    apart = [a.strand is not b.strand or b.start - a.end > OPERON_GAP_BP for a, b in pairwise(ordered)]
    if not ordered:
        return set(), set()
    lowest = {(g.start, g.end) for g, cut in zip(ordered, [True, *apart], strict=True) if cut and g.strand is strand}
    highest = {(g.start, g.end) for g, cut in zip(ordered, [*apart, True], strict=True) if cut and g.strand is strand}
    return (lowest, highest) if strand is Strand.FORWARD else (highest, lowest)


def find_rbs(upstream: str) -> tuple[int, int] | None:
    """Return where in the bases before a start codon the ribosome is predicted to bind, [start, end), or None."""
    far, near = SHINE_DALGARNO_BP
    begin, end = max(0, len(upstream) - far), max(0, len(upstream) - near)
    for size in range(len(SHINE_DALGARNO), LEAST_MATCH - 1, -1):
        parts = (SHINE_DALGARNO[at : at + size] for at in range(len(SHINE_DALGARNO) - size + 1))
        start = max(upstream.rfind(part, begin, end) for part in parts)
        if start >= 0:
            return start, start + size
    return None


def find_terminator(downstream: str) -> tuple[int, int] | None:
    """Return where in a stretch the first hairpin with a tail of T lies, tail included, [start, end), or None."""
    for tail in range(len(downstream) - TAIL_BP + 1):
        if downstream.count("T", tail, tail + TAIL_BP) < LEAST_T:
            continue
        for stem in range(STEM_BP[1], STEM_BP[0] - 1, -1):
            right = downstream[max(tail - stem, 0) : tail]
            if right.count("G") + right.count("C") < LEAST_GC:
                continue
            left = right[::-1].translate(_PAIR)
            for loop in range(LOOP_BP[0], LOOP_BP[1] + 1):
                start = tail - 2 * stem - loop
                if start >= 0 and downstream.startswith(left, start) and "N" not in left:
                    return start, tail + TAIL_BP
    return None


class _Marker:
    """Marks one strand, in its own reading direction: position 0 is the first base that is read."""

    def __init__(self, codes: Codes, strand: Strand, num_genes: npt.NDArray[np.int8]) -> None:
        self.strand, self.length = strand, len(codes)
        self.num_genes = self.turned(num_genes)
        self.text = decode(codes if strand is Strand.FORWARD else reverse_complement(codes))
        self.masks = {name: np.zeros(self.length, dtype=np.bool_) for name in (*ANNOTATED, *PREDICTED)}
        self.masks["intergenic"] = self.num_genes == 0
        self.points: dict[str, list[int]] = {name: [] for name in POINTS}

    def turned(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn from forward coordinates to reading direction, or back."""
        return values if self.strand is Strand.FORWARD else values[::-1]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return a forward stretch in reading direction."""
        return (start, end) if self.strand is Strand.FORWARD else (self.length - end, self.length - start)

    def coding(self, genes: Iterable[Gene]) -> None:
        for gene in genes:
            start, end = self.place(gene.start, gene.end)
            alone = self.num_genes[start:end] == 1
            self.masks["coding"][start:end] |= alone
            for phase, name in enumerate(CODON_POSITIONS):
                self.masks[name][start + phase : end : 3] |= alone[phase::3]
            if not gene.partial:
                self.masks["start_codon"][start : start + 3] |= alone[:3]
                self.masks["stop_codon"][end - 3 : end] |= alone[-3:]
                self.points["start_codon"].append(start)
                self.points["stop_codon"].append(end - 3)

    def rna(self, rnas: Iterable[RnaGene]) -> None:
        for rna in rnas:
            start, end = self.place(rna.start, rna.end)
            self.masks["rna_gene"][max(start, 0) : end] = True
        self.masks["rna_gene"] &= self.num_genes == 1

    def operons(self, genes: Iterable[Gene], firsts: set[Place], lasts: set[Place]) -> None:
        for gene in genes:
            if gene.partial:
                continue
            start, end = self.place(gene.start, gene.end)
            rbs = find_rbs(self.text[max(start - SHINE_DALGARNO_BP[0], 0) : start])
            if rbs is not None:
                first = max(start - SHINE_DALGARNO_BP[0], 0)
                self.masks["rbs_predicted"][first + rbs[0] : first + rbs[1]] = True
            if (gene.start, gene.end) in firsts:
                before = slice(max(start - PROMOTER_BP, 0), start)
                self.masks["promoter_predicted"][before] |= self.masks["intergenic"][before]
            if (gene.start, gene.end) in lasts and end < self.length:
                self.masks["operon_end_predicted"][end] = True
                self.points["operon_end_predicted"].append(end)
                terminator = find_terminator(self.text[end : end + TERMINATOR_BP])
                if terminator is not None:
                    self.masks["terminator_predicted"][end + terminator[0] : end + terminator[1]] = True

    def sites(self, sites: Iterable[Site]) -> None:
        for site in sites:
            start, end = self.place(site.start, site.end)
            self._measured(site.kind)[start:end] = True
            if site.kind == "tss":
                self.points["tss_measured"].append(start)
                self._measured("promoter")[max(start - TSS_UPSTREAM_BP, 0) : end] = True

    def _measured(self, kind: str) -> Mask:
        return self.masks.setdefault(f"{kind}_measured", np.zeros(self.length, dtype=np.bool_))
