"""`dnahnet evaluate report`: one page of what all evaluations of a model found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import InputError, ModelError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.evaluation.results import EvaluationResult


def report(
    files: Annotated[
        list[str],
        typer.Argument(metavar="RESULT...", help="What evaluations write with --json.", show_default=False),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The page, in Markdown; its pictures go into images/ beside it.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            help="Whose card gives the bits per base; the bundled model of that checksum unless given.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    quiet: o.Quiet = False,
) -> None:
    """Write one page with pictures from the results of evaluations.

    All results must be of the same model. Several of one evaluation are fine when their input differs. The page begins
    with answers, drawn from the figures whichever way they come out; the same results make the same page.

    Examples:

      dnahnet evaluate report results/*.json -o results.md

      dnahnet evaluate report fitness.json essentiality.json -o page/results.md --model my-model.safetensors
    """
    from dnahnet_cli.evaluation.report.page import check, write_page
    from dnahnet_cli.evaluation.results import EvaluationResult
    from dnahnet_cli.io.output import open_output

    if output == "-":
        raise UsageError("the page has pictures beside it: give -o FILE, not standard output")
    twice = next((name for name in files if files.count(name) > 1), None)
    if twice:
        raise UsageError(f"{twice} is given twice")
    results = {name: EvaluationResult.load(Path(name)) for name in files}
    check(results)
    _need_matplotlib()
    card = _card(next(result for result in results.values() if result.model), model)
    place = open_output(output, forbidden=[Path(name) for name in files])
    page, pictures = write_page(results, Path(output).parent / "images", card)
    with place as file:
        file.write(page)
    Reporter(quiet=quiet).note(f"{output}: {len(results)} results, {len(pictures)} pictures in images/")


def _card(result: EvaluationResult, model: str | None) -> dict[str, Any] | None:
    """Return the card of the results' model, None where it is not at hand. Raises InputError for another model's."""
    from dnahnet_cli.networks.weights import bundled_models, find_model

    for name in bundled_models() if model is None else [model]:
        try:
            file = find_model(name)
        except ModelError:
            if model is not None:
                raise
            continue
        if file.sha256 == result.model["sha256"]:
            return file.card
    if model is not None:
        raise InputError(f"{model} is not the model of the results: its sha256 is {file.sha256[:12]}.")
    return None


def _need_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError("the page needs matplotlib: pip install 'dnahnet[plot]'.") from error
