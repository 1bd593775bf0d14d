"""`dnahnet train`."""

from __future__ import annotations

import json
import math
import signal
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, peak_memory_mib, write_summary
from dnahnet_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from dnahnet_cli.model.config import Config
    from dnahnet_cli.training.card import Baselines
    from dnahnet_cli.training.evaluation import HeldOut
    from dnahnet_cli.training.loop import TrainConfig, Trainer
    from dnahnet_cli.training.origin import Origin
    from dnahnet_cli.training.packed import Corpus
    from dnahnet_cli.training.parts import PartFolder
    from dnahnet_cli.training.processes import Processes

BUDGET, STEP = "Budget", "Step"
Architecture = Literal["dnahnet", "fixed-stride", "random-chunks", "transformer", "striped-hyena2", "mamba2"]


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
            help="At the end also write a checkpoint without the optimiser's state, to carry elsewhere.",
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
        Architecture | None,
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
            help="Shape of the network: tiny, small or base, by parameters. A rival that has no chunks has tiny-flops "
            "and so on too, by operations per base. [small, or that of --from]",
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
            help="Stable learning rate with a decay over the last 30 %, or a cosine.",
            rich_help_panel=STEP,
        ),
    ] = "stable",
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="Of the core; outer stages have more.", rich_help_panel=STEP)
    ] = 3e-3,
    tokens: Annotated[
        int, typer.Option("--tokens-per-step", min=1, help="Bases of a step, all windows.", rich_help_panel=STEP)
    ] = 8192,
    length: Annotated[int, typer.Option("--length", min=1, help="Bases of a window.", rich_help_panel=STEP)] = 2048,
    final_length: Annotated[
        int, typer.Option("--final-length", min=1, help="The same, during the decay.", rich_help_panel=STEP)
    ] = 8192,
    micro_tokens: Annotated[
        int,
        typer.Option(
            "--micro-tokens", min=1, help="Bases computed at once; a larger step is accumulated.", rich_help_panel=STEP
        ),
    ] = 16384,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and sampling.", rich_help_panel=STEP)] = 1,
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

    from dnahnet_cli.networks.devices import resolve_device
    from dnahnet_cli.training.hardware import describe_device
    from dnahnet_cli.training.loop import Trainer
    from dnahnet_cli.training.memory import keep_freed_memory
    from dnahnet_cli.training.processes import processes

    if (minutes is not None and steps is not None) or (minutes is not None and not 0 < minutes < math.inf):
        raise UsageError("the length of a run is a number of --minutes above 0, or of --steps, not both")
    if not 0 < learning_rate < math.inf:
        raise UsageError(f"--learning-rate {learning_rate:g}: expected a number above 0")
    _check_targets(save, export)
    shape, origin = _shape(begin_with, resume_from, arch, preset)
    reporter = Reporter(quiet=quiet, progress=False)
    run = Path(folder)
    begin_from = _begin_from(run, resume, resume_from)
    config = _config(
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
        schedule=schedule,
    )
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    where = resolve_device(device)
    with processes(where) as group:
        corpus, parts = _read(
            sources, heldout or [], group, watch=watch, need_heldout=not no_heldout, reporter=reporter
        )
        if save is not None and not corpus.heldout:
            raise UsageError(f"--save {save}: only weights that were evaluated go there, and nothing is held out")
        compute, ceiling = _fastest(dtype, group)
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
        if begin_from is not None:
            trainer.resume(begin_from)
        elif origin is not None:
            trainer.log(_beginning(trainer, origin))
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
        if export is not None:
            trainer.save(Path(export), moments=False)
        if result is None:
            reporter.note(f"paused at step {trainer.step:,}; --resume goes on")
            if trainer.stopped_by:
                raise SystemExit(128 + trainer.stopped_by)
            return
        _finish(trainer, result, markov_order, save, json_summary, reporter)


