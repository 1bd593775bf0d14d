"""Checkpoints: all that a run needs to go on, in files of bounded size, complete or not there at all.

A checkpoint is a folder of safetensors parts. It is written under a temporary name and renamed when everything lies
on disk, and only then are older ones removed: a run that is killed at any moment leaves its last complete one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.training.curve import NAME as CURVE

PARTIAL, OLD = ".partial-", ".old-"
PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the JSON-able facts that were saved with them."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    part_mib: float,
    curve: Path | None = None,
) -> None:
    """Write tensors and facts to `folder` in parts of at most `part_mib` MiB (a larger tensor is a part by itself).

    A copy of the file `curve`, if given, lies beside them. A checkpoint that is there is replaced. Raises OutputError,
    with nothing changed, when it cannot be written.
    """
    check_target(folder)
    target = folder.resolve()  # "." has no name to put a temporary one beside
    temporary, old = (target.with_name(prefix + target.name) for prefix in (PARTIAL, OLD))
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        text = json.dumps(facts)
        parts = _in_parts(tensors, int(part_mib * (1 << 20)) - len(json.dumps(text)) - 1024)
        for number, part in enumerate(parts, start=1):
            path = temporary / f"part-{number:03}.safetensors"
            save_file(part, path, {"facts": text, "parts": str(len(parts)), "sha256": _digest(text, part)})
            path.chmod(0o644)  # safetensors makes private files
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if curve is not None:
            shutil.copyfile(curve, temporary / CURVE)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.replace(old)
        temporary.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"{folder}: the checkpoint cannot be written: {reason}; earlier ones are unharmed") from error


def check_target(folder: Path) -> None:
    """Raise OutputError where a checkpoint cannot go: over a file, or over a folder that holds anything else."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, where a checkpoint's folder is to be")
    others = sorted(path.name for path in folder.iterdir() if not _is_part(path))
    if others and (others != [CURVE] or len(list(folder.iterdir())) == 1):  # a curve alone is that of a run
        raise OutputError(f"{folder} holds more than a checkpoint ({others[0]}), which would be lost: choose another")


def _is_part(path: Path) -> bool:
    """Tell a checkpoint's part from anything else, such as a part of a corpus."""
    try:
        with safe_open(path, "pt") as file:
            return "facts" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _in_parts(tensors: Mapping[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        needed = tensor.nbytes + len(name) + 128  # and its line in the header
        if parts[-1] and size + needed > limit:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += needed
    return parts


def _digest(facts: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the facts and of the tensors, in the order of their names."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """Read what `save_checkpoint` wrote. Raises InputError for anything else, or when a part is missing."""
    paths = sorted(folder.glob("part-*.safetensors")) if folder.is_dir() else []
    if not paths:
        raise InputError(f"{folder}: not a checkpoint, which is a folder of part-001.safetensors and so on")
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for path in paths:
        try:
            with safe_open(path, "pt", device=device) as file:
                metadata = file.metadata() or {}
                facts, num_parts = json.loads(metadata["facts"]), int(metadata["parts"])
                part = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a readable part of a checkpoint") from error
        if metadata.get("sha256", "") not in ("", _digest(metadata["facts"], part)):
            raise InputError(f"{path}: damaged, its sha256 differs from the one written with it")
        tensors.update(part)
        if num_parts != len(paths):
            raise InputError(f"{folder}: {len(paths)} of the checkpoint's {num_parts} parts are there")
    return Checkpoint(tensors, facts)


def latest_checkpoint(run: Path) -> Path | None:
    """Return the newest complete checkpoint in a run's folder, if there is one."""
    return max(_checkpoints(run), key=lambda path: int(path.name.removeprefix(PREFIX)), default=None)


def _checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints that a run has left; what a user has put beside them is not touched."""
    return [path for path in run.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal() and path.is_dir()]


def save_latest(run: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], part_mib: float) -> None:
    """Write the checkpoint of `step` into a run's folder, then remove the older ones."""
    folder = run / f"{PREFIX}{step:08}"
    if not folder.exists():  # or no step was made since
        save_checkpoint(folder, tensors, facts, part_mib)
    for other in (*_checkpoints(run), *run.glob(f"{PARTIAL}{PREFIX}*")):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def adapt(checkpoint: Checkpoint, name: str, like: Tensor, source: Path) -> Tensor:
    """Return a tensor of a checkpoint, checked to have the shape of `like`. Raises InputError."""
    found = checkpoint.tensors.get(name)
    if found is None or found.shape != like.shape:
        what = "lacks" if found is None else f"has shape {tuple(found.shape)} for"
        raise InputError(f"{source}: {what} {name}, which this network needs as {tuple(like.shape)}")
    return found.to(like.device, torch.float32)
