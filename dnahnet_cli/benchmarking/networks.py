"""Networks to be timed: untrained ones, cut as trained ones would be, since time and memory depend on the cuts.

An untrained router cuts where it happens to. Here it does all its work and is then overruled: every stage opens a chunk
at a stated share of its positions, at places that are scattered as a trained router's are. Values do not matter for
time, so that no weights are needed, and the same shape is timed alike whatever it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dnahnet_cli.benchmarking.sizes import LEARNED
from dnahnet_cli.errors import UsageError
from dnahnet_cli.model.chunking import Chunker, Router
from dnahnet_cli.model.config import BOS, NUM_BASES, Config, ModelConfig
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.layers import RMSNorm, set_compute_dtype
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import PRESETS

_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, fill an interval evenly
_SEED = 1


class CuttingRouter(Router):
    """A router that works as any, but opens a chunk at one of `ratio` positions, whatever it finds."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__(width)
        self.ratio = ratio

    def forward(self, x_BLD: Tensor, memory: Tensor | None) -> Tensor:
        """Return p (B, L), above 0.5 at a share 1 / ratio of the positions, the first one among them."""
        found_BL = super().forward(x_BLD, memory)
        places = torch.arange(x_BLD.shape[1], device=x_BLD.device, dtype=torch.float64)
        cuts_L = (places * _GOLDEN) % 1.0 < 1 / self.ratio
        return torch.where(cuts_L, found_BL.clamp(min=0.75), found_BL.clamp(max=0.25))


class CuttingHNet(HNet):
    """A dnaHNet whose chunks have its target lengths on average."""

    def chunker(self, depth: int) -> Chunker:
        """Return the router of a stage."""
        return CuttingRouter(self.config.widths[depth], self.config.ratios[depth])


def build_for_timing(config: Config, device: str, dtype: torch.dtype) -> Network:
    """Return an untrained network of this shape, its linear maps computing in `dtype`."""
    torch.manual_seed(_SEED)
    learned = config.arch == LEARNED
    assert not learned or isinstance(config, ModelConfig)
    network = CuttingHNet(config) if isinstance(config, ModelConfig) and learned else build(config)
    network = network.to(device).eval()
    set_compute_dtype(network, dtype)
    return network


def known_rates(config: Config) -> list[float]:
    """Return the chunk rates of a network for timing; none for one that knows them itself or has no chunks."""
    return [1 / ratio for ratio in config.targets] if config.arch == LEARNED else []


def random_tokens(length: int, device: str) -> Tensor:
    """Return a sequence of random bases after a BOS, (1, length), the same for all networks."""
    generator = torch.Generator().manual_seed(_SEED)
    tokens = torch.randint(NUM_BASES, (1, length), generator=generator)
    tokens[0, 0] = BOS
    return tokens.to(device)


def shapes(architectures: tuple[str, ...], preset: str) -> dict[str, Config]:
    """Return each architecture's shape of a preset: with -flops, those matched by operations. Raises UsageError."""

    def shape(arch: str, name: str) -> Config | None:
        plain = name.removesuffix("-flops")  # those with chunks are matched by both already
        return PRESETS[arch].get(name, PRESETS[arch].get(plain))

    found = {arch: config for arch in architectures if (config := shape(arch, preset)) is not None}
    names = sorted({name for arch in architectures for name in PRESETS[arch]})
    names = [name for name in names if all(shape(arch, name) is not None for arch in architectures)]
    if preset not in names:
        raise UsageError(f"--preset {preset}: expected one of {', '.join(names)}")
    return found


def least_bytes(network: Network, length: int) -> float:
    """Return the memory traffic of a forward pass if every layer were one pass over its sequence.

    Each normalised input is read and each output written once, in float32, and every parameter is read once. What is
    in between is taken to stay in the processor, so no real pass is as thrifty.
    """
    rates = [1 / ratio for ratio in network.config.targets]
    positions = [length * share for share in _shares(rates)]
    traffic = 4.0 * network.num_parameters()
    for name, module in network.named_modules():
        if isinstance(module, RMSNorm):
            depth = min(name.count("inner."), len(rates)) if name.startswith("stage.") else 0
            traffic += 2 * 4 * module.weight.numel() * positions[depth]
    return traffic


def _shares(rates: list[float]) -> Iterator[float]:
    """Yield the share of all positions that each stage sees, and the core."""
    share = 1.0
    yield share
    for rate in rates:
        share *= rate
        yield share
