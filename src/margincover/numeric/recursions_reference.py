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


def pareto_size(exceeded: Vector, tail: Vector) -> Vector:
    """Return sizes of a generalised Pareto tail; see ``recursions.pareto_size``."""
    threshold, scale, shape = tail
    growth = -np.log(exceeded)
    return np.asarray(threshold + scale * (growth if abs(shape) < 1e-9 else np.expm1(shape * growth) / shape))


def spliced_bars(
    rows: NDArray[np.float32], cells: FactorPath, tails: FactorPath, uniform: Vector
) -> tuple[Vector, Vector, Vector]:
    """Return close, low and high [draw] of bars [draw, 4], tails included; see ``recursions.gjr_bar_paths``."""
    close, low, high = (rows[:, k].astype(np.float64) for k in range(3))
    cell = rows[:, 3].astype(np.int64)
    stretch = np.ones((2, uniform.size))
    for side, size in enumerate((-low, high)):
        a, b = cells[cell, 2 * side], cells[cell, 2 * side + 1]
        stretch[side] = np.where(cell > 0, a + b * uniform, 1.0)
        exact = (cell > 0) & (a < 0.0)
        stretch[side, exact] = pareto_size(b[exact] - a[exact] * uniform[exact], tails[side]) / size[exact]
    down, up = stretch
    return close * np.where(close < 0.0, down, up), low * down, high * up


def gjr_bar_paths(
    bars: NDArray[np.float32],
    splice: tuple[NDArray[np.float64], NDArray[np.float64]],
    draws: tuple[NDArray[np.int32], FactorPath],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    shift: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance; see ``recursions.gjr_bar_paths``."""
    cells, tails = splice
    index, uniform = draws
    n_steps, n_paths = index.shape
    n_factors = bars.shape[0]
    out = np.empty((4, n_steps, n_factors, n_paths))
    grid = np.arange(convexity.shape[1]) * CONVEXITY_SPACING
    h = np.repeat(garch[:, 4:5], n_paths, axis=1)
    x = np.zeros((n_factors, n_paths))
    for t in range(n_steps):
        close, low, high = np.stack(
            [spliced_bars(bars[f, index[t]], cells[f], tails[f], uniform[t]) for f in range(n_factors)], axis=1
        )
        sigma = np.sqrt(h) * season[t][:, None]
        ratio = np.array([np.interp(sigma[f], grid, convexity[f]) for f in range(n_factors)])
        drift = -ratio * sigma**2 - shift[t][:, None] * sigma
        limit = garch[:, 5:6]
        move = np.clip(sigma * close, -limit, limit)
        down, up = np.maximum(sigma * low, -limit), np.minimum(sigma * high, limit)
        y = x + move + drift
        out[0, t] = y
        out[1, t] = np.minimum(x + down + drift, np.minimum(x, y))
        out[2, t] = np.maximum(x + up + drift, np.maximum(x, y))
        out[3, t] = garch[:, 6:7] * (up - down) ** 2
        h = next_variance(h, move / season[t][:, None], garch)
        x = y
    return out[0], out[1], out[2], out[3]
