"""The convolution's kernels against a loop over positions and taps in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.ops.causal_conv import causal_conv_silu
from tests.ops.kernels import DTYPES, GPU, TOLERANCE, assert_near, gradients, places
from tests.ops.test_causal_conv import naive

SHAPES = [(2, 1, 5), (1, 2, 5), (2, 18, 70), (1, 35, 16)]
LARGE = [pytest.param(3, 1029, 448, marks=GPU), pytest.param(1, 8192, 192, marks=GPU)]
TAPS = 4

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def make_inputs(batch: int, length: int, channels: int, device: str) -> list[Tensor]:
    random = torch.Generator().manual_seed(length)
    x = torch.randn(batch, length, channels + 3, generator=random)[..., 3:]  # rows that lie apart
    weight = torch.randn(channels, TAPS, generator=random)
    bias = torch.randn(channels, generator=random)
    tail = torch.randn(batch, TAPS - 1, channels, generator=random)
    return [t.to(device) for t in (x, weight, bias, tail)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("with_tail", [False, True], ids=["fresh", "continued"])
@pytest.mark.parametrize(("batch", "length", "channels"), [*SHAPES, *LARGE])
def test_equals_the_loop(
    batch: int, length: int, channels: int, with_tail: bool, dtype: torch.dtype, triton_kernels: str
) -> None:
    x, weight, bias, tail = make_inputs(batch, length, channels, triton_kernels)
    x, tail = x.to(dtype), tail.to(dtype)
    capture = places(batch, length, triton_kernels)
    with torch.no_grad():
        y, tails = causal_conv_silu(x, weight, bias, tail if with_tail else None, capture)
    assert y.dtype == tails.dtype == dtype
    slow = [t.cpu().float() for t in (x, weight, bias)]
    expected_y, expected_tails = naive(*slow, tail.cpu().float() if with_tail else None)
    assert_near(y, expected_y, TOLERANCE[dtype])
    expected = expected_tails[capture.rows.cpu(), capture.positions.cpu()]
    assert torch.equal(tails.cpu().double(), expected.double())  # copies, not sums


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "length", "channels"), [*SHAPES, *LARGE])
def test_gradients_equal_the_loop(
    batch: int, length: int, channels: int, dtype: torch.dtype, triton_kernels: str
) -> None:
    x, weight, bias, _ = make_inputs(batch, length, channels, triton_kernels)
    fast = [x.to(dtype).requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    y, _ = causal_conv_silu(*fast, None, Capture.nowhere(triton_kernels))
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(triton_kernels, dtype)
    slow = [t.detach().cpu().double().requires_grad_() for t in fast]
    expected_y, _ = naive(*slow, None)
    assert_near(y, expected_y, TOLERANCE[dtype])
    for actual, expected in zip(gradients(y, dy, fast), gradients(expected_y, dy.cpu().double(), slow), strict=True):
        assert_near(actual, expected, 5 * TOLERANCE[dtype])
