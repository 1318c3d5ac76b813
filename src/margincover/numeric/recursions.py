"""Compiled recursions over steps; every kernel has a plain twin of the same name in ``recursions_reference``.

All release the interpreter lock, so that blocks of paths may be made from several threads.
Parameter tables: ``garch`` [factor, 5] holds omega, alpha, gamma, beta and the variance of the first step; where bars
are drawn a sixth column holds the largest absolute log move that a step may make, a seventh scales their ranges.
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
def _drawn_bars(
    rows: NDArray[np.float32],
    cells: FactorPath,
    tails: FactorPath,
    draws: tuple[NDArray[np.int32], Vector],
    drawn: FactorPath,
) -> None:
    """Write the standardised close, low and high of the drawn bars, tails included, into ``drawn`` [4, path].

    Two loops: a branch on what memory has not yet delivered costs more than the whole step when it is guessed wrong, so
    the first loop only fetches.
    """
    index, uniform = draws
    closes, lows, highs, numbers = drawn[0], drawn[1], drawn[2], drawn[3]
    for p in range(index.size):
        i = np.uint32(index[p])  # without a sign there is no counting from the end
        closes[p] = rows[i, 0]
        lows[p] = rows[i, 1]
        highs[p] = rows[i, 2]
        numbers[p] = rows[i, 3]
    for p in range(index.size):
        if numbers[p] < 0.5:
            continue
        u = uniform[p]
        j = np.uint32(numbers[p])
        down = cells[j, 0] + cells[j, 1] * u
        up = cells[j, 2] + cells[j, 3] * u
        if cells[j, 0] < 0.0:
            down = pareto_size(cells[j, 1] - cells[j, 0] * u, tails[0]) / -lows[p]
        if cells[j, 2] < 0.0:
            up = pareto_size(cells[j, 3] - cells[j, 2] * u, tails[1]) / highs[p]
        closes[p] = min(closes[p], 0.0) * down + max(closes[p], 0.0) * up
        lows[p] *= down
        highs[p] *= up


@njit(nogil=True, cache=True)
def pareto_size(exceeded: float, tail: Vector) -> float:
    """Return the size that a part ``exceeded`` in (0, 1] of a generalised Pareto tail lies above.

    ``tail`` is [threshold, scale, shape].
    """
    growth = -math.log(exceeded)
    if abs(tail[2]) < 1e-9:
        return float(tail[0] + tail[1] * growth)
    return float(tail[0] + tail[1] * math.expm1(tail[2] * growth) / tail[2])


# Loops over the paths of one step, each with so few arrays that the compiler can prove them apart and use vectors; one
# loop with all of them runs path by path.


@njit(nogil=True, cache=True)
def _sigmas(h: Vector, hour: float, sigma: Vector) -> None:
    for p in range(h.size):
        sigma[p] = math.sqrt(h[p]) * hour


@njit(nogil=True, cache=True)
def _drifts(sigma: Vector, table: Vector, shift: float, drift: Vector) -> None:
    """Write -c(sigma) - shift sigma; the table is flat beyond its last node."""
    last_node = table.size - 1
    for p in range(sigma.size):
        node = sigma[p] * (1.0 / CONVEXITY_SPACING)
        k = min(int(node), last_node - 1)
        part = min(node - k, 1.0)
        ratio = table[k] + part * (table[k + 1] - table[k])
        drift[p] = -ratio * sigma[p] * sigma[p] - shift * sigma[p]


@njit(nogil=True, cache=True)
def _scaled(sigma: Vector, limit: float, moves: Vector) -> None:
    for p in range(sigma.size):
        moves[p] = min(max(sigma[p] * moves[p], -limit), limit)


@njit(nogil=True, cache=True)
def _closes(before: Vector, move: Vector, drift: Vector, close: Vector) -> None:
    for p in range(before.size):
        close[p] = before[p] + move[p] + drift[p]


@njit(nogil=True, cache=True)
def _lows(before: Vector, move: Vector, drift: Vector, close: Vector, low: Vector) -> None:
    for p in range(before.size):
        low[p] = min(before[p] + move[p] + drift[p], min(before[p], close[p]))


@njit(nogil=True, cache=True)
def _highs(before: Vector, move: Vector, drift: Vector, close: Vector, high: Vector) -> None:
    for p in range(before.size):
        high[p] = max(before[p] + move[p] + drift[p], max(before[p], close[p]))


@njit(nogil=True, cache=True)
def _range_variances(down: Vector, up: Vector, spread: float, variance: Vector) -> None:
    for p in range(down.size):
        variance[p] = spread * (up[p] - down[p]) * (up[p] - down[p])


@njit(nogil=True, cache=True)
def _next_variances(move: Vector, per_hour: float, garch: Vector, h: Vector) -> None:
    omega, alpha, gamma, beta = garch[0], garch[1], garch[2], garch[3]
    for p in range(h.size):
        e = move[p] * per_hour
        weight = alpha + gamma if e < 0.0 else alpha
        h[p] = min(omega + weight * e * e + beta * h[p], _MAX_VARIANCE)


def gjr_bar_paths(
    bars: NDArray[np.float32],
    splice: tuple[NDArray[np.float64], NDArray[np.float64]],
    draws: tuple[NDArray[np.int32], FactorPath],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    shift: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance [step, factor, path] of drawn standardised bars.

    Parameters
    ----------
    bars : array [factor, bar, 4]
        Close, low, high over the previous close in units of the conditional sigma, and the number of the bar's cell:
        0 for a bar in no tail.
    splice : (array [factor, cell, 4], array [factor, side, 3])
        Cells: a and b of the stretch a + b u of the low (and of a falling close), then of the high (and of a rising
        close); where a < 0 the move is the size that the part b - a u of the tail exceeds. Cell 0 is not read.
        Tails: threshold, scale and shape of the generalised Pareto tail of lows and of highs.
    draws : (array [step, path], array [step, path])
        Bar drawn for each step, the same for all factors, and u in (0, 1], its place within the bar's own rank.
    season : array [step, factor]
        Factor on sigma for the hour of the step.
    garch : array [factor, 7]
        The seventh column turns the square of a bar's range into its variance.
    convexity : array [factor, node]
        c(sigma) / sigma^2 on the grid ``CONVEXITY_SPACING``, with E exp(clip(sigma z) - sigma E z - c) = 1.
    shift : array [step, factor]
        Mean of the drawn close at this step's place in its block, weighted by sigma, to be taken out.
    """
    n_steps, n_paths = draws[0].shape
    # One array, made by NumPy, which asks for large pages: to touch new pages had cost as much as the arithmetic.
    out = np.empty((4, n_steps, bars.shape[0], n_paths))
    _fill_bar_paths(bars, splice, draws, season, garch, convexity, shift, out)
    return out[0], out[1], out[2], out[3]


