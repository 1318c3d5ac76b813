"""The most volatile window of a history: where stressed risk measures are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory, History
from margincover.scenarios.bars import joint_bars, utc_text

_NS = 1_000_000_000


def most_volatile_window(history: History, factors: Sequence[str], *, days: int) -> tuple[History, str]:
    """Return the part of a history in which the coins moved most, and its dates.

    Parameters
    ----------
    history : History
    factors : sequence of str
        Each coin counts the same: its squared moves are taken over its mean squared move.
    days : int

    Raises
    ------
    InputError
        If the common window of the coins is not longer than ``days``.
    """
    bars = joint_bars(history, factors)
    length = days * 86_400 // bars.step_s
    if bars.usable.size <= length:
        raise InputError(
            f"{bars.usable.size} joint bars", field="history", allowed=f"more than {length} for a window of {days} days"
        )
    squares = bars.close**2
    size = np.where(bars.usable, (squares / np.nanmean(squares, axis=1, keepdims=True)).mean(axis=0), 0.0)
    running = np.concatenate(([0.0], np.cumsum(size)))
    first = int(np.argmax(running[length:] - running[:-length]))
    start = bars.start_utc_ns + first * bars.step_s * _NS
    end = start + length * bars.step_s * _NS
    cut = {factor: _cut(history.factors[factor], start, end) for factor in bars.factors}
    return replace(history, factors=cut), f"{utc_text(start)} to {utc_text(end)}"


def _cut(bars: FactorHistory, start: int, end: int) -> FactorHistory:
    # One bar more in front: the first move needs the close before it.
    step = bars.step_s * _NS
    low = max((start - bars.start_utc_ns) // step - 1, 0)
    high = (end - bars.start_utc_ns) // step
    rows = slice(int(low), int(high))
    return replace(
        bars,
        start_utc_ns=int(bars.start_utc_ns + low * step),
        open=bars.open[rows],
        high=bars.high[rows],
        low=bars.low[rows],
        close=bars.close[rows],
    )
