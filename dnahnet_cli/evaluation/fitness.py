"""Does the model rank mutants as experiments did? Signed figures with intervals, and what needs no model beside them.

1. A mutant's score is its llr, the mean over strands: log p(mutant) - log p(wild type).
2. The figures of an assay are Spearman's correlation with the measurement, the area under the ROC curve for the
   measurement's two classes, and NDCG. All scores of an assay are compared on the same mutants: those the model scored.
3. Intervals come from resampling mutants. The assays of one protein share their resamples, mutant by mutant, so their
   mean has an interval too. The mean over proteins resamples proteins as well, and then mutants within them.
4. The model is compared with each zero-parameter score by the difference of their correlations, and with the best one
   of the same row, chosen by its correlation on that very row. That favours the baseline. A difference is averaged over
   the assays in which both have a correlation; the other figures need all of them.

`model_entropy` is no such baseline: it is what the model itself thinks of a position, before any mutant is looked at.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dnahnet_cli.evaluation.mutants import BASELINES, ZERO_PARAMETER, AssayScores, FitnessOptions, Skip
from dnahnet_cli.evaluation.peers import parameters_of, reads_sequence_alone
from dnahnet_cli.evaluation.statistics import (
    Floats,
    Indices,
    auroc,
    interval,
    ndcg,
    resampled_auroc,
    resampled_ndcg,
    resampled_spearman,
    resamples,
    spearman,
    two_sided_p,
)
from dnahnet_cli.io.table import Column

STATISTICS: Final = ("spearman", "auc", "ndcg")
MODEL: Final = "model"
SCORES: Final = (MODEL, *BASELINES)
DIFFERENCE: Final = "difference"


@dataclass(frozen=True)
class _Figures:
    """Statistics of every score, by (score, statistic): the values, and their bootstrap draws, (D,)."""

    values: Mapping[tuple[str, str], float]
    draws: Mapping[tuple[str, str], Floats]

    @classmethod
    def mean(cls, parts: Sequence[_Figures]) -> _Figures:
        """Return the mean, draw by draw; what one part lacks the mean lacks too, but for differences."""
        own = {key: cls.having(parts, key) for key in parts[0].values}
        return cls(
            {key: float(np.mean([part.values[key] for part in members])) for key, members in own.items()},
            {key: np.mean([part.draws[key] for part in members], axis=0) for key, members in own.items()},
        )

    @staticmethod
    def having(parts: Sequence[_Figures], key: tuple[str, str]) -> Sequence[_Figures]:
        """Return the parts that a figure's mean is of."""
        known = [part for part in parts if not math.isnan(part.values[key])] if key[1] == DIFFERENCE else []
        return known or parts

    def row(self) -> dict[str, Any]:
        """Return the cells of a row."""
        cells: dict[str, Any] = {}
        for (score, statistic), value in self.values.items():
            name = statistic if score == MODEL else f"{score}_{statistic}"
            low, high = interval(self.draws[score, statistic])
            cells |= {name: value, f"{name}_low": low, f"{name}_high": high}
            if math.isnan(value):
                cells |= {f"{name}_low": None, f"{name}_high": None}
            elif statistic == DIFFERENCE:
                cells[f"{name}_p"] = two_sided_p(self.draws[score, statistic])
        defined = [score for score in ZERO_PARAMETER if not math.isnan(self.values[score, "spearman"])]
        if not defined or math.isnan(self.values[MODEL, "spearman"]):
            return cells
        best = max(defined, key=lambda score: self.values[score, "spearman"])
        difference = self.draws[MODEL, "spearman"] - self.draws[best, "spearman"]
        low, high = interval(difference)
        return cells | {
            "best_baseline": best,
            "difference": self.values[MODEL, "spearman"] - self.values[best, "spearman"],
            "difference_low": low,
            "difference_high": high,
            "difference_p": two_sided_p(difference),
        }


