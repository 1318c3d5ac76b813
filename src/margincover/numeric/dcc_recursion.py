"""Compiled recursions of the corrected dynamic conditional correlation; plain twins in ``dcc_recursion_reference``.

Q' = (1 - a - b) S + a P e e' P + b Q with P = diag(Q)^(1/2), and R = P^-1 Q P^-1 the correlation of e. All kernels
release the interpreter lock.

References
----------
Aielli (2013), Dynamic conditional correlation: on properties and estimation, Journal of Business and Economic
Statistics 31:282-299, doi:10.1080/07350015.2013.771027.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath, Vector
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.volatility import MAX_STEP_SIGMA

_MAX_VARIANCE = MAX_STEP_SIGMA**2
# Two coins that are one: the smallest part of a variance that is left to the second.
_MIN_PIVOT = 1e-10


@njit(nogil=True, cache=True)
def cdcc_target(z: FactorFactor, a: float, b: float) -> FactorFactor:
    """Return S [factor, factor], unit diagonal, from standardised moves z [bar, factor] for given a and b.

    The mean of P e e' P, whose expectation is S; P needs only the diagonals, which do not depend on S. A row with a NaN
    is a missing bar.
    """
    n, d = z.shape
    q = np.ones(d)
    total = np.zeros((d, d))
    for t in range(n):
        if math.isnan(z[t].sum()):
            for i in range(d):
                q[i] = (1.0 - a - b) + (a + b) * q[i]
            continue
        for i in range(d):
            for j in range(i + 1):
                total[i, j] += math.sqrt(q[i] * q[j]) * z[t, i] * z[t, j]
        for i in range(d):
            q[i] = (1.0 - a - b) + (a * z[t, i] * z[t, i] + b) * q[i]
    target = np.eye(d)
    for i in range(d):
        for j in range(i):
            target[i, j] = total[i, j] / math.sqrt(total[i, i] * total[j, j])
            target[j, i] = target[i, j]
    return target


@njit(nogil=True, cache=True)
def _root(q: FactorFactor, root: FactorFactor) -> None:
    """Write the lower triangular root of the correlation of q into ``root``."""
    d = q.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total = q[i, j]
            for k in range(j):
                total -= root[i, k] * root[j, k]
            if i == j:
                root[i, i] = math.sqrt(max(total, _MIN_PIVOT * q[i, i]))
            else:
                root[i, j] = total / root[j, j]
    for i in range(d):
        scale = 1.0 / math.sqrt(q[i, i])
        for j in range(i + 1):
            root[i, j] *= scale


@njit(nogil=True, cache=True)
def _advance(q: FactorFactor, e: Vector, target: FactorFactor, a: float, b: float, size: Vector) -> None:
    """Move q one step on with the news e; ``size`` is room for one number per factor."""
    d = e.size
    for i in range(d):
        size[i] = math.sqrt(q[i, i]) * e[i]
    for i in range(d):
        for j in range(i + 1):
            q[i, j] = (1.0 - a - b) * target[i, j] + a * size[i] * size[j] + b * q[i, j]
            q[j, i] = q[i, j]


@njit(nogil=True, cache=True)
def cdcc_filter(z: FactorFactor, target: FactorFactor, a: float, b: float) -> tuple[FactorFactor, Vector, FactorFactor]:
    """Return whitened moves [bar, factor], cost [bar] and the matrix Q after the last bar.

    Parameters
    ----------
    z : array [bar, factor]
        Standardised moves; a row with a NaN is a missing bar, enters by its expectation and costs nothing.
    target : array [factor, factor]
        S, where Q starts.

    Notes
    -----
    Whitened: R^(-1/2) z with the triangular root of R. Cost: log det R + z' R^-1 z, minus twice the Gaussian log
    likelihood of the dependence up to terms that R does not enter.
    """
    n, d = z.shape
    q = target.copy()
    root = np.zeros((d, d))
    size = np.empty(d)
    white = np.empty((n, d))
    cost = np.zeros(n)
    for t in range(n):
        if math.isnan(z[t].sum()):
            white[t] = math.nan
            for i in range(d):
                for j in range(d):
                    q[i, j] = (1.0 - a - b) * target[i, j] + (a + b) * q[i, j]
            continue
        _root(q, root)
        for i in range(d):
            total = z[t, i]
            for j in range(i):
                total -= root[i, j] * white[t, j]
            white[t, i] = total / root[i, i]
            cost[t] += white[t, i] * white[t, i] + 2.0 * math.log(root[i, i])
        _advance(q, z[t], target, a, b, size)
    return white, cost, q


@njit(nogil=True, cache=True)
def cdcc_bar_paths(
    white: FactorFactor,
    inside: NDArray[np.float64],
    index: NDArray[np.int32],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    start: FactorFactor,
    target: FactorFactor,
    news: Vector,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance [step, factor, path].

    Parameters
    ----------
    white : array [bar, factor]
        Whitened closes of the pool: mean 0, variance 1, no correlation.
    inside : array [bar, factor, 3]
        How far the low went below both ends of the bar, how far the high above, and range variance, in sigmas.
    index : array [step, path]
        Bar drawn for each step, the same for all factors.
    season : array [step, factor]
    garch : array [factor, 6]
        Omega, alpha, gamma, beta, variance of the first step, largest absolute log move.
    convexity : array [factor, node]
    start, target : array [factor, factor]
        Q of the first step, and S.
    news : array [2]
        a and b.
    """
    n_steps, n_paths = index.shape
    d = white.shape[1]
    a, b = news[0], news[1]
    close = np.empty((n_steps, d, n_paths))
    low = np.empty_like(close)
    high = np.empty_like(close)
    variance = np.empty_like(close)
    last_node = convexity.shape[1] - 1
    q = np.empty((d, d))
    root = np.zeros((d, d))
    size = np.empty(d)
    e = np.empty(d)
    h = np.empty(d)
    x = np.empty(d)
    for p in range(n_paths):
        q[:, :] = start
        h[:] = garch[:, 4]
        x[:] = 0.0
        for t in range(n_steps):
            i = index[t, p]
            _root(q, root)
            for f in range(d):
                z = 0.0
                for j in range(f + 1):
                    z += root[f, j] * white[i, j]
                limit = garch[f, 5]
                sigma = math.sqrt(h[f]) * season[t, f]
                node = sigma / CONVEXITY_SPACING
                k = min(int(node), last_node - 1)
                part = min(node - k, 1.0)
                drift = -(convexity[f, k] + part * (convexity[f, k + 1] - convexity[f, k])) * sigma * sigma
                move = min(max(sigma * z, -limit), limit)
                y = x[f] + move + drift
                down = max(min(move, 0.0) - sigma * inside[i, f, 0], -limit)
                up = min(max(move, 0.0) + sigma * inside[i, f, 1], limit)
                close[t, f, p] = y
                low[t, f, p] = min(x[f] + down + drift, x[f], y)
                high[t, f, p] = max(x[f] + up + drift, x[f], y)
                variance[t, f, p] = sigma * sigma * inside[i, f, 2]
                residual = move / season[t, f]
                weight = garch[f, 1] + garch[f, 2] if residual < 0.0 else garch[f, 1]
                h[f] = min(garch[f, 0] + weight * residual * residual + garch[f, 3] * h[f], _MAX_VARIANCE)
                e[f] = move / sigma
                x[f] = y
            _advance(q, e, target, a, b, size)
    return close, low, high, variance
