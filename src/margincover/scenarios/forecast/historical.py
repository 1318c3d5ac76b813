"""Historical simulation: the quantile of what came in past windows, all of them or the last 500."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum, tail_figures
from margincover.scenarios.forecast.windows import DAY_HOURS, past_starts, rolling_distances

# Below 60 windows even the 5 % quantile is one of the three largest values.
MIN_WINDOWS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricalForecast:
    """Quantile and mean of the tail of past windows that end daily at the hour of the forecast.

    Parameters
    ----------
    name, label : str
    n_windows : int or None
        Last windows used; None for all.
    """

    name: str
    label: str
    n_windows: int | None
    min_bars: int = MIN_WINDOWS * DAY_HOURS + DAY_HOURS

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""
        distance = rolling_distances(bars, horizon_hours=horizon_hours)
        maxima = np.stack([shortfall_maximum(distance[:, side], side) for side in Side])
        shape = (count.size, len(Side), len(tolerances.values))
        rc, rces = np.empty(shape), np.empty(shape)
        for place, known in enumerate(count):
            starts = past_starts(int(known), horizon_hours=horizon_hours, step_hours=DAY_HOURS)
            if self.n_windows is not None:
                starts = starts[-self.n_windows :]
            for side in Side:
                rc[place, side], rces[place, side] = tail_figures(maxima[side][starts - 1], tolerances)
        return Forecast(rc=rc, rces=rces, method=(self.name,) * count.size)
