"""RMSNorm and its gradient against the formula in float64; linear maps in their compute dtype."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnahnet_cli.model.layers import Linear, RMSNorm, product, set_compute_dtype
from dnahnet_cli.ops.norm.explicit import RMSNormFunction

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def formula(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def gradients(y: Tensor, dy: Tensor, leaves: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, leaves, dy.expand_as(y))


def draw(shape: list[int], seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, a weight for its last axis, and a gradient."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=random, dtype=dtype) * 3
    weight = torch.randn(shape[-1], generator=random, dtype=dtype)
    return x.requires_grad_(), weight.requires_grad_(), torch.randn(shape, generator=random, dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(1, 40), st.integers(0, 100))
def test_gradients_are_those_of_the_formula(outer: list[int], width: int, seed: int) -> None:
    x, weight, dy = draw([*outer, width], seed)
    y = RMSNormFunction.apply(x, weight)
    torch.testing.assert_close(y, formula(x, weight), rtol=1e-12, atol=1e-12)
    expected = gradients(formula(x, weight), dy, (x, weight))
    for one, other in zip(gradients(y, dy, (x, weight)), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_gradients_of_views_zeros_and_one_number() -> None:
    x, weight, _ = draw([3, 8, 5], 0)
    with torch.no_grad():
        x[1, :, 2] = 0  # a vector of zeros, as padding is: eps alone keeps it from being divided by 0
    view = x.transpose(1, 2)
    assert not view.is_contiguous()
    weight = torch.linspace(0.5, 2, 8, dtype=torch.float64, requires_grad=True)
    one = torch.ones((), dtype=torch.float64)
    expected = gradients(formula(view, weight), one, (x, weight))
    for actual, other in zip(gradients(RMSNormFunction.apply(view, weight), one, (x, weight)), expected, strict=True):
        torch.testing.assert_close(actual, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_computes_in_float32_and_answers_in_the_dtype_of_its_input(dtype: torch.dtype) -> None:
    x, _, dy = draw([4, 30, 24], 1, torch.float32)
    layer = RMSNorm(24)
    torch.nn.init.uniform_(layer.weight, 0.5, 2)
    rounded = x.detach().to(dtype).requires_grad_()
    y = layer(rounded)
    assert y.dtype == torch.float32
    dx, dweight = gradients(y, dy, (rounded, layer.weight))
    assert (dx.dtype, dweight.dtype) == (dtype, torch.float32)
    exact, weight = rounded.detach().double().requires_grad_(), layer.weight.detach().double().requires_grad_()
    expected_x, expected_weight = gradients(formula(exact, weight), dy.double(), (exact, weight))
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(dx.double(), expected_x, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(dweight.double(), expected_weight, rtol=1e-5, atol=1e-5 * 120)


def test_inputs_and_gradients_are_left_alone() -> None:
    x, weight, dy = draw([4, 6], 2)
    copies = [tensor.detach().clone() for tensor in (x, weight, dy)]
    RMSNormFunction.apply(x, weight).backward(dy)
    for tensor, copy in zip((x, weight, dy), copies, strict=True):
        assert torch.equal(tensor, copy)


def test_linear_maps_compute_in_the_dtype_they_are_told() -> None:
    layer = Linear(6, 3)
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    expected = x @ layer.weight.T
    torch.testing.assert_close(layer(x), expected)
    set_compute_dtype(layer, torch.bfloat16)
    assert layer(x).dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    torch.testing.assert_close(layer(x).float(), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 1, 37])
@torch.no_grad()
def test_products_without_gradients_equal_those_with(dtype: torch.dtype, rows: int) -> None:
    """oneDNN's product, whatever lies in memory how."""
    x = torch.randn(2, rows, 24, generator=torch.Generator().manual_seed(0)).to(dtype)
    wide = torch.randn(10, 40, generator=torch.Generator().manual_seed(1)).to(dtype)
    for weight in (wide[:, :24].contiguous(), wide[:, :24], wide.reshape(40, 10)[:24].mT, wide[:0, :24]):
        for inputs in (x, x.transpose(0, 1), torch.cat([x, x], dim=-1)[..., 12:36]):
            expected = inputs.double() @ weight.double().mT
            tolerance = 1e-5 if dtype == torch.float32 else 0.01
            torch.testing.assert_close(product(inputs, weight).double(), expected, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_parts_are_the_output_divided() -> None:
    linear = Linear(24, 10)
    x = torch.randn(3, 5, 24, generator=torch.Generator().manual_seed(0))
    for part, expected in zip(linear.parts(x, (4, 5, 1)), linear(x).split([4, 5, 1], dim=-1), strict=True):
        torch.testing.assert_close(part, expected)
        assert part.is_contiguous()
