"""`dnahnet train`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import UsageError


def train(
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST",
            help="TSV with the columns name, genus, split (train or val) and file.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for checkpoints and log.", rich_help_panel=o.OUTPUT),
    ] = "run",
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="FILE.safetensors",
            help="Also write weights and model card, to be used with --model.",
            rich_help_panel=o.OUTPUT,
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option("--preset", help="Shape of the network: tiny or small.", rich_help_panel=o.SCORING)
    ] = "small",
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            help="Length of the run, earlier parts included; the last 30 % decay.",
            rich_help_panel=o.COMPUTE,
        ),
    ] = 60.0,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume-from",
            metavar="FILE",
            help="Continue from a checkpoint.",
            rich_help_panel=o.INPUT,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and sampling.", rich_help_panel=o.COMPUTE)] = 1,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    quiet: o.Quiet = False,
) -> None:
    """Train a network on genomes and evaluate it on held-out species.

    Reports go to standard error and to log.jsonl in the output folder, checkpoints beside it.

    Examples:

      dnahnet train genomes/manifest.tsv --minutes 120 -o run --save my-model.safetensors

      dnahnet train genomes/manifest.tsv --minutes 240 --resume-from run/stable.safetensors -o run
    """
    from pathlib import Path

    import torch

    from dnahnet_cli.cli.session import resolve_device, resolve_dtype
    from dnahnet_cli.model.config import PRESETS
    from dnahnet_cli.model.weights import save_weights
    from dnahnet_cli.training.card import make_card
    from dnahnet_cli.training.corpus import check_held_out, read_manifest
    from dnahnet_cli.training.loop import TrainConfig, Trainer

    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: expected one of {', '.join(PRESETS)}")
    if minutes <= 0:
        raise UsageError(f"--minutes {minutes:g}: a run needs time")
    if save is not None and not (save.endswith(".safetensors") and Path(save).parent.is_dir()):
        raise UsageError(f"--save {save}: expected a .safetensors file in a folder that exists")
    reporter = Reporter(quiet=quiet, progress=False)
    if threads is not None:
        torch.set_num_threads(threads)
    where = resolve_device(device)
    genomes, heldout = (read_manifest(Path(manifest), split) for split in ("train", "val"))
    check_held_out(genomes, heldout)
    trainer = Trainer(
        PRESETS[preset],
        TrainConfig(minutes=minutes, seed=seed),
        genomes,
        heldout,
        Path(folder),
        device=where,
        dtype=resolve_dtype(dtype, where),
        log=reporter.note,
    )
    if resume is not None:
        trainer.resume(Path(resume))
    bits = trainer.run()
    if save is not None:
        save_weights(trainer.model, Path(save), make_card(trainer, genomes, bits))
    print(json.dumps({"heldout_bits_per_base": bits, "mean": sum(bits.values()) / len(bits)}))
