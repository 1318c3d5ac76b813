"""GARCH-t and GJR-t on daily returns, paths with a Brownian bridge inside each day: what daily data can give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.garch_likelihood import maximise_gjr_t
from margincover.numeric.recursions import bridge_extremes, gjr_filter, gjr_mixture_paths
from margincover.numeric.rng import stream
from margincover.numeric.students_t import mixing_scale_squared
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum, tail_figures
from margincover.scenarios.forecast.schedule import refits
from margincover.scenarios.forecast.windows import DAY_HOURS
from margincover.scenarios.garch_fit import FALLBACK, fallback_fit

MIN_DAYS = 250
WINDOW_DAYS = 1_000
# One day of a Student-t path is at most this many times its usual scale.
MAX_SCALE = 12.0
_FALLBACK_NU = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyGarchForecast:
    """Student-t GARCH on the last 1,000 daily returns, refit every 14 days; ``with_asymmetry`` keeps the GJR term.

    Days end at the hour of the forecast. A day that the horizon does not fill counts by its share.
    """

    name: str
    label: str
    with_asymmetry: bool
    n_paths: int = 10_000
    seed: int = 1
    min_bars: int = (MIN_DAYS + 1) * DAY_HOURS

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""
        if horizon_hours % DAY_HOURS:
            raise InputError(f"was {horizon_hours} h", field="horizon", allowed=f"whole days for {self.name}")
        shape = (count.size, len(Side), len(tolerances.values))
        rc, rces = np.empty(shape), np.empty(shape)
        method = np.full(count.size, self.name, dtype=object)
        for known, places in refits(bars, count, min_bars=self.min_bars):
            for hour in np.unique(count[places] % DAY_HOURS):
                here = places[count[places] % DAY_HOURS == hour]
                note = self._fill(bars, known, count[here], here, (rc, rces), horizon_hours, tolerances)
                if note:
                    method[here] = f"{self.name}: {note}"
        return Forecast(rc=rc, rces=rces, method=tuple(str(text) for text in method))

    def _fill(
        self,
        bars: CoinBars,
        known: int,
        count: NDArray[np.int64],
        places: NDArray[np.int64],
        out: tuple[NDArray[np.float64], NDArray[np.float64]],
        horizon_hours: int,
        tolerances: Tolerances,
    ) -> str:
        first, last = int(count[0] % DAY_HOURS) or DAY_HOURS, int(count.max())
        ends = np.arange(first, last + 1, DAY_HOURS)
        returns = np.diff(bars.log_close[ends - 1])
        n_fit = int(np.searchsorted(ends, known, side="right")) - 1
        used = slice(max(0, n_fit - WINDOW_DAYS), n_fit)
        mean = float(returns[used].mean())
        residuals = returns[used.start :] - mean
        dynamics, nu, note = self._fit(residuals[: n_fit - used.start], bars.coin)
        variance = gjr_filter(residuals, dynamics, float(np.mean(residuals[: n_fit - used.start] ** 2)))
        rng = stream(self.seed, f"forecast.{self.name}.{bars.coin}", known)
        draws = _Draws.make(rng, nu=nu, n_days=horizon_hours // DAY_HOURS, n_paths=self.n_paths)
        for place, n in zip(places, count, strict=True):
            k = (int(n) - first) // DAY_HOURS - used.start
            worst = draws.extremes(np.append(dynamics, variance[k]))
            for side in Side:
                figures = tail_figures(shortfall_maximum(worst[side], side), tolerances)
                out[0][place, side], out[1][place, side] = figures
        return note

    def _fit(self, residuals: Vector, coin: str) -> tuple[Vector, float, str]:
        level = float(np.mean(residuals**2))
        if not level > 0.0:
            raise InputError("the close never moved", field=coin, allowed="prices that vary")
        found = maximise_gjr_t(residuals / np.sqrt(level), with_asymmetry=self.with_asymmetry)
        if isinstance(found, str):
            return fallback_fit(residuals, reason=found).parameters.as_vector(), _FALLBACK_NU, FALLBACK
        alpha, gamma, beta, nu = found
        return np.array([level * (1.0 - alpha - gamma / 2.0 - beta), alpha, gamma, beta]), nu, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draws:
    """Random numbers of one refit, used for all its forecasts."""

    normals: NDArray[np.float64]
    scale_squared: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def make(cls, rng: np.random.Generator, *, nu: float, n_days: int, n_paths: int) -> _Draws:
        shape = (n_days, 1, n_paths)
        return cls(
            normals=rng.standard_normal(shape),
            scale_squared=mixing_scale_squared(rng, nu=nu, max_scale=MAX_SCALE, shape=(n_days, n_paths)),
            low=rng.standard_exponential(shape),
            high=rng.standard_exponential(shape),
        )

    def extremes(self, garch: Vector) -> NDArray[np.float64]:
        """Return distances [side, path] in logs, >= 0."""
        shock, variance = gjr_mixture_paths(self.normals, self.scale_squared, garch[None, :])
        close = np.cumsum(shock - variance / 2.0, axis=0)
        low, high = bridge_extremes(close, variance, self.low, self.high)
        return np.stack([np.maximum(-low.min(axis=0)[0], 0.0), np.maximum(high.max(axis=0)[0], 0.0)])
