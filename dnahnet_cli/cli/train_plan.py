"""What a run of `dnahnet train` is made from: shape and weights, checkpoint, dtype, genomes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dnahnet_cli.cli.options import Architecture, DTypeChoice
from dnahnet_cli.cli.reporter import Reporter
from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.io.output import open_output
from dnahnet_cli.model.config import Config
from dnahnet_cli.networks.devices import resolve_dtype
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.networks.weights import find_model
from dnahnet_cli.training.card import no_test
from dnahnet_cli.training.checkpoint import PREFIX, check_target, latest_checkpoint
from dnahnet_cli.training.corpus import PartFolder, read_corpus
from dnahnet_cli.training.curve import NAME as CURVE
from dnahnet_cli.training.curve import PICTURE
from dnahnet_cli.training.hardware import matmul_ceiling
from dnahnet_cli.training.loop import STABLE, WEIGHTS, Trainer
from dnahnet_cli.training.origin import Origin, read_origin
from dnahnet_cli.training.packed import Corpus
from dnahnet_cli.training.processes import Processes

if TYPE_CHECKING:
    import torch


def shape_of(
    begin_with: str | None, resume_from: str | None, arch: Architecture | None, preset: str | None
) -> tuple[Config, Origin | None]:
    """Return the network's shape, and the weights that it begins with, if it is not to begin with random ones."""
    origin = None
    if begin_with is not None:
        if resume_from is not None:
            raise UsageError("--resume-from goes on with a run, --from begins one with its weights: give one of them")
        origin = read_origin(begin_with)
        if arch not in (None, origin.config.arch):
            raise UsageError(f"--arch {arch}: {begin_with} is a network of architecture {origin.config.arch}")
        if preset is None:
            return origin.config, origin
        arch = cast(Architecture, origin.config.arch)
    presets = PRESETS[arch or "dnahnet"]
    if preset is not None and preset not in presets:
        raise UsageError(f"--preset {preset}: expected one of {', '.join(presets)}")
    return presets[preset or "small"], origin


def beginning(trainer: Trainer, origin: Origin) -> str:
    """Say what the run begins with, and which of its held-out genomes that has learned from already."""
    seen, added = origin.record["bases_seen"], trainer.model.num_parameters() - origin.num_parameters
    text = f"begins with {origin.name}" + (f", which has seen {seen:,} bases" if seen else "")
    text += f", and {added:,} parameters in layers that are added" if added else ""
    known = trainer.history.seen_of(trainer.corpus.heldout)
    return f"{text}; it was {no_test(known)}" if known else text


def seen_in_training(trainer: Trainer, checkpoint: Path | None, save: str | None) -> str:
    """Say which held-out genomes a checkpoint has learned from already, if any.

    Raises UsageError where such weights, or those that the run begins with, are to be saved as better ones.
    """
    seen = trainer.history.seen_of(trainer.corpus.heldout)
    if seen and save is not None:
        raise UsageError(f"--save {save}: the run begins with weights {no_test(seen)}. Leave --save out")
    return f"{checkpoint} was {no_test(seen)}" if seen and checkpoint is not None else ""


def check_targets(
    run: Path, save: str | None, export: str | None, json_summary: str | None, inputs: Iterable[str]
) -> None:
    """Refuse before the run, not after it, what could not be written then, or would be lost."""
    weights = run / WEIGHTS
    written = {"--output": [weights, weights.with_suffix(".json"), run / CURVE, run / PICTURE]}
    _check_card(weights)
    if save is not None:
        if not (save.endswith(".safetensors") and Path(save).parent.is_dir()):
            raise UsageError(f"--save {save}: expected a .safetensors file in a folder that exists")
        if Path(save).exists():
            find_model(save)
        _check_card(Path(save))
        written["--save"] = [Path(save), Path(save).with_suffix(".json")]
    if json_summary not in (None, "-"):
        open_output(json_summary, forbidden=[Path(name) for name in inputs])
        summary = Path(str(json_summary))
        for option, paths in written.items():
            if os.path.realpath(summary) in map(os.path.realpath, paths):
                raise UsageError(f"--json-summary {summary}: {option} writes a file of this name too: choose another")
        written["--json-summary"] = [summary]
    if export is not None:
        _check_export(Path(export), run, written)


def _check_card(weights: Path) -> None:
    """Raise OutputError where the card of weights would replace a file that is none."""
    card = weights.with_suffix(".json")
    if card.exists() and not weights.exists():
        raise OutputError(f"{card} is there without {weights.name}, whose card would replace it: move it away")


def _check_export(folder: Path, run: Path, written: Mapping[str, Iterable[Path]]) -> None:
    """Raise UsageError or OutputError where an export cannot go, or would take the place of something else."""
    check_target(folder)
    place, own = Path(os.path.realpath(folder)), Path(os.path.realpath(run))
    for parent in place.parents:
        if parent.exists() and not parent.is_dir():
            raise OutputError(f"--export {folder}: {parent} is a file, where a folder is to be")
    within = place.relative_to(own).parts if place.is_relative_to(own) else ()
    if own.is_relative_to(place) or (within and (within[0] == STABLE or within[0].startswith(PREFIX))):
        raise UsageError(f"--export {folder}: the run itself keeps its files there: choose another folder")
    for option, paths in written.items():
        if any(Path(os.path.realpath(path)).is_relative_to(place) for path in paths):
            raise UsageError(f"--export {folder}: {option} writes there too: choose another folder")


def fastest(dtype: DTypeChoice, group: Processes) -> tuple[torch.dtype, float]:
    """Return the compute dtype and its matrix products in FLOP/s; `auto` takes bfloat16 where it is measured faster."""
    import torch

    if dtype != "auto":
        compute = resolve_dtype(dtype, group.device)
        return compute, matmul_ceiling(group.device, compute)
    ceilings = {  # the first process's, or they might choose differently
        compute: group.agreed(matmul_ceiling(group.device, compute, 0.2)) for compute in (torch.float32, torch.bfloat16)
    }
    compute = torch.bfloat16 if ceilings[torch.bfloat16] > 1.5 * ceilings[torch.float32] else torch.float32
    return compute, ceilings[compute]


def checkpoint_of(run: Path, resume: bool, resume_from: str | None) -> Path | None:
    """Return the checkpoint to begin from. Raises UsageError rather than overwrite a run that nobody mentioned."""
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


def read_sources(
    sources: list[str], heldout: list[str], group: Processes, *, watch: bool, need_heldout: bool, reporter: Reporter
) -> tuple[Corpus, PartFolder | None]:
    """Return the corpus, the same for all processes, and the folder where more of it may appear."""
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
        corpus += parts.new_parts(corpus, reporter.note)
    names = group.agreed_names(parts.names)
    if not group.first:
        parts = PartFolder(parts.folder)
        corpus = parts.read(names)
    if need_heldout and not corpus.heldout:
        raise UsageError(f"{sources[0]}: the parts hold no held-out genome; put part-001 there first, or --no-heldout")
    return corpus, parts
