"""`dnahnet benchmark scaling`: a ladder of equal training operations."""

from __future__ import annotations

import json as json_module
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.benchmark import common as b
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from dnahnet_cli.benchmarking.climbing import Climb
    from dnahnet_cli.benchmarking.ladder import Plan
    from dnahnet_cli.benchmarking.runs import Setup
    from dnahnet_cli.training.packed import Corpus

TRAINING = "Training"
DEFAULT_RUNGS = ("3e12:3", "1e13:3", "3e13:1")
DEFAULT_RATE = "2e-3"


def scaling(
    sources: o.Sources,
    runs: Annotated[
        str,
        typer.Option(
            "--runs",
            metavar="FOLDER",
            help="Where each finished run is kept; what is there is not made again.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ],
    arch: b.Architectures = None,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            "--rung",
            metavar="FLOPS:SEEDS",
            help="A budget of training operations, and how many seeds; repeatable. [3e12:3 1e13:3 3e13:1]",
            rich_help_panel=TRAINING,
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        int,
        typer.Option(
            "--sizes",
            metavar="1|2",
            min=1,
            max=2,
            help="Sizes of network at each rung, of which the better one counts.",
            rich_help_panel=TRAINING,
        ),
    ] = 2,
    learning_rate: Annotated[
        list[str] | None,
        typer.Option(
            "--learning-rate",
            metavar="[ARCH=]RATE",
            help=f"Of all architectures, or of one; repeatable. [{DEFAULT_RATE}]",
            rich_help_panel=TRAINING,
            show_default=False,
        ),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option(
            "--learning-rates",
            metavar="RATE,RATE,...",
            help="Try these at the smallest rung, and take each architecture's best one.",
            rich_help_panel=TRAINING,
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes", min=0, help="Begin no run that would end later; 0 only reports.", rich_help_panel=TRAINING
        ),
    ] = math.inf,
    tokens: Annotated[
        int, typer.Option("--tokens-per-step", min=1, help="Bases of a step, all windows.", rich_help_panel=TRAINING)
    ] = 8192,
    length: Annotated[int, typer.Option("--length", min=1, help="Bases of a window.", rich_help_panel=TRAINING)] = 2048,
    heldout: o.HeldOut = None,
    heldout_windows: Annotated[
        int,
        typer.Option(
            "--heldout-windows",
            metavar="N",
            min=1,
            help="Windows of each held-out genome.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 16,
    heldout_length: Annotated[
        int,
        typer.Option(
            "--heldout-length", metavar="B", min=1, help="Bases of such a window.", rich_help_panel=o.SELECTION
        ),
    ] = 4096,
    output: o.Output = "-",
    json: b.JsonLine = False,
    save: b.Save = None,
    picture: b.Picture = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the runs that are to be made, and make none.", rich_help_panel=o.OUTPUT),
    ] = False,
    device: o.Device = "auto",
    dtype: Annotated[
        o.DTypeChoice,
        typer.Option("--dtype", help="Precision of matrix products; auto is bfloat16.", rich_help_panel=o.COMPUTE),
    ] = "auto",
    threads: o.Threads = None,
    quiet: o.Quiet = False,
) -> None:
    """Train small networks of every architecture with equal operations, and compare their bits per base.

    All read the same windows of the same corpus in the same order. A run that is finished stays in --runs, so a ladder
    that was stopped goes on, and several processes may climb one together. The table has the better size of each
    architecture at each rung, the differences to dnaHNet (above 0 dnaHNet needs fewer bits), and fitted curves.

    On one CPU thread that trains at 60 GFLOP/s the default ladder takes about five hours.

    Examples:

      dnahnet benchmark scaling genomes/manifest.tsv --runs ladder -t 1 --picture ladder.png --save scaling.json

      dnahnet benchmark scaling genomes/manifest.tsv --runs ladder --learning-rates 1e-3,2e-3,4e-3 --minutes 60

      dnahnet benchmark scaling a.fa b.fa c.fa --heldout c --runs trial --rung 3e11:2 --arch dnahnet --arch transformer
    """
    import torch

    from dnahnet_cli.benchmarking.climbing import climb, look
    from dnahnet_cli.benchmarking.ladder import Plan, check_architectures, check_rungs
    from dnahnet_cli.benchmarking.pictures import draw_scaling, new_figure
    from dnahnet_cli.benchmarking.runs import RunFolder, check_heldout
    from dnahnet_cli.benchmarking.scaling import columns
    from dnahnet_cli.io.output import open_output
    from dnahnet_cli.io.table import open_table
    from dnahnet_cli.networks.allocator import keep_freed_pieces
    from dnahnet_cli.training.corpus import read_corpus

    architectures = check_architectures(arch or [])
    rates = _rates(architectures, learning_rate or [], learning_rates)
    plan = Plan(architectures, check_rungs(rung or DEFAULT_RUNGS), rates, sizes)
    setup = _setup(tokens, length, heldout_windows, heldout_length, device, dtype)
    reporter = Reporter(quiet=quiet, progress=False)
    inputs = [Path(source) for source in sources]
    for path in filter(None, (save, picture)):
        open_output(path, forbidden=inputs)  # refuses now what could not be written at the end
    if picture:
        new_figure(1, 1)
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_pieces()
    corpus = read_corpus(inputs, heldout or [])
    check_heldout(corpus, setup)
    folder = RunFolder(Path(runs), setup, corpus)
    if dry_run:
        _list(look(plan, folder), reporter)
        return
    table = open_table(output, columns(), provenance={}, forbidden=inputs)
    climbed = climb(plan, folder, minutes, say=reporter.note)
    result = _result(plan, setup, corpus, climbed)
    with table as opened:
        opened.write(result.rows)
    if save:
        result.save(save, inputs)
    if picture:
        draw_scaling(result.rows, Path(picture))
    _close(climbed, reporter)
    b.finish(json_module.loads(result.to_json()), json=json, save=None)


def _rates(architectures: tuple[str, ...], given: list[str], swept: str | None) -> dict[str, tuple[float, ...]]:
    """Return the learning rates of each architecture. Raises UsageError."""
    if given and swept:
        raise UsageError("--learning-rate sets what --learning-rates would look for: give one of them")
    if swept:
        found = tuple(sorted({_rate(text) for text in swept.split(",")}))
        return dict.fromkeys(architectures, found)
    rates: dict[str, tuple[float, ...]] = dict.fromkeys(architectures, (_rate(DEFAULT_RATE),))
    for text in sorted(given, key=lambda text: "=" in text):  # what is said of one goes before what is said of all
        name, _, rate = text.rpartition("=")
        if name and name not in architectures:
            raise UsageError(f"--learning-rate {text}: {name!r} is none of {', '.join(architectures)}")
        rates |= dict.fromkeys([name] if name else architectures, (_rate(rate),))
    return rates


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise UsageError(f"learning rate {text!r}: expected a number above 0")
    return rate


def _setup(
    tokens: int, length: int, heldout_windows: int, heldout_length: int, device: str, dtype: o.DTypeChoice
) -> Setup:
    from dnahnet_cli.benchmarking.runs import Setup
    from dnahnet_cli.networks.devices import resolve_device

    compute = "bfloat16" if dtype == "auto" else dtype
    return Setup(tokens, length, heldout_windows, heldout_length, compute, resolve_device(device))


def _list(climbed: Climb, reporter: Reporter) -> None:
    """Print the runs that are left, in the order in which they are made."""
    for spec, _ in climbed.left_out:
        print(spec)
    flops = sum(spec.budget for spec, _ in climbed.left_out)
    done = len(climbed.runs) + len(climbed.sweeps)
    reporter.note(f"{len(climbed.left_out)} runs to be made, {flops:.3g} FLOPs; {done} are there already")


def _result(plan: Plan, setup: Setup, corpus: Corpus, climbed: Climb) -> Any:
    from dataclasses import asdict

    from dnahnet_cli.benchmarking.notes import notes
    from dnahnet_cli.benchmarking.runs import corpus_sha256
    from dnahnet_cli.benchmarking.scaling import DRAWS, analyse, sweep_rows
    from dnahnet_cli.evaluation.results import EvaluationResult

    rows = [*analyse(climbed.runs), *sweep_rows(climbed.sweeps, climbed.rates)]
    hardware = sorted({str(run.made_by["hardware"]) for run in [*climbed.runs, *climbed.sweeps]})
    settings = {
        **asdict(setup),
        "rungs": [f"{rung.budget:g}:{rung.num_seeds}" for rung in plan.rungs],
        "learning_rates": {arch: list(rates) for arch, rates in plan.rates.items()},
        "train_genomes": len(corpus.train),
        "heldout_genomes": [genome.name for genome in corpus.heldout],
        "corpus_sha256": corpus_sha256(corpus),
        "draws": DRAWS,
        "runs": len(climbed.runs) + len(climbed.sweeps),
        "runs_left_out": len(climbed.left_out),
        "hardware": hardware,
    }
    return EvaluationResult("scaling", {}, settings, rows, notes(plan, setup, climbed))


def _close(climbed: Climb, reporter: Reporter) -> None:
    made = [*climbed.runs, *climbed.sweeps]
    reporter.note(f"{len(made)} runs are there, {sum(run.seconds for run in made) / 60:.1f} minutes of training")
    for run in made:
        if run.status != "ok":
            reporter.note(f"  diverged: {run.spec}")
    for reason, count in Counter(reason for _, reason in climbed.left_out).items():
        first = next(spec for spec, own in climbed.left_out if own == reason)
        reporter.note(f"  {count} left out: {reason} (first: {first})")
