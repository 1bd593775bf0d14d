"""Does a score rank essential genes above others? Areas under the ROC curve with intervals, and tests against length.

1. All scores of an organism's label set are compared on the same genes: those that are labelled and have every score.
2. Genes are resampled for intervals. All label sets and scores of an organism share the resamples, so their
   differences have intervals too; DeLong's test looks at the same differences by theory instead of resampling.
3. Organisms are never pooled: their shares of essential genes differ, and knowing the organism would rank genes. The
   mean is that of the organisms' own figures, one label set each; it resamples organisms, and then genes within them.
4. The best baseline is chosen on the row itself, by its area, which favours the baseline.
5. P-values are adjusted by Holm's rule, those of organisms (DeLong) and those of means (bootstrap) as a family each.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dnahnet_cli.evaluation.genes import BASELINES, KINDS, Beside, GeneOptions, GeneScores, combined
from dnahnet_cli.evaluation.organisms import LabelSet, Skip
from dnahnet_cli.evaluation.statistics import (
    DeLong,
    Floats,
    Indices,
    auroc,
    average_precision,
    holm,
    interval,
    resampled_auroc,
    resampled_average_precision,
    resamples,
    two_sided_p,
)
from dnahnet_cli.io.table import Column

LENGTH: Final = "length"
STATISTICS: Final = ("auroc", "ap")
AGAINST: Final = ("length", "best")
LEAST: Final = 5  # genes of each class: with fewer, resamples are of hardly anything


@dataclass(frozen=True)
class _Figures:
    """Statistics by (score, statistic): values and bootstrap draws, (D,). DeLong's where it is one organism's."""

    values: Mapping[tuple[str, str], float]
    draws: Mapping[tuple[str, str], Floats]
    delong: DeLong | None = None

    @property
    def scores(self) -> list[str]:
        return [score for score, statistic in self.values if statistic == "auroc"]

    def rows(self, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return a row for each score, with `facts` in each."""
        defined = [score for score in BASELINES if not math.isnan(self.values[score, "auroc"])]
        best = max(defined, key=lambda score: self.values[score, "auroc"], default=None)
        rows = []
        for score in self.scores:
            row = {**facts, "score": score, "kind": KINDS[score], **self._own(score)}
            if KINDS[score] != "baseline" and not math.isnan(self.values[score, "auroc"]):
                row["best_baseline"] = best
                for against, other in zip(AGAINST, (LENGTH, best), strict=True):
                    if other in defined:
                        row |= self._compare(score, other, f"vs_{against}")
            rows.append(row)
        return rows

    def _own(self, score: str) -> dict[str, Any]:
        cells: dict[str, Any] = {}
        for statistic in STATISTICS:
            value = cells[statistic] = self.values[score, statistic]
            low, high = (None, None) if math.isnan(value) else interval(self.draws[score, statistic])
            cells |= {f"{statistic}_low": low, f"{statistic}_high": high}
        if self.delong is not None and not math.isnan(cells["auroc"]):
            cells["delong_low"], cells["delong_high"] = self.delong.interval(self.scores.index(score))
        return cells

    def _compare(self, score: str, other: str, name: str) -> dict[str, Any]:
        """Return the difference of two areas, with its interval and p-values."""
        difference = self.draws[score, "auroc"] - self.draws[other, "auroc"]
        low, high = interval(difference)
        places = self.scores.index(score), self.scores.index(other)
        return {
            name: self.values[score, "auroc"] - self.values[other, "auroc"],
            f"{name}_low": low,
            f"{name}_high": high,
            f"{name}_bootstrap_p": two_sided_p(difference),
            f"{name}_delong_p": None if self.delong is None else self.delong.p_value(*places),
        }