def fitness_rows(scored: Sequence[AssayScores], options: FitnessOptions) -> list[dict[str, Any]]:
    """Return the rows of the table: for each suffix the assays, then the proteins, then the mean over proteins.

    Only assays in which the model has a correlation go into means. NaN stands for what is not defined.
    """
    rows: list[dict[str, Any]] = []
    for suffix in options.suffixes:
        by_protein: dict[str, list[AssayScores]] = {}
        for scores in scored:
            by_protein.setdefault(scores.assay.protein, []).append(scores)
        own: dict[str, dict[str, Any]] = {}
        proteins: dict[str, list[_Figures]] = {}
        sizes: dict[str, Counter[str]] = {}
        for protein, members in by_protein.items():
            for scores, figures in zip(members, _by_assay(protein, members, suffix, options), strict=True):
                own[scores.assay.name] = {**_facts(scores, suffix), **figures.row()}
                if not math.isnan(figures.values[MODEL, "spearman"]):
                    proteins.setdefault(protein, []).append(figures)
                    size = {name: own[scores.assay.name][name] for name in ("num_mutants", "num_scored")}
                    sizes.setdefault(protein, Counter()).update(size)
        rows += [own[scores.assay.name] for scores in scored]
        means = {protein: _Figures.mean(members) for protein, members in proteins.items()}
        rows += [
            {"level": "protein", "protein": protein, "suffix": suffix, "num_averaged": len(proteins[protein])}
            | sizes[protein]
            | figures.row()
            for protein, figures in means.items()
        ]
        if means:
            overall = _over_proteins(list(means.values()), options)
            size = sum(sizes.values(), Counter())
            rows.append({"level": "mean", "suffix": suffix, "num_averaged": len(means)} | size | overall.row())
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _by_assay(protein: str, members: Sequence[AssayScores], suffix: int, options: FitnessOptions) -> list[_Figures]:
    """Return the figures of each assay of a protein, their resamples paired by mutant."""
    used = [_rows_used(scores, suffix) for scores in members]
    union = sorted({scores.assay.mutants[row] for scores, rows in zip(members, used, strict=True) for row in rows})
    place = {mutant: at for at, mutant in enumerate(union)}
    counts_DN = resamples(len(union), draws=options.draws, seed=[options.seed, zlib.crc32(protein.encode())])
    figures = []
    for scores, rows in zip(members, used, strict=True):
        columns = [place[scores.assay.mutants[row]] for row in rows]
        figures.append(_figures(scores, suffix, rows, counts_DN[:, columns]))
    return figures


def _rows_used(scores: AssayScores, suffix: int) -> list[int]:
    """Return the mutants that the model scored; without DNA, those whose protein could be scored."""
    wanted = Skip.NO_DNA if scores.assay.dna is None else Skip.OK
    return [row for row, known in enumerate(scores.status[suffix]) if known is wanted]


def _figures(scores: AssayScores, suffix: int, rows: Sequence[int], counts_DN: Indices) -> _Figures:
    measured, positive = scores.assay.measured[list(rows)], scores.assay.positive[list(rows)]
    columns = {MODEL: scores.model[suffix], **scores.beside}
    values: dict[tuple[str, str], float] = {}
    draws: dict[tuple[str, str], Floats] = {}
    for score in SCORES:
        column = columns[score][list(rows)]
        values[score, "spearman"] = spearman(column, measured)
        draws[score, "spearman"] = resampled_spearman(column, measured, counts_DN)
        constant = math.isnan(values[score, "spearman"])  # ranks nothing, whatever half of the pairs would say
        values[score, "auc"] = math.nan if constant else auroc(column, positive)
        draws[score, "auc"] = resampled_auroc(column, positive, counts_DN)
        values[score, "ndcg"] = math.nan if constant else ndcg(column, measured)
        draws[score, "ndcg"] = resampled_ndcg(column, measured, counts_DN)
    for score in ZERO_PARAMETER:
        values[score, DIFFERENCE] = values[MODEL, "spearman"] - values[score, "spearman"]
        draws[score, DIFFERENCE] = draws[MODEL, "spearman"] - draws[score, "spearman"]
    return _Figures(values, draws)


def _over_proteins(proteins: Sequence[_Figures], options: FitnessOptions) -> _Figures:
    """Return the mean over proteins: each draw takes proteins with replacement, and for each a draw of its mutants."""
    overall = _Figures.mean(proteins)
    draws = {}
    for key in overall.draws:
        members = _Figures.having(proteins, key)
        random = np.random.default_rng([options.seed, len(members)])  # the same draws for all figures of the same ones
        shape = (options.draws, len(members))
        which, draw = random.integers(0, len(members), shape), random.integers(0, options.draws, shape)
        draws[key] = np.stack([member.draws[key] for member in members])[which, draw].mean(axis=1)
    return _Figures(overall.values, draws)