def _shape(
    begin_with: str | None, resume_from: str | None, arch: Architecture | None, preset: str | None
) -> tuple[Config, Origin | None]:
    """Return the network's shape, and the weights that it begins with, if it is not to begin with random ones."""
    from dnahnet_cli.networks.presets import PRESETS
    from dnahnet_cli.training.origin import read_origin

    origin = None
    if begin_with is not None:
        if resume_from is not None:
            raise UsageError("--resume-from goes on with a run, --from begins one with its weights: give one of them")
        origin = read_origin(begin_with)
        if arch not in (None, origin.config.arch):
            raise UsageError(f"--arch {arch}: {begin_with} is a network of architecture {origin.config.arch}")
        if preset is None:
            return origin.config, origin
        arch = cast("Architecture", origin.config.arch)
    presets = PRESETS[arch or "dnahnet"]
    if preset is not None and preset not in presets:
        raise UsageError(f"--preset {preset}: expected one of {', '.join(presets)}")
    return presets[preset or "small"], origin


def _beginning(trainer: Trainer, origin: Origin) -> str:
    """Say what the run begins with, and which of its held-out genomes that has learned from already."""
    seen, added = origin.record["bases_seen"], trainer.model.num_parameters() - origin.num_parameters
    text = f"begins with {origin.name}" + (f", which has seen {seen:,} bases" if seen else "")
    text += f", and {added:,} parameters in layers that are added" if added else ""
    known = sorted({genome.genus for genome in trainer.corpus.heldout} & origin.genera)
    if known:
        text += f"; it was trained on {', '.join(known)}, which is held out here: no test of unseen genera"
    return text


def _check_targets(save: str | None, export: str | None) -> None:
    """Refuse before the run, not after it, what could not be written then, or would be lost."""
    from pathlib import Path

    from dnahnet_cli.networks.weights import find_model
    from dnahnet_cli.training.checkpoint import check_target

    if save is not None:
        if not (save.endswith(".safetensors") and Path(save).parent.is_dir()):
            raise UsageError(f"--save {save}: expected a .safetensors file in a folder that exists")
        if Path(save).exists():
            find_model(save)
    if export is not None:
        check_target(Path(export))


def _fastest(dtype: o.DTypeChoice, group: Processes) -> tuple[torch.dtype, float]:
    """Return the compute dtype and its matrix products in FLOP/s; `auto` takes bfloat16 where it is measured faster."""
    import torch

    from dnahnet_cli.networks.devices import resolve_dtype
    from dnahnet_cli.training.hardware import matmul_ceiling

    if dtype != "auto":
        compute = resolve_dtype(dtype, group.device)
        return compute, matmul_ceiling(group.device, compute)
    ceilings = {  # the first process's, or they might choose differently
        compute: group.agreed(matmul_ceiling(group.device, compute, 0.2)) for compute in (torch.float32, torch.bfloat16)
    }
    compute = torch.bfloat16 if ceilings[torch.bfloat16] > 1.5 * ceilings[torch.float32] else torch.float32
    return compute, ceilings[compute]


def _begin_from(run: Path, resume: bool, resume_from: str | None) -> Path | None:
    """Return the checkpoint to begin from. Raises UsageError rather than overwrite a run that nobody mentioned."""
    from pathlib import Path

    from dnahnet_cli.training.checkpoint import latest_checkpoint

    if run.exists() and not run.is_dir():
        raise UsageError(f"-o {run} is a file: expected a folder")
    latest = latest_checkpoint(run)
    if resume_from is not None:
        if latest is not None and not resume:
            raise UsageError(f"{run} holds a run already ({latest.name}): choose another folder with -o")
        return latest or Path(resume_from)
    if latest is not None and not resume:
        raise UsageError(f"{run} holds a run already ({latest.name}): --resume goes on with it, -o chooses another")
    return latest


def _config(*, schedule: Literal["stable", "cosine"], **fields: Any) -> TrainConfig:
    from dnahnet_cli.training.loop import TrainConfig
    from dnahnet_cli.training.schedule import Schedule

    return TrainConfig(schedule=Schedule(kind=schedule), **fields)


