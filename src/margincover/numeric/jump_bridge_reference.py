"""Plain twin of ``numeric.jump_bridge``, one path at a time: slow, and easy to compare with the formulas."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorPath, StepFactorPath, Vector


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
    """Return close, low and high [step, factor, path]; arguments as in ``numeric.jump_bridge``."""
    n_steps, n_factors, n_paths = increment.shape
    close, low, high = (np.empty_like(increment) for _ in range(3))
    for p in range(n_paths):
        for f in range(n_factors):
            start = 0.0
            for t in range(n_steps):
                cell = t * n_paths + p
                events = [e for e in range(first[cell], first[cell + 1]) if hits[f, e]]
                nodes = _diffusion_nodes(events, time, increment[t, f, p], variance[f], bridge[f])
                jumped = np.concatenate(([0.0], np.cumsum([size[f, e] for e in events])))
                lows, highs = [], []
                for k in range(len(nodes) - 1):
                    left, right = (start + jumped[k] + nodes[i][1] for i in (k, k + 1))
                    own = variance[f] * (nodes[k + 1][0] - nodes[k][0])
                    last = k == len(events)
                    draws = (draw_low[t, f, p], draw_high[t, f, p]) if last else extremes[:, f, events[k]]
                    gap = right - left
                    lows += [left, right, 0.5 * (left + right - math.sqrt(gap**2 + 2.0 * own * draws[0]))]
                    highs += [left, right, 0.5 * (left + right + math.sqrt(gap**2 + 2.0 * own * draws[1]))]
                start = start + jumped[-1] + increment[t, f, p]
                close[t, f, p], low[t, f, p], high[t, f, p] = start, min(*lows, start), max(*highs, start)
    return close, low, high


def _diffusion_nodes(
    events: list[int], time: Vector, total: float, variance: float, normal: Vector
) -> list[tuple[float, float]]:
    """Return times and values of the diffusion at the start, each event and the end: a bridge from 0 to ``total``."""
    nodes = [(0.0, 0.0)]
    for e in events:
        (before, value), u = nodes[-1], time[e]
        left = 1.0 - before
        mean = value + (u - before) / left * (total - value)
        spread = math.sqrt(variance * (u - before) * (1.0 - u) / left)
        nodes.append((u, mean + spread * normal[e]))
    return [*nodes, (1.0, total)]
