"""The last resort of a forecast: a coin too young, or without movement, for the model that was asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.volatility import parkinson_variance
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum

NAME = "range-fallback"
BOUND = "whole-notional-bound"
MIN_BARS = 24
WINDOW_BARS = 720
# Daily range volatilities (square root of 24 hourly Parkinson variances, of the last 30 days or what there is) to the
# (1 - a)-quantile of the 24 h distance, by a; and the largest Expected Shortfall over quantile. Measured on the twelve
# coins of docs/reference/calibration.md over all their windows to 2025-12-31, the larger side, and then raised by a
# fifth, because a young coin is wilder than its first days: a stated pessimistic bound, not a calibrated forecast.
MULTIPLES = ((0.1, 1.91), (0.05, 2.57), (0.01, 4.82), (0.001, 10.86))
SHORTFALL_RATIO = 1.65
# Without a day of bars, or without any movement, nothing is known: the whole notional is asked, and maintenance.
WHOLE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeFallback:
    """Range volatility of the bars there are, times fixed multiples; the whole notional where there are none.

    Notes
    -----
    Between the tabulated tolerances the logs are interpolated; beyond them the slope of the last pair goes on. Longer
    horizons grow with the square root of time.
    """

    name: str = NAME
    label: str = "Range volatility times fixed multiples"
    min_bars: int = 0

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""
        volatility = range_volatility(bars, count, window=WINDOW_BARS)
        known = (count >= MIN_BARS) & (volatility > 0.0)
        distance = volatility[:, None] * np.sqrt(horizon_hours / 24.0) * _multiples(tolerances)
        shape = (count.size, len(Side), len(tolerances.values))
        rc, rces = np.full(shape, WHOLE), np.full(shape, WHOLE)
        for side in Side:
            rc[known, side] = shortfall_maximum(distance[known], side)
            rces[known, side] = shortfall_maximum(SHORTFALL_RATIO * distance[known], side)
        return Forecast(rc=rc, rces=rces, method=tuple(NAME if there else BOUND for there in known))


def range_volatility(bars: CoinBars, count: NDArray[np.int64], *, window: int) -> Vector:
    """Return the volatility of a day [window] from hourly ranges of the last ``window`` bars; 0 without bars."""
    variance = parkinson_variance(bars.high - bars.low)
    present = np.isfinite(variance)
    total = np.concatenate(([0.0], np.cumsum(np.where(present, variance, 0.0))))
    number = np.concatenate(([0], np.cumsum(present)))
    first = np.maximum(count - window, 0)
    bars_there = np.maximum(number[count] - number[first], 1)
    # a difference of running sums may end a rounding error below zero
    mean = np.maximum(total[count] - total[first], 0.0) / bars_there
    return np.asarray(np.sqrt(24.0 * mean), dtype=np.float64)


def _multiples(tolerances: Tolerances) -> Vector:
    log_tail, log_multiple = np.log(np.array(MULTIPLES)).T
    asked = np.log(np.array(tolerances.values))
    # np.interp wants rising tails; beyond the smallest tail the last slope goes on
    inside = np.interp(asked, log_tail[::-1], log_multiple[::-1])
    slope = (log_multiple[-1] - log_multiple[-2]) / (log_tail[-1] - log_tail[-2])
    beyond = log_multiple[-1] + slope * np.minimum(asked - log_tail[-1], 0.0)
    return np.asarray(np.exp(np.where(asked < log_tail[-1], beyond, inside)), dtype=np.float64)


def unknown_coin(count: int, tolerances: Tolerances) -> Forecast:
    """Return the whole notional for ``count`` instants of a coin without any bars."""
    if count < 1:
        raise InputError(f"was {count}", field="count", allowed="at least 1")
    whole = np.full((count, len(Side), len(tolerances.values)), WHOLE)
    return Forecast(rc=whole, rces=whole, method=(BOUND,) * count)
