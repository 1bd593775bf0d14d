"""How a network begins: scales by width and depth, and the zeros and identities of H-Net."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from dnahnet_cli.model.attention import Attention, SwiGLU
from dnahnet_cli.model.config import PRESETS, ModelConfig
from dnahnet_cli.model.hnet import HNet, Stage
from dnahnet_cli.model.layers import Linear, RMSNorm, set_compute_dtype
from dnahnet_cli.model.mamba import Mamba2
from tests.model.networks import CONFIGS, network

# Residual additions of a stack and of the stacks around it, counted by hand: T and M add twice, m and t once.
#   tiny: ["m1", ["T1m1", ["T1"], "m1T1"], "m1"]
ADDITIONS = {"stage.": 2, "stage.inner.": 2 + 3 + 3, "stage.inner.inner.": 2 + 3 + 3 + 2}


def tiny() -> HNet:
    torch.manual_seed(3)
    return HNet(PRESETS["tiny"])


def deviation(weights: list[torch.Tensor]) -> float:
    return float(torch.cat([weight.flatten() for weight in weights]).detach().std())


def prefix_of(name: str) -> str:
    return "stage." + "inner." * name.count("inner.")


def test_linear_maps_are_normal_and_outputs_shrink_with_depth() -> None:
    model = tiny()
    for prefix, additions in ADDITIONS.items():
        linear = {
            name: module.weight
            for name, module in model.named_modules()
            if isinstance(module, Linear) and name != "head" and prefix_of(name) == prefix
        }
        unit = {name: weight / math.sqrt(0.4 / weight.shape[1]) for name, weight in linear.items()}
        outputs = [weight for name, weight in unit.items() if name.endswith("out_proj")]
        others = [weight for name, weight in unit.items() if not name.endswith("out_proj")]
        assert outputs and others
        assert deviation(outputs) == pytest.approx(1 / math.sqrt(additions), rel=0.05), prefix
        assert deviation(others) == pytest.approx(1, rel=0.05), prefix
    assert deviation([model.head.weight]) == pytest.approx(0.02, rel=0.25)


def test_embedding_is_standard_normal() -> None:
    assert deviation([tiny().embedding.weight]) == pytest.approx(1, rel=0.2)


def test_residual_projections_are_the_identity_and_float32() -> None:
    stages = [module for module in tiny().modules() if isinstance(module, Stage)]
    assert len(stages) == 2
    for stage in stages:
        assert torch.equal(stage.residual.weight, torch.eye(len(stage.residual.weight)))
        assert stage.residual.weight.dtype == torch.float32
        assert not isinstance(stage.residual, Linear)  # or it would follow the compute dtype
        assert not stage.widening.any()
        assert torch.equal(stage.router.query.weight, torch.eye(len(stage.router.query.weight)))
        assert torch.equal(stage.router.key.weight, torch.eye(len(stage.router.key.weight)))


def test_router_and_residual_stay_float32_under_bfloat16() -> None:
    model = copy.deepcopy(network("2-mixed"))
    set_compute_dtype(model, torch.bfloat16)
    seen = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        seen.append((inputs[0].dtype, output.dtype))

    for module in model.modules():
        if isinstance(module, nn.Linear) and not isinstance(module, Linear):
            module.register_forward_hook(look)
    model(torch.randint(0, 5, (1, 30), generator=torch.Generator().manual_seed(0)))
    assert len(seen) == 6 and set(seen) == {(torch.float32, torch.float32)}


def test_mamba_forgets_at_the_documented_rates() -> None:
    steps, rates = [], []
    for module in tiny().modules():
        if isinstance(module, Mamba2):
            steps.append(nn.functional.softplus(module.step_bias.detach()))
            rates.append(module.log_rate.detach().exp())
            assert not module.conv_bias.any()
            assert torch.equal(module.skip, torch.ones_like(module.skip))
            assert 0 < float(module.conv_weight.detach().abs().max()) <= 0.5
    step, rate = torch.cat(steps), torch.cat(rates)
    assert float(step.min()) >= 1e-3 * 0.999 and float(step.max()) <= 0.1 * 1.001
    assert float(rate.min()) >= 1 and float(rate.max()) <= 16
    assert float(step.max() / step.min()) > 5 and float(rate.max() - rate.min()) > 5


def test_norms_begin_at_one() -> None:
    norms = [module for module in tiny().modules() if isinstance(module, RMSNorm)]
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)


def test_initialisation_depends_on_the_seed_alone() -> None:
    one, same = tiny(), tiny()
    torch.manual_seed(4)
    other = HNet(PRESETS["tiny"])
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


def test_rms_norm_is_its_formula_in_float32() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)) * 5
    norm = RMSNorm(8).requires_grad_(False)
    nn.init.uniform_(norm.weight, 0.5, 2)
    expected = x / (x.double().square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected.float(), rtol=1e-5, atol=1e-5)
    assert norm(x.bfloat16()).dtype == torch.float32
    assert float(norm(torch.zeros(1, 8)).abs().max()) == 0


@pytest.mark.parametrize(("width", "multiple", "hidden"), [(64, 64, 192), (128, 64, 384), (320, 64, 896), (24, 8, 64)])
def test_swiglu_is_eight_thirds_wide_rounded_up(width: int, multiple: int, hidden: int) -> None:
    config = ModelConfig(["m1", ["m1"], "m1"], (width, width), (3.0,), (None, None), mlp_multiple=multiple)
    layer = SwiGLU(config, width)
    assert layer.out_proj.weight.shape == (width, hidden)
    assert layer.in_proj.weight.shape == (2 * hidden, width)


def test_upper_case_letters_have_an_mlp() -> None:
    for name, config in CONFIGS.items():
        letters = str(config.layout)
        model = network(name)
        num_mlps = sum(isinstance(module, SwiGLU) for module in model.modules())
        assert (num_mlps > 0) == any(letter in letters for letter in "MT")
        assert any(isinstance(module, Mamba2) for module in model.modules()) == ("m" in letters.lower())
        assert any(isinstance(module, Attention) for module in model.modules()) == ("t" in letters.lower())
