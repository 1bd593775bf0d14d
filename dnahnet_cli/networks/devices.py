"""Where to compute and in which precision, when that is left to the program. Importing this imports no torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dnahnet_cli.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str) -> str:
    """Return the device that auto, cpu, cuda or cuda:N means here. Raises UsageError or DeviceError."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not name.startswith("cuda"):
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if name != "cpu":
        if not torch.cuda.is_available():
            raise DeviceError(
                f"--device {name}: this torch sees no CUDA device; use --device cpu or install a CUDA build"
            )
        try:
            index = torch.device(name).index or 0
        except RuntimeError as error:
            raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
        if index >= torch.cuda.device_count():
            raise DeviceError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    return name


def split_devices(names: str) -> list[str]:
    """Return the devices that one name, cuda:0,1, cuda:all or a list of names means here. Raises as `resolve_device`.

    All are of one kind, because kinds round differently. A device may come twice: that is two workers on it.
    """
    import torch

    if names == "cuda:all":
        resolve_device("cuda")
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    devices: list[str] = []
    for name in names.split(","):
        kind = devices[-1].partition(":")[0] if devices else ""
        devices.append(resolve_device(f"{kind}:{name}" if kind and name.isdigit() else name))
    kinds = sorted({name.partition(":")[0] for name in devices})
    if len(kinds) > 1:
        raise UsageError(f"--device {names}: {' and '.join(kinds)} round differently; give devices of one kind")
    return devices


def resolve_dtype(choice: str, device: str) -> torch.dtype:
    """Return the dtype that auto, float32 or bfloat16 means on a device. Raises UsageError."""
    import torch

    if choice == "auto":
        return torch.float32 if device == "cpu" else torch.bfloat16
    if choice not in ("float32", "bfloat16"):
        raise UsageError(f"--dtype {choice}: expected auto, float32 or bfloat16")
    return torch.float32 if choice == "float32" else torch.bfloat16


def usable_cores() -> int:
    """Return the cores this process may use; hyper-threads only slow matrix products down."""
    import torch

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, torch.get_num_threads()))
