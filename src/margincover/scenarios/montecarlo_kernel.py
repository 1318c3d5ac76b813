"""The Monte Carlo kernel: correlated normals to closes, lows, highs and variances, a few steps at a time.

One pass over the draws in place of one pass per formula: a slab of steps stays in the cache of the processor. Its plain
twin is ``scenarios.request.correlate`` with ``gjr_mixture_paths`` and ``bridge_extremes`` of
``numeric.recursions_reference``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath
from margincover.numeric.volatility import MAX_STEP_SIGMA

_MAX_VARIANCE = MAX_STEP_SIGMA**2


@njit(nogil=True, cache=True)
def fill_steps(
    normals: StepFactorPath,
    draw_low: StepFactorPath,
    draw_high: StepFactorPath,
    scale_squared: FactorPath,
    root: FactorFactor,
    garch: FactorFactor,
    place: NDArray[np.int64],
    multiple: FactorPath,
    state: StepFactorPath,
    out: NDArray[np.float64],
) -> None:
    """Fill ``out`` [4, step, factor, path] with close, low, high (logs) and step variance.

    Parameters
    ----------
    normals, draw_low, draw_high : array [step, base, path]
        Independent standard normals and standard exponentials of the simulated coins.
    scale_squared : array [step, path]
        Mixing variable with mean 1, shared by all coins.
    root : array [base, base]
        Root of the correlation.
    garch : array [base, 5]
        omega, alpha, gamma, beta and the variance of the first step.
    place : array [factor]
        Coin that each factor follows.
    multiple : array [1, factor]
        Multiple of the moves of that coin, > 0.
    state : array [2, max(base, factor), path]
        Conditional variance of each coin and last close of each factor; carried from call to call.
    """
    n_steps, n_bases, n_paths = normals.shape
    variance = np.empty((n_bases, n_paths))
    shock = np.empty((n_bases, n_paths))
    for t in range(n_steps):
        for b in range(n_bases):
            shock[b, :] = 0.0
            for j in range(n_bases):
                weight = root[b, j]
                if weight != 0.0:
                    for p in range(n_paths):
                        shock[b, p] += weight * normals[t, j, p]
            omega, alpha, gamma, beta = garch[b, 0], garch[b, 1], garch[b, 2], garch[b, 3]
            for p in range(n_paths):
                h = state[0, b, p]
                v = min(h * scale_squared[t, p], _MAX_VARIANCE)
                e = math.sqrt(v) * shock[b, p]
                variance[b, p] = v
                shock[b, p] = e
                weight = alpha + gamma if e < 0.0 else alpha
                state[0, b, p] = min(omega + weight * e * e + beta * h, _MAX_VARIANCE)
        for f in range(place.size):
            b, m = place[f], multiple[0, f]
            for p in range(n_paths):
                v = variance[b, p] * m**2
                x = state[1, f, p]
                y = x + (shock[b, p] * m - 0.5 * v)
                square = (y - x) * (y - x)
                down = 0.5 * (x + y - math.sqrt(square + 2.0 * v * draw_low[t, b, p]))
                up = 0.5 * (x + y + math.sqrt(square + 2.0 * v * draw_high[t, b, p]))
                state[1, f, p] = y
                out[0, t, f, p] = y
                # min and max: rounding must not put the low a bit above an end of its step
                out[1, t, f, p] = min(down, x, y)
                out[2, t, f, p] = max(up, x, y)
                out[3, t, f, p] = v
