"""What a run has under it: the device in words, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from dnahnet_cli.model.layers import product

CPU_SIZE: Final = 1024  # rows and columns of the matrices that are multiplied
CUDA_SIZE: Final = 8192
MIN_REPEATS: Final = 3
CPU_INFO: Final = Path("/proc/cpuinfo")
# The instructions that decide how fast a CPU multiplies matrices, in float32 and in bfloat16.
INSTRUCTIONS: Final = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "bf16")


def matmul_ceiling(device: str, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Measure what a large square matrix product reaches, in floating-point operations per second.

    The median of as many products as `seconds` hold, three at least, with torch's current number of threads and, for
    float32 on CUDA, its current setting of TF32; on a CPU the faster of torch's own product and oneDNN's. It is
    what a network of nothing but large products could reach on this device, so achieved over this is the model's
    utilisation (MFU). On CUDA it takes 0.8 GB in float32.
    """
    on_cuda = torch.device(device).type == "cuda"
    size = CUDA_SIZE if on_cuda else CPU_SIZE
    # Random, since a GPU multiplies zeros faster; from a generator of its own, since a run must not depend on this.
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2))
    ways = [_seconds_on_cuda] if on_cuda else [_seconds_on_cpu, _seconds_by_onednn]
    return 2 * size**3 / min(_median_seconds(way, a, b, seconds / len(ways)) for way in ways)


def _median_seconds(timed: Callable[[Tensor, Tensor], float], a: Tensor, b: Tensor, seconds: float) -> float:
    timed(a, b)  # the first product also loads and chooses kernels
    end, times = time.monotonic() + seconds, list[float]()
    while len(times) < MIN_REPEATS or time.monotonic() < end:
        times.append(timed(a, b))
    return statistics.median(times)


def _seconds_on_cpu(a: Tensor, b: Tensor) -> float:
    began = time.perf_counter()
    torch.mm(a, b)
    return time.perf_counter() - began


@torch.no_grad()
def _seconds_by_onednn(a: Tensor, b: Tensor) -> float:
    began = time.perf_counter()
    product(a, b)
    return time.perf_counter() - began


def _seconds_on_cuda(a: Tensor, b: Tensor) -> float:
    with torch.cuda.device(a.device):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        torch.mm(a, b)
        ended.record()
        ended.synchronize()
    return float(began.elapsed_time(ended)) / 1000


def describe_device(device: str) -> str:
    """Return the device in one line: a GPU's name and memory, or a CPU's name, CPUs, threads used and instructions."""
    where = torch.device(device)
    if where.type == "cuda":
        properties = torch.cuda.get_device_properties(where)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    name, instructions = parse_cpu_info(CPU_INFO.read_text() if CPU_INFO.is_file() else "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = (_plural(available, "CPU"), _plural(torch.get_num_threads(), "thread"))
    return ", ".join([name or platform.processor() or platform.machine(), *counts, *instructions])


def parse_cpu_info(text: str) -> tuple[str, list[str]]:
    """Return the model's name (may be empty) and which of `INSTRUCTIONS` it has, from what Linux says of its CPUs."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = (fields.get("flags") or fields.get("Features") or "").split()  # x86, Arm
    return fields.get("model name", ""), [name for name in INSTRUCTIONS if name in flags]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
