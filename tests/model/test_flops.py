"""Counted operations against what PyTorch executes, product by product."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, baddbmm_flop

from dnahnet_cli.model.attention import Attention
from dnahnet_cli.model.config import PRESETS, Layout, ModelConfig
from dnahnet_cli.model.flops import Work, flops
from dnahnet_cli.model.hnet import Output
from dnahnet_cli.model.mamba import Mamba2
from dnahnet_cli.ops.capture import Capture
from tests.conftest import lively_model
from tests.model.networks import CONFIGS, network

aten = torch.ops.aten
SMALL = PRESETS["small"]
NOWHERE = Capture.nowhere()
SIZES = {"state_size": 8, "mamba_head_size": 8, "ssd_chunk": 16, "attention_head_size": 8, "mlp_multiple": 16}


def counting() -> FlopCounterMode:
    """Count products; PyTorch's own table knows `baddbmm`, but not the form that works in place."""
    return FlopCounterMode(display=False, custom_mapping={aten.baddbmm_: lambda *args, **_: baddbmm_flop(*args)})


def tokens(length: int) -> Tensor:
    return torch.randint(0, 4, (1, length), generator=torch.Generator().manual_seed(1))


def rates(output: Output) -> list[float]:
    return [float(trace.mask_BL.float().mean()) for trace in output.traces]


def modules_of(part: str, config: ModelConfig) -> str:
    """Return the name under which FlopCounterMode files the operations of a part."""
    if part == "head":
        return "HNet.head"
    if part == "core":
        return "HNet.stage" + ".inner" * config.num_stages
    stage, name = part.split(".")
    return "HNet.stage" + ".inner" * (int(stage.removeprefix("stage")) - 1) + f".{name}"


def run(layer: nn.Module, length: int, *, train: bool) -> int:
    """Return what one layer of width 32 executes beside its linear maps."""
    x_BLD = torch.randn(1, length, 32)
    with counting() as counter, sdpa_kernel(SDPBackend.MATH), torch.set_grad_enabled(train):  # only MATH is counted
        layer(x_BLD, None, NOWHERE)
    return int(counter.get_flop_counts()["Global"][aten.bmm])


def core_of(letter: str, length: int, **fields: int) -> tuple[ModelConfig, Work]:
    """Return a network whose core is one layer of width 32, and the core's cost when every position opens a chunk."""
    config = ModelConfig(["m1", [letter + "1"], "m1"], (16, 32), (3.0,), (None, None), **{**SIZES, **fields})
    return config, flops(config, length, [1.0]).parts["core"]


@pytest.mark.parametrize("name", [*CONFIGS, "tiny", "small"])
def test_linear_maps_of_every_part_are_exact(name: str) -> None:
    model = network(name) if name in CONFIGS else lively_model(PRESETS[name])
    with counting() as counter:  # with gradients: oneDNN's products, for inference, are not counted
        output, _ = model(tokens(257), capture=NOWHERE)
    executed = counter.get_flop_counts()
    counted = flops(model.config, 257, rates(output))
    assert 0 < rates(output)[0] < 1
    found = {part: executed[modules_of(part, model.config)][aten.mm] for part in counted.parts}
    assert found == {part: pytest.approx(work.linear) for part, work in counted.parts.items()}
    assert executed["Global"][aten.mm] == pytest.approx(sum(work.linear for work in counted.parts.values()))