def essentiality_rows(
    scored: Sequence[GeneScores],
    others: Sequence[Beside],
    options: GeneOptions,
    trained_on: Sequence[tuple[str, str] | None],
) -> list[dict[str, Any]]:
    """Return the rows: for each organism and label set those of every score, then the mean over organisms.

    X
    """
    rows: list[dict[str, Any]] = []
    parts: list[_Figures] = []
    for scores, other, match in zip(scored, others, trained_on, strict=True):
        organism, used = scores.organism, scores.used
        columns = {**scores.model, **combined(scores.model, other.scores, used), **other.scores}
        counts_DN = resamples(len(used), draws=options.draws, seed=[options.seed, zlib.crc32(organism.name.encode())])
        for labels in organism.label_sets:
            is_labelled = ~np.isnan(labels.essential[used])
            own, positive = used[is_labelled], labels.essential[used[is_labelled]]
            figures = _figures(
                {name: values[own] for name, values in columns.items()}, positive, counts_DN[:, is_labelled]
            )
            facts = _facts(scores, labels, positive) | {
                "in_mean": labels.name == organism.chosen(options.labels) and _enough(positive),
                "in_training": match[0] if match else None,
                "training_genome": match[1] if match else None,
                "cai_reference": other.cai_reference,
            }
            rows += figures.rows(facts)
            if facts["in_mean"]:
                parts.append(figures)
    if parts:
        rows += _mean(parts, options).rows({"level": "mean", "status": "ok", "num_averaged": len(parts)})
    _adjust([row for row in rows if row["level"] == "organism"], "delong")
    _adjust([row for row in rows if row["level"] == "mean"], "bootstrap")
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _figures(columns: Mapping[str, Floats], positive: Floats, counts_DN: Indices) -> _Figures:
    values: dict[tuple[str, str], float] = {}
    draws: dict[tuple[str, str], Floats] = {}
    for score in (score for score in KINDS if score in columns):
        column = columns[score]
        # A constant ranks nothing, whatever half of the pairs would say.
        undefined = len(np.unique(column)) < 2 or not _enough(positive)
        values[score, "auroc"] = math.nan if undefined else auroc(column, positive)
        draws[score, "auroc"] = resampled_auroc(column, positive, counts_DN)
        values[score, "ap"] = math.nan if undefined else average_precision(column, positive)
        draws[score, "ap"] = resampled_average_precision(column, positive, counts_DN)
    table = np.array([columns[score] for score in KINDS if score in columns])
    known = ~np.isnan(table).any(axis=0)  # a gene without a whole codon has no cai
    return _Figures(values, draws, DeLong.of(table[:, known], positive[known]))


def _enough(positive: Floats) -> bool:
    return LEAST <= int(positive.sum()) <= len(positive) - LEAST


def _mean(parts: Sequence[_Figures], options: GeneOptions) -> _Figures:
    """Return the mean over organisms: each draw takes organisms with replacement, and for each a draw of its genes."""
    random = np.random.default_rng([options.seed, len(parts)])
    shape = (options.draws, len(parts))
    which, draw = random.integers(0, len(parts), shape), random.integers(0, options.draws, shape)
    keys = parts[0].values
    return _Figures(
        {key: float(np.mean([part.values[key] for part in parts])) for key in keys},
        {key: np.stack([part.draws[key] for part in parts])[which, draw].mean(axis=1) for key in keys},
    )


def _facts(scores: GeneScores, labels: LabelSet, positive: Floats) -> dict[str, Any]:
    """Return the cells of a label set's rows that are no figures."""
    is_labelled = ~np.isnan(labels.essential)
    skips = Counter(skip for skip, _, _ in labels.skipped)
    skips += Counter(status for status, known in zip(scores.status, is_labelled, strict=True) if known)
    del skips[Skip.OK]
    num_essential = int(positive.sum())
    lost = [labels.essential[at] for at, status in enumerate(scores.status) if status not in (Skip.OK, Skip.NOT_DRAWN)]
    essential_skipped = sum(is_essential for _, _, is_essential in labels.skipped) + int(np.nansum(lost))
    status = "ok" if _enough(positive) else "too_few" if len(positive) else "nothing_scored"
    return {
        "level": "organism",
        "organism": scores.organism.name,
        "labels": labels.name,
        "status": status,
        "num_rows": len(labels.skipped) + int(is_labelled.sum()),
        "num_genes": len(positive),
        "num_essential": num_essential,
        "base_rate": num_essential / len(positive) if len(positive) else None,
        "skipped": ",".join(f"{skip.value}={skips[skip]}" for skip in Skip if skips[skip]),
        "num_essential_skipped": essential_skipped,
    }


def _adjust(rows: Sequence[dict[str, Any]], test: str) -> None:
    """Adjust the p-values of one test in `rows` for being several."""
    cells = [
        (row, f"vs_{against}") for row in rows for against in AGAINST if row.get(f"vs_{against}_{test}_p") is not None
    ]
    for (row, name), p in zip(cells, holm([row[f"{name}_{test}_p"] for row, name in cells]), strict=True):
        row[f"{name}_p_adjusted"] = p


def columns() -> list[Column]:
    """Return the columns of the table."""
    names: list[tuple[str, str]] = [
        *((name, "str") for name in ("level", "organism", "labels", "score", "kind", "status")),
        ("in_mean", "bool"),
        *((name, "str") for name in ("in_training", "training_genome")),
        *((name, "int") for name in ("num_rows", "num_genes", "num_essential")),
        ("base_rate", "float"),
        ("num_averaged", "int"),
        *((f"auroc{end}", "float") for end in ("", "_low", "_high")),
        *((f"delong{end}", "float") for end in ("_low", "_high")),
        *((f"ap{end}", "float") for end in ("", "_low", "_high")),
    ]
    for against in AGAINST:
        names += [("best_baseline", "str")] if against == "best" else []
        ends = ("", "_low", "_high", "_bootstrap_p", "_delong_p", "_p_adjusted")
        names += [(f"vs_{against}{end}", "float") for end in ends]
    names += [("skipped", "str"), ("num_essential_skipped", "int"), ("cai_reference", "str")]
    return [Column(name, kind) for name, kind in names]  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
