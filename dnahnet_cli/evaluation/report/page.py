"""The results page: what all evaluations of one model found, from the JSON that they write.

The page depends on the results alone, not on the order in which they are given, on the date, or on where they lie.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.evaluation.report.answers import answers
from dnahnet_cli.evaluation.report.words import defined, number, table
from dnahnet_cli.evaluation.results import EvaluationResult

Section: TypeAlias = Callable[[EvaluationResult, Path], str]

# In the order of the page. The modules are imported when one of their results is there.
SECTIONS: Final[Mapping[str, str]] = {
    name: f"dnahnet_cli.evaluation.report.{name}"
    for name in ("compression", "fitness", "essentiality", "boundaries", "calibration", "scaling")
}
# Of networks that were trained to be compared, beside the page's model.
OF_NO_MODEL: Final = ("scaling",)
_SPOILT: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError)


def check(results: Mapping[str, EvaluationResult]) -> None:
    """Refuse results that cannot stand on one page; they are given by the names of their files. Raises InputError."""
    if not results:
        raise InputError("There is no result to report.")
    of_model = {name: result for name, result in results.items() if result.name not in OF_NO_MODEL}
    if not of_model:
        raise InputError(f"A page is of one model, and {next(iter(results))} is of none: give another result with it.")
    first_name, first = next(iter(of_model.items()))
    seen: dict[tuple[str, str], str] = {}
    for name, result in results.items():
        if result.name not in SECTIONS:
            raise InputError(
                f"{name} is the result of {result.name!r}, which has no section; known: {', '.join(SECTIONS)}."
            )
        if name in of_model and not isinstance(result.model.get("sha256"), str):
            raise InputError(f"{name} does not say which model it is of: model.sha256 is missing.")
        if name in of_model and result.model["sha256"] != first.model["sha256"]:
            raise InputError(
                f"{name} is of another model than {first_name}: {result.model['sha256'][:12]} and "
                f"{first.model['sha256'][:12]}. A page is of one model."
            )
        key = result.name, identity(result)
        if key in seen:
            raise InputError(f"{seen[key]} and {name} are both {result.name} of the same input: give one of them.")
        seen[key] = name


def identity(result: EvaluationResult) -> str:
    """Return what tells results of one evaluation apart: the settings that name its input, those with a sha256."""
    return json.dumps({key: value for key, value in result.settings.items() if "sha256" in key}, sort_keys=True)


def write_page(
    results: Mapping[str, EvaluationResult], images: Path, card: Mapping[str, Any] | None = None
) -> tuple[str, list[str]]:
    """Return the page and the names of its pictures, which are put into the folder `images`.

    `card` is that of the model. Raises InputError as `check` and for rows that a section cannot read, OutputError for a
    folder that cannot be written.
    """
    check(results)
    order = list(SECTIONS)
    named = sorted(results.items(), key=lambda item: (order.index(item[1].name), identity(item[1])))
    ordered = [result for _, result in named]
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / images.name
        drawn.mkdir()
        sections = _sections(named, drawn)
        try:
            found = answers(ordered)
        except _SPOILT as error:
            raise InputError(f"the results lack what the answers are drawn from ({error!r}).") from error
        parts = ["# Results", _head(ordered, card), "## Answers", found, *sections, _making(ordered)]
        pictures = sorted(path.name for path in drawn.iterdir())
        try:
            images.mkdir(parents=True, exist_ok=True)
            for name in pictures:
                shutil.copyfile(drawn / name, images / name)
        except OSError as error:
            raise OutputError(f"{images} cannot be written: {error.strerror or error}.") from error
    return "\n\n".join(part.strip("\n") for part in parts) + "\n", pictures


def _sections(named: Sequence[tuple[str, EvaluationResult]], drawn: Path) -> list[str]:
    """Return the sections; a picture whose name another section has taken gets a name of its own."""
    texts = []
    for at, (name, result) in enumerate(named):
        own = drawn.parent / str(at) / drawn.name
        own.mkdir(parents=True)
        section: Section = import_module(SECTIONS[result.name]).section
        try:
            text = section(result, own)
        except _SPOILT as error:
            raise InputError(
                f"{name} lacks what the section on {result.name} reads ({error!r}); it was written by version "
                f"{result.version}: evaluate again."
            ) from error
        for picture in sorted(own.iterdir()):
            free, count = picture.name, 1
            while (drawn / free).exists():
                count += 1
                free = f"{picture.stem}-{count}{picture.suffix}"
            shutil.move(picture, drawn / free)
            text = text.replace(f"{drawn.name}/{picture.name}", f"{drawn.name}/{free}")
        texts.append(text)
    return texts


def _head(results: Sequence[EvaluationResult], card: Mapping[str, Any] | None) -> str:
    model = results[0].model
    sizes = [result.model["parameters"] for result in results if defined(result.model.get("parameters"))]
    facts = [f"sha256 `{model['sha256']}`"] + ([f"{number(sizes[0])} parameters"] if sizes else [])
    but = ", but for those of equal training operations," if any(r.name in OF_NO_MODEL for r in results) else ""
    text = f"All figures on this page{but} are of the model **{model.get('name', 'without a name')}** "
    text += f"({', '.join(facts)}). "
    text += "The page is generated by `dnahnet evaluate report` from what the evaluations write, its sentences "
    text += "included; do not edit it. Brackets hold 95 % bootstrap intervals, and how each figure was made stands "
    text += "[at the end](#how-the-figures-were-made)."
    bits = (card or {}).get("heldout_bits_per_base", {})
    own, markov = (bits.get(key, {}).get("mean") for key in ("network", "markov9"))
    if defined(own):
        text += f"\n\nBits per base on held-out species, by its model card: {number(own)}"
        beside = f"; an order-9 Markov model of the same genomes {number(markov)}" if defined(markov) else ""
        measured = f" ({bits['measured_on']})" if "measured_on" in bits else ""
        text += f"{beside}; guessing 2{measured}."
    return text


def _making(results: Sequence[EvaluationResult]) -> str:
    parts = ["## How the figures were made"]
    for result in results:
        settings = [[key, _setting(value)] for key, value in sorted(result.settings.items())]
        parts.append(f"### {result.name}{_of(result)}")
        parts.append(table(["setting", "value"], [["version", result.version], *settings], num_texts=2))
        parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(part for part in parts if part)


def _of(result: EvaluationResult) -> str:
    """Return what to call the input: the names of what has a checksum, when they are few."""
    if isinstance(result.settings.get("genome"), str):
        return f" of {result.settings['genome']}"
    checksums = [value for key, value in sorted(result.settings.items()) if "sha256" in key]
    names = [name for value in checksums if isinstance(value, Mapping) for name in value]
    return f" of {', '.join(names)}" if 0 < len(names) <= 3 else ""


def _setting(value: Any) -> str:
    """Return a setting in one cell; checksums are cut to their first twelve digits."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_setting(item)}" for key, item in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_setting, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    text = str(value)
    return f"`{text[:12]}`" if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
