"""Linear quantile regression with a smoothed loss and a ridge, for many rows and few columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

SMOOTHING = 0.05


def fit_quantile(
    design: NDArray[np.float64],
    outcome: Vector,
    *,
    tail: float,
    weights: Vector,
    ridge: Vector,
    start: Vector,
    smoothing: float = SMOOTHING,
) -> Vector:
    """Return coefficients b such that design @ b is exceeded by ``outcome`` with probability ``tail``.

    Parameters
    ----------
    design : array [row, column]
    outcome, weights : array [row]
    tail : float
        In (0, 1).
    ridge : array [column]
        Penalty on the square of each coefficient, in units of one row's weight.
    start : array [column]
        Where the search begins; the loss is convex, so that only rounding depends on it.
    smoothing : float
        Half width of the band around 0 in which the kink of the loss is a parabola, in units of ``outcome``.

    Raises
    ------
    InputError
        If shapes differ or a figure is not finite.

    References
    ----------
    Koenker, Bassett (1978), Regression quantiles, Econometrica 46:33-50; Fernandes, Guerre, Horta (2021), Smoothing
    quantile regressions, JBES 39:338-357, doi:10.1080/07350015.2019.1660177.
    """
    from scipy.optimize import minimize

    if not (design.shape == (outcome.size, ridge.size) and weights.size == outcome.size and start.size == ridge.size):
        raise InputError(f"shapes {design.shape}, {outcome.shape}, {ridge.shape}", field="design", allowed="matching")
    if not (np.isfinite(design).all() and np.isfinite(outcome).all() and 0.0 < tail < 1.0):
        raise InputError("held a NaN or an infinity, or tail was no probability", field="design", allowed="finite")
    total = float(weights.sum())

    def cost(b: Vector) -> tuple[float, Vector]:
        loss, slope = smoothed_loss(outcome - design @ b, tail=tail, smoothing=smoothing)
        value = (float(weights @ loss) + float(ridge @ b**2)) / total
        return value, (2.0 * ridge * b - design.T @ (weights * slope)) / total

    result = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8})
    return np.asarray(result.x, dtype=np.float64)


def smoothed_loss(error: Vector, *, tail: float, smoothing: float) -> tuple[Vector, Vector]:
    """Return the pinball loss with its kink made a parabola, and its derivative."""
    inside = np.abs(error) <= smoothing
    slope = np.where(inside, (error + smoothing) / (2.0 * smoothing) - tail, np.where(error > 0.0, 1.0 - tail, -tail))
    parabola = (error + smoothing) ** 2 / (4.0 * smoothing) - tail * error
    return np.where(inside, parabola, slope * error), slope
