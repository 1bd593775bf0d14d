"""Which implementation of an operation runs: Triton's kernels on a CUDA device, plain PyTorch everywhere else.

`DNAHNET_KERNELS=reference` or `triton` forces one of them. Nothing here, nor an operation that runs in plain PyTorch,
imports Triton.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from dnahnet_cli.errors import DeviceError, UsageError

VARIABLE = "DNAHNET_KERNELS"
REFERENCE, TRITON = "reference", "triton"
DTYPES = (torch.float32, torch.bfloat16)  # what the kernels take; float64 is for tests of the reference


def use_triton(x: Tensor) -> bool:
    """Return whether an operation on `x` runs as a Triton kernel. Raises UsageError or DeviceError, see `kernels`."""
    chosen = kernels(x.device.type)
    return chosen == TRITON and x.dtype in DTYPES and x.numel() > 0


@cache
def kernels(device: str) -> str:
    """Return the implementation for a kind of device, "reference" or "triton"; decided once in a process.

    Raises UsageError for another value of the variable, DeviceError where Triton is forced but cannot run.
    """
    forced = os.environ.get(VARIABLE) or None
    if forced not in (None, REFERENCE, TRITON):
        raise UsageError(f"{VARIABLE}={forced}: expected {REFERENCE} or {TRITON}")
    if forced == TRITON and not importable():
        raise DeviceError(f'{VARIABLE}={TRITON}, but Triton is not installed: pip install "dnahnet[gpu]"')
    if forced == TRITON and device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise DeviceError(
            f"{VARIABLE}={TRITON}, but the device is {device}: the kernels need CUDA, or TRITON_INTERPRET=1 to check "
            "them slowly on a CPU"
        )
    if forced is not None:
        return forced
    return TRITON if device == "cuda" and importable() else REFERENCE


def importable() -> bool:
    """Return whether Triton is installed, without importing it."""
    return find_spec("triton") is not None
