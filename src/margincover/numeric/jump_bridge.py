"""Diffusion with jumps at their own times: exact closes and extremes of each coin inside each step, compiled.

Plain twin: ``numeric.jump_bridge_reference``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorPath, StepFactorPath, Vector


@njit(nogil=True, cache=True)
def jump_bridge(
    increment: StepFactorPath,
    variance: Vector,
    draw_low: StepFactorPath,
    draw_high: StepFactorPath,
    first: NDArray[np.int64],
    time: Vector,
    size: FactorPath,
    hits: NDArray[np.bool_],
    bridge: FactorPath,
    extremes: StepFactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low and high [step, factor, path] as logs over the start; the first step starts at 0.

    Parameters
    ----------
    increment : array [step, factor, path]
        Move of the diffusion over the whole step, drift included.
    variance : array [factor]
        Variance of the diffusion in one step.
    draw_low, draw_high : array [step, factor, path]
        Standard exponentials for the piece after the last jump of a step, or for the whole step.
    first : array [step * path + 1]
        Events of the cell (step, path) are ``first[step * n_paths + path]`` up to the next entry, in order of time.
    time : array [event]
        Share of the step that has passed, in (0, 1).
    size : array [factor, event]
        Jump of the log price.
    hits : array [factor, event]
        Whether the event is a node of the factor.
    bridge : array [factor, event]
        Standard normals that place the diffusion at the event, given both ends of the step.
    extremes : array [2, factor, event]
        Standard exponentials of the low and the high of the piece that ends at the event.
    """
    n_steps, n_factors, n_paths = increment.shape
    close = np.empty_like(increment)
    low = np.empty_like(increment)
    high = np.empty_like(increment)
    for t in range(n_steps):
        for f in range(n_factors):
            v = variance[f]
            for p in range(n_paths):
                start = close[t - 1, f, p] if t > 0 else 0.0
                total = increment[t, f, p]
                cell = t * n_paths + p
                lowest, highest = start, start
                before, value, jumped = 0.0, 0.0, 0.0
                for e in range(first[cell], first[cell + 1]):
                    if not hits[f, e]:
                        continue
                    u = time[e]
                    left = 1.0 - before
                    at = value + (u - before) / left * (total - value)
                    at += math.sqrt(v * (u - before) * (1.0 - u) / left) * bridge[f, e]
                    x, y = start + jumped + value, start + jumped + at
                    square = (y - x) * (y - x)
                    own = 2.0 * v * (u - before)
                    lowest = min(lowest, x, y, 0.5 * (x + y - math.sqrt(square + own * extremes[0, f, e])))
                    highest = max(highest, x, y, 0.5 * (x + y + math.sqrt(square + own * extremes[1, f, e])))
                    before, value, jumped = u, at, jumped + size[f, e]
                x, y = start + jumped + value, start + jumped + total
                square = (y - x) * (y - x)
                own = 2.0 * v * (1.0 - before)
                lowest = min(lowest, x, y, 0.5 * (x + y - math.sqrt(square + own * draw_low[t, f, p])))
                highest = max(highest, x, y, 0.5 * (x + y + math.sqrt(square + own * draw_high[t, f, p])))
                close[t, f, p] = y
                low[t, f, p] = lowest
                high[t, f, p] = highest
    return close, low, high
