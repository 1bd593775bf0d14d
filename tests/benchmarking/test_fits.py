"""Curves against independent ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from dnahnet_cli.benchmarking.fits import FITS, best_fit, fit_line, fit_power

FLOPS = np.geomspace(1e12, 1e15, 7)


def test_a_line_is_that_of_polyfit() -> None:
    bits = np.random.default_rng(1).uniform(1.8, 2.0, (3, 7))
    fit = fit_line(FLOPS, bits)
    for row in range(3):
        slope, intercept = np.polyfit(np.log(FLOPS), np.log(bits[row]), 1)
        assert -fit.exponent[row] == pytest.approx(slope)
        assert fit.at(FLOPS)[row] == pytest.approx(np.exp(intercept + slope * np.log(FLOPS)))
    assert not fit.floor.any()
    assert fit.scale[0] == pytest.approx(np.exp(np.log(bits[0]).mean()))


def test_two_points_are_met_exactly() -> None:
    fit = fit_line(np.array([1e12, 1e13]), np.array([[2.0, 1.9]]))
    assert fit.at(np.array([1e12, 1e13]))[0] == pytest.approx([2.0, 1.9])


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(1.8, 0.1, 0.2), (1.5, 0.3, 0.05), (0.0, 1.9, 0.01)])
def test_a_power_law_is_found_again(floor: float, scale: float, exponent: float) -> None:
    origin = np.exp(np.log(FLOPS).mean())
    bits = floor + scale * (FLOPS / origin) ** -exponent
    fit = fit_power(FLOPS, bits[None])
    assert fit.at(FLOPS)[0] == pytest.approx(bits, abs=2e-4)  # the grid of exponents is that fine
    if floor:
        assert fit.floor[0] == pytest.approx(floor, abs=0.02)
        assert fit.exponent[0] == pytest.approx(exponent, rel=0.05)


def test_a_noisy_power_law_fits_no_worse_than_scipys() -> None:
    random = np.random.default_rng(3)
    ratio = FLOPS / np.exp(np.log(FLOPS).mean())
    bits = 1.85 + 0.08 * ratio**-0.25 + 0.002 * random.standard_normal((5, 7))
    fit = fit_power(FLOPS, bits)
    for row in range(5):
        found, _ = curve_fit(lambda x, a, b, c: a + b * x**-c, ratio, bits[row], p0=(1.8, 0.1, 0.2),
                             bounds=([0, 0, 0.005], [3, 3, 2]))  # fmt: skip
        best = ((found[0] + found[1] * ratio ** -found[2] - bits[row]) ** 2).sum()
        assert ((fit.at(FLOPS)[row] - bits[row]) ** 2).sum() <= best * 1.01 + 1e-12


def test_rising_bits_are_given_a_flat_curve_and_no_negative_scale() -> None:
    fit = fit_power(FLOPS, np.linspace(1.8, 1.9, 7)[None])
    assert fit.scale[0] >= 0 and fit.floor[0] >= 0
    assert fit.at(FLOPS)[0] == pytest.approx(np.full(7, 1.85), abs=1e-6)


def test_a_draw_below_zero_is_no_nan() -> None:
    assert np.isfinite(fit_line(FLOPS, np.full((1, 7), -0.1)).exponent).all()


def test_few_points_carry_no_floor() -> None:
    assert [best_fit(n) for n in (2, 5, 6, 9)] == ["line", "line", "power law", "power law"]
    assert set(map(best_fit, range(2, 9))) == set(FITS)
    with pytest.raises(ValueError, match="1 points"):
        best_fit(1)