def _read(
    sources: list[str], heldout: list[str], group: Processes, *, watch: bool, need_heldout: bool, reporter: Reporter
) -> tuple[Corpus, PartFolder | None]:
    """Return the corpus, the same for all processes, and the folder where more of it may appear."""
    import time
    from pathlib import Path

    from dnahnet_cli.training.corpus import PartFolder, read_corpus

    if not watch:
        corpus = read_corpus([Path(source) for source in sources], heldout, need_heldout=need_heldout)
        return corpus, None
    if len(sources) != 1 or heldout:
        raise UsageError("--watch takes one folder of part files, which say themselves what is held out")
    parts = PartFolder(Path(sources[0]))
    corpus = parts.new_parts()
    if not corpus.train:
        reporter.note(f"waiting for a part file in {sources[0]}")
    while not corpus.train:
        time.sleep(1)
        corpus += parts.new_parts()
    names = group.agreed_names(parts.names)
    if not group.first:
        parts = PartFolder(parts.folder)
        corpus = parts.read(names)
    if need_heldout and not corpus.heldout:
        raise UsageError(f"{sources[0]}: the parts hold no held-out genome; put part-001 there first, or --no-heldout")
    return corpus, parts


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


def _finish(
    trainer: Trainer,
    result: HeldOut,
    markov_order: int,
    save: str | None,
    json_summary: str | None,
    reporter: Reporter,
) -> None:
    """Write weights, card and picture, and say what came of the run."""
    from pathlib import Path

    from dnahnet_cli.networks.weights import save_weights
    from dnahnet_cli.training.card import Baselines, heldout_table, make_card, promote
    from dnahnet_cli.training.curve import draw
    from dnahnet_cli.training.evaluation import markov_bits

    config, corpus = trainer.config, trainer.corpus
    baselines: Baselines | None = None
    if markov_order and corpus.heldout:
        bits = markov_bits(corpus.train, corpus.heldout, markov_order, config.heldout_windows, config.heldout_length)
        baselines = Baselines(markov_order, bits)
    card = make_card(trainer, result, baselines)
    save_weights(trainer.model, trainer.folder / "model.safetensors", card)
    if draw(trainer.folder) is None:
        reporter.note("no picture of the loss curve: pip install 'dnahnet[plot]' draws it")
    table = heldout_table(config, result, baselines)
    _print_table(table, reporter)
    summary: dict[str, Any] = {
        "command": "train",
        "steps": trainer.step,
        "bases_seen": trainer.bases_seen,
        "minutes": round(trainer.minutes, 2),
        "flops": trainer.flops,
        "heldout_bits_per_base": table,
        "boundaries": card["boundaries"],
        "peak_memory_mib": peak_memory_mib(),
    }
    if save is not None:
        promotion = promote(trainer.model, card, Path(save), corpus, config)
        summary["promotion"] = {"done": promotion.done, "new": promotion.new}
        old = "nothing was there" if math.isnan(promotion.old) else f"{promotion.old:.4f} bits of what was there"
        verb = "written to" if promotion.done else "not written, no better than"
        reporter.note(f"weights {verb} {save}: {promotion.new:.4f} bits, {old}")
        if not math.isnan(promotion.old):
            summary["promotion"]["old"] = promotion.old
    write_summary(json_summary, summary)
    print(json.dumps(summary))


def _print_table(table: dict[str, Any], reporter: Reporter) -> None:
    if not table:
        reporter.note("nothing was held out, so nothing tells what the model has learned")
        return
    columns = {name: column for name, column in table.items() if isinstance(column, dict)}
    reporter.note(f"bits per base on {table['measured_on']}; uniform is 2:")
    width = max((len(name) for name in columns["network"]), default=0)
    reporter.note(f"  {'':{width}}  " + "  ".join(f"{name:>8}" for name in columns))
    for name in columns["network"]:
        reporter.note(f"  {name:{width}}  " + "  ".join(f"{column[name]:8.4f}" for column in columns.values()))
