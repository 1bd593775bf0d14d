"""StripedHyena 2 against its definition, evaluated term by term in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from dnahnet_cli.baselines.striped_hyena2 import Block, StripedHyena2, StripedHyena2Config
from dnahnet_cli.errors import ModelError
from dnahnet_cli.model.attention import Attention
from dnahnet_cli.model.hyena import Hyena
from dnahnet_cli.networks.architectures import build
from dnahnet_cli.ops.capture import Capture
from tests.baselines.networks import network, tokens

NOWHERE = Capture.nowhere()
LENGTH, WIDTH, GROUPS = 150, 12, 4
CONFIG = StripedHyena2Config(WIDTH, 11, 4, 4, filter_groups=GROUPS)


def block_of(layer: int, seed: int = 0) -> Block:
    """Return a block whose filters, skips and norms all matter."""
    torch.manual_seed(seed)
    block = Block(CONFIG, layer).requires_grad_(False)
    for name, parameter in block.named_parameters():
        if "filter_p" in name or "log_gamma" in name:
            nn.init.uniform_(parameter, -2, -0.5)
        elif "norm" in name or "skip" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return block


def double(tensor: Tensor) -> Tensor:
    return tensor.detach().double()


def rms(x_LD: Tensor, weight_D: Tensor) -> Tensor:
    return x_LD / (x_LD.square().mean(-1, keepdim=True) + 1e-6).sqrt() * double(weight_D)


def filter_of(mixer: Hyena, kind: str) -> Tensor:
    """Return the filter of every channel, tap by tap, (D, T)."""
    h_DT = torch.zeros(WIDTH, LENGTH, dtype=torch.double)
    for channel in range(WIDTH):
        for tap in range(LENGTH):
            if kind == "li":
                for pole in range(16):
                    gamma = math.exp(mixer.long.filter_log_gamma_DN[channel, pole])
                    log_pole = -math.exp(mixer.long.filter_p_DN[channel, pole]) * gamma
                    h_DT[channel, tap] += float(mixer.long.filter_residue_DN[channel, pole]) * math.exp(tap * log_pole)
            elif tap < (7 if kind == "se" else 128):
                group = channel // (WIDTH // GROUPS)
                h_DT[channel, tap] = float(mixer.long.filter_GT[group, tap])
                if kind == "mr":
                    rate = 10 ** (-2 + 4 * group / (GROUPS - 1))
                    h_DT[channel, tap] *= math.exp(-rate * tap / 8191)
    return h_DT


def convolve(x_LC: Tensor, h_CT: Tensor) -> Tensor:
    y_LC = torch.zeros_like(x_LC)
    for at in range(len(x_LC)):
        for lag in range(min(at + 1, h_CT.shape[1])):
            y_LC[at] += h_CT[:, lag] * x_LC[at - lag]
    return y_LC


def by_definition(block: Block, x_LD: Tensor, kind: str, layer: int) -> Tensor:
    x_LD, mixer = x_LD.double(), block.mixer
    assert isinstance(mixer, Hyena)
    projected_LC = rms(x_LD, block.norm.weight) @ double(mixer.in_proj.weight).T
    projected_LC = convolve(projected_LC, double(mixer.filter_short))
    x2_LD, x1_LD, v_LD = projected_LC[:, 0::3], projected_LC[:, 1::3], projected_LC[:, 2::3]
    y_LD = convolve(x1_LD * v_LD, filter_of(mixer, kind))
    if kind != "se":
        assert mixer.skip is not None
        y_LD = y_LD + double(mixer.skip) * x1_LD * v_LD
    x_LD = x_LD + (x2_LD * y_LD) @ double(mixer.out_proj.weight).T
    gate_LH, up_LH = (rms(x_LD, block.mlp_norm.weight) @ double(block.mlp_in.weight).T).chunk(2, dim=-1)
    if layer == 0:
        gate_LH = gate_LH / 2 * (1 + torch.erf(gate_LH / math.sqrt(2)))
    return x_LD + (gate_LH * up_LH) @ double(block.out_proj.weight).T


@pytest.mark.parametrize(("layer", "kind"), [(0, "se"), (1, "mr"), (2, "li"), (4, "se")])
def test_blocks_are_the_sums_of_the_definition(layer: int, kind: str) -> None:
    block = block_of(layer)
    assert CONFIG.kinds[layer] == kind
    x_BLD = torch.randn(1, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))
    actual, _ = block(x_BLD, None, NOWHERE)
    expected = by_definition(block, x_BLD[0], kind, layer)
    error = float((actual[0].double() - expected).abs().max() / expected.abs().max())
    assert error < 1e-5


def test_long_filter_is_the_recurrence_of_its_poles() -> None:
    mixer = block_of(2).mixer
    assert isinstance(mixer, Hyena)
    u_LD = torch.randn(LENGTH, WIDTH, generator=torch.Generator().manual_seed(2))
    pole_DN = torch.exp(-torch.exp(double(mixer.long.filter_p_DN)) * torch.exp(double(mixer.long.filter_log_gamma_DN)))
    state_DN, outputs = torch.zeros_like(pole_DN), []
    for at in range(LENGTH):
        state_DN = pole_DN * state_DN + u_LD[at].double().unsqueeze(1)
        outputs.append((double(mixer.long.filter_residue_DN) * state_DN).sum(1))
    expected = torch.stack(outputs)
    actual, states = mixer.long(u_LD.unsqueeze(0), None, Capture.at_ends(torch.tensor([LENGTH])))
    assert float((actual[0] - expected).abs().max() / expected.abs().max()) < 1e-5
    assert float((states[0] - state_DN).abs().max() / state_DN.abs().max()) < 1e-5


def test_stripes_repeat_after_seven_layers() -> None:
    model = build(StripedHyena2Config(16, 15, 8, filter_groups=4))
    assert isinstance(model, StripedHyena2)
    attention = [i for i, block in enumerate(model.blocks) if isinstance(block.mixer, Attention)]
    assert attention == [3, 10]
    taps = [block.mixer.long.filter_GT.shape[1] if hasattr(block.mixer.long, "filter_GT") else None
            for block in model.blocks if isinstance(block.mixer, Hyena)]  # fmt: skip
    assert taps[:6] == [7, 128, None, 7, 128, None] and taps[6:12] == taps[:6]


def test_sizes_of_the_published_fifty_million() -> None:
    with torch.device("meta"):
        model = build(StripedHyena2Config(640, 11, 64, 256, filter_groups=64))
    assert model.config.hidden == 1792  # type: ignore[attr-defined]
    assert 45e6 < model.num_parameters() < 60e6


def test_rotary_positions_turn_the_whole_head() -> None:
    """Attention sees distances only, and no channel is left out of them."""
    block = block_of(3)
    assert isinstance(block.mixer, Attention)
    x_BLD = torch.randn(1, 9, WIDTH, generator=torch.Generator().manual_seed(1))
    y_BLD, _ = block.mixer(x_BLD, None, NOWHERE)
    q, k, v = block.mixer.in_proj(x_BLD[0]).double().unflatten(-1, (3, 3, 4)).unbind(1)
    parts = []
    for head in range(3):
        scores = torch.full((9, 9), -math.inf, dtype=torch.double)
        for i in range(9):
            for j in range(i + 1):
                total = 0.0
                for pair, frequency in enumerate((1.0, 0.01)):
                    turn = torch.polar(torch.tensor(1.0).double(), torch.tensor(float(i - j) * frequency).double())
                    one = torch.complex(q[i, head, pair], q[i, head, pair + 2])
                    other = torch.complex(k[j, head, pair], k[j, head, pair + 2])
                    total += float((one * turn * other.conj()).real)
                scores[i, j] = total / 2
        parts.append(scores.softmax(-1) @ v[:, head])
    expected = torch.cat(parts, dim=-1) @ double(block.mixer.out_proj.weight).T
    torch.testing.assert_close(y_BLD[0].double(), expected, rtol=0, atol=1e-5)


def test_the_head_is_the_embedding_of_the_bases() -> None:
    model = copy.deepcopy(network("striped-hyena2"))
    assert "head" not in dict(model.named_children())
    before = model(tokens(1, 5))[0].logits_BL4
    model.embedding.weight.data[2] = 0  # no token here is a G, once they are replaced
    token_BL = tokens(1, 5).masked_fill(tokens(1, 5) == 2, 1)
    after = model(token_BL)[0].logits_BL4
    assert before.shape == after.shape and bool((after[..., 2] == 0).all())


@pytest.mark.parametrize(
    "fields", [{"width": 0}, {"num_layers": 0}, {"width": 30}, {"filter_groups": 5}, {"mr_taps": 1.5}]
)
def test_what_does_not_fit_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ModelError):
        StripedHyena2Config(**{"width": 16, "num_layers": 2, "attention_head_size": 8, "filter_groups": 4, **fields})
