"""Generalised Pareto tails: fit to excesses, quantile and Expected Shortfall beyond a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

MIN_EXCEEDANCES = 50
_NO_FIT = 1e10
# Bounds on the shape: below, the tail ends too soon after the sample; above, the mean of the tail is mostly guesswork.
SHAPE_BOUNDS = (-0.2, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoTail:
    """P(X > threshold + y) = share (1 + shape y / scale)^(-1 / shape); ``share`` is P(X > threshold).

    ``fitted_shape`` is the shape before any bound; None where the tail was stated and not fitted.
    """

    threshold: float
    shape: float
    scale: float
    share: float
    shape_was_bounded: bool = False
    fitted_shape: float | None = None

    def quantile(self, tail: float) -> float:
        """Return the level exceeded with probability ``tail`` <= share."""
        if not 0.0 < tail <= self.share:
            raise InputError(f"was {tail}", field="tail", allowed=f"above 0, at most {self.share}")
        growth = math.log(self.share / tail)
        step = growth if abs(self.shape) < 1e-9 else math.expm1(self.shape * growth) / self.shape
        return self.threshold + self.scale * step

    def expected_shortfall(self, tail: float) -> float:
        """Return the mean above ``quantile(tail)``; raise InputError where it is infinite (shape >= 1).

        References
        ----------
        McNeil, Frey (2000), Journal of Empirical Finance 7:271-300, doi:10.1016/S0927-5398(00)00012-8.
        """
        if self.shape >= 1.0:
            raise InputError(
                f"was {self.shape:.4g}: Expected Shortfall is infinite",
                field="shape",
                allowed="below 1; use the quantile, or bound the shape",
            )
        return (self.quantile(tail) + self.scale - self.shape * self.threshold) / (1.0 - self.shape)


def fit_pareto_tail(
    values: Vector,
    *,
    share: float,
    bounds: tuple[float, float] | None = SHAPE_BOUNDS,
    min_exceedances: int = MIN_EXCEEDANCES,
) -> ParetoTail:
    """Return the tail above the (1 - share)-quantile of ``values`` by maximum likelihood.

    Parameters
    ----------
    values : array [sample]
    share : float
        Part of the sample that is tail.
    bounds : pair of float or None
        Bounds on the shape; at a bound the scale is fitted anew and ``shape_was_bounded`` says so.
    min_exceedances : int

    Notes
    -----
    The likelihood is profiled over theta = shape / scale: shape = mean ln(1 + theta y).

    Raises
    ------
    InputError
        If fewer than ``min_exceedances`` values lie above the threshold.

    References
    ----------
    Grimshaw (1993), Computing maximum likelihood estimates for the generalized Pareto distribution, Technometrics
    35:185-191.
    """
    threshold = float(np.quantile(values, 1.0 - share))
    excess = values[values > threshold] - threshold
    if excess.size < min_exceedances:
        raise InputError(
            f"{excess.size} values above {threshold:.4g}", field="values", allowed=f"at least {min_exceedances}"
        )
    fitted, scale = fit_excesses(excess)
    shape = fitted
    bounded = bounds is not None and not bounds[0] <= shape <= bounds[1]
    if bounds is not None and bounded:
        shape = min(max(shape, bounds[0]), bounds[1])
        scale = _scale_at(excess, shape)
    return ParetoTail(
        threshold=threshold,
        shape=shape,
        scale=scale,
        share=excess.size / values.size,
        shape_was_bounded=bounded,
        fitted_shape=fitted,
    )


def fit_excesses(excess: Vector) -> tuple[float, float]:
    """Return (shape, scale) of positive excesses by maximum likelihood, shape > -0.5."""
    from scipy.optimize import minimize_scalar

    mean, largest = float(excess.mean()), float(excess.max())
    if not (mean > 0.0 and float(excess.min()) > 0.0 and np.isfinite(largest)):
        raise InputError("held figures that are not positive", field="excess", allowed="finite figures > 0")
    y = excess / mean

    def shape_of(theta: float) -> float:
        return float(np.log1p(theta * y).mean())

    def cost(theta: float) -> float:
        if abs(theta) < 1e-6:
            return 1.0  # the exponential limit: ln(mean) + 1, mean 1
        shape = shape_of(theta)
        # below -0.5 the likelihood has no regular maximum; a large number and not infinity, which the search subtracts
        return math.log(shape / theta) + shape + 1.0 if shape > -0.5 and shape / theta > 0.0 else _NO_FIT

    lowest = -(1.0 - 1e-6) * mean / largest
    grid = np.concatenate([np.linspace(lowest, -1e-3, 12), np.geomspace(1e-3, 50.0, 24)])
    costs = np.array([cost(float(theta)) for theta in grid])
    k = int(np.argmin(costs))
    ends = (float(grid[max(k - 1, 0)]), float(grid[min(k + 1, grid.size - 1)]))
    found = minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-7})
    theta = float(found.x) if found.fun < costs[k] else float(grid[k])
    if abs(theta) < 1e-6:
        return 0.0, mean
    shape = shape_of(theta)
    return shape, shape / theta * mean


def _scale_at(excess: Vector, shape: float) -> float:
    """Maximum-likelihood scale for a given shape."""
    from scipy.optimize import minimize_scalar

    mean, largest = float(excess.mean()), float(excess.max())
    lowest = max(1e-3 * mean, -shape * largest * (1.0 + 1e-9))

    def cost(scale: float) -> float:
        return math.log(scale) + (1.0 / shape + 1.0) * float(np.log1p(shape * excess / scale).mean())

    return float(minimize_scalar(cost, bounds=(lowest, max(10.0 * mean, 2.0 * lowest)), method="bounded").x)
