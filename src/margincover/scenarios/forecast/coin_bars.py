"""Bars of one coin as a forecast reads them: log moves, what is missing, and which bar had closed when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory
from margincover.numeric.arrays import Vector, frozen
from margincover.units import SECONDS_PER_HOUR

HOUR_NS = SECONDS_PER_HOUR * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinBars:
    """Hourly bars of a coin, missing bars bridged by the last close.

    Parameters
    ----------
    history : FactorHistory
        Step of one hour; the first bar present.

    Notes
    -----
    ``log_close`` [bar] repeats the last known close over missing bars; ``close``, ``low`` and ``high`` [bar] are log
    moves over the close before, NaN where this bar or the one before is missing; ``log_low`` and ``log_high`` [bar]
    are log prices, the last known close where the bar is missing. Bar i opens at start + i hours.

    Raises
    ------
    InputError
        If the step is not one hour, the first bar is missing, or there are fewer than 2 bars.
    """

    history: FactorHistory
    coin: str = field(init=False)
    start_utc_ns: int = field(init=False)
    log_close: Vector = field(init=False)
    log_low: Vector = field(init=False)
    log_high: Vector = field(init=False)
    close: Vector = field(init=False)
    low: Vector = field(init=False)
    high: Vector = field(init=False)

    def __post_init__(self) -> None:
        bars = self.history
        if bars.step_s != SECONDS_PER_HOUR:
            raise InputError(f"step was {bars.step_s} s", field=bars.factor, source=bars.source, allowed="hourly bars")
        if bars.close.size < 2 or np.isnan(bars.close[0]):
            raise InputError("had no first bar or no second", field=bars.factor, source=bars.source)
        known = np.maximum.accumulate(np.where(np.isnan(bars.close), 0, np.arange(bars.close.size)))
        log_close = np.log(bars.close[known])
        missing = np.isnan(bars.close)
        log_low = np.where(missing, log_close, np.log(bars.low))
        log_high = np.where(missing, log_close, np.log(bars.high))
        before = np.concatenate(([np.nan], np.where(missing, np.nan, log_close)[:-1]))
        gap = missing | np.isnan(before)
        moves = [np.where(gap, np.nan, value - before) for value in (log_close, log_low, log_high)]
        object.__setattr__(self, "coin", bars.factor)
        object.__setattr__(self, "start_utc_ns", bars.start_utc_ns)
        for name, values in (("log_close", log_close), ("log_low", log_low), ("log_high", log_high)):
            object.__setattr__(self, name, frozen(values, name=name, ndim=1))
        # a low above the close before is a jump over it: the price was at the close before first
        object.__setattr__(self, "close", moves[0])
        object.__setattr__(self, "low", np.minimum(moves[1], 0.0))
        object.__setattr__(self, "high", np.maximum(moves[2], 0.0))

    @property
    def n_bars(self) -> int:
        """Bars on the grid, missing ones included."""
        return int(self.log_close.size)

    def closed_by(self, times_utc_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many bars of the grid had closed at each instant, 0 to ``n_bars``."""
        return np.clip((times_utc_ns - self.start_utc_ns) // HOUR_NS, 0, self.n_bars).astype(np.int64)

    def closes_at(self, count: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the instants at which the first ``count`` bars had closed."""
        return np.asarray(self.start_utc_ns + count * HOUR_NS, dtype=np.int64)
