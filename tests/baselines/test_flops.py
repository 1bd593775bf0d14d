"""The rivals' counted operations against what PyTorch executes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, baddbmm_flop

from dnahnet_cli.baselines.isotropic import Mamba2Config, TransformerConfig
from dnahnet_cli.baselines.striped_hyena2 import StripedHyena2Config
from dnahnet_cli.model.config import Config, ModelConfig
from dnahnet_cli.model.flops import Flops
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.networks.presets import PRESETS
from dnahnet_cli.ops.capture import Capture

aten = torch.ops.aten
LENGTH = 512
CONFIGS = [
    PRESETS["transformer"]["small"],
    TransformerConfig("t2T1", 96, attention_head_size=32, mlp_multiple=16),
    PRESETS["mamba2"]["small"],
    Mamba2Config("m1M2", 64, state_size=16, mamba_head_size=32),
    PRESETS["striped-hyena2"]["small"],
    StripedHyena2Config(96, 9, 32, 32, filter_groups=8, num_poles=8),
    PRESETS["fixed-stride"]["small"],
    PRESETS["random-chunks"]["small"],
]
every_network = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.arch)


def real_transform(values: Tensor | tuple[int, ...], size: int, dim: int) -> int:
    """Return the operations of the real transforms of `size` values, one for each row of a tensor of this shape."""
    rows = math.prod(extent for axis, extent in enumerate(values) if axis != dim % len(values))
    return int(rows * 2.5 * size * math.log2(size))


def counting() -> FlopCounterMode:
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten.baddbmm_: lambda *args, **_: baddbmm_flop(*args),
            aten._fft_r2c: lambda x, dims, *_, **__: real_transform(x, x[dims[0]], dims[0]),
            aten._fft_c2r: lambda x, dims, mode, last, **_: real_transform(x, last, dims[0]),
        },
    )


def executed(config: Config, length: int) -> tuple[dict[str, dict[object, int]], Flops]:
    """Run a network that is to be trained; return what was executed, and what is counted for the same cuts."""
    torch.manual_seed(0)
    model = build(config)
    token_BL = torch.randint(0, 4, (1, length), generator=torch.Generator().manual_seed(1))
    with counting() as counter, sdpa_kernel(SDPBackend.MATH):  # only MATH is counted
        output, _ = model(token_BL, capture=Capture.nowhere())
    rates = [float(trace.mask_BL.float().mean()) for trace in output.traces]
    return counter.get_flop_counts(), model.flops(length, rates)


@every_network
def test_linear_maps_are_exact(config: Config) -> None:
    found, counted = executed(config, LENGTH)
    assert found["Global"][aten.mm] == pytest.approx(sum(work.linear for work in counted.parts.values()))


@every_network
def test_the_whole_network_is_within_two_percent(config: Config) -> None:
    if isinstance(config, ModelConfig):  # executed are whole blocks of a window and whole chunks, see tests/model
        config = replace(config, windows=(None, None, None), ssd_chunk=16)
    found, counted = executed(config, LENGTH)
    # Masked attention also executes the pairs above the diagonal, nearly as many as it needs.
    masked = sum(work.attention for work in counted.parts.values())
    assert sum(found["Global"].values()) == pytest.approx(counted.total + masked, rel=0.02)


@pytest.mark.parametrize("kind", ["se", "mr", "li"])
def test_convolutions_are_within_two_percent(kind: str) -> None:
    """Each kind by itself: taps of a direct convolution, or the filter's evaluation and three transforms."""
    layers = {"se": 1, "mr": 2, "li": 3}
    config = StripedHyena2Config(64, 3, 32, 32, filter_groups=8)
    assert config.kinds[layers[kind] - 1] == kind
    found, counted = executed(config, LENGTH)
    of_layer = found[f"StripedHyena2.blocks.{layers[kind] - 1}"]
    short = 2 * 3 * 3 * 64 * LENGTH  # the filter of 3 taps on the projections, counted like dnaHNet's of 4: not at all
    convolutions = sum(value for key, value in of_layer.items() if key is not aten.mm) - short
    assert convolutions == pytest.approx(counted.parts[kind].convolution, rel=0.02)


@every_network
def test_parts_add_up_and_long_sequences_cost_more(config: Config) -> None:
    model = build(config)
    counted = model.flops(1000, [0.5] * config.num_stages)
    assert counted.total == pytest.approx(sum(work.total for work in counted.parts.values()))
    assert model.flops(1001, [0.5] * config.num_stages).total > counted.total
    with pytest.raises(ValueError, match="chunk rates"):
        model.flops(1000, [0.5] * (config.num_stages + 1))


def test_attention_alone_makes_long_sequences_much_dearer() -> None:
    def growth(config: Config) -> float:
        with torch.device("meta"):
            model = build(config)
        rates = [1 / 3, 1 / 2][: config.num_stages]
        return model.flops(10**6, rates).per_base / model.flops(10**5, rates).per_base

    assert growth(PRESETS["transformer"]["small"]) > 9
    assert growth(PRESETS["mamba2"]["small"]) == pytest.approx(1)
    convolutions = StripedHyena2Config(128, 3, 32)  # no attention yet: the logarithm of a Fourier transform
    assert 1 < growth(convolutions) < 1.02


def test_without_rates_the_known_ones_are_taken() -> None:
    fixed = build(PRESETS["fixed-stride"]["tiny"])
    assert fixed.flops(600).total == fixed.flops(600, [1 / 3, 1 / 2]).total
    random = build(PRESETS["random-chunks"]["tiny"])
    assert random.flops(600).total == pytest.approx(fixed.flops(600).total, rel=0.01)
