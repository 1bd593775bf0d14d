"""Curves of bits against operations: a power law with a floor, or one without where the points do not carry it.

L(C) = floor + scale (C / origin)^-exponent, where origin is the geometric mean of the operations fitted to, so that
scale is what is above the floor there. Three unknowns want two points each: four points over two decades, all that a
CPU could pay for, left the floor anywhere from 0 to 1.9 bits. With fewer the floor is 0, and the curve is a line of
log L against log C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_POINTS_WITH_FLOOR: Final = 6
LEAST_BITS: Final = 1e-3  # where a draw with the spread of very few seeds falls below 0
# The exponents that are tried; what is linear is solved for each of them.
EXPONENTS: Final = np.geomspace(0.005, 2.0, 400)


@dataclass(frozen=True)
class Fit:
    """Curves fitted to D rows of values of the same operations; every parameter is (D,)."""

    origin: float
    floor: Floats
    scale: Floats
    exponent: Floats

    def at(self, flops: Floats) -> Floats:
        """Return the values at operations (N,), (D, N)."""
        ratio_N = np.asarray(flops, dtype=np.float64) / self.origin
        above: Floats = self.scale[:, None] * ratio_N[None, :] ** -self.exponent[:, None]
        return self.floor[:, None] + above


def fit_line(flops_N: Floats, bits_DN: Floats) -> Fit:
    """Fit log L = log scale - exponent log C by least squares."""
    origin, x_N = _centred(flops_N)
    y_DN = np.log(np.maximum(bits_DN, LEAST_BITS))
    slope_D = (y_DN - y_DN.mean(1, keepdims=True)) @ x_N / (x_N @ x_N)
    return Fit(origin, np.zeros(len(bits_DN)), np.exp(y_DN.mean(1)), -slope_D)


def fit_power(flops_N: Floats, bits_DN: Floats) -> Fit:
    """Fit floor + scale (C / origin)^-exponent by least squares with floor and scale at least 0.

    The exponent is searched on a grid; for each the other two are the solution of a line.
    """
    origin, x_N = _centred(flops_N)
    base_EN = np.exp(-EXPONENTS[:, None] * x_N)
    centred_EN = base_EN - base_EN.mean(1, keepdims=True)
    scale_DE = (bits_DN - bits_DN.mean(1, keepdims=True)) @ centred_EN.T / (centred_EN**2).sum(1)
    scale_DE = np.maximum(scale_DE, 0.0)
    floor_DE = bits_DN.mean(1, keepdims=True) - scale_DE * base_EN.mean(1)
    through_DE = bits_DN @ base_EN.T / (base_EN**2).sum(1)  # the best without a floor
    scale_DE = np.where(floor_DE < 0, through_DE, scale_DE)
    floor_DE = np.maximum(floor_DE, 0.0)
    error_DEN = floor_DE[..., None] + scale_DE[..., None] * base_EN - bits_DN[:, None, :]
    best_D = (error_DEN**2).sum(-1).argmin(1)
    rows = np.arange(len(bits_DN))
    return Fit(origin, floor_DE[rows, best_D], scale_DE[rows, best_D], EXPONENTS[best_D])


FITS: Final[Mapping[str, Callable[[Floats, Floats], Fit]]] = {"line": fit_line, "power law": fit_power}


def best_fit(num_points: int) -> str:
    """Return which of `FITS` so many points carry. Raises ValueError below two."""
    if num_points < 2:
        raise ValueError(f"{num_points} points are no curve")
    return "power law" if num_points >= MIN_POINTS_WITH_FLOOR else "line"


def _centred(flops_N: Floats) -> tuple[float, Floats]:
    """Return the geometric mean of the operations, and the natural logarithms of their ratios to it."""
    log_N = np.log(np.asarray(flops_N, dtype=np.float64))
    mean = float(log_N.mean())
    centred: Floats = log_N - mean
    return float(np.exp(mean)), centred
