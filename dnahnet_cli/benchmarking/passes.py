"""Time one pass of a network, and the memory that it takes: on a CPU in a process of its own, on CUDA by its allocator.

A process per architecture goes through the lengths from the shortest, and the first that does not fit costs nothing but
that process.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal

import torch
import torch.nn.functional as F

from dnahnet_cli.benchmarking.networks import build_for_timing, known_rates, random_tokens
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.allocator import keep_freed_pieces
from dnahnet_cli.ops.capture import Capture

Kind = Literal["forward", "training"]
STATUS: Final = Path("/proc/self/status")
CLEAR_REFS: Final = Path("/proc/self/clear_refs")
WARM_LENGTH: Final = 256  # of the pass that loads and chooses kernels


@dataclass(frozen=True)
class Machine:
    """Where and how passes are made."""

    device: str
    dtype: Literal["float32", "bfloat16"]
    threads: int
    memory_limit: int  # bytes
    max_seconds: float


@dataclass(frozen=True)
class Probe:
    """What the first pass at a length took, or why there is none. `memory_bytes` is beside the network itself."""

    length: int
    seconds: float = 0.0
    memory_bytes: int = 0
    left_out: str = ""


def make_pass(network: Network, length: int, kind: Kind, device: str) -> Callable[[], None]:
    """Return a function that makes a forward pass, or a training step without its optimiser."""
    tokens = random_tokens(length, device)
    nowhere = Capture.nowhere(device)

    @torch.inference_mode()
    def forward() -> None:
        network(tokens, capture=nowhere)

    def training() -> None:
        output, _ = network(tokens, capture=nowhere)
        logits_BL4 = output.logits_BL4[:, :-1].flatten(0, 1)
        F.cross_entropy(logits_BL4, tokens[:, 1:].flatten()).backward()
        network.zero_grad(set_to_none=True)

    return forward if kind == "forward" else training


@dataclass(frozen=True)
class Time:
    """Seconds by the clock, and seconds of all CPUs together, which tell less of what else a machine does."""

    seconds: float
    cpu_seconds: float


def timed(make: Callable[[], None], device: str) -> Time:
    """Return the time that a call takes, the device's work included."""
    began_cpu = time.process_time()
    if torch.device(device).type != "cuda":
        began = time.perf_counter()
        make()
        return Time(time.perf_counter() - began, time.process_time() - began_cpu)
    with torch.cuda.device(device):
        began_event, ended_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began_event.record()
        make()
        ended_event.record()
        ended_event.synchronize()
    return Time(float(began_event.elapsed_time(ended_event)) / 1000, time.process_time() - began_cpu)


def probe(config: Config, lengths: Sequence[int], kind: Kind, machine: Machine) -> list[Probe]:
    """Make one pass at each length, from the shortest, until one does not fit; the rest are left out with a reason."""
    source = _probe_here if torch.device(machine.device).type == "cuda" else _probe_apart
    found: list[Probe] = []
    reason = "the process that measured it ended without a word"
    for result in source(config, sorted(lengths), kind, machine):
        if result.left_out:
            reason = result.left_out
            break
        found.append(result)
    return found + [Probe(length, left_out=reason) for length in sorted(lengths)[len(found) :]]


def _probe_here(config: Config, lengths: Sequence[int], kind: Kind, machine: Machine) -> Iterator[Probe]:
    """Yield what each length takes, and why the first that does not fit does not."""
    network = build_for_timing(config, machine.device, getattr(torch, machine.dtype))
    make_pass(network, min(WARM_LENGTH, lengths[0]), kind, machine.device)()
    last = 0.0
    for at, length in enumerate(lengths):
        if at:
            growth = _work(network, length) / _work(network, lengths[at - 1])
            if last * growth > machine.max_seconds:
                yield Probe(length, left_out=f"would take about {last * growth:,.0f} s a pass")
                return
        peak = _Peak(machine.device)
        try:
            last = timed(make_pass(network, length, kind, machine.device), machine.device).seconds
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            yield Probe(length, left_out=f"needs more than {machine.memory_limit / 2**30:.1f} GiB of memory")
            return
        taken = peak.taken()
        if taken > machine.memory_limit:
            yield Probe(length, left_out=f"needs {taken / 2**30:.1f} GiB of memory")
            return
        yield Probe(length, last, taken)


def _work(network: Network, length: int) -> float:
    return network.flops(length, known_rates(network.config)).total


class _Peak:
    """The most memory in use since it was made, beyond what was in use then: of the device, or of this process."""

    def __init__(self, device: str) -> None:
        self.device, self._on_cuda = device, torch.device(device).type == "cuda"
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)  # what was freed, and is kept by the allocator, would hide what is taken
        if CLEAR_REFS.exists():
            CLEAR_REFS.write_text("5")  # the peak begins anew, see proc(5)
        self._before = _status("VmRSS") or _peak_rss()

    def taken(self) -> int:
        """Return the bytes."""
        if self._on_cuda:
            return int(torch.cuda.max_memory_allocated(self.device)) - self._before
        return max(0, (_status("VmHWM") or _peak_rss()) - self._before)


def _status(name: str) -> int:
    """Return a size from what Linux says of this process, in bytes; 0 on other systems."""
    for line in STATUS.read_text().splitlines() if STATUS.is_file() else ():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _probe_apart(config: Config, lengths: Sequence[int], kind: Kind, machine: Machine) -> Iterator[Probe]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_probes, args=(sender, config, lengths, kind, machine), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            try:
                yield receiver.recv()
            except EOFError:
                return
    finally:
        process.terminate()
        process.join()


def _send_probes(sender: Connection, config: Config, lengths: Sequence[int], kind: Kind, machine: Machine) -> None:
    torch.set_num_threads(machine.threads)
    keep_freed_pieces()  # as where the passes are timed
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (machine.memory_limit + _peak_rss(), hard))
    for result in _probe_here(config, lengths, kind, machine):
        sender.send(result)
    sender.close()


def available_memory(device: str) -> int:
    """Return the memory that is free, in bytes: of the device, or of the machine."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 8 << 30


def copy_ceiling(device: str, seconds: float = 0.5, size: int = 1 << 28) -> float:
    """Measure how fast memory is copied, in bytes per second, each counted as read and as written.

    The median of as many copies of `size` bytes as `seconds` hold, three at least: far more than a cache takes.
    """
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    copy()
    times: list[float] = []
    end = time.monotonic() + seconds
    while len(times) < 3 or time.monotonic() < end:
        times.append(timed(copy, device).seconds)
    return 2 * size / sorted(times)[len(times) // 2]