@njit(nogil=True, cache=True)
def _fill_bar_paths(
    bars: NDArray[np.float32],
    splice: tuple[NDArray[np.float64], NDArray[np.float64]],
    draws: tuple[NDArray[np.int32], FactorPath],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    shift: FactorPath,
    out: NDArray[np.float64],
) -> None:
    """Write close, low, high and step variance into ``out`` [4, step, factor, path]; see ``gjr_bar_paths``."""
    cells, tails = splice
    index, uniform = draws
    n_steps, n_paths = index.shape
    drawn = np.empty((4, n_paths))
    sigma, drift, start = np.empty(n_paths), np.empty(n_paths), np.zeros(n_paths)
    for f in range(bars.shape[0]):
        h = np.full(n_paths, garch[f, 4])
        rows, own_cells, own_tails, table, own_garch = bars[f], cells[f], tails[f], convexity[f], garch[f]
        for t in range(n_steps):
            _drawn_bars(rows, own_cells, own_tails, (index[t], uniform[t]), drawn)
            _sigmas(h, season[t, f], sigma)
            _drifts(sigma, table, shift[t, f], drift)
            for k in range(3):
                _scaled(sigma, garch[f, 5], drawn[k])
            close = out[0, t, f]
            before = out[0, t - 1, f] if t > 0 else start
            _closes(before, drawn[0], drift, close)
            _lows(before, drawn[1], drift, close, out[1, t, f])
            _highs(before, drawn[2], drift, close, out[2, t, f])
            _range_variances(drawn[1], drawn[2], garch[f, 6], out[3, t, f])
            _next_variances(drawn[0], 1.0 / season[t, f], own_garch, h)