def _facts(scores: AssayScores, suffix: int) -> dict[str, Any]:
    """Return the cells of an assay's row that are no figures."""
    assay, counts = scores.assay, Counter(scores.status[suffix])
    num_scored = counts.pop(Skip.OK, 0)
    measured = assay.measured[[known is Skip.OK for known in scores.status[suffix]]]
    if not num_scored:
        status = "no_dna" if assay.dna is None else "nothing_scored"
    elif len(measured) < 2 or (measured == measured[0]).all():
        status = "constant_scores"
    else:
        status = "ok"
    skipped = [f"{skip.value}={counts[skip]}" for skip in Skip if counts[skip]]
    return {
        "level": "assay",
        "assay": assay.name,
        "protein": assay.protein,
        "suffix": suffix,
        "status": status,
        "num_mutants": len(assay.mutants),
        "num_scored": num_scored,
        "skipped": ",".join(skipped),
        "num_averaged": None,
        "markov_source": None if assay.dna is None else "genome" if assay.own_genome else "region",
    }


def add_peers(rows: list[dict[str, Any]], statistic: str, peers: Mapping[str, Mapping[str, float]]) -> None:
    """Put published values of one statistic beside ours: how many, their median, the best, and our rank among them.

    Means are over those peers that have a value for every assay that ours is a mean of; each of them gets a row too.
    """
    for suffix in dict.fromkeys(row["suffix"] for row in rows):
        own = [row for row in rows if row["suffix"] == suffix]
        by_protein: dict[str, list[Mapping[str, float]]] = {}
        for row in own:
            if row["level"] == "assay":
                _add_peers(row, statistic, peers.get(row["assay"], {}))
                if row.get("spearman") is not None:
                    by_protein.setdefault(row["protein"], []).append(peers.get(row["assay"], {}))
        means = {protein: _mean_of(members) for protein, members in by_protein.items()}
        for row in own:
            if row["level"] == "protein":
                _add_peers(row, statistic, means[row["protein"]])
            elif row["level"] == "mean":
                overall = _mean_of(list(means.values()))
                _add_peers(row, statistic, overall)
                rows += [_peer_row(name, row, statistic, overall[name]) for name in sorted(overall)]


def _peer_row(name: str, row: Mapping[str, Any], statistic: str, value: float) -> dict[str, Any]:
    """Return the row of a published model beside that of our mean."""
    return {
        "level": "peer",
        "suffix": row["suffix"],
        "num_averaged": row["num_averaged"],
        "peer_name": name,
        "peer_parameters": parameters_of(name),
        "peer_reads": "sequence" if reads_sequence_alone(name) else "more",
        statistic: value,
    }


def _mean_of(members: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in members[0] if all(name in other for other in members)]
    return {name: float(np.mean([other[name] for other in members])) for name in names}


def _add_peers(row: dict[str, Any], statistic: str, values: Mapping[str, float]) -> None:
    row |= {"peer_statistic": statistic, "num_peers": len(values)}
    if values:
        best = max(values, key=lambda name: values[name])
        row |= {"peer_median": float(np.median(list(values.values()))), "peer_best": values[best], "peer_name": best}
        if row.get(statistic) is not None:
            row["peer_rank"] = 1 + sum(value > row[statistic] for value in values.values())


def columns(*, with_peers: bool) -> list[Column]:
    """Return the columns of the table."""
    names: list[tuple[str, str]] = [
        *((name, "str") for name in ("level", "assay", "protein")),
        ("suffix", "int"),
        ("status", "str"),
        *((name, "int") for name in ("num_mutants", "num_scored", "num_averaged")),
        *((name, "str") for name in ("skipped", "markov_source")),
    ]
    for score in SCORES:
        for statistic in STATISTICS:
            name = statistic if score == MODEL else f"{score}_{statistic}"
            names += [(name, "float"), (f"{name}_low", "float"), (f"{name}_high", "float")]
        if score == MODEL:
            names += [("best_baseline", "str"), ("difference", "float")]
            names += [(f"difference_{end}", "float") for end in ("low", "high", "p")]
        elif score in ZERO_PARAMETER:
            names += [(f"{score}_difference{end}", "float") for end in ("", "_low", "_high", "_p")]
    if with_peers:
        names += [("peer_statistic", "str"), ("num_peers", "int"), ("peer_rank", "int"), ("peer_median", "float")]
        names += [("peer_best", "float"), ("peer_name", "str"), ("peer_parameters", "int"), ("peer_reads", "str")]
    return [Column(name, kind) for name, kind in names]  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
