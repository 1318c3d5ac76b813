"""Compiled recursions over steps; every kernel has a plain twin of the same name in ``recursions_reference``.

All release the interpreter lock, so that blocks of paths may be made from several threads.
Parameter tables: ``garch`` [factor, 5] holds omega, alpha, gamma, beta and the variance of the first step; where bars
are drawn a sixth column holds the largest absolute log move that a step may make.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorPath, StepFactorPath, Vector
from margincover.numeric.volatility import MAX_STEP_SIGMA

# Spacing of the table of convexity corrections over sigma; see scenarios.filtered.
CONVEXITY_SPACING = 0.001
CONVEXITY_NODES = round(MAX_STEP_SIGMA / CONVEXITY_SPACING) + 1
_MAX_VARIANCE = MAX_STEP_SIGMA**2


@njit(nogil=True, cache=True)
def gjr_filter(residuals: Vector, parameters: Vector, start_variance: float) -> Vector:
    """Return conditional variances [bar + 1] of a residual series; the last is the forecast after it.

    ``parameters`` is [omega, alpha, gamma, beta]. A missing residual (NaN) enters by its expectation.
    """
    omega, alpha, gamma, beta = parameters
    n = residuals.size
    variance = np.empty(n + 1)
    variance[0] = start_variance
    for i in range(n):
        e = residuals[i]
        h = variance[i]
        if math.isnan(e):
            variance[i + 1] = omega + (alpha + 0.5 * gamma + beta) * h
        else:
            weight = alpha + gamma if e < 0.0 else alpha
            variance[i + 1] = omega + weight * e * e + beta * h
    return variance


@njit(nogil=True, cache=True)
def bridge_extremes(
    close_log: StepFactorPath, step_variance: StepFactorPath, draw_low: StepFactorPath, draw_high: StepFactorPath
) -> tuple[StepFactorPath, StepFactorPath]:
    """Return the lowest and highest value inside each step of a Brownian bridge between the closes.

    ``draw_low`` and ``draw_high`` are independent standard exponentials. The first step starts at 0.
    """
    n_steps, n_factors, n_paths = close_log.shape
    low = np.empty_like(close_log)
    high = np.empty_like(close_log)
    for t in range(n_steps):
        for f in range(n_factors):
            for p in range(n_paths):
                x = close_log[t - 1, f, p] if t > 0 else 0.0
                y = close_log[t, f, p]
                v = step_variance[t, f, p]
                square = (y - x) * (y - x)
                down = 0.5 * (x + y - math.sqrt(square + 2.0 * v * draw_low[t, f, p]))
                up = 0.5 * (x + y + math.sqrt(square + 2.0 * v * draw_high[t, f, p]))
                # min and max: rounding must not put the low a bit above an end of its step
                low[t, f, p] = min(down, x, y)
                high[t, f, p] = max(up, x, y)
    return low, high


@njit(nogil=True, cache=True)
def gjr_mixture_paths(
    normals: StepFactorPath, scale_squared: FactorPath, garch: FactorPath
) -> tuple[StepFactorPath, StepFactorPath]:
    """Return shocks and their variances [step, factor, path] of GJR-GARCH with scale-mixed normal innovations.

    ``scale_squared`` [step, path] multiplies the conditional variance: shock = sqrt(h s^2) n, h from the recursion.
    """
    n_steps, n_factors, n_paths = normals.shape
    shock = np.empty_like(normals)
    variance = np.empty_like(normals)
    h = np.empty((n_factors, n_paths))
    for f in range(n_factors):
        h[f, :] = garch[f, 4]
    for t in range(n_steps):
        for f in range(n_factors):
            omega, alpha, gamma, beta = garch[f, 0], garch[f, 1], garch[f, 2], garch[f, 3]
            for p in range(n_paths):
                v = min(h[f, p] * scale_squared[t, p], _MAX_VARIANCE)
                e = math.sqrt(v) * normals[t, f, p]
                shock[t, f, p] = e
                variance[t, f, p] = v
                weight = alpha + gamma if e < 0.0 else alpha
                h[f, p] = min(omega + weight * e * e + beta * h[f, p], _MAX_VARIANCE)
    return shock, variance


@njit(nogil=True, cache=True)
def gjr_bar_paths(
    bars: NDArray[np.float64],
    index: NDArray[np.int64],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    shift: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance [step, factor, path] of drawn standardised bars.

    Parameters
    ----------
    bars : array [factor, bar, 4]
        Close, low, high over the previous close and range variance, all in units of the conditional sigma.
    index : array [step, path]
        Bar drawn for each step, the same for all factors.
    season : array [step, factor]
        Factor on sigma for the hour of the step.
    garch : array [factor, 6]
    convexity : array [factor, node]
        c(sigma) / sigma^2 on the grid ``CONVEXITY_SPACING``, with E exp(clip(sigma z) - c) = 1.
    shift : array [step, factor]
        Mean of the drawn close at this step's place in its block, weighted by sigma, to be taken out.
    """
    n_steps, n_paths = index.shape
    n_factors = bars.shape[0]
    close = np.empty((n_steps, n_factors, n_paths))
    low = np.empty_like(close)
    high = np.empty_like(close)
    variance = np.empty_like(close)
    last_node = convexity.shape[1] - 1
    for f in range(n_factors):
        omega, alpha, gamma, beta = garch[f, 0], garch[f, 1], garch[f, 2], garch[f, 3]
        h = np.full(n_paths, garch[f, 4])
        limit = garch[f, 5]
        for t in range(n_steps):
            for p in range(n_paths):
                i = index[t, p]
                root = math.sqrt(h[p])
                sigma = root * season[t, f]
                node = sigma / CONVEXITY_SPACING
                k = min(int(node), last_node - 1)
                part = min(node - k, 1.0)
                ratio = convexity[f, k] + part * (convexity[f, k + 1] - convexity[f, k])
                drift = -ratio * sigma * sigma - shift[t, f] * sigma
                x = close[t - 1, f, p] if t > 0 else 0.0
                move = min(max(sigma * bars[f, i, 0], -limit), limit)
                y = x + move + drift
                close[t, f, p] = y
                low[t, f, p] = min(x + max(sigma * bars[f, i, 1], -limit) + drift, x, y)
                high[t, f, p] = max(x + min(sigma * bars[f, i, 2], limit) + drift, x, y)
                variance[t, f, p] = sigma * sigma * bars[f, i, 3]
                e = move / season[t, f]
                weight = alpha + gamma if e < 0.0 else alpha
                h[p] = min(omega + weight * e * e + beta * h[p], _MAX_VARIANCE)
    return close, low, high, variance
