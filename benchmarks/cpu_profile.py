"""Where the time of a forward pass goes on a CPU, by kind of operation, beside the speed of a dense product.

    python benchmarks/cpu_profile.py GENOME [--length 8192] [--rounds 7] [--model NAME] [--json OUT]

One thread, bases of the longest contig, float32 and bfloat16. Times are the processor time of the thread, the least of
the rounds for every operation and the median for the pass, because the least of a short operation is what it takes when
nobody disturbs it. The ceiling is the fastest of some dense products of the network's own sizes, by oneDNN. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.model.chunking import boundary_rates
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.layers import product
from dnahnet_cli.networks.allocator import keep_freed_memory
from dnahnet_cli.networks.weights import DEFAULT_MODEL, find_model, load_model
from dnahnet_cli.ops.capture import Capture

SIZES = ((8192, 64, 192), (2600, 128, 384), (1300, 192, 512), (2048, 1024, 1024))  # rows, inputs, outputs
KINDS = {
    "linear maps, and the core's attention": ("linear_pointwise", "aten.mm"),
    "batched products: recurrence, attention in windows": ("aten.bmm", "aten.baddbmm"),
    "convolutions of given taps": ("convolution",),
    "Fourier transforms": ("fft",),
    "exponentials: SiLU, softmax, decays": ("silu", "softmax", "exp", "softplus", "sigmoid"),
    "copies: padding, joining, change of dtype": ("cat", "clone", "copy", "pad", "zeros", "full", "fill", "index"),
}
OTHER = "sums, products and norms, element by element"


class Stopwatch(TorchDispatchMode):
    """Adds up the processor time of every operation by its name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        start = time.thread_time()
        result = func(*args, **(kwargs or {}))
        self.seconds[str(func)] += time.thread_time() - start
        return result


def timed(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def ceiling(dtype: torch.dtype, rounds: int) -> float:
    """Return the operations per second of the fastest dense product."""
    best = 0.0
    for rows, inputs, outputs in SIZES:
        x, weight = torch.randn(rows, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype)
        seconds = min(timed(partial(product, x, weight)) for _ in range(4 * rounds))
        best = max(best, 2 * rows * inputs * outputs / seconds)
    return best


def kind_of(operation: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), OTHER)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    keep_freed_memory()  # as the program does
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    file = find_model(arguments.model)
    with Fasta(arguments.genome) as fasta:
        longest = max(fasta.lengths, key=lambda name: fasta.lengths[name])
        codes = fasta.codes(longest, 0, arguments.length - 1)
    token_BL = torch.from_numpy(np.concatenate([[BOS], codes]).astype(np.int64)).unsqueeze(0)
    results = {}
    for name in ("float32", "bfloat16"):
        dtype = getattr(torch, name)
        network = load_model(file, dtype=dtype)
        capture = Capture.nowhere()
        forward = partial(network, token_BL, capture=capture)
        traces = forward()[0].traces
        whole = statistics.median(timed(forward) for _ in range(arguments.rounds))
        rounds = []
        for _ in range(arguments.rounds):
            with Stopwatch() as watch:
                forward()
            rounds.append(watch.seconds)
        by_kind: defaultdict[str, float] = defaultdict(float)
        for operation in rounds[0]:
            by_kind[kind_of(operation)] += min(seconds[operation] for seconds in rounds)
        by_kind["outside of operations"] = max(0.0, whole - sum(by_kind.values()))
        flops = network.flops(token_BL.shape[1], [float(boundary_rates(trace)[0]) for trace in traces]).total
        best = ceiling(dtype, arguments.rounds)
        results[name] = {
            "bases_per_s": token_BL.shape[1] / whole,
            "flops_per_s": flops / whole,
            "ceiling_flops_per_s": best,
            "share_of_ceiling": flops / whole / best,
            "milliseconds": {kind: 1e3 * seconds for kind, seconds in by_kind.items()},
        }
        print(
            f"\n{name}: {token_BL.shape[1] / whole:,.0f} bases/s, {flops / whole / 1e9:.0f} of "
            f"{best / 1e9:.0f} GFLOP/s ({100 * flops / whole / best:.0f} %)\n\n"
            "| kind | ms | share |\n| --- | ---: | ---: |"
        )
        for kind, seconds in sorted(by_kind.items(), key=lambda item: -item[1]):
            print(f"| {kind} | {1e3 * seconds:.1f} | {100 * seconds / whole:.0f} % |")
    result = {"model": file.name, "sha256": file.sha256, "length": arguments.length, "threads": 1, "dtypes": results}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
