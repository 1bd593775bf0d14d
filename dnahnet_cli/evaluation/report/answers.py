"""The answers at the head of the results page: what a reader asks first, in sentences made of the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from dnahnet_cli.evaluation.report import fitness
from dnahnet_cli.evaluation.report.words import defined, number, outcome, p_value, with_interval
from dnahnet_cli.evaluation.results import EvaluationResult

Row: TypeAlias = Mapping[str, Any]
FALSE_DISCOVERIES: Final = 0.05
TOLERANCE_BP: Final = 1
NOT_MEASURED: Final = "Not measured: no result given here says so."


def answers(results: Sequence[EvaluationResult]) -> str:
    """Return the list of questions with their answers."""
    lines = []
    for question, name, reply in QUESTIONS:
        own = [result for result in results if result.name == name]
        replies = [text for result in own for text in reply(result)]
        lines.append(f"- **{question}** {' '.join(replies) if replies else NOT_MEASURED}")
    return "\n".join(lines)


def _counting(result: EvaluationResult) -> Iterator[str]:
    """Does the model beat counting mutations, and BLOSUM62?"""
    row = fitness.overall(result)
    if row is None:
        return
    assays = {r["assay"] for r in result.rows if r.get("level") == "assay" and defined(r.get("spearman"))}
    where = next(iter(assays)) if len(assays) == 1 else f"{len(assays)} assays of {row['num_averaged']} proteins"
    yield f"On {where}, Spearman {with_interval(row, 'spearman')}."
    yield from filter(None, (fitness.verdict(row, score) for score in ("num_changes", "blosum62")))


def _length(result: EvaluationResult) -> Iterator[str]:
    """Does the knock-out score beat gene length?"""
    means = [row for row in result.rows if row.get("level") == "mean" and row.get("kind") == "model"]
    for row in means or [row for row in result.rows if row.get("in_mean") and row.get("kind") == "model"]:
        if not defined(row.get("vs_length")):
            continue
        found = outcome(*(row.get(f"vs_length{end}") for end in ("", "_low", "_high")))
        p = next((row[key] for key in ("vs_length_p_adjusted", "vs_length_delong_p") if defined(row.get(key))), None)
        of = f"{row['num_averaged']} organisms" if row.get("num_averaged") else f"{row.get('organism')}"
        yield (
            f"Score `{row['score']}`, {of}: AUROC {with_interval(row, 'auroc')}; it {found} length, "
            f"difference {with_interval(row, 'vs_length')}, {p_value(p)} (adjusted for several scores)."
        )


def _standing(result: EvaluationResult) -> Iterator[str]:
    yield from fitness.standing(result)


def _chunking(result: EvaluationResult) -> Iterator[str]:
    """Does learned chunking beat random and fixed chunking of the same length, for each stage?"""
    genome = result.settings.get("genome", "the genome")
    for stage in sorted({row["stage"] for row in result.rows if row.get("stage") is not None}):
        own = [row for row in result.rows if row.get("stage") == stage]
        classes = [row for row in own if row.get("level") == "class" and defined(row.get("shuffle_q"))]
        clear = [row for row in classes if row["shuffle_q"] < FALSE_DISCOVERIES]
        if not classes:
            continue
        text = f"{genome}, stage {stage}: {len(clear)} of {len(classes)} classes of bases are cut more or less often "
        text += f"than by the same chunks in random order (q < {FALSE_DISCOVERIES})"
        if clear:
            most = max(clear, key=lambda row: abs(math.log(max(row["fold"], 1e-9))))
            reading = f", {most['reading']}" if most.get("reading") else ""
            text += f", most of all {most['feature']}{reading}: {with_interval(most, 'fold')} times the stage's "
            text += f"overall rate, {p_value(most['shuffle_p'])}"
            text += f" (equal chunks: {number(most.get('grid_low'))} to {number(most.get('grid_high'))})"
        yield text + "."
        yield from (_found(row) for row in own if row.get("level") == "point" and row.get("tolerance") == TOLERANCE_BP)


def _found(row: Row) -> str:
    """Say how many points have a boundary near, beside chunkers that know nothing."""
    by_chance, recall, p = row["shuffle_recall"], row["recall"], row["recall_p"]
    low, high = row["shuffle_recall_low"], row["shuffle_recall_high"]
    found = "more than" if recall > high else "fewer than" if recall < low else "no different from"
    return (
        f"Of {row['num_sites']:,} {row['feature']} points {with_interval(row, 'recall')} have a boundary within "
        f"{row['tolerance']} base{'s' if row['tolerance'] != 1 else ''}, {found} random order "
        f"({number(by_chance)}, {p_value(p)}; equal chunks {number(row.get('grid_recall'))})."
    )


QUESTIONS: Final[Sequence[tuple[str, str, Callable[[EvaluationResult], Iterator[str]]]]] = (
    ("Does the model beat counting mutations?", "fitness", _counting),
    ("Does it beat gene length?", "essentiality", _length),
    ("Does learned chunking beat random and fixed chunking of the same length?", "boundaries", _chunking),
    ("Where does it stand among models of its size, and of 100 times its size?", "fitness", _standing),
)
