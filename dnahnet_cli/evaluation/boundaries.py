"""Where does the model cut? The rate of each stage's boundaries by class of bases, and how well they find points.

1. Every stretch is read once on each strand. A class is looked at in the reading that has its own strand as *sense*,
   and apart from that in the *antisense* one.
2. The rate of stage 1 is the share of bases that open a chunk; of each further stage, the share of the chunks of the
   stage before that open one of its own. The base that a pass begins with is left out: a cut there is forced. So are
   bases other than A, C, G and T.
3. `fold` is the rate over that of the stage as a whole. Its interval comes from resampling blocks of the genome,
   because neighbouring boundaries are not independent; both strands of a block go together.
4. `kmer_fold` is the rate over that expected from the KMER bases up to the boundary alone, with the rates that these
   k-mers have in the whole run. Where it is 1, the letters explain the preference.
5. Tests are against the chunkers of dnahnet_cli.evaluation.enrichment, corrected over all rows that are tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from dnahnet_cli.errors import InputError
from dnahnet_cli.evaluation.chunks import Cuts
from dnahnet_cli.evaluation.enrichment import (
    Atoms,
    Mask,
    Positions,
    block_draws,
    grid,
    permutation_p,
    point_figures,
    shifted,
    shuffled,
)
from dnahnet_cli.evaluation.features import (
    ANNOTATED,
    POINTS,
    STRANDLESS,
    Marks,
    check_genes,
    mark,
)
from dnahnet_cli.evaluation.statistics import Floats, benjamini_hochberg, interval
from dnahnet_cli.genome import N_CODE, Codes, Gene, Interval, Strand, reverse_complement
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.genes import call_genes, read_genes
from dnahnet_cli.io.rnas import RnaGene, read_rna_genes
from dnahnet_cli.io.sites import Site, place_sites, read_sites
from dnahnet_cli.io.table import Column

TOLERANCES: Final = (0, 1, 3, 10)
BLOCK_BP: Final = 5_000
KMER: Final = 6
NULLS: Final = ("shift", "shuffle")


class Genome(Protocol):
    """Contigs by name."""

    @property
    def lengths(self) -> Mapping[str, int]: ...

    def codes(self, contig: str, start: int, end: int) -> Codes: ...


@dataclass(frozen=True)
class BoundaryOptions:
    """Resamples behind intervals, versions of each random chunker, and the seed of both."""

    draws: int = 1000
    permutations: int = 1000
    seed: int = 1


@dataclass(frozen=True)
class GenomeFeatures:
    """What is known of a genome, what its annotation calls circular, and (name, reason) of what is not used."""

    genes: Sequence[Gene]
    rnas: Sequence[RnaGene] = ()
    sites: Sequence[Site] = ()
    circular: frozenset[str] = frozenset()
    skipped: Sequence[tuple[str, str]] = ()

    @classmethod
    def read(cls, fasta: Fasta, genes: str | None, sites: Iterable[str] = ()) -> GenomeFeatures:
        """Read genes (None: those of a GenBank genome, or called) and tables of sites. Raises InputError."""
        if genes is None and fasta.annotated:
            genes = str(fasta.path)
        found = call_genes(fasta) if genes is None else read_genes(genes, circles=fasta.circles)
        known, skipped = check_genes(found.genes, fasta)
        rnas = read_rna_genes(genes) if genes is not None else []
        placed: list[Site] = []
        for path in sites:
            own, lost = place_sites(read_sites(path), fasta)
            if not own:
                raise InputError(f"{path}: none of {len(lost)} sites is on this genome; first {': '.join(lost[0])}.")
            placed += own
            skipped += lost
        rnas = [rna for rna in rnas if rna.end <= fasta.lengths.get(rna.contig, 0)]
        return cls(known, rnas, placed, found.circular, [*found.skipped, *skipped])

    def marks(self, genome: Genome, contig: str) -> Marks:
        """Mark the bases of a contig."""
        return mark(
            genome.codes(contig, 0, genome.lengths[contig]),
            (gene for gene in self.genes if gene.contig == contig),
            (rna for rna in self.rnas if rna.contig == contig),
            (site for site in self.sites if site.contig == contig),
        )


def columns() -> list[Column]:
    """Return the columns of the table."""
    floats = ["rate", "rate_low", "rate_high", "fold", "fold_low", "fold_high"]
    floats += ["kmer_fold", "kmer_fold_low", "kmer_fold_high"]
    floats += [f"{null}_{what}" for null in NULLS for what in ("low", "high", "p", "q")]
    floats += ["grid_low", "grid_high", "recall", "recall_low", "recall_high", "precision"]
    floats += [
        "shuffle_recall",
        "shuffle_recall_low",
        "shuffle_recall_high",
        "shuffle_precision",
        "recall_p",
        "recall_q",
    ]
    floats += ["grid_recall", "grid_precision", "bases_per_chunk"]
    return [
        Column("level", "str"),
        Column("stage", "int"),
        Column("feature", "str"),
        Column("evidence", "str"),
        Column("reading", "str"),
        Column("tolerance", "int"),
        Column("num_sites", "int"),
        Column("num_candidates", "int"),
        Column("num_boundaries", "int"),
        *(Column(name, "float") for name in floats),
    ]


def boundary_rows(
    cuts: Cuts,
    genome: Genome,
    features: GenomeFeatures,
    options: BoundaryOptions,
    progress: Callable[[int], None] = lambda steps: None,
) -> list[dict[str, Any]]:
    """Return the rows of the table: for each stage one of the whole, one for each class and reading, and for points.

    `progress` is called with 1 after each stage. Undefined figures are None.
    """
    axis = _Axis(cuts, genome)
    marks = {contig: features.marks(genome, contig) for contig in axis.contigs}
    classes = _classes(marks)
    num_sites: list[int] = []
    atoms = Atoms.of(axis.masks(marks, classes, num_sites), axis.size)
    points = {
        name: axis.points(marks, name)
        for name in POINTS
        if any((name, s) in m.points for m in marks.values() for s in Strand)
    }
    rows: list[dict[str, Any]] = []
    candidates = np.flatnonzero(axis.usable)
    for stage in range(1, cuts.num_stages + 1):
        is_open = axis.boundaries(stage)
        stage_rows = _class_rows(axis, atoms.at(candidates), candidates, is_open, options)
        for row, (feature, reading), sites in zip(stage_rows, classes, num_sites, strict=True):
            row |= {"feature": feature, "reading": reading, "evidence": evidence_of(feature), "num_sites": sites}
            row["level"] = "class"
        found = np.flatnonzero(is_open)
        stage_rows[0] |= {"level": "stage", "num_sites": None}
        stage_rows[0]["bases_per_chunk"] = _ratio(int(np.count_nonzero(axis.usable)), len(found))
        for name, places in points.items():
            stage_rows += _point_rows(name, places, found, axis.size, options)
        rows += [{"stage": stage} | row for row in stage_rows]
        candidates = found
        progress(1)
    for name in ("shift", "shuffle", "recall"):
        corrected = benjamini_hochberg([row.get(f"{name}_p") for row in rows])
        for row, q in zip(rows, corrected, strict=True):
            row[f"{name}_q"] = q
    return rows


def notes(options: BoundaryOptions, num_stages: int) -> list[str]:
    """Return what a reader of the rows must know."""
    return [
        "Rates: stage 1, boundaries per base; each further stage, the share of the chunks of the stage before that "
        "open one of its own. The first base of each pass is left out.",
        "sense: a class as read on its own strand; antisense: as read on the other.",
        f"Intervals are 95 % percentile intervals of {options.draws:,} resamples of blocks of {BLOCK_BP:,} bases, both "
        "strands of a block together; for recall, of points.",
        f"kmer_fold: over the rate expected from the {KMER} bases up to the boundary, by the rates of these k-mers in "
        "this run.",
        f"shift: the same boundaries moved round, {options.permutations:,} times. shuffle: their chunks in random "
        "order, as often. Both are given as the 95 % range of their fold; p-values are two-sided; where no version is "
        "as far out, from a normal tail with their mean and deviation. grid: chunks of equal length, least and "
        "greatest fold of its phases.",
        "q: p corrected for the rate of false discoveries (Benjamini and Hochberg) over all classes, readings and "
        f"{num_stages} stages; recall over all points, tolerances and stages.",
        "Operons, promoters, ribosome binding sites and terminators that are called predicted follow from simple "
        "rules; what is called measured comes from the tables of sites.",
    ]


def evidence_of(feature: str) -> str | None:
    """Say what a class rests on: it is annotated, predicted or measured."""
    if feature == "all":
        return None
    return "annotated" if feature in ANNOTATED else feature.rpartition("_")[2]


def _classes(marks: Mapping[str, Marks]) -> list[tuple[str, str | None]]:
    """Return (class, reading), sense before antisense; the first, `all`, holds everything."""
    names = list(dict.fromkeys(name for own in marks.values() for name, _ in own.masks))
    pairs: list[tuple[str, str | None]] = [("all", None)]
    pairs += [(name, None if name in STRANDLESS else "sense") for name in names]
    return pairs + [(name, "antisense") for name in names if name not in STRANDLESS]


def _class_rows(
    axis: _Axis, atoms: Atoms, candidates: Positions, is_open: Mask, options: BoundaryOptions
) -> list[dict[str, Any]]:
    """Return the figures of each class among a stage's candidates."""
    opens, block, kmer = is_open[candidates], axis.block[candidates], axis.kmer[candidates]
    num_kmers = np.bincount(kmer, minlength=4**KMER + 1)
    expected = (np.bincount(kmer, opens, minlength=4**KMER + 1) / np.maximum(num_kmers, 1))[kmer]
    sums = [atoms.count(weights) for weights in (None, opens, expected)]
    drawn = [
        block_draws(atoms.count_by_block(block, axis.num_blocks, weights), options.draws, options.seed)
        for weights in (None, opens, expected)
    ]
    found = np.flatnonzero(opens)
    nulls = {
        "shift": atoms.count_of(shifted(found, len(candidates), options.permutations, options.seed)),
        "shuffle": atoms.count_of(shuffled(found, len(candidates), options.permutations, options.seed)),
        "grid": atoms.count_of(grid(len(found), len(candidates))),
    }
    p_values = {null: permutation_p(sums[1], nulls[null]) for null in NULLS}
    rows = []
    for c in range(atoms.member_AC.shape[1]):
        possible, num_found, by_kmer = (float(total[c]) for total in sums)
        row: dict[str, Any] = {"num_candidates": int(possible), "num_boundaries": int(num_found)}
        row |= _figure("rate", _ratio(num_found, possible), _ratios(drawn[1][:, c], drawn[0][:, c]))
        rows.append(row)
        if c == 0 or not possible or not len(found):
            continue
        overall = len(found) / len(candidates)
        folds = _ratios(drawn[1][:, c] * drawn[0][:, 0], drawn[0][:, c] * drawn[1][:, 0])
        row |= _figure("fold", num_found / possible / overall, folds)
        row |= _figure("kmer_fold", _ratio(num_found, by_kmer), _ratios(drawn[1][:, c], drawn[2][:, c]))
        for null, counts in nulls.items():
            low, high = interval(counts[:, c]) if null != "grid" else (counts[:, c].min(), counts[:, c].max())
            row |= {f"{null}_low": low / possible / overall, f"{null}_high": high / possible / overall}
            if null in p_values:
                row[f"{null}_p"] = float(p_values[null][c])
    return rows


