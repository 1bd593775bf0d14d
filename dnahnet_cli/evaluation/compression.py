"""Bits per base of genomes, by contig and by class of base, beside what needs no network; and is the network as sure
as it should be?

1. A figure is a ratio of sums over windows: bits over bases. Both strands that are read count alike.
2. Intervals resample windows within a genome (a block bootstrap: neighbouring bases depend on each other), and genomes
   as well for the mean over genomes. Below MIN_WINDOWS windows, or MIN_GENOMES genomes, there is none: resamples of
   so few say more than they know.
3. `difference` is to the best of the predictors WITHOUT hindsight, chosen on the very row, which favours them.
   order0 and markov_hindsight have seen the bases that they predict, and stand beside for comparison only.
4. `excess` is bits minus the bits that the network itself expected (the mean entropy of its predictions). Above 0 it is
   surer than it should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np

from dnahnet_cli.evaluation.regions import CLASSES, CODING, CODON1
from dnahnet_cli.evaluation.statistics import Floats, holm, interval, resamples, two_sided_p
from dnahnet_cli.evaluation.windows import ADAPTIVE, BINS, ENTROPY, MODEL, WindowSums, seed_of
from dnahnet_cli.genome import Strand
from dnahnet_cli.io.table import Column

MIN_WINDOWS: Final = 5
MIN_GENOMES: Final = 5
HINDSIGHT, BACKGROUND = "markov_hindsight", "markov_background"
UNIFORM, ORDER0, COMPRESSOR = "uniform", "order0", "compressor"
WITHOUT_HINDSIGHT: Final = (UNIFORM, ADAPTIVE, BACKGROUND, COMPRESSOR)
FIGURES: Final = ("bits_per_base", "entropy", "excess", ORDER0, HINDSIGHT, ADAPTIVE, BACKGROUND, COMPRESSOR)
CALLED: Final = ("confidence", "accuracy", "overconfidence", "ece")
_BASES: Final = "ACGT"

Figures: TypeAlias = dict[str, Floats]  # name -> the value, and then its draws, (1 + D,)


@dataclass(frozen=True)
class GenomeSums:
    """One genome's sums, and the bits per base that each compressor needs for all of it."""

    name: str
    sums: WindowSums
    lengths: Mapping[str, int]
    compressors: Mapping[str, float] = field(default_factory=dict)
    has_regions: bool = False
    in_training: bool = False  # the model's card lists a training genome of these very bases


def compression_rows(genomes: Sequence[GenomeSums], draws: int, seed: int) -> list[dict[str, Any]]:
    """Return the rows of the table: of each genome, its contigs, classes and calibration, then means over genomes."""
    rows: list[dict[str, Any]] = []
    parts: dict[str, list[Figures]] = {}  # by class, "" for all
    for genome in genomes:
        counts = resamples(len(genome.sums.windows), draws=draws, seed=seed_of(seed, genome.name))
        weights_DW = np.vstack([np.ones((1, counts.shape[1])), counts])
        of = _OfGenome(genome, weights_DW)
        rows += of.rows(parts)
    if len(genomes) > 1:
        means = []
        for region, members in parts.items():
            facts: dict[str, Any] = {"level": "mean", "region": region or None, "num_averaged": len(members)}
            means.append(facts | _cells(_mean(members, seed), shown=len(members) >= MIN_GENOMES))
        _adjust(means)
        rows += means
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


