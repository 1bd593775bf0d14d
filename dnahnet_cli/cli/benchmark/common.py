"""What the members of `dnahnet benchmark` share: options, and how their results come out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from dnahnet_cli.cli import options as o

Architectures = Annotated[
    list[str] | None,
    typer.Option(
        "--arch",
        metavar="NAME",
        help="Only this architecture; repeatable. All unless given.",
        rich_help_panel=o.SELECTION,
        show_default=False,
    ),
]
JsonLine = Annotated[
    bool,
    typer.Option("--json", help="End standard output with one line: a JSON object of all.", rich_help_panel=o.OUTPUT),
]
Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="FILE",
        help="Keep the result as JSON, with the machine's description.",
        rich_help_panel=o.OUTPUT,
        show_default=False,
    ),
]
Picture = Annotated[
    str | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        help="Draw the result, as .png, .svg or .pdf; needs matplotlib.",
        rich_help_panel=o.OUTPUT,
        show_default=False,
    ),
]


def one_line(result: Mapping[str, Any]) -> str:
    """Return an object as one line of JSON."""
    return json.dumps(result, ensure_ascii=False, allow_nan=False)
