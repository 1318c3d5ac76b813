"""Bars of one coin cut into whole days that end at its last bar: what every volatility model reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory
from margincover.numeric.arrays import Vector, frozen
from margincover.scenarios.seasonality import hour_buckets
from margincover.scenarios.volatility_range import garman_klass
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

DAY_NS = SECONDS_PER_DAY * 1_000_000_000
# With fewer days neither a month of realised variance nor a start of the recursions can be had.
MIN_DAYS = 40
# A day that misses more of its bars is no measure of what happened in it.
MAX_MISSING_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBars:
    """Hourly or daily bars of a coin as whole days.

    Parameters
    ----------
    coin : str
    step_s : int
        3,600 or 86,400.
    start_utc_ns : int
        Open of the first day. Days end at the hour of the last bar, not at midnight.
    log_open, log_high, log_low, log_close : Vector [day]
    returns : Vector [day]
        Log move of the close over the close before; the first day over its own open.
    realised : Vector [day]
        Measure of the variance of the day: sum of squared moves of its bars; of daily bars Garman-Klass.
    is_whole : bool array [day]
        False where more than a quarter of the bars is missing.
    moves : Vector [bar]
        Log moves of the closes of the bars of those days; NaN where this bar or the one before is missing.
    bridged : Vector [bar]
        The same with the move over a gap counted in the bar after it, and 0 inside the gap.
    """

    coin: str
    step_s: int
    start_utc_ns: int
    log_open: Vector
    log_high: Vector
    log_low: Vector
    log_close: Vector
    returns: Vector
    realised: Vector
    is_whole: NDArray[np.bool_]
    moves: Vector
    bridged: Vector

    @property
    def n_days(self) -> int:
        """Whole days."""
        return int(self.log_close.size)

    @property
    def per_day(self) -> int:
        """Bars of a day."""
        return SECONDS_PER_DAY // self.step_s

    @property
    def end_utc_ns(self) -> int:
        """Close of the last bar."""
        return self.start_utc_ns + self.n_days * DAY_NS

    @property
    def is_hourly(self) -> bool:
        """Whether days consist of hours."""
        return self.step_s == SECONDS_PER_HOUR

    def buckets(self, first_day: int, n_bars: int) -> NDArray[np.int64]:
        """Return the season bucket [bar] of ``n_bars`` bars from the open of a day on, also beyond the last one."""
        start = self.start_utc_ns + first_day * DAY_NS
        return hour_buckets(start_utc_ns=start, step_s=self.step_s, n_steps=n_bars)

    def first_days(self, n_days: int) -> DayBars:
        """Return the first ``n_days`` days alone."""
        n_bars = n_days * self.per_day
        daily = ("log_open", "log_high", "log_low", "log_close", "returns", "realised", "is_whole")
        cut = {name: getattr(self, name)[:n_days] for name in daily}
        return DayBars(
            coin=self.coin,
            step_s=self.step_s,
            start_utc_ns=self.start_utc_ns,
            moves=self.moves[:n_bars],
            bridged=self.bridged[:n_bars],
            **cut,
        )


def day_bars(history: FactorHistory) -> DayBars:
    """Return the whole days of a coin, counted back from its last bar.

    Raises
    ------
    InputError
        If the step is neither an hour nor a day, there are fewer than 40 days, or the close never moves.
    """
    if history.step_s not in (SECONDS_PER_HOUR, SECONDS_PER_DAY):
        raise InputError(
            f"step was {history.step_s} s", source=history.source, field=history.factor, allowed="bars of 1h or 1d"
        )
    per_day = SECONDS_PER_DAY // history.step_s
    present = np.flatnonzero(~np.isnan(history.close))
    # the first bar of the file may be missing; nothing is known before the first one present
    lead = int(present[0]) if present.size else history.close.size
    n_days = (history.close.size - lead) // per_day
    if n_days < MIN_DAYS:
        raise InputError(
            f"{n_days} whole days of bars", source=history.source, field=history.factor, allowed=f"at least {MIN_DAYS}"
        )
    skip = history.close.size - n_days * per_day
    missing = np.isnan(history.close)
    last = np.maximum.accumulate(np.where(missing, 0, np.arange(missing.size)))
    close = np.log(history.close[last])
    if not np.ptp(close) > 0.0:
        raise InputError("the close never moved", source=history.source, field=history.factor, allowed="varying prices")
    tables = {name: np.where(missing, close, np.log(getattr(history, name))) for name in ("open", "high", "low")}
    before = np.concatenate(([tables["open"][lead]], close[:-1]))
    gap = missing | np.concatenate(([False], missing[:-1]))
    bridged = (close - before)[skip:]
    daily = _daily([table[skip:] for table in (*tables.values(), close)], bridged, per_day)
    return DayBars(
        coin=history.factor,
        step_s=history.step_s,
        start_utc_ns=history.start_utc_ns + skip * history.step_s * 1_000_000_000,
        is_whole=missing[skip:].reshape(n_days, per_day).mean(axis=1) <= MAX_MISSING_SHARE,
        moves=np.where(gap[skip:], np.nan, bridged),
        bridged=frozen(bridged, name="bridged", ndim=1),
        **{name: frozen(values, name=name, ndim=1) for name, values in daily.items()},
    )


def _daily(prices: list[Vector], bridged: Vector, per_day: int) -> dict[str, Vector]:
    """Return the figures of whole days from log open, high, low and close of their bars."""
    log_open, log_high, log_low, log_close = (table.reshape(-1, per_day) for table in prices)
    found = {
        "log_open": log_open[:, 0],
        "log_high": log_high.max(axis=1),
        "log_low": log_low.min(axis=1),
        "log_close": log_close[:, -1],
        "returns": bridged.reshape(-1, per_day).sum(axis=1),
        "realised": (bridged**2).reshape(-1, per_day).sum(axis=1),
    }
    if per_day == 1:
        found["realised"] = garman_klass(*(found[name] for name in ("log_open", "log_high", "log_low", "log_close")))
    return found