@pytest.mark.parametrize("length", [16, 48, 160])
@pytest.mark.parametrize("fields", [{}, {"state_size": 24}, {"mamba_head_size": 16}, {"expand": 3}])
@pytest.mark.parametrize("train", [True, False])
def test_ssd_is_exact_but_for_the_states_between_chunks(length: int, fields: dict[str, int], train: bool) -> None:
    config, core = core_of("m", length, **fields)
    executed = run(Mamba2(config, 32), length, train=train)
    # Carrying states from chunk to chunk is element-wise work, or a product of all chunks with all chunks.
    between = 2 * (length // config.ssd_chunk + 1) ** 2 * config.state_size * config.expand * 32
    assert executed in (core.ssd, core.ssd + between)


@pytest.mark.parametrize("length", [1, 7, 64])
@pytest.mark.parametrize("train", [True, False])
def test_unlimited_attention_needs_half_of_the_square_and_half_of_the_diagonal(length: int, train: bool) -> None:
    config, core = core_of("t", length)
    executed = run(Attention(config, 32, None), length, train=train)
    assert core.attention == executed * (length + 1) / (2 * length)


@pytest.mark.parametrize("window", [None, 1, 2, 5, 11, 12, 40])
def test_attention_needs_the_pairs_that_influence_each_other(window: int | None) -> None:
    length, config = 12, dataclasses.replace(CONFIGS["1-windowed"], windows=(None, window), widths=(32, 32))
    layer = Attention(config, 32, window)

    def weigh(x_LD: Tensor) -> Tensor:
        return layer(x_LD.unsqueeze(0), None, NOWHERE)[0][0].sum(-1)

    gradient_LLD = torch.autograd.functional.jacobian(weigh, torch.randn(length, 32))
    pairs = int((gradient_LLD != 0).any(-1).sum())
    assert flops(config, length, [1.0]).parts["core"].attention == pairs * 4 * 32


@pytest.mark.parametrize(
    ("layout", "length"),
    [
        (SMALL.layout, 512),
        (["t2", ["T1m2", ["T3"], "m1"], "M1t1"], 384),
        (["M3", ["m2", ["M2"], "t1"], "m1"], 768),
        (["S1R1", ["T1m1", ["T3"], "m1T1"], "r1S1"], 512),
    ],
)
def test_the_whole_network_is_within_two_percent(layout: Layout, length: int) -> None:
    # Executed are whole blocks of a window, of which only a part is needed, and whole chunks of the SSD.
    config = dataclasses.replace(SMALL, layout=layout, windows=(None, None, None), ssd_chunk=16)
    with counting() as counter, sdpa_kernel(SDPBackend.MATH):
        output, _ = lively_model(config)(tokens(length), capture=NOWHERE)
    cost = flops(config, length, rates(output))
    # Masked attention also executes the pairs above the diagonal, nearly as many as it needs.
    masked = sum(work.attention for work in cost.parts.values())
    assert counter.get_total_flops() == pytest.approx(cost.total + masked, rel=0.02)


def test_training_takes_every_product_three_times() -> None:
    model = lively_model(SMALL).requires_grad_()
    with counting() as forward, sdpa_kernel(SDPBackend.MATH):
        output, _ = model(tokens(256), capture=NOWHERE)
    with counting() as backward, sdpa_kernel(SDPBackend.MATH):
        (output.logits_BL4.sum() + sum(trace.probability_BL.sum() for trace in output.traces)).backward()
    cost = flops(SMALL, 256, rates(output))
    assert cost.training == 3 * cost.total
    linear = sum(work.linear for work in cost.parts.values())
    assert backward.get_flop_counts()["Global"][aten.mm] == pytest.approx(2 * linear)
    assert backward.get_total_flops() == pytest.approx(2 * forward.get_total_flops(), rel=0.02)


@given(st.sampled_from(sorted(CONFIGS)), st.integers(1, 10_000), st.data())
def test_total_is_the_sum_and_grows_with_length_and_rates(name: str, length: int, data: st.DataObject) -> None:
    config = CONFIGS[name]
    some = data.draw(st.lists(st.floats(0.01, 0.9), min_size=config.num_stages, max_size=config.num_stages))
    cost = flops(config, length, some)
    assert cost.total == pytest.approx(sum(w.linear + w.ssd + w.attention + w.convolution for w in cost.parts.values()))
    assert cost.per_base * length == pytest.approx(cost.total)
    assert flops(config, length + 1, some).total > cost.total
    for stage in range(config.num_stages):
        more = [1.1 * rate if index == stage else rate for index, rate in enumerate(some)]
        assert flops(config, length, more).total > cost.total


def test_only_unlimited_attention_makes_long_sequences_dearer() -> None:
    def growth(config: ModelConfig) -> float:
        short, long = (flops(config, length, [0.3, 0.5]).per_base for length in (10**5, 10**6))
        return long / short

    assert growth(CONFIGS["2-no-window"]) > 5
    assert growth(dataclasses.replace(CONFIGS["2-no-window"], windows=(7, 4, 9))) == pytest.approx(1, abs=1e-3)
    assert growth(dataclasses.replace(SMALL, layout=["m2", ["m2", ["M3"], "M1"], "m2"])) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [[], [0.3], [0.3, 0.5, 0.5]])
def test_one_rate_per_stage(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=f"{len(wrong)} chunk rates for 2 stages"):
        flops(SMALL, 100, wrong)


def test_the_table_in_the_docs_is_computed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "network.md").read_text()
    section = page.split("\n## What a base costs\n")[1].split("\n## ")[0]
    table = {
        name.strip(): [float(cell) for cell in re.findall(r"[\d.]+", rest.replace(",", ""))]
        for name, rest in re.findall(r"^\| ([^|]*[a-z0-9]) \|(.*\d.*)\|$", section, flags=re.MULTILINE)
    }
    cost = flops(PRESETS["small-deep"], 8192, [1 / 3, 1 / 2])
    groups: dict[str, Work] = {"total": Work()}
    for part, work in cost.parts.items():
        stage, _, name = part.replace("stage", "stage ").partition(".")
        group = {"encoder": "encoder and decoder", "router": "router and residual"}
        group |= {"decoder": "encoder and decoder", "residual": "router and residual"}
        for key in (f"{stage}: {group[name]}" if name else stage, "total"):
            groups[key] = groups.get(key, Work()) + work
    expected = {
        key: [
            *(
                round(kind / 8192 / 1000)
                for kind in (work.linear, work.convolution + work.ssd, work.attention, work.total)
            ),
            round(100 * work.total / cost.total, 1),
        ]
        for key, work in groups.items()
    }
    assert table == expected
