"""Filtered historical simulation of one coin: the reference model of the backtest and its EWMA variant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.bootstrap import bar_weights, draw_bars, eligible_starts
from margincover.numeric.garch_likelihood import maximise_gjr_t
from margincover.numeric.pareto_tail import MIN_EXCEEDANCES, ParetoTail, fit_pareto_tail
from margincover.numeric.recursions import gjr_filter
from margincover.numeric.rng import stream
from margincover.numeric.volatility import targeted
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.kernels import bar_extremes
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum, tail_figures
from margincover.scenarios.forecast.schedule import refits
from margincover.scenarios.garch_fit import FALLBACK, fallback_fit
from margincover.scenarios.seasonality import N_BUCKETS, bucket_factors, hour_buckets

# Two months of hours: fewer hold no tail worth drawing from.
MIN_BARS = 1_500
WINDOW_BARS = 2 * 365 * 24
BLOCK_BARS = 6
# Standardised moves beyond this quantile are replaced by draws of a generalised Pareto tail.
TAIL_SHARE = 0.03
# A single bar moves at most this times the largest move seen.
MAX_MOVE_MULTIPLE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """All that a refit fixes: dynamics, hours, drawn bars, tail factors, largest move; ``note`` names a fallback."""

    dynamics: Vector  # omega, alpha, gamma, beta
    start_variance: float
    season: Vector
    mean: float
    bars: NDArray[np.float64]
    index: NDArray[np.int32]
    stretch: NDArray[np.float64]
    limit: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredForecast:
    """Standardised bars of two years pushed through today's volatility.

    Parameters
    ----------
    name, label : str
    ewma_decay : float or None
        None fits a GJR-GARCH-t with variance targeting; a number is an EWMA on the path as in the filter.
    with_hours : bool
        Hour-of-day and weekend factors on sigma.
    with_tails : bool
        Generalised Pareto tails on lows and highs.
    rescaled : bool
        Scale the standardised closes to variance 1, as textbooks of EWMA filters do.
    n_paths, seed : int
    min_bars : int
        Bars that the first fit needs.

    Notes
    -----
    Refit every 14 days; the random numbers of a coin are drawn at the refit and serve all forecasts until the next, so
    that the requirement moves with the market and not with the draw. A fit that fails is replaced by a mean-reverting
    EWMA, and the forecasts of these 14 days carry its name.
    """

    name: str = "reference"
    label: str = "Filtered historical simulation, hourly bars, GJR-GARCH-t"
    ewma_decay: float | None = None
    with_hours: bool = True
    with_tails: bool = True
    rescaled: bool = False
    n_paths: int = 10_000
    seed: int = 1
    min_bars: int = MIN_BARS

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts for the instants at which ``count`` bars [window] had closed; see ``models``."""
        shape = (count.size, len(Side), len(tolerances.values))
        rc, rces = np.empty(shape), np.empty(shape)
        method = np.full(count.size, self.name, dtype=object)
        for known, places in refits(bars, count, min_bars=self.min_bars):
            fitted = self._fit(bars, known, horizon_hours)
            first = max(0, known - WINDOW_BARS)
            last = int(count[places].max())
            hours = hour_buckets(start_utc_ns=_open_ns(bars, first), step_s=3_600, n_steps=last + horizon_hours - first)
            factor = fitted.season[hours]
            residuals = (bars.close[first:last] - fitted.mean) / factor[: last - first]
            variance = gjr_filter(residuals, fitted.dynamics, fitted.start_variance)
            for place in places:
                n = int(count[place]) - first
                garch = np.append(fitted.dynamics, variance[n])
                steps = factor[n : n + horizon_hours]
                worst = bar_extremes(fitted.bars, fitted.index, fitted.stretch, steps, garch, fitted.limit)
                for side in Side:
                    figures = tail_figures(shortfall_maximum(worst[side], side), tolerances)
                    rc[place, side], rces[place, side] = figures
            if fitted.note:
                method[places] = f"{self.name}: {fitted.note}"
        return Forecast(rc=rc, rces=rces, method=tuple(str(text) for text in method))

    def _fit(self, bars: CoinBars, known: int, horizon_hours: int) -> _Fitted:
        window = slice(max(0, known - WINDOW_BARS), known)
        moves = bars.close[window]
        usable = np.isfinite(moves)
        if not float(np.nanmax(np.abs(moves), initial=0.0)) > 0.0:
            raise InputError(
                f"the close never moved in the last {moves.size} hours", field=bars.coin, allowed="prices that vary"
            )
        mean = float(moves[usable].mean())
        hours = hour_buckets(start_utc_ns=_open_ns(bars, window.start), step_s=3_600, n_steps=moves.size)
        season = bucket_factors(moves - mean, hours) if self.with_hours else np.ones(N_BUCKETS)
        residuals = (moves - mean) / season[hours]
        level = float(np.mean(residuals[usable] ** 2))
        dynamics, note = self._dynamics(residuals[usable], level)
        sigma = np.sqrt(gjr_filter(residuals, dynamics, level)[:-1]) * season[hours]
        usable[:72] = False  # the filter starts at the long-run level; after three days that is forgotten
        starts = eligible_starts(usable, block_bars=BLOCK_BARS)
        weights = bar_weights(starts, block_bars=BLOCK_BARS, n_bars=moves.size)
        pool = _standardised(bars, window, mean, sigma, weights)
        if self.rescaled:
            pool /= np.sqrt(float(weights @ pool[:, 0] ** 2))
        rng = stream(self.seed, f"forecast.{self.name}.{bars.coin}", known)
        shape = (horizon_hours, self.n_paths)
        index = draw_bars(rng, starts, block_bars=BLOCK_BARS, n_bars=moves.size, shape=shape)
        stretch = self._stretch(pool, weights > 0.0, index, rng)
        largest = max(float(-np.nanmin(bars.low[:known])), float(np.nanmax(bars.high[:known])))
        return _Fitted(
            dynamics=dynamics,
            start_variance=level,
            season=season,
            mean=mean,
            bars=pool,
            index=index,
            stretch=stretch,
            limit=MAX_MOVE_MULTIPLE * largest,
            note=note,
        )

    def _dynamics(self, residuals: Vector, level: float) -> tuple[Vector, str]:
        if self.ewma_decay is not None:
            return np.array([0.0, 1.0 - self.ewma_decay, 0.0, self.ewma_decay]), ""
        found = maximise_gjr_t(residuals / np.sqrt(level))
        if isinstance(found, str):
            return fallback_fit(residuals, reason=found).parameters.as_vector(), FALLBACK
        alpha, gamma, beta, _ = found
        # capped at a half-life of 138 hours: likelihoods of hourly bars end where the level never returns
        return targeted(alpha=alpha, gamma=gamma, beta=beta, variance=level).as_vector(), ""

    def _stretch(
        self, pool: NDArray[np.float64], drawn: NDArray[np.bool_], index: NDArray[np.int32], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        stretch = np.ones((index.shape[0], len(Side), index.shape[1]))
        if not self.with_tails or TAIL_SHARE * int(drawn.sum()) <= MIN_EXCEEDANCES:
            return stretch
        for side, size in ((Side.LONG, -pool[:, 1]), (Side.SHORT, pool[:, 2])):
            tail = fit_pareto_tail(size[drawn], share=TAIL_SHARE)
            step, path = np.nonzero(size[index] > tail.threshold)
            stretch[step, side, path] = _tail_draws(tail, rng.random(step.size)) / size[index[step, path]]
        return stretch


def _open_ns(bars: CoinBars, bar: int) -> int:
    return int(bars.closes_at(np.array([bar]))[0])


def _standardised(bars: CoinBars, window: slice, mean: float, sigma: Vector, weights: Vector) -> NDArray[np.float64]:
    """Close, low and high [bar, 3] in units of sigma, close with mean 0; bars never drawn are 0."""
    drawn = weights > 0.0
    pool = np.zeros((sigma.size, 3))
    for k, moves in enumerate((bars.close[window], bars.low[window], bars.high[window])):
        pool[drawn, k] = (moves[drawn] - mean) / sigma[drawn]
    # Recentred, not rescaled: the mean square of z is above 1, because the filter lags behind volatility that rises
    # from a quiet market. To scale that away is to forget the risk that the filter does not see.
    pool[drawn] -= float(weights[drawn] @ pool[drawn, 0])
    return pool


def _tail_draws(tail: ParetoTail, uniform: Vector) -> Vector:
    """Draws above the threshold."""
    growth = -np.log1p(-uniform)
    step = growth if abs(tail.shape) < 1e-9 else np.expm1(tail.shape * growth) / tail.shape
    return np.asarray(tail.threshold + tail.scale * step, dtype=np.float64)
