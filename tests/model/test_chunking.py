"""Router, straight-through confidence and ratio loss, each against its formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.model.chunking import (
    Router,
    StageTrace,
    boundary_rates,
    ratio_loss,
)
from dnahnet_cli.ops.ema import straight_through
from dnahnet_cli.ops.routing import select_rows

WIDTH = 6


def fresh_router() -> Router:
    router = Router(WIDTH)
    router.reset()
    return router.requires_grad_(False)


def vectors(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_a_fresh_router_measures_the_distance_between_neighbours() -> None:
    router = fresh_router()
    assert torch.equal(router.query.weight, torch.eye(WIDTH))
    assert torch.equal(router.key.weight, torch.eye(WIDTH))
    x_BLD = vectors(9)
    p_BL = router(x_BLD, None)
    unit = x_BLD / x_BLD.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(p_BL[:, 1:], (1 - (unit[:, 1:] * unit[:, :-1]).sum(-1)) / 2, rtol=0, atol=1e-6)
    assert p_BL[:, 0].tolist() == [1.0, 1.0]


def test_query_sees_the_past_and_key_the_present() -> None:
    router = fresh_router()
    torch.nn.init.normal_(router.query.weight, generator=torch.Generator().manual_seed(1))
    torch.nn.init.normal_(router.key.weight, generator=torch.Generator().manual_seed(2))
    x_BLD = vectors(5)
    q_BD, k_BD = x_BLD[:, 1] @ router.query.weight.T, x_BLD[:, 2] @ router.key.weight.T
    expected = (1 - torch.cosine_similarity(q_BD, k_BD, dim=-1)) / 2
    torch.testing.assert_close(router(x_BLD, None)[:, 2], expected, rtol=0, atol=1e-6)


def test_router_continues_from_the_vector_before() -> None:
    router = fresh_router()
    x_BLD = vectors(9)
    whole = router(x_BLD, None)
    torch.testing.assert_close(router(x_BLD[:, 4:], x_BLD[:, 3]), whole[:, 4:], rtol=0, atol=1e-6)
    mixed = torch.stack([x_BLD[0, 3], torch.zeros(WIDTH)])  # the second row begins here
    p_BL = router(x_BLD[:, 4:], mixed)
    torch.testing.assert_close(p_BL[0], whole[0, 4:], rtol=0, atol=1e-6)
    assert float(p_BL[1, 0]) == 1.0


def test_router_is_float32_on_bfloat16_vectors() -> None:
    router = fresh_router()
    x_BLD = vectors(9).bfloat16()
    assert router(x_BLD, None).dtype == torch.float32
    assert torch.equal(router(x_BLD, None), router(x_BLD.float(), None))


def test_select_rows_is_indexing() -> None:
    x_BLD = vectors(9)
    index_BM = torch.tensor([[8, 0, 3], [1, 1, 0]])
    expected = torch.stack([x_BLD[b, index_BM[b]] for b in range(2)])
    assert torch.equal(select_rows(x_BLD, index_BM), expected)


@given(st.lists(st.floats(0.5, 1, width=32), min_size=1, max_size=20))
def test_straight_through_is_one_with_the_gradient_of_its_argument(values: list[float]) -> None:
    confidence = torch.tensor(values, requires_grad=True)
    result = straight_through(confidence)
    assert result.tolist() == [1.0] * len(values)  # exactly: the forward pass must not depend on confidence
    (gradient,) = torch.autograd.grad((3 * result).sum(), confidence)
    assert gradient.tolist() == [3.0] * len(values)


# --- ratio loss ---


def trace(probability: list[list[float]], mask: list[list[bool]], lengths: list[int]) -> StageTrace:
    return StageTrace(torch.tensor(probability), torch.tensor(mask), torch.tensor(lengths))


def trace_of(f: float, g: float, length: int = 1000) -> StageTrace:
    """Return one row whose fraction of boundaries is `f` and whose mean probability is `g`."""
    mask_BL = torch.arange(length).unsqueeze(0) < round(f * length)
    return StageTrace(torch.full((1, length), g), mask_BL, torch.tensor([length]))


def formula(f: float, g: float, n: float) -> float:
    return n / (n - 1) * ((n - 1) * f * g + (1 - f) * (1 - g))


def test_rates_count_valid_positions_of_all_rows_once() -> None:
    f, g = boundary_rates(
        trace(
            [[1.0, 0.2, 0.9, 9.0], [1.0, 9.0, 9.0, 9.0]],
            [[True, False, True, True], [True, True, True, True]],
            [3, 1],
        )
    )
    assert float(f) == pytest.approx(3 / 4)
    assert float(g) == pytest.approx((1.0 + 0.2 + 0.9 + 1.0) / 4)


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([1.5, 2.0, 3.0, 6.0]))
def test_ratio_loss_is_its_formula(boundaries: int, g: float, n: float) -> None:
    loss = float(ratio_loss(trace_of(boundaries / 1000, g), n))
    assert loss == pytest.approx(formula(boundaries / 1000, g, n), abs=1e-4)


@pytest.mark.parametrize("n", [2.0, 4.0, 5.0])
def test_ratio_loss_is_one_at_its_minimum_over_equal_rates(n: float) -> None:
    assert float(ratio_loss(trace_of(1 / n, 1 / n), n)) == pytest.approx(1, abs=1e-5)
    losses = {step: float(ratio_loss(trace_of(step / 100, step / 100), n)) for step in range(101)}
    assert min(losses, key=losses.__getitem__) == round(100 / n)
    assert losses[0] > 1 and losses[100] > 1


@pytest.mark.parametrize("n", [2.0, 3.0])
def test_ratio_loss_pushes_probabilities_towards_the_target(n: float) -> None:
    """Too many boundaries: all probabilities should fall; too few: rise. Padding feels nothing."""
    for f, sign in ((0.9, 1), (0.1, -1)):
        one = trace_of(f, 0.5, 100)
        p_BL = one.probability_BL.clone().requires_grad_()
        loss = ratio_loss(StageTrace(p_BL, one.mask_BL, torch.tensor([60])), n)
        (gradient_BL,) = torch.autograd.grad(loss, p_BL)
        assert bool((sign * gradient_BL[:, :60] > 0).all())
        assert not gradient_BL[:, 60:].any()