@dataclass(frozen=True)
class _OfGenome:
    genome: GenomeSums
    weights_DW: Floats  # how often each window counts: once each, and then in each resample

    def rows(self, parts: dict[str, list[Figures]]) -> list[dict[str, Any]]:
        """Return a genome's rows, and add its figures to those that means are made of."""
        sums, name = self.genome.sums, self.genome.name
        everything = self._figures() | self._called()
        if sums.bases_WSC4.any():
            parts.setdefault("", []).append(everything)
        best = min(self.genome.compressors, key=lambda each: self.genome.compressors[each], default=None)
        facts: dict[str, Any] = {"level": "genome", "genome": name, "status": self._status(None)}
        facts |= {"compressor_name": best, "in_training": self.genome.in_training}
        rows = [facts | self._facts() | self._by_strand() | _cells(everything, self._enough())]
        for contig in self.genome.lengths:
            own = np.array([window.contig == contig for window in sums.windows], dtype=np.bool_)
            facts = {"level": "contig", "genome": name, "contig": contig, "status": self._status(own)}
            cells = _cells(self._figures(windows=own), self._enough(own))
            rows.append(facts | self._facts(own) | self._by_strand(own) | cells)
        regions = []
        for region, members in _regions() if self.genome.has_regions else ():
            figures, present = self._figures(classes=members), self._present(members)
            if present.any():
                parts.setdefault(region, []).append(figures)
                facts = {"level": "region", "genome": name, "region": region, "status": "ok"}
                facts |= {"num_predictions": int(sums.bases_WSC4[:, :, members].sum()), "num_windows": present.sum()}
                regions.append(facts | _cells(figures, present.sum() >= MIN_WINDOWS))
        _adjust(regions)
        return rows + regions + self._reliability()

    def _figures(self, windows: Any = None, strand: int | None = None, classes: Sequence[int] = ()) -> Figures:
        """Return the bits of some windows, one strand or all, and some classes or all."""
        sums = self.genome.sums
        strands = slice(None) if strand is None else [strand]
        weights_DW = self.weights_DW if windows is None else self.weights_DW * windows

        def total(values: Floats) -> Floats:
            return np.asarray(weights_DW @ values[:, strands][:, :, list(classes) or slice(None)].sum(axis=(1, 2)))

        num_D = total(sums.bases_WSC4).sum(axis=1)
        figures = {name: _divide(total(values), num_D * math.log(2)) for name, values in sums.nats_WSC.items()}
        figures["bits_per_base"] = figures.pop(MODEL)
        figures["excess"] = figures["bits_per_base"] - figures[ENTROPY]
        if not classes:  # the other strand's composition is the complement: known as well, and of the same entropy
            strands = [strand or 0]
        figures[ORDER0] = _entropy(total(sums.bases_WSC4))
        figures[UNIFORM] = np.where(num_D > 0, 2.0, math.nan)
        if windows is None and strand is None and not classes and self.genome.compressors:
            figures[COMPRESSOR] = np.full(len(num_D), min(self.genome.compressors.values()))
        return figures

    def _called(self, strand: int | None = None, base: int | None = None) -> Figures:
        """Return how sure the network was of the base it found likeliest, and how often it was right."""
        called = self.genome.sums.called_WS4B3
        called = called if strand is None else called[:, [strand]]
        called = called if base is None else called[:, :, [base]]
        number_DB, confidence_DB, right_DB = np.moveaxis(
            np.tensordot(self.weights_DW, called.sum(axis=(1, 2)), axes=1), 2, 0
        )
        num_D = number_DB.sum(axis=1)
        confidence, accuracy = (_divide(each.sum(axis=1), num_D) for each in (confidence_DB, right_DB))
        ece = _divide(np.abs(confidence_DB - right_DB).sum(axis=1), num_D)
        return dict(zip(CALLED, (confidence, accuracy, confidence - accuracy, ece), strict=True))

    def _reliability(self) -> list[dict[str, Any]]:
        sums, rows = self.genome.sums, []
        splits: list[dict[str, Any]] = [{"strand": at} for at in range(len(sums.strands))]
        splits += [{"base": at} for at in range(len(_BASES))]
        for split in splits:
            called = sums.called_WS4B3[:, split.get("strand", slice(None))]
            called = called.reshape(len(called), -1, *sums.called_WS4B3.shape[2:])[:, :, split.get("base", slice(None))]
            named = {"strand": sums.strands[split["strand"]].value} if "strand" in split else {}
            named |= {"base": _BASES[split["base"]]} if "base" in split else {}
            facts = {"level": "reliability", "genome": self.genome.name, "num_predictions": int(called[..., 0].sum())}
            rows.append(facts | named | _cells(self._called(**split), self._enough()))
        for at, strand in enumerate(sums.strands):
            rows += self._bins(at, strand)
        return rows

    def _bins(self, at: int, strand: Strand) -> list[dict[str, Any]]:
        rows = []
        called_WB3 = self.genome.sums.called_WS4B3[:, at].sum(axis=1)
        total_DB3 = np.tensordot(self.weights_DW, called_WB3, axes=1)
        for place, (low, high) in enumerate(pairwise(BINS.tolist())):
            number_D, confidence_D, right_D = total_DB3[:, place].T
            facts: dict[str, Any] = {"level": "bin", "genome": self.genome.name, "strand": strand.value}
            facts |= {"bin_low": low, "bin_high": high, "num_predictions": int(number_D[0])}
            figures = {"confidence": _divide(confidence_D, number_D), "accuracy": _divide(right_D, number_D)}
            present = (called_WB3[:, place, 0] > 0).sum()
            rows.append(facts | {"num_windows": present} | _cells(figures, present >= MIN_WINDOWS))
        return rows

    def _by_strand(self, windows: Any = None) -> dict[str, float]:
        names = {Strand.FORWARD: "bits_per_base_fwd", Strand.REVERSE: "bits_per_base_rev"}
        return {
            names[strand]: float(self._figures(windows, at)["bits_per_base"][0])
            for at, strand in enumerate(self.genome.sums.strands)
        }

    def _facts(self, windows: Any = None) -> dict[str, Any]:
        sums = self.genome.sums
        own = np.ones(len(sums.windows), dtype=np.bool_) if windows is None else windows
        num_bases = int(sums.bases_WSC4[own].sum())
        length = sum(len(window) for window, mine in zip(sums.windows, own, strict=True) if mine)
        facts = {"num_predictions": num_bases, "num_windows": int(own.sum())}
        return facts | {"num_unknown": length - num_bases // len(sums.strands)}

    def _status(self, windows: Any) -> str:
        chosen = self.genome.sums.bases_WSC4[windows if windows is not None else slice(None)]
        return "not_drawn" if not len(chosen) else "ok" if chosen.any() else "no_bases"

    def _enough(self, windows: Any = None) -> bool:
        present = self._present(range(len(CLASSES)))
        return int((present if windows is None else present & windows).sum()) >= MIN_WINDOWS

    def _present(self, classes: Sequence[int]) -> Any:
        """Tell of each window whether it has bases of some classes."""
        return self.genome.sums.bases_WSC4[:, :, list(classes)].sum(axis=(1, 2, 3)) > 0


def _regions() -> Iterable[tuple[str, Sequence[int]]]:
    yield CODING, range(CODON1, CODON1 + 3)
    for at, name in enumerate(CLASSES):
        yield name, (at,)


def _mean(members: Sequence[Figures], seed: int) -> Figures:
    """Return the mean over genomes: each draw takes genomes with replacement, and for each a draw of its windows."""
    names = [name for name in members[0] if all(name in other for other in members)]
    stacked = {name: np.stack([member[name] for member in members]) for name in names}
    draws = len(next(iter(members[0].values()))) - 1
    random = np.random.default_rng([seed, len(members)])
    shape = (draws, len(members))
    which, draw = random.integers(0, len(members), shape), 1 + random.integers(0, max(draws, 1), shape)
    return {
        name: np.concatenate([[values[:, 0].mean()], values[which, draw].mean(axis=1)])
        for name, values in stacked.items()
    }


def _cells(figures: Figures, shown: bool) -> dict[str, Any]:
    """Return the cells of a row, with intervals if they are to be shown."""
    cells: dict[str, Any] = {}
    for name in (*FIGURES, *CALLED):
        if name not in figures or math.isnan(figures[name][0]):
            continue
        cells[name] = float(figures[name][0])
        if shown and f"{name}_low" in _INTERVALS:
            cells[f"{name}_low"], cells[f"{name}_high"] = interval(figures[name][1:])
    beside = [name for name in WITHOUT_HINDSIGHT if name in figures and not math.isnan(figures[name][0])]
    if "bits_per_base" not in cells or not beside:
        return cells
    best = min(beside, key=lambda name: figures[name][0])
    difference = figures["bits_per_base"] - figures[best]
    cells |= {"best_baseline": best, "difference": float(difference[0])}
    if shown:
        cells["difference_low"], cells["difference_high"] = interval(difference[1:])
        cells["difference_p"] = two_sided_p(difference[1:])
    return cells


def _adjust(rows: Sequence[dict[str, Any]]) -> None:
    """Correct the p-values of the classes among each other (Holm); a row of all classes is one test of its own."""
    tested = [row for row in rows if row.get("region") not in (None, CODING)]  # coding is a sum of others
    adjusted = holm([row.get("difference_p", math.nan) for row in tested])
    for row, p in zip(tested, adjusted, strict=True):
        row["difference_p_adjusted"] = p


def _entropy(bases_D4: Floats) -> Floats:
    """Return the bits per base that its own composition asks for, NaN where there is no base."""
    share_D4 = _divide(bases_D4, bases_D4.sum(axis=1, keepdims=True))
    entropy: Floats = -(share_D4 * np.log2(np.where(share_D4 > 0, share_D4, 1.0))).sum(axis=1)
    return entropy


def _divide(above: Floats, below: Floats) -> Floats:
    """Return a quotient, NaN where it would be by 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, math.nan)


def _plain(value: Any) -> Any:
    if isinstance(value, np.integer):
        return int(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


_INTERVALS: Final = {
    f"{name}_{end}"
    for name in (*FIGURES, "accuracy", "overconfidence")
    for end in ("low", "high")
    if name not in (COMPRESSOR, ORDER0)
}


def columns() -> list[Column]:
    """Return the columns of the table."""
    names = [(name, "str") for name in ("level", "genome", "contig", "region", "strand", "base", "status")]
    names += [(name, "int") for name in ("num_predictions", "num_unknown", "num_windows", "num_averaged")]
    names += [("in_training", "bool"), ("bin_low", "float"), ("bin_high", "float")]
    for name in (*FIGURES, *CALLED):
        names += [(name, "float")]
        names += [(f"{name}_{end}", "float") for end in ("low", "high") if f"{name}_{end}" in _INTERVALS]
        if name == "bits_per_base":
            names += [("bits_per_base_fwd", "float"), ("bits_per_base_rev", "float"), ("best_baseline", "str")]
            names += [(f"difference{end}", "float") for end in ("", "_low", "_high", "_p", "_p_adjusted")]
        if name == COMPRESSOR:
            names += [("compressor_name", "str")]
    return [Column(name, kind) for name, kind in names]  # type: ignore[arg-type]
