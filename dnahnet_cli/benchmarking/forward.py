"""Time, memory and operations of one pass of every architecture, over lengths, side by side.

First each architecture is probed by itself, which tells what fits and how much memory it takes. Then all that fit are
timed in turn, round by round, so that what else the machine does hits all alike; the median of the rounds counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch

from dnahnet_cli.benchmarking.networks import build_for_timing, known_rates, least_bytes
from dnahnet_cli.benchmarking.passes import Kind, Machine, Probe, Time, copy_ceiling, make_pass, probe, timed
from dnahnet_cli.errors import UsageError
from dnahnet_cli.io.table import Column
from dnahnet_cli.model.config import Config
from dnahnet_cli.model.network import Network
from dnahnet_cli.training.hardware import matmul_ceiling

Row: TypeAlias = dict[str, Any]
FIRST: Final = 1 << 10
LAST: Final = 1 << 20
LONG_SECONDS: Final = 5.0  # a pass that takes longer is timed in fewer rounds, two at least
COLUMNS: Final = (
    Column("arch", "str"),
    Column("pass", "str"),
    Column("length", "int"),
    Column("status", "str"),
    Column("parameters", "int"),
    Column("seconds", "float"),
    Column("seconds_low", "float"),
    Column("seconds_high", "float"),
    Column("cpu_seconds", "float"),
    Column("rounds", "int"),
    Column("bases_per_s", "float"),
    Column("flops", "float"),
    Column("flops_per_s", "float"),
    Column("share_of_matmul", "float"),
    Column("least_bytes", "float"),
    Column("share_of_copy", "float"),
    Column("memory_bytes", "int"),
    Column("reason", "str"),
)


def lengths(first: int, last: int) -> list[int]:
    """Return the powers of two from the first to the last, both included. Raises UsageError."""
    if not 1 < first <= last or any(length & (length - 1) for length in (first, last)):
        raise UsageError(f"lengths from {first} to {last}: expected powers of two, the smaller first")
    return [1 << power for power in range(first.bit_length() - 1, last.bit_length())]


def ceilings(machine: Machine, seconds: float = 0.5) -> dict[str, float]:
    """Measure what the machine reaches at most: `matmul_flops` per second, and `copy_bytes` per second."""
    matmul = matmul_ceiling(machine.device, getattr(torch, machine.dtype), seconds)
    return {"matmul_flops": matmul, "copy_bytes": copy_ceiling(machine.device, seconds)}


def measure(
    shapes: Mapping[str, Config],
    sequence: Sequence[int],
    kinds: Sequence[Kind],
    machine: Machine,
    rounds: int,
    limits: Mapping[str, float],
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Return a row for each pass, architecture and length, whether it was timed or left out, with the reason.

    `limits` is what `ceilings` returns. Seconds are the median of the rounds, with their least and most.
    """
    rows: list[Row] = []
    for kind in kinds:
        probes: dict[tuple[str, int], Probe] = {}
        for arch, config in shapes.items():
            found = probe(config, sequence, kind, machine)
            probes |= {(arch, result.length): result for result in found}
            fitting = [result.length for result in found if not result.left_out]
            say(f"{arch}, {kind}: {f'up to {max(fitting):,} bases' if fitting else found[0].left_out}")
        for length in sequence:
            own = {arch: probes[arch, length] for arch in shapes}
            times = _interleaved(shapes, length, kind, machine, rounds, own)
            for arch, result in own.items():
                rows.append(_row(shapes[arch], arch, kind, result, times.get(arch, []), limits))
            say(f"{kind} of {length:,} bases: {len(times)} timed")
    return rows


def _interleaved(
    shapes: Mapping[str, Config], length: int, kind: Kind, machine: Machine, rounds: int, probes: Mapping[str, Probe]
) -> dict[str, list[Time]]:
    """Return the times of each round of those that fit. A first pass, which loads and allocates, is not counted."""
    fitting = [arch for arch, result in probes.items() if not result.left_out]
    networks = {arch: build_for_timing(shapes[arch], machine.device, getattr(torch, machine.dtype)) for arch in fitting}
    passes = {arch: make_pass(networks[arch], length, kind, machine.device) for arch in fitting}
    times: dict[str, list[Time]] = {arch: [] for arch in fitting}
    for number in range(rounds + 1):
        for arch in fitting:
            if probes[arch].seconds > LONG_SECONDS and number not in (1, 2):  # its probe was warm enough
                continue
            taken = timed(passes[arch], machine.device)
            if number:
                times[arch].append(taken)
    return times


def _row(
    config: Config, arch: str, kind: Kind, result: Probe, times: Sequence[Time], limits: Mapping[str, float]
) -> Row:
    network = _on_meta(config)
    work = network.flops(result.length, known_rates(config))
    operations, traffic = (work.total, 1.0) if kind == "forward" else (work.training, 3.0)
    traffic *= least_bytes(network, result.length)
    row: Row = {
        "arch": arch,
        "pass": kind,
        "length": result.length,
        "status": "left_out" if result.left_out else "ok",
        "parameters": network.num_parameters(),
        "flops": operations,
        "least_bytes": traffic,
        "reason": result.left_out or None,
    }
    if not times:
        return row
    by_clock = sorted(time.seconds for time in times)
    seconds = statistics.median(by_clock)
    return row | {
        "seconds": seconds,
        "seconds_low": by_clock[0],
        "seconds_high": by_clock[-1],
        "cpu_seconds": statistics.median(time.cpu_seconds for time in times),
        "rounds": len(times),
        "bases_per_s": result.length / seconds,
        "flops_per_s": operations / seconds,
        "share_of_matmul": operations / seconds / limits["matmul_flops"],
        "share_of_copy": traffic / seconds / limits["copy_bytes"],
        "memory_bytes": result.memory_bytes,
    }


def _on_meta(config: Config) -> Network:
    with torch.device("meta"):
        return build_for_timing(config, "meta", torch.float32)
