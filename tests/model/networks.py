"""Small random networks whose every path is loud, and token sequences that no rounding can cut differently."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from dnahnet_cli.model.config import BOS, Layout, ModelConfig
from dnahnet_cli.model.hnet import HNet, Output
from dnahnet_cli.model.layers import Linear
from dnahnet_cli.model.state import State
from dnahnet_cli.ops.capture import Capture

WIDTHS = (16, 24, 32, 40)
MARGIN = 1e-4  # how far from 0.5 all boundary probabilities of `tokens_for` stay; float32 errs by 1e-6


def small_config(layout: Layout, windows: tuple[int | None, ...], **fields: Any) -> ModelConfig:
    stages = len(windows) - 1
    sizes = {"state_size": 8, "mamba_head_size": 8, "ssd_chunk": 8, "attention_head_size": 8, "mlp_multiple": 16}
    return ModelConfig(layout, WIDTHS[: stages + 1], (3.0, 2.0, 2.0)[:stages], windows, **{**sizes, **fields})


# Every layer letter at every depth, windows from 1 position to unlimited, each state both alone and among others.
CONFIGS = {
    "1-mamba": small_config(["m1", ["m2"], "m1"], (None, None)),
    "1-attention": small_config(["t1", ["T1"], "t1"], (None, None)),
    "1-windowed": small_config(["t1", ["t1"], "T2"], (5, 3)),
    "1-equal-widths": ModelConfig(["M1", ["m1"], "T1"], (16, 16), (3.0,), (1, None), 8, 8, 8, 2, 2, 8, 16),
    "2-mixed": small_config(["m1t1", ["T1m1", ["T1M1"], "M1t1"], "M1T1"], (7, 4, None)),
    "2-clock": small_config(["m1", ["T1m1", ["T1"], "m1T1"], "m1"], (None, 4, None), period=3),
    "2-hyena": small_config(["s1l1", ["R1m1", ["T1"], "m1S1"], "r1"], (None, 4, None), period=3),
    "2-no-window": small_config(["M1t1", ["t1M1", ["m1t1"], "m1T1"], "T1m1"], (None, None, None)),
    "3-mamba": small_config(["m1", ["M1", ["m1", ["M1"], "m1"], "m1"], "m1"], (None, None, None, None)),
    "3-mixed": small_config(["m1", ["t1", ["M1", ["T1"], "T1"], "m1"], "t1"], (6, None, 2, None)),
    "3-windowed": small_config(["t1", ["T1", ["t1m1", ["t1"], "m1"], "T1"], "m1"], (9, 5, 3, 2)),
}


@cache
def network(name: str, seed: int = 0) -> HNet:
    """Return a frozen random network in which each layer's output is as large as its input."""
    torch.manual_seed(seed)
    model = HNet(CONFIGS[name]).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    for key, parameter in model.named_parameters():
        if "residual" in key or "router" in key or "filter" in key:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif "widening" in key:
            nn.init.normal_(parameter)
        elif "norm.weight" in key:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def margin(output: Output) -> float:
    """Return how close any valid boundary probability of any stage comes to 0.5."""
    closest = 0.5
    for trace in output.traces:
        for row, length in enumerate(trace.length_B.tolist()):
            if length:
                closest = min(closest, float((trace.probability_BL[row, :length] - 0.5).abs().min()))
    return closest


@cache
def tokens_for(name: str, batch: int = 1, length: int = 61, seed: int = 0) -> Tensor:
    """Return random tokens, BOS first and some N, whose boundaries are all clear."""
    for attempt in range(200):
        random = torch.Generator().manual_seed(1000 * seed + attempt)
        token_BL = torch.randint(0, 5, (batch, length), generator=random)
        token_BL[:, 0] = BOS
        output, _ = network(name)(token_BL)
        if margin(output) > MARGIN:
            return token_BL
    raise AssertionError(f"no clear tokens for {name}")


def run(
    name: str,
    token_BL: Tensor,
    state: State | None = None,
    lengths: list[int] | None = None,
    capture: Capture | None = None,
) -> tuple[Output, State]:
    """Run a network of `CONFIGS`."""
    length_B = None if lengths is None else torch.tensor(lengths)
    return network(name)(token_BL, state, length_B=length_B, capture=capture)