def _point_rows(
    name: str, points: Positions, found: Positions, size: int, options: BoundaryOptions
) -> list[dict[str, Any]]:
    """Return how well boundaries find points, a row for each tolerance."""
    if not len(points) or not len(found):
        return []
    random = np.random.default_rng(options.seed)
    precision, recall = point_figures([(found, 0)], size, points, TOLERANCES)
    by_chance = shuffled(found, size, options.permutations, options.seed)
    chance_precision, chance_recall = point_figures(by_chance, size, points, TOLERANCES)
    even_precision, even_recall = point_figures(grid(len(found), size), size, points, TOLERANCES)
    p_values = permutation_p(recall[0], chance_recall)
    rows = []
    for t, tolerance in enumerate(TOLERANCES):
        again = random.binomial(len(points), recall[0, t], options.draws) / len(points)
        low, high = interval(chance_recall[:, t])
        row: dict[str, Any] = {"level": "point", "feature": name, "evidence": evidence_of(name), "reading": "sense"}
        row |= {"tolerance": tolerance, "num_sites": len(points), "num_boundaries": len(found)}
        row |= _figure("recall", float(recall[0, t]), again)
        row |= {"precision": float(precision[0, t]), "shuffle_precision": float(chance_precision[:, t].mean())}
        row |= {"shuffle_recall": float(chance_recall[:, t].mean())}
        row |= {"shuffle_recall_low": low, "shuffle_recall_high": high, "recall_p": float(p_values[t])}
        row |= {"grid_recall": float(even_recall[:, t].mean()), "grid_precision": float(even_precision[:, t].mean())}
        rows.append(row)
    return rows


