"""Shared pieces: a small random network with lively boundaries, and genomes held in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dnahnet_cli.genome import Codes, encode
from dnahnet_cli.model.config import PRESETS, ModelConfig
from dnahnet_cli.model.hnet import HNet

# Small networks gain nothing from threads, and threads that spin beside another process cost tenfold.
torch.set_num_threads(1)

# Before anything imports Triton: without a device its kernels are checked in its interpreter.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

SHARED = Path(__file__).resolve().parents[2] / "shared"


class MemoryGenome:
    """A genome from a dictionary of sequences."""

    def __init__(self, sequences: dict[str, str | Codes]) -> None:
        self.sequences = {n: encode(s) if isinstance(s, str) else s for n, s in sequences.items()}

    @property
    def lengths(self) -> dict[str, int]:
        return {name: len(codes) for name, codes in self.sequences.items()}

    def codes(self, contig: str, start: int, end: int) -> Codes:
        return self.sequences[contig][start:end]


def random_codes(length: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)


def lively_model(config: ModelConfig = PRESETS["tiny"], seed: int = 0) -> HNet:
    """Return a random network whose zero-initialised parts are not zero, so that every path carries signal."""
    torch.manual_seed(seed)
    model = HNet(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("residual", "router", "widening")):
            torch.nn.init.normal_(parameter, std=0.3)
        elif name == "head.weight":
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(scope="session")
def model() -> HNet:
    return lively_model()
