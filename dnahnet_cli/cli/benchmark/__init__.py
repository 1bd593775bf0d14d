"""`dnahnet benchmark`: what the architectures cost and reach, side by side, and how fast the tool is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from dnahnet_cli.cli.benchmark.forward import forward
from dnahnet_cli.cli.benchmark.scaling import scaling
from dnahnet_cli.cli.benchmark.tool import tool

app = typer.Typer(
    help="Measure what dnaHNet and its rivals cost and reach, side by side, and how fast this program is.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

MEMBERS: Final[dict[str, Callable[..., None]]] = {
    "forward": forward,
    "scaling": scaling,
    "tool": tool,
}
