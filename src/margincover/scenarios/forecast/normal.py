"""EWMA volatility and the first passage of a driftless Brownian motion: the textbook rival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.recursions import gjr_filter
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.required import (
    MAINTENANCE_FRACTION,
    Forecast,
    Side,
    Tolerances,
    shortfall_maximum,
)

WARM_UP_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalForecast:
    """EWMA of squared returns over ``step_hours``, scaled by the square root of time, and the reflection principle.

    Notes
    -----
    The distance X to the extreme is |N| sigma sqrt(T): P(X > x) = 2 (1 - Phi(x / s)). Expected Shortfall from
    E[exp(k X); X > x] = 2 exp(k^2 s^2 / 2) Phi(k s - x / s), k = -1 for longs, 1 for shorts. The variance starts at the
    mean square of the first 30 days.
    """

    name: str
    label: str
    decay: float
    step_hours: int
    min_bars: int = (WARM_UP_DAYS + 1) * 24

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""
        variance = np.empty(count.size)
        for hour in np.unique(count % self.step_hours):
            places = np.flatnonzero(count % self.step_hours == hour)
            variance[places] = self._variance(bars, int(hour), count[places])
        deviation = np.sqrt(variance * horizon_hours / self.step_hours)
        figures = [_figures(deviation, side, tolerances) for side in Side]
        rc, rces = (np.stack([figure[k] for figure in figures], axis=1) for k in (0, 1))
        return Forecast(rc=rc, rces=rces, method=(self.name,) * count.size)

    def _variance(self, bars: CoinBars, first: int, count: NDArray[np.int64]) -> Vector:
        """EWMA forecast at each count, from closes that lie whole steps before it."""
        ends = np.arange(first if first else self.step_hours, bars.n_bars + 1, self.step_hours)
        returns = np.diff(bars.log_close[ends - 1])
        start = float(np.mean(returns[: WARM_UP_DAYS * 24 // self.step_hours] ** 2))
        filtered = gjr_filter(returns, np.array([0.0, 1.0 - self.decay, 0.0, self.decay]), start)
        # filtered[k] knows the returns up to ends[k]
        return np.asarray(filtered[(count - ends[0]) // self.step_hours], dtype=np.float64)


def _figures(deviation: Vector, side: Side, tolerances: Tolerances) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.special import ndtr, ndtri

    tail = np.array(tolerances.values)
    z = -ndtri(tail / 2.0)
    s = deviation[:, None]
    k = -1.0 if side == Side.LONG else 1.0
    mean = 2.0 * np.exp(s**2 / 2.0) * ndtr(k * s - z) / tail
    if side == Side.LONG:
        return shortfall_maximum(z * s, side), 1.0 - (1.0 - MAINTENANCE_FRACTION) * mean
    return shortfall_maximum(z * s, side), (1.0 + MAINTENANCE_FRACTION) * mean - 1.0
