"""What the members of `dnahnet benchmark` share: options, and how their results come out."""

from __future__ import annotations

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


def finish(result: Mapping[str, Any], *, json: bool, save: str | None) -> None:
    """Keep a result as JSON, and print it as one line, as far as is asked for. Raises OutputError."""
    import json as json_module

    from dnahnet_cli.io.output import open_output

    if save is not None:
        with open_output(save) as file:
            file.write(json_module.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if json:
        print(json_module.dumps(result, ensure_ascii=False, allow_nan=False))


def machine_facts(device: str) -> dict[str, Any]:
    """Return what a kept result says of the machine and of the program."""
    import platform

    import torch

    from dnahnet_cli import __version__
    from dnahnet_cli.training.hardware import describe_device

    return {
        "version": __version__,
        "device": describe_device(device),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
