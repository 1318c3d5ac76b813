"""Compiled paths of a t copula on fitted margins; the plain twin stands in ``copula_paths_reference``.

The kernel releases the interpreter lock, so that blocks of paths may be made from several threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath, Vector
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.volatility import MAX_STEP_SIGMA

# Grid of the table of tail probabilities over asinh |x|: linear in between, relative error below 1e-5 for nu <= 100
# where the probability is above 1e-12.
TAIL_SPACING = 0.001
TAIL_NODES = 24_001
_MAX_VARIANCE = MAX_STEP_SIGMA**2


def log_tail_table(nu: float) -> Vector:
    """Return log P(T_nu < -|x|) [node] on the grid asinh |x| = 0, 0.001 ... 24, for ``copula_bar_paths``."""
    from scipy.special import stdtr

    probability = stdtr(nu, -np.sinh(np.arange(TAIL_NODES) * TAIL_SPACING))
    # below the smallest float nothing is drawn; the log must stay finite
    return np.asarray(np.log(np.maximum(probability, 1e-300)), dtype=np.float64)


@njit(nogil=True, cache=True)
def tail_probability(x: float, table: Vector) -> float:
    """Return P(T < -|x|) from the table of its logs over asinh |x|."""
    node = math.asinh(abs(x)) / TAIL_SPACING
    k = min(int(node), table.size - 2)
    part = min(node - k, 1.0)
    return math.exp(table[k] + part * (table[k + 1] - table[k]))


@njit(nogil=True, cache=True)
def copula_bar_paths(
    normals: StepFactorPath,
    scale: FactorPath,
    root: FactorFactor,
    table: Vector,
    bars: NDArray[np.float64],
    tails: NDArray[np.float64],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance [step, factor, path].

    Parameters
    ----------
    normals : array [step, factor, path]
        Independent standard normals.
    scale : array [step, path]
        sqrt(nu / W), the mixing variable that all factors of a step share.
    root : array [factor, factor]
        Lower triangular root of the correlation of the copula.
    table : array [node]
        ``log_tail_table`` of the copula's nu.
    bars : array [factor, rank, 4]
        Bars in order of their close: close, how far the low went below both ends of the bar, how far the high above,
        and range variance; in units of the conditional sigma.
    tails : array [factor, 2, 4]
        Share, threshold, shape and scale of the lower and the upper Pareto tail; a share of 0 is no tail.
    season : array [step, factor]
    garch : array [factor, 6]
        Omega, alpha, gamma, beta, variance of the first step, largest absolute log move.
    convexity : array [factor, node]
        c(sigma) / sigma^2 on the grid ``recursions.CONVEXITY_SPACING``.
    """
    n_steps, n_factors, n_paths = normals.shape
    n_ranks = bars.shape[1]
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
                draw = 0.0
                for j in range(f + 1):
                    draw += root[f, j] * normals[t, j, p]
                draw *= scale[t, p]
                tail = tail_probability(draw, table)
                from_edge = min(int(tail * n_ranks), n_ranks - 1)
                rank = from_edge if draw < 0.0 else n_ranks - 1 - from_edge
                side = 0 if draw < 0.0 else 1
                z = bars[f, rank, 0]
                stretch = 1.0
                if tail < tails[f, side, 0]:
                    growth = math.log(tails[f, side, 0] / tail)
                    shape = tails[f, side, 2]
                    if abs(shape) >= 1e-9:
                        growth = math.expm1(shape * growth) / shape
                    size = tails[f, side, 1] + tails[f, side, 3] * growth
                    stretch = size / abs(z)
                    z = -size if side == 0 else size
                sigma = math.sqrt(h[p]) * season[t, f]
                node = sigma / CONVEXITY_SPACING
                k = min(int(node), last_node - 1)
                part = min(node - k, 1.0)
                drift = -(convexity[f, k] + part * (convexity[f, k + 1] - convexity[f, k])) * sigma * sigma
                x = close[t - 1, f, p] if t > 0 else 0.0
                move = min(max(sigma * z, -limit), limit)
                y = x + move + drift
                inside = sigma * stretch
                down = max(min(move, 0.0) - inside * bars[f, rank, 1], -limit)
                up = min(max(move, 0.0) + inside * bars[f, rank, 2], limit)
                close[t, f, p] = y
                low[t, f, p] = min(x + down + drift, x, y)
                high[t, f, p] = max(x + up + drift, x, y)
                variance[t, f, p] = inside * inside * bars[f, rank, 3]
                e = move / season[t, f]
                weight = alpha + gamma if e < 0.0 else alpha
                h[p] = min(omega + weight * e * e + beta * h[p], _MAX_VARIANCE)
    return close, low, high, variance
