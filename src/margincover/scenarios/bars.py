"""Histories of several factors cut to their common window and turned into log moves over the previous close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory, History
from margincover.numeric.arrays import FactorFactor
from margincover.scenarios.request import require_factors

_NS = 1_000_000_000


def utc_text(utc_ns: int) -> str:
    """Return ISO-8601 text with Z for nanoseconds since the Unix epoch."""
    return datetime.fromtimestamp(utc_ns // _NS, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointBars:
    """Log moves [factor, bar] of close, low and high over the previous close; the low is <= 0, the high >= 0.

    ``usable`` [bar] is True where every factor has this bar and the close before it; other bars are NaN in at least
    one factor. ``end_utc_ns`` is the close time of the last bar, ``start_utc_ns`` the open time of the first.
    """

    factors: tuple[str, ...]
    step_s: int
    start_utc_ns: int
    end_utc_ns: int
    close: FactorFactor
    low: FactorFactor
    high: FactorFactor
    usable: NDArray[np.bool_]

    @property
    def n_usable(self) -> int:
        """Bars that every factor has."""
        return int(self.usable.sum())


def _check_bars(bars: FactorHistory) -> None:
    n = bars.close.size
    if not bars.open.size == bars.high.size == bars.low.size == n:
        raise InputError("open, high, low and close differed in length", source=bars.source, field=bars.factor)
    table = np.stack((bars.open, bars.high, bars.low, bars.close))
    present = ~np.isnan(table).all(axis=0)
    # a comparison with NaN is False, so that a bar that misses only some prices fails here too
    legal = (
        np.isfinite(table).all(axis=0)
        & (bars.low > 0.0)
        & (bars.low <= np.minimum(bars.open, bars.close))
        & (bars.high >= np.maximum(bars.open, bars.close))
    )
    wrong = np.flatnonzero(present & ~legal)
    if wrong.size:
        i = int(wrong[0])
        raise InputError(
            f"bar {utc_text(bars.start_utc_ns + i * bars.step_s * _NS)} had open {bars.open[i]:g}, "
            f"high {bars.high[i]:g}, low {bars.low[i]:g}, close {bars.close[i]:g} ({wrong.size} such bars)",
            source=bars.source,
            field=bars.factor,
            allowed="finite prices with 0 < low <= open, close <= high, or all four missing",
        )


def _found(history: History, factors: tuple[str, ...]) -> list[FactorHistory]:
    missing = [name for name in factors if name not in history.factors]
    if missing:
        raise InputError(
            f"no bars of {', '.join(missing)}; the history holds {', '.join(sorted(history.factors)) or 'nothing'}",
            field="history",
            allowed="bars of every coin of the book, or a stand-in under `proxies`",
        )
    found = [history.factors[name] for name in factors]
    for bars in found:
        if bars.step_s != history.step_s:
            raise InputError(f"step was {bars.step_s} s", field=bars.factor, allowed=f"{history.step_s} s for all")
        if (bars.start_utc_ns - found[0].start_utc_ns) % (history.step_s * _NS):
            raise InputError("bars did not open at the times of the others", field=bars.factor, allowed="one grid")
        _check_bars(bars)
    return found


def joint_bars(history: History, factors: Sequence[str]) -> JointBars:
    """Return the moves of several factors over the window that all of them cover.

    Raises
    ------
    InputError
        If a factor is missing, a bar is impossible, grids differ, the windows do not overlap by two bars, or the
        close of a factor never moves.
    """
    names = require_factors(factors)
    found = _found(history, names)
    step_ns = history.step_s * _NS
    start = max(bars.start_utc_ns for bars in found)
    end = min(bars.start_utc_ns + bars.close.size * step_ns for bars in found)
    n = (end - start) // step_ns
    if n < 2:
        raise InputError(f"the windows overlapped by {max(n, 0)} bars", field="history", allowed="at least 2 bars")
    moves = np.empty((3, len(names), n - 1))
    for f, bars in enumerate(found):
        offset = (start - bars.start_utc_ns) // step_ns
        window = slice(offset, offset + n)
        before = np.log(bars.close[window][:-1])
        for k, price in enumerate((bars.close, bars.low, bars.high)):
            moves[k, f] = np.log(price[window][1:]) - before
    close, low, high = moves[0], np.minimum(moves[1], 0.0), np.maximum(moves[2], 0.0)
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(moves).all(axis=(0, 1)))
    for f, name in enumerate(names):
        if not np.abs(close[f][usable]).max(initial=0.0) > 0.0:
            raise InputError(
                f"the close never moved over {int(usable.sum())} joint bars", field=name, allowed="prices that vary"
            )
    return JointBars(
        factors=names,
        step_s=history.step_s,
        start_utc_ns=start + step_ns,
        end_utc_ns=end,
        close=close,
        low=low,
        high=high,
        usable=usable,
    )
