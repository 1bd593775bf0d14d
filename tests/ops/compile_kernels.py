"""Compile every kernel, forward and backward, for compute capability 9.0, on a machine that need not have a device.

Run by test_triton_compiles.py, or by hand to see what a change does. Prints operation, kernel, dtype, bytes of shared
memory of a block and bytes of a thread that are spilled from registers. The operations run as ever, on CPU tensors,
except that launching is compiling.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import triton as causal_conv
from dnahnet_cli.ops.ema import triton as ema
from dnahnet_cli.ops.norm import triton as norm
from dnahnet_cli.ops.routing import Cuts
from dnahnet_cli.ops.routing import triton as routing
from dnahnet_cli.ops.ssd import triton as ssd

BATCH, LENGTH, HEADS, CHANNELS, STATES, WIDTH, CHUNKS = 2, 192, 2, 128, 64, 192, 128
TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


class AbsentDevice:
    """The little that compiling asks of a driver."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0


def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
    """Stand in for a launch."""
    kernel = launch(self, *args, grid=grid, warmup=True, **options)
    dtype = next(str(arg.dtype).removeprefix("torch.") for arg in args if isinstance(arg, Tensor))
    print(self.__module__.split(".")[-2], self.__name__, dtype, kernel.metadata.shared, spilled(kernel), sep="\t")
    return kernel


def spilled(kernel: Any) -> int:
    """Return how many bytes of stack a thread needs."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        done = subprocess.run([TOOL, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"STACK:(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1])


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape).to(dtype).requires_grad_()


def run(dtype: torch.dtype) -> None:
    nowhere, ends = Capture.nowhere(), Capture.at_ends(torch.tensor([LENGTH, 100]))
    inner = HEADS * CHANNELS
    x, weight, bias = random(BATCH, LENGTH, inner, dtype=dtype), random(inner, 4), random(inner)
    with torch.no_grad():
        causal_conv.causal_conv_silu(x, weight, bias, random(BATCH, 3, inner, dtype=dtype), ends)
    causal_conv.causal_conv_silu(x, weight, bias, None, nowhere)[0].sum().backward()

    x, log_decay = random(BATCH, LENGTH, HEADS, CHANNELS, dtype=dtype), random(BATCH, LENGTH, HEADS)
    b, c = (random(BATCH, LENGTH, STATES, dtype=dtype) for _ in "bc")
    with torch.no_grad():
        ssd.ssd(x, log_decay, b, c, random(BATCH, HEADS, STATES, CHANNELS), ends)
    ssd.ssd(x, log_decay, b, c, None, nowhere)[0].sum().backward()

    x, gate, weight = (
        random(BATCH, LENGTH, inner, dtype=dtype),
        random(BATCH, LENGTH, inner, dtype=dtype),
        random(inner),
    )
    norm.gated_rms_norm(x, gate, weight, 1e-5).sum().backward()
    norm.rms_norm(x, weight, 1e-5).sum().backward()


def run_in_float32() -> None:
    q, k = random(BATCH, LENGTH, WIDTH), random(BATCH, LENGTH, WIDTH)
    routing.boundary_probability(q, k).sum().backward()
    p = torch.rand(BATCH, LENGTH)
    routing.cut(p, torch.tensor([LENGTH, LENGTH]), CHUNKS)
    position = torch.arange(CHUNKS).expand(BATCH, CHUNKS)
    cuts = Cuts(p > 0.5, torch.arange(LENGTH).clamp(max=CHUNKS).expand(BATCH, LENGTH), position)
    z, residual = random(BATCH, CHUNKS, WIDTH), random(BATCH, LENGTH, WIDTH)
    with torch.no_grad():
        at_ends = Capture.at_ends(torch.tensor([CHUNKS, 1]))
        ema.smooth_and_spread(z, p, cuts, random(BATCH, WIDTH), residual, at_ends)
    ema.smooth_and_spread(z, p.requires_grad_(), cuts, None, residual, Capture.nowhere())[0].sum().backward()


if __name__ == "__main__":
    driver.set_active(AbsentDevice())
    launch = JITFunction.run
    JITFunction.run = compile_only
    for each in (torch.bfloat16, torch.float32):
        run(each)
    run_in_float32()
