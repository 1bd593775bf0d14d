"""`dnahnet evaluate`: what a model's scores are worth, measured on data that it was not trained to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from dnahnet_cli.cli.evaluate.boundaries import boundaries
from dnahnet_cli.cli.evaluate.calibration import calibration
from dnahnet_cli.cli.evaluate.compression import compression
from dnahnet_cli.cli.evaluate.essentiality import essentiality
from dnahnet_cli.cli.evaluate.fitness import fitness
from dnahnet_cli.cli.evaluate.report import report

app = typer.Typer(
    help="Measure what the model's scores are worth, beside scores that need no model.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

MEMBERS: Final[dict[str, Callable[..., None]]] = {
    "fitness": fitness,
    "compression": compression,
    "essentiality": essentiality,
    "boundaries": boundaries,
    "calibration": calibration,
    "report": report,
}