class _Axis:
    """All passes one after the other, each in its reading direction: `size` bases."""

    def __init__(self, cuts: Cuts, genome: Genome) -> None:
        self._cuts = cuts
        self._passes: list[tuple[Interval, Strand, int]] = []
        codes, blocks = [], []
        self.size = self.num_blocks = 0
        for scope in cuts.scopes:
            block = np.arange(len(scope)) // BLOCK_BP + self.num_blocks
            own = genome.codes(scope.contig, scope.start, scope.end)
            for strand in cuts.strands:
                self._passes.append((scope, strand, self.size))
                self.size += len(scope)
                codes.append(own if strand is Strand.FORWARD else reverse_complement(own))
                blocks.append(block if strand is Strand.FORWARD else block[::-1])
            self.num_blocks = int(block[-1]) + 1
        self.block: Positions = np.concatenate(blocks)
        self.usable: Mask = np.concatenate(codes) != N_CODE
        self.usable[[first for _, _, first in self._passes]] = False
        self.kmer = np.concatenate([_kmers(own) for own in codes])

    @property
    def contigs(self) -> list[str]:
        return list(dict.fromkeys(scope.contig for scope, _, _ in self._passes))

    def boundaries(self, stage: int) -> Mask:
        """Return where a stage cuts by its own choice, (N,)."""
        mask = np.zeros(self.size, dtype=np.bool_)
        for scope, strand, first in self._passes:
            mask[first + _along(self._cuts.within(scope.contig, strand, stage, scope), scope, strand)] = True
        return mask & self.usable

    def masks(
        self, marks: Mapping[str, Marks], classes: Iterable[tuple[str, str | None]], num_sites: list[int]
    ) -> Iterator[Mask]:
        """Yield the mask of each class, (N,); append to `num_sites` how many stretches it has."""
        for name, reading in classes:
            mask = np.ones(self.size, dtype=np.bool_)
            num_sites.append(0)
            for scope, strand, first in self._passes if name != "all" else ():
                own = marks[scope.contig].masks.get((name, strand.opposite if reading == "antisense" else strand))
                part = np.zeros(len(scope), dtype=np.bool_) if own is None else own[scope.start : scope.end]
                num_sites[-1] += int(np.count_nonzero(part[1:] & ~part[:-1])) + int(part[0])
                mask[first : first + len(scope)] = part if strand is Strand.FORWARD else part[::-1]
            yield mask

    def points(self, marks: Mapping[str, Marks], name: str) -> Positions:
        """Return the points of a kind in the pass that reads them, those so near to its ends left out that a boundary
        beyond might be the nearest."""
        margin, found = max(TOLERANCES), [np.empty(0, dtype=np.int64)]
        for scope, strand, first in self._passes:
            own = marks[scope.contig].points.get((name, strand), found[0])
            own = own[(own >= scope.start + margin) & (own < scope.end - margin)]
            found.append(first + np.sort(_along(own, scope, strand)))
        return np.concatenate(found)


def _along(positions: Positions, scope: Interval, strand: Strand) -> Positions:
    """Return forward positions as counted along a pass."""
    return positions - scope.start if strand is Strand.FORWARD else scope.end - 1 - positions


def _kmers(codes: Codes) -> npt.NDArray[np.int32]:
    """Return the number of the k-mer that ends at each base, 4 ** KMER where it is not whole."""
    number = np.zeros(len(codes), dtype=np.int32)
    whole = np.zeros(len(codes), dtype=np.bool_)
    if len(codes) >= KMER:
        windows = np.lib.stride_tricks.sliding_window_view(codes, KMER)
        for column in windows.T:
            number[KMER - 1 :] = 4 * number[KMER - 1 :] + column
        whole[KMER - 1 :] = (windows != N_CODE).all(axis=1)
    return np.where(whole, number, 4**KMER).astype(np.int32)


def _figure(name: str, value: float | None, draws: Floats) -> dict[str, float | None]:
    """Return the cells of a figure with its interval; None where it is not defined."""
    low, high = interval(draws)
    if value is None or math.isnan(low):
        return {name: value, f"{name}_low": None, f"{name}_high": None}
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None


def _ratios(above: Floats, below: Floats) -> Floats:
    ratios: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
    return ratios
