"""Compiled extremes of simulated paths of one coin; each has a plain twin in ``kernels_reference``."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.volatility import MAX_STEP_SIGMA

_MAX_VARIANCE = MAX_STEP_SIGMA**2


@njit(nogil=True, cache=True)
def bar_extremes(
    bars: NDArray[np.float64],
    index: NDArray[np.int32],
    stretch: NDArray[np.float64],
    season: Vector,
    garch: Vector,
    limit: float,
) -> NDArray[np.float64]:
    """Return the distances [side, path] in logs to the lowest and the highest price of drawn standardised bars.

    Parameters
    ----------
    bars : array [bar, 3]
        Close, low, high over the close before, in units of sigma.
    index : array [step, path]
        Bar drawn.
    stretch : array [step, side, path]
        Factor >= 0 on the low (and a falling close) and on the high (and a rising close): 1, but for bars in a tail.
    season : array [step]
        Factor on sigma.
    garch : array [5]
        omega, alpha, gamma, beta and the variance of the first step.
    limit : float
        Largest absolute log move of a step.
    """
    n_steps, n_paths = index.shape
    omega, alpha, gamma, beta = garch[0], garch[1], garch[2], garch[3]
    h = np.full(n_paths, garch[4])
    price = np.zeros(n_paths)
    worst = np.zeros((2, n_paths))
    for t in range(n_steps):
        hour = season[t]
        for p in range(n_paths):
            i = index[t, p]
            root = math.sqrt(h[p])
            sigma = root * hour
            z = bars[i, 0] * (stretch[t, 0, p] if bars[i, 0] < 0.0 else stretch[t, 1, p])
            move = min(max(sigma * z, -limit), limit)
            low = max(sigma * bars[i, 1] * stretch[t, 0, p], -limit)
            high = min(sigma * bars[i, 2] * stretch[t, 1, p], limit)
            worst[0, p] = max(worst[0, p], -(price[p] + low))
            worst[1, p] = max(worst[1, p], price[p] + high)
            # the price has no drift: the log loses half its variance
            price[p] += move - 0.5 * sigma * sigma
            e = move / hour
            weight = alpha + gamma if e < 0.0 else alpha
            h[p] = min(omega + weight * e * e + beta * h[p], _MAX_VARIANCE)
    return worst
