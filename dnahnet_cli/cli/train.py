"""`dnahnet train`."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from dnahnet_cli.training.loop import Trainer

BUDGET, STEP = "Budget", "Step"


def train(
    sources: o.Sources,
    folder: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder for checkpoints and curve.", rich_help_panel=o.OUTPUT
        ),
    ] = "run",
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="FILE.safetensors",
            help="Put the weights here too, unless better ones are there already.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="At the end also write a checkpoint without the optimiser's state, and the curve, to carry elsewhere.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    part_mib: Annotated[
        float,
        typer.Option(
            "--part-size", metavar="MIB", min=1, help="Size of a checkpoint's files at most.", rich_help_panel=o.OUTPUT
        ),
    ] = 1024.0,
    heldout: o.HeldOut = None,
    no_heldout: o.NoHeldOut = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="SOURCES is a folder of part files that may still be filling.", rich_help_panel=o.SELECTION
        ),
    ] = False,
    markov_order: Annotated[
        int,
        typer.Option(
            "--markov-order",
            metavar="K",
            min=0,
            max=11,
            help="Order of the Markov model that the network is compared with at the end; 0 leaves it out.",
            rich_help_panel=o.SELECTION,
        ),
    ] = 9,
    begin_with: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL|CHECKPOINT",
            help="Begin with trained weights: a bundled model, a .safetensors file or a checkpoint's folder. "
            "A --preset with more layers adds them.",
            rich_help_panel=STEP,
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        o.Architecture | None,
        typer.Option(
            "--arch",
            help="Kind of network: dnaHNet, or a rival. [dnahnet, or that of --from]",
            rich_help_panel=STEP,
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="Shape of the network: tiny, small or base, by parameters, or small-deep, that of dnahnet-small. "
            "A rival that has no chunks has tiny-flops and so on too, by operations per base. "
            "[small, or that of --from]",
            rich_help_panel=STEP,
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            help="Length of the run, earlier parts included. [60 unless --steps is given]",
            rich_help_panel=BUDGET,
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Length of the run in steps, earlier ones included: the same run on any machine.",
            rich_help_panel=BUDGET,
            show_default=False,
        ),
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(
            "--stop-after",
            metavar="MINUTES",
            help="Pause after so long, with a checkpoint, for --resume to go on.",
            rich_help_panel=BUDGET,
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the folder's last checkpoint, if any.", rich_help_panel=BUDGET),
    ] = False,
    resume_from: Annotated[
        str | None,
        typer.Option(
            "--resume-from",
            metavar="CHECKPOINT",
            help="Go on from this checkpoint's folder.",
            rich_help_panel=BUDGET,
            show_default=False,
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float,
        typer.Option("--checkpoint-minutes", min=0, help="Time between checkpoints.", rich_help_panel=BUDGET),
    ] = 5.0,
    schedule: Annotated[
        Literal["stable", "cosine"],
        typer.Option(
            "--schedule",
            help="Stable learning rate that falls at the end, or a cosine.",
            rich_help_panel=STEP,
        ),
    ] = "stable",
    decay: Annotated[
        float | None,
        typer.Option(
            "--decay",
            metavar="SHARE",
            min=0.01,
            max=1,
            help="Share of the run in which the stable rate falls. [0.3]",
            rich_help_panel=STEP,
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="Of the core; outer stages have more.", rich_help_panel=STEP)
    ] = 3e-3,
    tokens: Annotated[
        int,
        typer.Option(
            "--tokens-per-step",
            min=1,
            help="Bases of a step, all windows; in the decay at least 4 windows.",
            rich_help_panel=STEP,
        ),
    ] = 8192,
    length: Annotated[int, typer.Option("--length", min=1, help="Bases of a window.", rich_help_panel=STEP)] = 2048,
    final_length: Annotated[
        int, typer.Option("--final-length", min=1, help="The same, during the decay.", rich_help_panel=STEP)
    ] = 8192,
    micro_tokens: Annotated[
        int,
        typer.Option(
            "--micro-tokens",
            min=1,
            help="Bases computed at once, a window at least; a larger step is accumulated.",
            rich_help_panel=STEP,
        ),
    ] = 16384,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=0, max=2**63 - 1, help="Seed of weights and sampling.", rich_help_panel=STEP
        ),
    ] = 1,
    device: o.Device = "auto",
    dtype: Annotated[
        o.DTypeChoice,
        typer.Option(
            "--dtype",
            help="Precision of matrix products; auto is bfloat16 where the device multiplies it faster.",
            rich_help_panel=o.COMPUTE,
        ),
    ] = "auto",
    threads: o.Threads = None,
    json_summary: o.JsonSummary = None,
    quiet: o.Quiet = False,
) -> None:
    """Train a network on genomes and evaluate it on held-out species.

    The folder gets checkpoints, the loss curve (curve.csv, and curve.png if matplotlib is installed), and in the end
    model.safetensors with its card, to be used with --model. Interrupted, it leaves a checkpoint and --resume goes
    on. Under torchrun several devices share each step.

    Examples:

      dnahnet train genomes/manifest.tsv --minutes 120 -o run --save my-model.safetensors

      dnahnet train a.fa b.fa c.fa --heldout c --preset tiny --minutes 2 -o run

      dnahnet train genomes/manifest.tsv --arch transformer --preset tiny --minutes 10 -o rival

      dnahnet train a.fa b.fa c.fa --heldout c --from dnahnet-small --minutes 3 --learning-rate 5e-4 -o tuned

      dnahnet train parts/ --watch --minutes 25 --stop-after 9 --resume -o run
    """
    from pathlib import Path

    import torch

    from dnahnet_cli.cli.train_end import finish
    from dnahnet_cli.cli.train_plan import (
        beginning,
        check_targets,
        checkpoint_of,
        fastest,
        read_sources,
        seen_in_training,
        shape_of,
    )
    from dnahnet_cli.networks.allocator import keep_freed_pieces
    from dnahnet_cli.networks.devices import resolve_device
    from dnahnet_cli.training.hardware import describe_device
    from dnahnet_cli.training.loop import Trainer
    from dnahnet_cli.training.objective import TrainConfig
    from dnahnet_cli.training.processes import processes
    from dnahnet_cli.training.schedule import Schedule

    if (minutes is not None and steps is not None) or (minutes is not None and not 0 < minutes < math.inf):
        raise UsageError("the length of a run is a number of --minutes above 0, or of --steps, not both")
    if not 0 < learning_rate < math.inf:
        raise UsageError(f"--learning-rate {learning_rate:g}: expected a number above 0")
    if decay is not None and schedule != "stable":
        raise UsageError("--decay is for --schedule stable: a cosine falls all the time")
    for option, number in (
        ("--part-size", part_mib),
        ("--checkpoint-minutes", checkpoint_minutes),
        ("--stop-after", stop_after),
    ):
        if number is not None and not 0 <= number < math.inf:
            raise UsageError(f"{option} {number:g}: expected a finite number of at least 0")
    run = Path(folder)
    check_targets(run, save, export, json_summary, [*sources, *(heldout or [])])
    shape, origin = shape_of(begin_with, resume_from, arch, preset)
    reporter = Reporter(quiet=quiet, progress=False)
    checkpoint = checkpoint_of(run, resume, resume_from)
    config = TrainConfig(
        minutes=60.0 if minutes is None else minutes,
        steps=steps,
        learning_rate=learning_rate,
        tokens_per_step=tokens,
        length=length,
        final_length=final_length,
        final_tokens_per_step=max(tokens, 4 * final_length),
        micro_tokens=micro_tokens,
        seed=seed,
        checkpoint_minutes=checkpoint_minutes,
        part_mib=part_mib,
        schedule=Schedule(kind=schedule) if decay is None else Schedule(decay_fraction=decay),
    )
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_pieces()
    where = resolve_device(device)
    with processes(where) as group:
        corpus, parts = read_sources(
            sources, heldout or [], group, watch=watch, need_heldout=not no_heldout, reporter=reporter
        )
        if save is not None and not corpus.heldout:
            raise UsageError(f"--save {save}: only weights that were evaluated go there, and nothing is held out")
        compute, ceiling = fastest(dtype, group)
        hardware = describe_device(group.device) + (f", {group.size} processes" if group.size > 1 else "")
        trainer = Trainer(
            shape,
            config,
            corpus,
            run,
            processes=group,
            dtype=compute,
            log=reporter.note,
            more=parts,
            ceiling=ceiling * group.size,
            hardware=hardware,
            origin=origin,
        )
        if checkpoint is not None:
            trainer.resume(checkpoint)
        elif origin is not None:
            trainer.log(beginning(trainer, origin))
        if seen := seen_in_training(trainer, checkpoint, save):
            trainer.log(seen)
        if group.first:
            reporter.note(
                f"{trainer.model.num_parameters():,} parameters, {len(corpus.train):,} genomes, "
                f"{sum(genome.length for genome in corpus.train):,} bases; {hardware}, "
                f"{str(compute).removeprefix('torch.')}, matrix products at {ceiling / 1e9:,.0f} GFLOP/s"
            )
        with _PausingOnSignals(trainer):
            result = trainer.run(math.inf if stop_after is None else stop_after)
        if not group.first:
            return
        try:  # whatever of it fails, the other is done
            if result is not None:
                finish(trainer, result, markov_order, save, json_summary, reporter)
        finally:
            if export is not None:
                trainer.save(Path(export), moments=False, curve=True)
        if result is None:
            reporter.note(f"paused at step {trainer.step:,}; --resume goes on")
            if trainer.stopped_by:
                raise SystemExit(128 + trainer.stopped_by)


class _PausingOnSignals:
    """While it lasts, SIGINT and SIGTERM let the run finish its step and write a checkpoint; a second one ends it."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __enter__(self) -> None:
        self.before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self.before:
            signal.signal(number, self._stop)

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        self.trainer.stopped_by = number
        self.__exit__()
