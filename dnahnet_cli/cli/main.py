"""The command `dnahnet`: its commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from dnahnet_cli import __version__
from dnahnet_cli.cli import (
    benchmark,
    boundaries,
    completion,
    doctor,
    embed,
    essentiality,
    evaluate,
    fitness,
    generate,
    merge,
    models,
    pack,
    report,
    score,
    score_variants,
    train,
)
from dnahnet_cli.errors import DnahnetError

INTERRUPTED = 130

app = typer.Typer(
    name="dnahnet",
    help="""Ask a bundled genomic language model about a genome: variant effects, essential genes, and where it cuts the
    sequence. Offline, on CPU or GPU. Data go to standard output, everything else to standard error.

    From an assembly, its annotation and a VCF to a page to look at:

      dnahnet score-variants genome.fa calls.vcf --genes genes.gff -o scored.tsv

      dnahnet report genome.fa --genes genes.gff --variants scored.tsv""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dnahnet {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a user can cause into one or two lines and an exit code; a closed pipe ends silently."""

    @functools.wraps(command)
    def run_command(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except DnahnetError as error:
            _fail(str(error), error.exit_code, error)
        except BrokenPipeError:
            # Nobody reads on: not an error. The interpreter must not find out again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as error:
            _fail("interrupted; nothing that is incomplete was kept", INTERRUPTED, error)
        except MemoryError as error:
            _fail("out of memory; try a smaller --batch-size, or fewer threads", 1, error)
        except Exception as error:
            text = f"internal error: {type(error).__name__}: {error}\nThis is a bug; DNAHNET_DEBUG=1 shows where."
            _fail(text, 1, error)

    return run_command


def _fail(message: str, exit_code: int, error: BaseException) -> None:
    if os.environ.get("DNAHNET_DEBUG"):
        raise error
    print(f"dnahnet: {message}", file=sys.stderr)
    raise typer.Exit(exit_code)


_ASK, _LOOK, _TRAIN, _CHECK = "Ask the model", "Look at results", "Networks of your own", "Installation"
_COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    _ASK: {
        "score-variants": score_variants.score_variants,
        "essentiality": essentiality.essentiality,
        "boundaries": boundaries.boundaries,
        "fitness": fitness.fitness,
        "score": score.score,
        "embed": embed.embed,
        "generate": generate.generate,
    },
    _LOOK: {"report": report.report, "merge": merge.merge},
    _TRAIN: {"train": train.train, "pack": pack.pack},
}
for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, no_args_is_help=True, rich_help_panel=_panel)(guarded(_command))
for _group, _name in ((evaluate, "evaluate"), (benchmark, "benchmark")):
    for _member, _command in _group.MEMBERS.items():
        _group.app.command(_member, no_args_is_help=True)(guarded(_command))
    app.add_typer(_group.app, name=_name, rich_help_panel=_TRAIN)
app.command("doctor", rich_help_panel=_CHECK)(guarded(doctor.doctor))  # these two do something without arguments
app.command("models", rich_help_panel=_CHECK)(guarded(models.models))
app.command("completion", no_args_is_help=True, rich_help_panel=_CHECK)(guarded(completion.completion))


def run() -> None:
    """Run the command line; the console script's entry."""
    # Read when torch is loaded. By default its threads wait in a loop, and two runs on the same processors then slow
    # each other down by far more than a factor of two.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # A batch system's SIGTERM unwinds like any error, so that temporary files go.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    app()
