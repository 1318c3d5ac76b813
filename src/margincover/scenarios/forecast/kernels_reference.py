"""Plain twin of the compiled kernel: slow, readable, and equal to it (a test ties them)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.volatility import MAX_STEP_SIGMA


def bar_extremes(
    bars: NDArray[np.float64],
    index: NDArray[np.int32],
    stretch: NDArray[np.float64],
    season: Vector,
    garch: Vector,
    limit: float,
) -> NDArray[np.float64]:
    """Return the distances [side, path]; see ``kernels.bar_extremes``."""
    omega, alpha, gamma, beta, start = garch
    h = np.full(index.shape[1], start)
    price = np.zeros(index.shape[1])
    worst = np.zeros((2, index.shape[1]))
    for t, drawn in enumerate(index):
        sigma = np.sqrt(h) * season[t]
        close, low, high = bars[drawn].T
        down, up = stretch[t]
        move = np.clip(sigma * close * np.where(close < 0, down, up), -limit, limit)
        worst[0] = np.maximum(worst[0], -(price + np.maximum(sigma * low * down, -limit)))
        worst[1] = np.maximum(worst[1], price + np.minimum(sigma * high * up, limit))
        price = price + move - sigma**2 / 2
        e = move / season[t]
        h = np.minimum(omega + (alpha + gamma * (e < 0)) * e**2 + beta * h, MAX_STEP_SIGMA**2)
    return worst
