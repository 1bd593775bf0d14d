"""How fast the Triton kernels are: time, and share of the roofline, beside plain PyTorch and flash-linear-attention.

    python benchmarks/kernels.py [--batch 8] [--length 2048] [--json OUT]

Needs a CUDA device. Every operation of the network, at the sizes of the preset `base`, for inference (forward) and for
training (forward and backward). First all results are compared with the reference's in float32; where one is wrong
nothing is timed. Then each is captured in a CUDA graph over several sets of random inputs that together exceed the L2
cache, and replayed: the median time of one set. `eager` is the same without a graph, launches included.

The floor is the larger of two times: the fewest bytes that must move (each input read once, each output written once)
over the measured speed of a copy, and the operations of the chunked form over the measured speed of a large product.
What a kernel keeps for another one in memory is not in it. Where `fla` imports, its `simple_gla` computes the same
recurrence; it takes b and c for every head, which are given to it ready-made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dnahnet_cli.benchmarking.passes import copy_ceiling
from dnahnet_cli.ops.backend import importable
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import reference as plain_conv
from dnahnet_cli.ops.ema import reference as plain_ema
from dnahnet_cli.ops.norm import reference as plain_norm
from dnahnet_cli.ops.routing import reference as plain_routing
from dnahnet_cli.ops.ssd import reference as plain_ssd
from dnahnet_cli.ops.ssd.explicit import ssd_from_start
from dnahnet_cli.training.hardware import describe_device, matmul_ceiling

CHUNK, TAPS, RATIO, EPS = 64, 4, 3, 1e-5
REPEATS, WARM_UP = 30, 5
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}  # of the norm of the difference, relative

Function: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True)
class Sizes:
    """What is computed: B sequences of L positions, of the width of a network's outer stage."""

    batch: int = 8
    length: int = 2048
    width: int = 192
    head: int = 128
    states: int = 64

    @property
    def inner(self) -> int:
        return 2 * self.width

    @property
    def heads(self) -> int:
        return self.inner // self.head

    @property
    def tokens(self) -> int:
        return self.batch * self.length


@dataclass(frozen=True)
class Case:
    """One operation. The inputs that are no integers are differentiated; bytes and operations are those of a set."""

    name: str
    dtype: torch.dtype
    make: Callable[[], tuple[Tensor, ...]]
    functions: dict[str, Function]  # by implementation; the first is the reference
    forward_bytes: int
    backward_bytes: int
    forward_flops: int = 0
    backward_flops: int = 0


def cases(sizes: Sizes, device: str) -> list[Case]:
    """Return every operation, with the inputs that the network gives it."""
    return [
        case
        for dtype in (torch.bfloat16, torch.float32)
        for case in (_ssd(sizes, device, dtype), _conv(sizes, device, dtype), _norm(sizes, device, dtype))
    ] + [_probability(sizes, device), _smooth(sizes, device)]


