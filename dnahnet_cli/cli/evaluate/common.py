"""What the members of `dnahnet evaluate` share: options, provenance, folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from dnahnet_cli.networks.weights import ModelFile

Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the rows also as an evaluation result: JSON with the model's sha256 and all settings.",
        rich_help_panel=o.OUTPUT,
        show_default=False,
    ),
]
Scores = Annotated[
    str | None,
    typer.Option(
        "--scores",
        metavar="FOLDER",
        help="Keep what the model said, from which the figures can be made again.",
        rich_help_panel=o.OUTPUT,
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Compute nothing again that --scores has from this model, input and settings.",
        rich_help_panel=o.OUTPUT,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="What the result calls the genome; otherwise its file's name.",
        rich_help_panel=o.INPUT,
        show_default=False,
    ),
]
Draws = Annotated[
    int,
    typer.Option("--draws", metavar="N", min=1, help="Resamples behind the intervals.", rich_help_panel=o.SCORING),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of everything that is drawn.", rich_help_panel=o.SCORING)
]


def folder_of(name: str | None, *, resume: bool) -> Path | None:
    """Return the folder for --scores, made if it is not there. Raises OutputError, UsageError for a lone --resume."""
    if name is None:
        if resume:
            raise UsageError("--resume goes on with what is in --scores FOLDER: give that too")
        return None
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}.") from error
    return folder


def provenance_of(file: ModelFile, settings: dict[str, Any], *, with_paths: bool) -> dict[str, str]:
    """Return what the head of a table says about its making; the command line only `with_paths`."""
    import shlex
    import sys

    from dnahnet_cli import __version__

    made_by = {"version": __version__, "command": shlex.join(["dnahnet", *sys.argv[1:]])} if with_paths else {}
    model = {"model": file.name, "model_sha256": file.sha256}
    return {**made_by, **model, **{key: str(value) for key, value in settings.items()}}
