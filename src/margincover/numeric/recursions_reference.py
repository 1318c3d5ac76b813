"""Plain twins of the compiled recursions: slow, readable, and equal to them (a test ties each pair)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorPath, StepFactorPath, Vector
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.volatility import MAX_STEP_SIGMA


def next_variance(variance: FactorPath, residual: FactorPath, garch: FactorPath) -> FactorPath:
    """Return h' = omega + (alpha + gamma 1{e < 0}) e^2 + beta h, capped, for arrays [factor, path]."""
    omega, alpha, gamma, beta = (garch[:, i : i + 1] for i in range(4))
    after = omega + (alpha + gamma * (residual < 0.0)) * residual**2 + beta * variance
    return np.asarray(np.minimum(after, MAX_STEP_SIGMA**2), dtype=np.float64)


def gjr_filter(residuals: Vector, parameters: Vector, start_variance: float) -> Vector:
    """Return conditional variances [bar + 1]; see ``recursions.gjr_filter``."""
    omega, alpha, gamma, beta = parameters
    variance = [start_variance]
    for e in residuals:
        h = variance[-1]
        if np.isnan(e):
            variance.append(omega + (alpha + gamma / 2 + beta) * h)
        else:
            variance.append(omega + (alpha + gamma * (e < 0)) * e**2 + beta * h)
    return np.array(variance)


def _step_starts(close_log: StepFactorPath) -> StepFactorPath:
    start = np.zeros_like(close_log)
    start[1:] = close_log[:-1]
    return start


def bridge_extremes(
    close_log: StepFactorPath, step_variance: StepFactorPath, draw_low: StepFactorPath, draw_high: StepFactorPath
) -> tuple[StepFactorPath, StepFactorPath]:
    """Return lowest and highest value inside each step; see ``recursions.bridge_extremes``."""
    start = _step_starts(close_log)
    square = (close_log - start) ** 2
    low = 0.5 * (start + close_log - np.sqrt(square + 2 * step_variance * draw_low))
    high = 0.5 * (start + close_log + np.sqrt(square + 2 * step_variance * draw_high))
    return np.minimum(low, np.minimum(start, close_log)), np.maximum(high, np.maximum(start, close_log))


def gjr_mixture_paths(
    normals: StepFactorPath, scale_squared: FactorPath, garch: FactorPath
) -> tuple[StepFactorPath, StepFactorPath]:
    """Return shocks and their variances; see ``recursions.gjr_mixture_paths``."""
    shock = np.empty_like(normals)
    variance = np.empty_like(normals)
    h = np.repeat(garch[:, 4:5], normals.shape[2], axis=1)
    for t, normal in enumerate(normals):
        variance[t] = np.minimum(h * scale_squared[t], MAX_STEP_SIGMA**2)
        shock[t] = np.sqrt(variance[t]) * normal
        h = next_variance(h, shock[t], garch)
    return shock, variance


def gjr_bar_paths(
    bars: NDArray[np.float64],
    index: NDArray[np.int64],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    shift: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance; see ``recursions.gjr_bar_paths``."""
    n_steps, n_paths = index.shape
    n_factors = bars.shape[0]
    out = np.empty((4, n_steps, n_factors, n_paths))
    grid = np.arange(convexity.shape[1]) * CONVEXITY_SPACING
    h = np.repeat(garch[:, 4:5], n_paths, axis=1)
    x = np.zeros((n_factors, n_paths))
    for t in range(n_steps):
        drawn = bars[:, index[t]]  # [factor, path, 4]
        sigma = np.sqrt(h) * season[t][:, None]
        ratio = np.array([np.interp(sigma[f], grid, convexity[f]) for f in range(n_factors)])
        drift = -ratio * sigma**2 - shift[t][:, None] * sigma
        limit = garch[:, 5:6]
        move = np.clip(sigma * drawn[..., 0], -limit, limit)
        y = x + move + drift
        low = np.minimum(x + np.maximum(sigma * drawn[..., 1], -limit) + drift, np.minimum(x, y))
        high = np.maximum(x + np.minimum(sigma * drawn[..., 2], limit) + drift, np.maximum(x, y))
        out[:, t] = y, low, high, sigma**2 * drawn[..., 3]
        h = next_variance(h, move / season[t][:, None], garch)
        x = y
    return out[0], out[1], out[2], out[3]
