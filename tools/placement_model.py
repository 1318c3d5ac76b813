"""Joint hourly bars of several coins and the walk-forward model that draws paths from them, for `placement_trial.py`.

The model is a filtered historical simulation: GJR-GARCH-t by coin on two years of bars, hours of the day, and joint
standardised bars of all years drawn in blocks of six hours. It reads bars that had closed before the plan, no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory
from margincover.numeric.bootstrap import bar_weights, draw_bars, eligible_starts
from margincover.numeric.garch_likelihood import maximise_gjr_t
from margincover.numeric.recursions import gjr_filter
from margincover.numeric.rng import stream
from margincover.numeric.volatility import targeted
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.garch_fit import fallback_fit
from margincover.scenarios.seasonality import bucket_factors, hour_buckets

WINDOW_BARS = 2 * 365 * 24
BLOCK_BARS = 6
BURN_IN_BARS = 72
MAX_MOVE_MULTIPLE = 1.5
# a coin is traded by the desks once the bars drawn together with it are a year or more
MIN_BARS = 365 * 24
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Bars of all coins on one hourly grid.

    ``moves`` [close/low/high, coin, bar] over the close before, NaN where missing; ``prices`` the log prices with
    missing bars at the last close; ``first`` [coin] is the first bar of each coin.
    """

    coins: tuple[str, ...]
    start_utc_ns: int
    moves: Array
    prices: Array
    first: NDArray[np.int64]

    @classmethod
    def of(cls, histories: Mapping[str, FactorHistory]) -> Grid:
        """Return the grid from the earliest first bar to the earliest last bar."""
        coins = tuple(sorted(histories))
        bars = [CoinBars(history=histories[coin]) for coin in coins]
        start = min(each.start_utc_ns for each in bars)
        first = np.array([(each.start_utc_ns - start) // HOUR_NS for each in bars])
        n = int(min(begin + each.n_bars for begin, each in zip(first, bars, strict=True)))
        moves, prices = np.full((3, len(coins), n), np.nan), np.full((3, len(coins), n), np.nan)
        for c, (begin, each) in enumerate(zip(first, bars, strict=True)):
            for k, (move, price) in enumerate(
                ((each.close, each.log_close), (each.low, each.log_low), (each.high, each.log_high))
            ):
                moves[k, c, begin:] = move[: n - begin]
                prices[k, c, begin:] = price[: n - begin]
        return cls(coins=coins, start_utc_ns=start, moves=moves, prices=prices, first=first)

    def bar_at(self, utc_ns: int) -> int:
        """Return how many bars of the grid had closed at an instant."""
        return int((utc_ns - self.start_utc_ns) // HOUR_NS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Prices over the price at the start [step, coin, path]; ``sigma`` of each step as known before it."""

    low: Array
    high: Array
    close: Array
    sigma: Array


@njit(cache=True)
def _draw(pool, index, season, garch, bounds, low, high, close, sigma):  # type: ignore[no-untyped-def]
    n_steps, n_paths = index.shape
    for c in range(pool.shape[0]):
        limit, spread = bounds[c, 0], bounds[c, 1]
        omega, alpha, gamma, beta = garch[c, 0], garch[c, 1], garch[c, 2], garch[c, 3]
        level = np.zeros(n_paths)
        h = np.full(n_paths, garch[c, 4])
        for t in range(n_steps):
            for p in range(n_paths):
                s = np.sqrt(h[p]) * season[t, c]
                i = index[t, p]
                move = min(max(s * pool[c, i, 0], -limit), limit)
                down = min(max(s * pool[c, i, 1], -limit), min(move, 0.0))
                up = max(min(s * pool[c, i, 2], limit), max(move, 0.0))
                low[t, c, p] = np.exp(level[p] + down)
                high[t, c, p] = np.exp(level[p] + up)
                level[p] += move
                close[t, c, p] = np.exp(level[p])
                sigma[t, c, p] = s
                e = move / season[t, c] / spread
                h[p] = omega + (alpha + gamma if e < 0.0 else alpha) * e * e + beta * h[p]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointModel:
    """What a fit fixes: which coins, their dynamics, hours and means, and the pool of standardised bars.

    ``bounds`` [coin, 2] holds the largest log move of a step and the root mean square of the standardised closes. News
    enter the recursion divided by the latter: with a mean square above 1 the variance would grow without end.
    """

    grid: Grid
    rows: NDArray[np.int64]
    begin: int
    dynamics: Array
    level: Array
    season: Array
    mean: Array
    pool: NDArray[np.float32]
    starts: NDArray[np.int64]
    bounds: Array

    @classmethod
    def fit(cls, grid: Grid, known: int) -> JointModel:
        """Fit on the first ``known`` bars of the grid, the coins that have a year of them."""
        rows = _known_coins(grid, known)
        begin = int(grid.first[rows].max()) + 1
        moves = grid.moves[:, rows, begin:known]
        usable = np.isfinite(moves).all(axis=(0, 1))
        recent = slice(max(0, moves.shape[2] - WINDOW_BARS), None)
        hours = hour_buckets(start_utc_ns=grid.start_utc_ns + begin * HOUR_NS, step_s=3_600, n_steps=moves.shape[2])
        fits = [_fit_coin(close, hours, recent) for close in moves[0]]
        usable[:BURN_IN_BARS] = False
        starts = eligible_starts(usable, block_bars=BLOCK_BARS)
        weights = bar_weights(starts, block_bars=BLOCK_BARS, n_bars=usable.size)
        pool = np.zeros((rows.size, usable.size, 3), dtype=np.float32)
        drawn = weights > 0.0
        for c, (mean, season, dynamics, level) in enumerate(fits):
            residuals = (moves[0, c] - mean) / season[hours]
            sigma = np.sqrt(gjr_filter(residuals, dynamics, level)[:-1]) * season[hours]
            z = (moves[:, c, drawn] - mean) / sigma[drawn]
            # recentred, not rescaled: that the mean square of z is above 1 is risk that the filter does not see
            pool[c, drawn] = (z - weights[drawn] @ z[0]).T
        return cls(
            grid=grid,
            rows=rows,
            begin=begin,
            dynamics=np.array([fit[2] for fit in fits]),
            level=np.array([fit[3] for fit in fits]),
            season=np.array([fit[1] for fit in fits]),
            mean=np.array([fit[0] for fit in fits]),
            pool=pool,
            starts=starts,
            bounds=np.column_stack(
                (
                    MAX_MOVE_MULTIPLE * np.maximum(-moves[1][:, drawn], moves[2][:, drawn]).max(axis=1),
                    np.sqrt((pool[:, :, 0].astype(np.float64) ** 2) @ weights),
                )
            ),
        )

    def _hours(self, bar: int, n_steps: int) -> NDArray[np.int64]:
        return hour_buckets(start_utc_ns=self.grid.start_utc_ns + bar * HOUR_NS, step_s=3_600, n_steps=n_steps)

    def _variance(self, until: int, *, n_last: int) -> Array:
        """Variance [coin, n_last + 1] of the last bars before ``until`` and of the next, hours left out."""
        begin = max(self.begin, until - WINDOW_BARS)
        hours = self._hours(begin, until - begin)
        result = np.empty((self.rows.size, n_last + 1))
        for c, row in enumerate(self.rows):
            residuals = (self.grid.moves[0, row, begin:until] - self.mean[c]) / self.season[c, hours]
            result[c] = gjr_filter(residuals, self.dynamics[c], float(self.level[c]))[-n_last - 1 :]
        return result

    def draw(self, count: int, *, n_steps: int, n_paths: int, seed: int) -> Paths:
        """Return paths from the close of bar ``count`` - 1 on."""
        rng = stream(seed, "placement.paths", count)
        index = draw_bars(rng, self.starts, block_bars=BLOCK_BARS, n_bars=self.pool.shape[1], shape=(n_steps, n_paths))
        season = np.ascontiguousarray(self.season[:, self._hours(count, n_steps)].T)
        garch = np.column_stack((self.dynamics, self._variance(count, n_last=0)[:, -1]))
        low, high, close, sigma = (np.empty((n_steps, self.rows.size, n_paths)) for _ in range(4))
        _draw(self.pool, index, season, garch, self.bounds, low, high, close, sigma)
        return Paths(low=low, high=high, close=close, sigma=sigma)

    def came(self, count: int, *, n_steps: int) -> Paths:
        """Return what came after bar ``count`` - 1 as one path, with the sigma that was known before each step."""
        after = slice(count, count + n_steps)
        base = self.grid.prices[0, self.rows, count - 1][:, None]
        logs = self.grid.prices[:, self.rows, after] - base
        before = np.concatenate((np.zeros_like(base), logs[0, :, :-1]), axis=1)
        variance = self._variance(count + n_steps, n_last=n_steps)[:, :-1]
        sigma = np.sqrt(variance) * self.season[:, self._hours(count, n_steps)]
        low, high = np.minimum(logs[1], before), np.maximum(logs[2], before)
        shaped = (np.ascontiguousarray(values.T[:, :, None]) for values in (low, high, logs[0]))
        down, up, close = (np.exp(values) for values in shaped)
        return Paths(low=down, high=up, close=close, sigma=np.ascontiguousarray(sigma.T[:, :, None]))


def _known_coins(grid: Grid, known: int) -> NDArray[np.int64]:
    rows = np.flatnonzero(grid.first + MIN_BARS <= known)
    if rows.size == 0 or known > grid.moves.shape[2]:
        raise InputError(
            f"a plan after {known} of {grid.moves.shape[2]} hourly bars",
            field="history",
            allowed=f"days inside the history, {MIN_BARS} bars or more after its start",
        )
    return rows


def _fit_coin(close: Array, hours: NDArray[np.int64], recent: slice) -> tuple[float, Array, Array, float]:
    moves = close[recent]
    present = np.isfinite(moves)
    mean = float(moves[present].mean())
    season = bucket_factors(moves - mean, hours[recent])
    residuals = (moves - mean)[present] / season[hours[recent][present]]
    level = float(np.mean(residuals**2))
    found = maximise_gjr_t(residuals / np.sqrt(level))
    if isinstance(found, str):
        return mean, season, fallback_fit(residuals, reason=found).parameters.as_vector(), level
    alpha, gamma, beta, _ = found
    return mean, season, targeted(alpha=alpha, gamma=gamma, beta=beta, variance=level).as_vector(), level
