"""Volatility models behind one protocol, and those without parameters to fit: EWMA, realised and range measures.

A model sees ``known`` whole days and forecasts the variance of the next one and of the next five together. What is
fitted is fitted anew at whole multiples of 14 days since the epoch, so that a forecast never depends on who asked, and
on days that had closed by then alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.recursions import gjr_filter
from margincover.scenarios.seasonality import bucket_factors
from margincover.scenarios.volatility_bars import DAY_NS, DayBars
from margincover.scenarios.volatility_range import garman_klass, parkinson, rogers_satchell, yang_zhang

REFIT_DAYS = 14
FAR_DAYS = 5
# Season and hourly recursions read at most two years: older hours belong to another market.
WINDOW_HOURS = 2 * 365 * 24
_START_DAYS = 30
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForecast:
    """Forecasts of one model at several instants.

    Parameters
    ----------
    level : Vector [origin]
        Variance per day now: of the next step without season, or the measure itself.
    one_day, five_days : Vector [origin]
        Variance of the next day, and of the next five together; NaN where the model has nothing to say.
    fallback : tuple of str [origin]
        Method and reason where another method answered, else empty.
    """

    level: Vector
    one_day: Vector
    five_days: Vector
    fallback: tuple[str, ...]


class VolatilityModel(Protocol):
    """A named model with one required method."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def needs_hours(self) -> bool:
        """Whether daily bars are not enough."""

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts made when the first ``known`` [origin] days had closed, ascending."""


def refit_groups(bars: DayBars, known: Index, *, min_days: int) -> Iterator[tuple[int, Index]]:
    """Yield (days known at the fit, positions of the origins that use it); origins below ``min_days`` are left out.

    A coin too young at the regular instant is fitted when it reaches ``min_days``.
    """
    closes = bars.start_utc_ns + known * DAY_NS
    regular = closes // (REFIT_DAYS * DAY_NS) * (REFIT_DAYS * DAY_NS)
    at_fit = np.maximum((regular - bars.start_utc_ns) // DAY_NS, min_days)
    for fit in np.unique(at_fit[known >= min_days]):
        yield int(fit), np.flatnonzero((at_fit == fit) & (known >= min_days))


def ewma_path(squares: Vector, *, decay: float, start: float) -> Vector:
    """Return s2' = decay s2 + (1 - decay) x [step + 1] from squared moves, first ``start``.

    Examples
    --------
    >>> round(float(ewma_path(np.array([0.02**2]), decay=0.9, start=0.01**2)[1] ** 0.5), 4)
    0.0114
    """
    return gjr_filter(np.sqrt(squares), np.array([0.0, 1.0 - decay, 0.0, decay]), start)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyEwma:
    """Exponentially weighted mean of squared daily returns; the fallback of all others."""

    name: str = "ewma-daily"
    decay: float = 0.94
    needs_hours: bool = False

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        squares = bars.returns**2
        # The start is the mean of the first month, which every origin has behind it; a coin that did not move in it
        # starts at its first move.
        start = float(squares[:_START_DAYS].mean())
        level = ewma_path(squares, decay=self.decay, start=start)[known]
        return _flat(np.where(level > 0.0, level, np.nan))


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyEwma:
    """Exponentially weighted mean of squared hourly moves without their season."""

    name: str
    decay: float
    needs_hours: bool = True

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        out = empty_forecast(known.size)
        for fit, places in refit_groups(bars, known, min_days=_START_DAYS):
            season, first = season_at(bars, fit), first_hour(fit)
            last = int(known[places[-1]]) * 24
            moves = bars.moves[first:last] / season[bars.buckets(0, last)[first:]]
            start = float(np.nanmean(moves[: _START_DAYS * 24] ** 2))
            path = gjr_filter(moves, np.array([0.0, 1.0 - self.decay, 0.0, self.decay]), start)
            for place in places:
                per_hour = float(path[int(known[place]) * 24 - first])
                fill_hourly(out, int(place), bars, int(known[place]), season, np.full(FAR_DAYS * 24, per_hour))
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """Sum of squared hourly moves over the last ``hours``, brought to a day by the season of its hours."""

    name: str
    hours: int
    needs_hours: bool = True

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        out = empty_forecast(known.size)
        squares = bars.bridged**2
        for fit, places in refit_groups(bars, known, min_days=max(_START_DAYS, -(-self.hours // 24))):
            season = season_at(bars, fit) ** 2
            for place in places:
                end = int(known[place]) * 24
                weights = season[bars.buckets(0, end)[end - self.hours :]]
                per_hour = float(squares[end - self.hours : end].sum() / weights.sum())
                fill_hourly(out, int(place), bars, int(known[place]), np.sqrt(season), np.full(FAR_DAYS * 24, per_hour))
        out.one_day[out.one_day <= 0.0] = np.nan
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeMean:
    """Mean of a range measure over the last ``days`` daily bars."""

    measure: str
    days: int = 10
    needs_hours: bool = False

    @property
    def name(self) -> str:
        """Measure and window."""
        return f"{self.measure}-{self.days}d"

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        level = np.array([range_variance(bars, self.measure, int(d) - self.days, int(d)) for d in known])
        return _flat(np.where(level > 0.0, level, np.nan))


def range_variance(bars: DayBars, measure: str, first: int, last: int) -> float:
    """Return the mean variance per day of a range measure over the days ``first`` to ``last`` (not included)."""
    days = slice(first, last)
    o, h, low, c = bars.log_open[days], bars.log_high[days], bars.log_low[days], bars.log_close[days]
    if measure == "parkinson":
        return float(parkinson(h, low).mean())
    if measure == "garman-klass":
        return float(garman_klass(o, h, low, c).mean())
    if measure == "rogers-satchell":
        return float(rogers_satchell(o, h, low, c).mean())
    assert measure == "yang-zhang", "Invariant: a range measure is one of four"
    before = np.concatenate((bars.log_close[first - 1 : first] if first > 0 else o[:1], c[:-1]))
    return yang_zhang(o, h, low, c, before)


def first_hour(fit: int) -> int:
    """Return the first hour that a fit at ``fit`` days reads."""
    return max(0, fit * 24 - WINDOW_HOURS)


def season_at(bars: DayBars, fit: int) -> Vector:
    """Return the season factors [bucket] from the two years of hours before a fit."""
    first = first_hour(fit)
    return bucket_factors(bars.moves[first : fit * 24], bars.buckets(0, fit * 24)[first:])


def empty_forecast(n: int) -> ModelForecast:
    """Return forecasts of nothing, to be filled."""
    return ModelForecast(level=_nan(n), one_day=_nan(n), five_days=_nan(n), fallback=("",) * n)


def fill_hourly(  # one place of one forecast
    out: ModelForecast, place: int, bars: DayBars, known: int, season: Vector, per_hour: Vector
) -> None:
    """Put the variance of the next 120 hours, given without season [hour], into one place of a forecast."""
    weights = season[bars.buckets(known, FAR_DAYS * 24)] ** 2
    out.level[place] = per_hour[0] * 24.0
    out.one_day[place] = float(per_hour[:24] @ weights[:24])
    out.five_days[place] = float(per_hour @ weights)


def _flat(level: Vector) -> ModelForecast:
    return ModelForecast(level=level, one_day=level, five_days=FAR_DAYS * level, fallback=("",) * level.size)


def _nan(n: int) -> Vector:
    return np.full(n, np.nan)
