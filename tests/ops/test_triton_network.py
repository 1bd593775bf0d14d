"""The whole network on the kernels: forward, going on from states, and a training step, beside plain PyTorch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dnahnet_cli.model.config import PRESETS
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.model.layers import set_compute_dtype
from dnahnet_cli.model.network import Output
from dnahnet_cli.ops import backend
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.training.objective import losses
from tests.conftest import lively_model

CONFIG = replace(PRESETS["tiny"], layout=["m1", ["t1m1", ["T1"], "m1t1"], "m1"], windows=(None, 8, None))
LENGTH = 37


def use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(backend.VARIABLE, name)
    backend.kernels.cache_clear()


def tokens(device: str, batch: int = 2) -> Tensor:
    return torch.randint(0, 4, (batch, LENGTH), generator=torch.Generator().manual_seed(0)).to(device)


def in_two_calls(network: HNet, device: str) -> tuple[Output, Output]:
    """Run a ragged batch, then go on from odd places of it, the very beginning among them."""
    length_B = torch.tensor([LENGTH, 20], device=device)
    rows, positions = torch.tensor([1, 0, 0], device=device), torch.tensor([20, 0, 33], device=device)
    with torch.inference_mode():
        first, state = network(tokens(device), length_B=length_B, capture=Capture(rows, positions))
        second, _ = network(tokens(device, 3)[:, :9], state)
    return first, second


@pytest.mark.parametrize("reserves", [False, True], ids=["exact", "reserved"])
def test_forward_and_going_on(reserves: bool, triton_kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = lively_model(CONFIG).to(triton_kernels)
    network.reserves = reserves
    actual = in_two_calls(network, triton_kernels)
    use(monkeypatch, "reference")
    expected = in_two_calls(network, triton_kernels)
    for one, other in zip(actual, expected, strict=True):
        lengths = one.traces[0].length_B.tolist()
        for row, length in enumerate(lengths):
            torch.testing.assert_close(
                one.logits_BL4[row, :length], other.logits_BL4[row, :length], rtol=1e-4, atol=1e-4
            )
        for trace, other_trace in zip(one.traces, other.traces, strict=True):
            for row, length in enumerate(trace.length_B.tolist()):
                assert torch.equal(trace.mask_BL[row, :length], other_trace.mask_BL[row, :length])


def step(network: HNet, device: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a training step and every parameter's gradient."""
    network.zero_grad()
    data = tokens(device)
    output, _ = network(data[:, :-1], capture=Capture.nowhere(device))
    cross_entropy, ratio = losses(output, data[:, 1:], network.config.targets)
    loss = cross_entropy / data.numel() + 0.1 * ratio
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_training_step(dtype: torch.dtype, triton_kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = lively_model(CONFIG).to(triton_kernels).requires_grad_()
    set_compute_dtype(network, dtype)
    loss, gradients = step(network, triton_kernels)
    use(monkeypatch, "reference")
    expected_loss, expected = step(network, triton_kernels)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(loss, expected_loss, rtol=tolerance / 5, atol=0)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        scale = float(expected[name].norm())
        assert float((gradient - expected[name]).norm()) <= tolerance * max(scale, 1e-3), name
