"""The answers at the head of the results page: what a reader asks first, in sentences made of the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from dnahnet_cli.evaluation.report import fitness
from dnahnet_cli.evaluation.report.words import (
    BEATS,
    IS_BEHIND,
    counted,
    defined,
    number,
    outcome,
    p_value,
    with_interval,
)
from dnahnet_cli.evaluation.results import EvaluationResult

Row: TypeAlias = Mapping[str, Any]
LEVEL: Final = 0.05
FALSE_DISCOVERIES: Final = 0.05
POINTS: Final = {"start_codon": "start codon", "tss_measured": "measured transcription start"}
NOT_MEASURED: Final = "Not measured: no result given here says so."


def answers(results: Sequence[EvaluationResult]) -> str:
    """Return the list of questions with their answers."""
    lines = []
    for question, name, reply in QUESTIONS:
        own = [result for result in results if result.name == name]
        if not own and name in OPTIONAL:
            continue
        replies = [text for result in own for text in reply(result)]
        lines.append(f"- **{question}**" if len(replies) > 1 else f"- **{question}** {(replies or [NOT_MEASURED])[0]}")
        lines += [f"  - {text}" for text in replies if len(replies) > 1]
    return "\n".join(lines)


def _counting(result: EvaluationResult) -> Iterator[str]:
    """Does the model beat counting mutations, and BLOSUM62?"""
    row = fitness.overall(result)
    if row is None:
        return
    assays = {r["assay"] for r in result.rows if r.get("level") == "assay" and defined(r.get("spearman"))}
    where = next(iter(assays)) if len(assays) == 1 else f"{len(assays)} assays of {row['num_averaged']} proteins"
    verdicts = [fitness.verdict(row, score) for score in ("num_changes", "blosum62")]
    yield " ".join([f"On {where}, Spearman {with_interval(row, 'spearman')}.", *filter(None, verdicts)])


def _length(result: EvaluationResult) -> Iterator[str]:
    """Does the knock-out score beat gene length?"""
    means = [row for row in result.rows if row.get("level") == "mean" and row.get("kind") == "model"]
    for row in means or [row for row in result.rows if row.get("in_mean") and row.get("kind") == "model"]:
        if not defined(row.get("vs_length")):
            continue
        found = outcome(*(row.get(f"vs_length{end}") for end in ("", "_low", "_high")))
        p = next((row[key] for key in ("vs_length_p_adjusted", "vs_length_delong_p") if defined(row.get(key))), None)
        of = counted(row["num_averaged"], "organism") if row.get("num_averaged") else f"{row.get('organism')}"
        yield (
            f"Score `{row['score']}`, {of}: AUROC {with_interval(row, 'auroc')}; it {found} length, "
            f"difference {with_interval(row, 'vs_length')}, {p_value(p)} when adjusted for several scores"
            f"{', so not beyond chance then' if found in (BEATS, IS_BEHIND) and (p is None or p >= LEVEL) else ''}."
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
            text += f"overall rate, {p_value(most['shuffle_q'], 'q')}"
            text += f" (equal chunks: {number(most.get('grid_low'))} to {number(most.get('grid_high'))})"
        points = [row for row in own if row.get("level") == "point" and row.get("tolerance") == 0]
        yield " ".join([f"{text}.", *(_found(row) for row in points if row["feature"] in POINTS)])


def _found(row: Row) -> str:
    """Say how many points have a boundary, beside chunkers that know nothing."""
    recall, q = row["recall"], row.get("recall_q")
    low, high = row["shuffle_recall_low"], row["shuffle_recall_high"]
    found = "more than" if recall > high else "fewer than" if recall < low else "no more nor fewer than"
    return (
        f"A share of {with_interval(row, 'recall')} of {counted(row['num_sites'], POINTS[row['feature']])} has a "
        f"boundary at its very base, {found} with random order ({number(row['shuffle_recall'])}, {p_value(q, 'q')}); "
        f"with equal chunks it is {number(row.get('grid_recall'))}."
    )


def _at_equal_operations(result: EvaluationResult) -> Iterator[str]:
    """At equal operations, does learned chunking beat fixed and random chunks, and the other architectures?"""
    from dnahnet_cli.evaluation.report import scaling

    yield from scaling.verdicts(result)


# Asked only where it was measured: not part of what is evaluated of every model.
OPTIONAL: Final = ("scaling",)
QUESTIONS: Final[Sequence[tuple[str, str, Callable[[EvaluationResult], Iterator[str]]]]] = (
    ("Does the model beat counting mutations?", "fitness", _counting),
    ("Does it beat gene length?", "essentiality", _length),
    ("Does learned chunking beat random and fixed chunking of the same length?", "boundaries", _chunking),
    ("Trained with equal operations, does it beat its rivals?", "scaling", _at_equal_operations),
    ("Where does it stand among models of its size, and of 100 times its size?", "fitness", _standing),
)
