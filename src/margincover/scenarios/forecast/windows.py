"""What came: distances from the price at a forecast to the worst price of the following hours."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.required import Side, shortfall_maximum

DAY_HOURS = 24


def rolling_distances(bars: CoinBars, *, horizon_hours: int) -> NDArray[np.float64]:
    """Return distances [start, side] in logs, >= 0, for windows over bars start .. start + horizon - 1, start >= 1.

    Row k belongs to start k + 1: its price at the start is the last known close before.
    """
    if bars.n_bars <= horizon_hours:
        return np.empty((0, len(Side)))
    lowest = sliding_window_view(bars.log_low[1:], horizon_hours).min(axis=1)
    highest = sliding_window_view(bars.log_high[1:], horizon_hours).max(axis=1)
    price = bars.log_close[: lowest.size]
    both = np.stack([price - lowest, highest - price], axis=1)
    return np.asarray(np.maximum(both, 0.0), dtype=np.float64)


def realised_maxima(bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int) -> NDArray[np.float64]:
    """Return M [window, side] of windows that start when ``count`` bars (>= 1) had closed; all must have ended."""
    distance = rolling_distances(bars, horizon_hours=horizon_hours)[count - 1]
    return np.stack([shortfall_maximum(distance[:, side], side) for side in Side], axis=1)


def past_starts(count: int, *, horizon_hours: int, step_hours: int) -> NDArray[np.int64]:
    """Return starts >= 1, rising, of windows that had ended when ``count`` bars had closed."""
    return np.arange(count - horizon_hours, 0, -step_hours, dtype=np.int64)[::-1]
