"""The rivals' shapes against dnaHNet's: parameters and operations counted, not believed."""

from __future__ import annotations

import pytest
import torch

from dnahnet_cli.baselines.chunkers import mean_length
from dnahnet_cli.model.config import PRESETS as MODELS
from dnahnet_cli.model.network import Network
from dnahnet_cli.networks.architectures import CONFIGS, build
from dnahnet_cli.networks.presets import LEARNED_LENGTHS, MATCHED_LENGTH, PRESETS

RIVALS = [(arch, name) for arch in PRESETS if arch != "dnahnet" for name in PRESETS[arch]]


def network(arch: str, name: str) -> Network:
    with torch.device("meta"):
        return build(PRESETS[arch][name])


def flops_per_base(arch: str, name: str) -> float:
    model = network(arch, name)
    return model.flops(MATCHED_LENGTH, [1 / ratio for ratio in model.config.targets]).per_base


@pytest.mark.parametrize(("arch", "name"), RIVALS)
def test_rivals_are_matched_within_three_percent(arch: str, name: str) -> None:
    size = name.removesuffix("-flops")
    if name != size:
        assert flops_per_base(arch, name) == pytest.approx(flops_per_base("dnahnet", size), rel=0.03)
    else:
        expected = network("dnahnet", size).num_parameters()
        if PRESETS[arch][name].num_stages:  # the same network, without its routers
            expected -= sum(2 * width**2 for width in MODELS[size].widths[:-1])
            assert network(arch, name).num_parameters() == expected
            assert flops_per_base(arch, name) == pytest.approx(flops_per_base("dnahnet", size), rel=0.06)
        else:
            assert network(arch, name).num_parameters() == pytest.approx(expected, rel=0.03)


def test_every_architecture_has_the_sizes_of_dnahnet() -> None:
    assert PRESETS.keys() == CONFIGS.keys()
    for arch, presets in PRESETS.items():
        assert {"tiny", "small", "base"} <= presets.keys()
        assert {config.arch for config in presets.values()} == {arch}


def test_random_chunks_are_as_long_as_learned_ones_on_average() -> None:
    assert [round(mean_length(shares), 2) for shares in LEARNED_LENGTHS] == [3.0, 2.0]
    assert all(sum(shares) == pytest.approx(1) for shares in LEARNED_LENGTHS)