def _normal(device: str, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(*shape, device=device).to(dtype)


def _ssd(sizes: Sizes, device: str, dtype: torch.dtype) -> Case:
    from dnahnet_cli.ops.ssd import triton as kernels

    batch, length, heads, head, states = sizes.batch, sizes.length, sizes.heads, sizes.head, sizes.states
    nowhere = Capture.nowhere(device)

    def make() -> tuple[Tensor, ...]:
        x = _normal(device, dtype, batch, length, heads, head)
        b, c = (_normal(device, dtype, batch, length, states) for _ in "bc")
        return x, -torch.rand(batch, length, heads, device=device), b, c

    def plain(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return ssd_from_start(x, log_decay, b, c, CHUNK)
        return plain_ssd.ssd(x, log_decay, b, c, None, nowhere, CHUNK)[0]

    def fused(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
        y: Tensor = kernels.ssd(x, log_decay, b, c, None, nowhere, CHUNK)[0]
        return y

    size, tokens = dtype.itemsize, sizes.tokens
    row = 2 * heads * head * size + 4 * heads + 2 * states * size
    return Case(
        "ssd",
        dtype,
        make,
        {"reference": plain, "triton": fused, **_simple_gla()},
        tokens * row,
        tokens * (2 * row - heads * head * size),
        tokens * (2 * CHUNK * states + heads * (2 * CHUNK * head + 4 * states * head)),
        tokens * (6 * CHUNK * states + heads * (4 * CHUNK * head + 8 * states * head)),
    )


def _simple_gla() -> dict[str, Function]:
    """Return flash-linear-attention's form of the recurrence, if it is installed."""
    try:
        from fla.ops.simple_gla import chunk_simple_gla
    except ImportError:
        return {}

    def run(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
        q, k = (part.unsqueeze(2).expand(-1, -1, x.shape[2], -1) for part in (c, b))
        y: Tensor = chunk_simple_gla(q.contiguous(), k.contiguous(), x, log_decay, scale=1.0)[0]
        return y

    return {"fla": run}


def _conv(sizes: Sizes, device: str, dtype: torch.dtype) -> Case:
    from dnahnet_cli.ops.causal_conv import triton as kernels

    channels, nowhere = sizes.inner + 2 * sizes.states, Capture.nowhere(device)

    def make() -> tuple[Tensor, ...]:
        x = _normal(device, dtype, sizes.batch, sizes.length, channels)
        return x, _normal(device, torch.float32, channels, TAPS), _normal(device, torch.float32, channels)

    numbers = sizes.tokens * channels
    return Case(
        "conv + SiLU",
        dtype,
        make,
        {
            "reference": lambda x, w, bias: plain_conv.causal_conv_silu(x, w, bias, None, nowhere)[0],
            "triton": lambda x, w, bias: kernels.causal_conv_silu(x, w, bias, None, nowhere)[0],
        },
        2 * numbers * dtype.itemsize,
        3 * numbers * dtype.itemsize,
    )


def _norm(sizes: Sizes, device: str, dtype: torch.dtype) -> Case:
    from dnahnet_cli.ops.norm import triton as kernels

    def make() -> tuple[Tensor, ...]:
        x, gate = (_normal(device, dtype, sizes.batch, sizes.length, sizes.inner) for _ in "xg")
        return x, gate, _normal(device, torch.float32, sizes.inner)

    numbers = sizes.tokens * sizes.inner
    return Case(
        "gated RMSNorm",
        dtype,
        make,
        {
            "reference": lambda x, gate, w: plain_norm.gated_rms_norm(x, gate, w, EPS),
            "triton": lambda x, gate, w: kernels.gated_rms_norm(x, gate, w, EPS),
        },
        numbers * (2 * dtype.itemsize + 4),
        numbers * (4 * dtype.itemsize + 4),
    )


def _probability(sizes: Sizes, device: str) -> Case:
    from dnahnet_cli.ops.routing import triton as kernels

    shape = (sizes.batch, sizes.length, sizes.width)
    return Case(
        "boundary probability",
        torch.float32,
        lambda: (_normal(device, torch.float32, *shape), _normal(device, torch.float32, *shape)),
        {"reference": plain_routing.boundary_probability, "triton": kernels.boundary_probability},
        sizes.tokens * (2 * sizes.width + 1) * 4,
        sizes.tokens * (4 * sizes.width + 1) * 4,
    )


def _smooth(sizes: Sizes, device: str) -> Case:
    """Cutting, smoothing and spreading, in one: from probabilities and chunk vectors to positions."""
    from dnahnet_cli.ops.ema import triton as kernels
    from dnahnet_cli.ops.routing import triton as routing

    batch, length, width = sizes.batch, sizes.length, sizes.width
    chunks, nowhere = length // 2, Capture.nowhere(device)
    length_B = torch.full((batch,), length, device=device)

    def make() -> tuple[Tensor, ...]:
        z = _normal(device, torch.float32, batch, chunks, width)
        residual = _normal(device, torch.float32, batch, length, width)
        p = torch.rand(batch, length, device=device) * (0.5 + 0.5 / (RATIO - 1))  # a third of them above one half
        return z, p, residual

    def plain(z: Tensor, p: Tensor, residual: Tensor) -> Tensor:
        cuts = plain_routing.cut(p, length_B, chunks)
        return plain_ema.smooth_and_spread(z, p, cuts, None, residual, nowhere)[0]

    def fused(z: Tensor, p: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = kernels.smooth_and_spread(z, p, routing.cut(p, length_B, chunks), None, residual, nowhere)[0]
        return y

    moved = batch * width * (length // RATIO + 2 * length) * 4 + sizes.tokens * 4
    return Case("cut + smooth + spread", torch.float32, make, {"reference": plain, "triton": fused}, moved, moved)


# --- correctness ---


def wrong(case: Case) -> list[str]:
    """Return what each implementation gets wrong, beside the reference on the same inputs in float32."""
    inputs = case.make()
    exact = [value.float() for value in inputs]
    first, *others = case.functions.items()
    expected = _results(first[1], exact)
    found = []
    for name, function in others:
        for index, (one, other) in enumerate(zip(_results(function, inputs), expected, strict=True)):
            error = float((one.float() - other).norm() / other.norm())
            if not error <= TOLERANCE[case.dtype]:  # also where it is no number
                what = "output" if index == 0 else f"gradient {index}"
                found.append(f"{case.name}, {_name(case.dtype)}, {name}: {what} is wrong by {error:.2g}")
    return found


def _results(function: Function, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the output and the gradients of all inputs."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    y = function(*leaves)
    dy = torch.sin(torch.arange(y.numel(), device=y.device)).view_as(y).to(y)  # the same for all
    return [y.detach(), *torch.autograd.grad(y, leaves, dy)]


# --- time ---


def measure(case: Case, training: bool, bandwidth: float, flops: dict[torch.dtype, float]) -> list[dict[str, Any]]:
    """Time every implementation; return one row for each."""
    moved = case.forward_bytes + (case.backward_bytes if training else 0)
    operations = case.forward_flops + (case.backward_flops if training else 0)
    floor = max(moved / bandwidth, operations / flops[case.dtype])
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    sets = [case.make() for _ in range(max(2, -(-2 * cache // max(1, case.forward_bytes))))]
    rows = []
    for name, function in case.functions.items():
        graph, eager = _time(function, sets, training)
        rows.append(
            {
                "operation": case.name,
                "pass": "training" if training else "inference",
                "dtype": _name(case.dtype),
                "implementation": name,
                "us": round(graph * 1e6, 1),
                "eager_us": round(eager * 1e6, 1),
                "megabytes": round(moved / 1e6, 1),
                "gflop": round(operations / 1e9, 2),
                "bound": "bytes" if moved / bandwidth >= operations / flops[case.dtype] else "operations",
                "share_of_floor": round(floor / graph, 3),
            }
        )
    return rows


def _time(function: Function, sets: list[tuple[Tensor, ...]], training: bool) -> tuple[float, float]:
    """Return the median seconds of one set of inputs, replayed as a CUDA graph and launched one by one."""
    leaves = [[value.detach().clone().requires_grad_(training) for value in inputs] for inputs in sets]
    with torch.set_grad_enabled(training):
        dy = torch.randn_like(function(*leaves[0]).detach())

        def run() -> None:
            for inputs in leaves:
                y = function(*inputs)
                if training:
                    torch.autograd.grad(y, inputs, dy)

        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        eager = _median(run)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    return _median(graph.replay) / len(sets), eager / len(sets)


def _median(run: Callable[[], None]) -> float:
    """Return the median seconds of a run, by the device's own clock."""
    run()
    times = []
    for _ in range(REPEATS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        run()
        ended.record()
        ended.synchronize()
        times.append(float(began.elapsed_time(ended)) / 1000)
    return statistics.median(times)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=Sizes.batch)
    parser.add_argument("--length", type=int, default=Sizes.length)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the rows go too, with the device and its ceilings")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: the kernels can be checked without one (pytest tests/ops), not timed")
    if not importable():
        raise SystemExit('Triton is not installed: pip install "dnahnet[gpu]"')
    torch.manual_seed(arguments.seed)
    device = "cuda"
    every = cases(Sizes(arguments.batch, arguments.length), device)
    mistakes = [mistake for case in every for mistake in wrong(case)]
    if mistakes:
        raise SystemExit("\n".join([*mistakes, "nothing was timed"]))
    bandwidth = copy_ceiling(device, size=1 << 31)
    flops = {dtype: matmul_ceiling(device, dtype) for dtype in (torch.bfloat16, torch.float32)}
    print(f"{describe_device(device)}; copy {bandwidth / 1e12:.2f} TB/s", end="")
    print("".join(f", {_name(dtype)} product {rate / 1e12:.0f} TFLOP/s" for dtype, rate in flops.items()))
    print(f"batch {arguments.batch}, length {arguments.length}; all results agree with the reference\n")
    rows = []
    for case in every:
        for training in (False, True):
            for row in measure(case, training, bandwidth, flops):
                rows.append(row)
                print(
                    f"{row['operation']:22} {row['pass']:9} {row['dtype']:8} {row['implementation']:9} "
                    f"{row['us']:9.1f} us  eager {row['eager_us']:9.1f} us  {row['megabytes']:8.1f} MB "
                    f"{row['gflop']:7.2f} GFLOP  {row['share_of_floor']:6.1%} of the floor ({row['bound']})"
                )
                sys.stdout.flush()
    summary = {
        "device": describe_device(device),
        "torch": torch.__version__,
        "copy_bytes_per_s": bandwidth,
        "product_flops_per_s": {_name(dtype): rate for dtype, rate in flops.items()},
        "batch": arguments.batch,
        "length": arguments.length,
        "rows": rows,
    }
    line = json.dumps(summary)
    print(line)
    if arguments.json:
        arguments.json.write_text(line + "\n")


if __name__ == "__main__":
    main()
