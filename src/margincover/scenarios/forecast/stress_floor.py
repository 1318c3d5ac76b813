"""Stress weight and full-history floor against procyclicality: an add-on to a calibrated forecast, shown apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.filtered import FilteredForecast
from margincover.scenarios.forecast.historical import HistoricalForecast
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum
from margincover.scenarios.forecast.windows import rolling_distances

STRESS_WEIGHT = 0.25


class BaseForecast(Protocol):
    """What the add-on is put on."""

    @property
    def min_bars(self) -> int:
        """Bars that it needs."""

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredForecast:
    """Forecasts of one coin that were already made, given back for instants among them.

    ``count`` [window] rises; ``found`` holds the forecasts at these counts, horizon and tolerances.
    """

    count: NDArray[np.int64]
    found: Forecast
    min_bars: int

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return the stored forecasts; ``bars``, horizon and tolerances are those they were made with."""
        place = np.searchsorted(self.count, count)
        if self.found.rc.shape[2] != len(tolerances.values) or not np.array_equal(self.count[place], count):
            raise AssertionError("Invariant: stored forecasts hold every instant and tolerance that is asked")
        method = tuple(self.found.method[k] for k in place)
        return Forecast(rc=self.found.rc[place], rces=self.found.rces[place], method=method)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressFloorForecast:
    """Reference + 25 % stress weight + full-history floor.

    Notes
    -----
    max((1 - w) RC + w worst, RC of all history, RC): ``worst`` is the largest M of the side in any window of the past;
    weight and floor as EMIR Art. 28 (RTS 153/2013) names them. It is not coverage at the stated tolerance.
    """

    name: str = "reference-stress-floor"
    label: str = "Reference + 25 % stress weight + full-history floor"
    base: BaseForecast = field(default_factory=FilteredForecast)

    @property
    def min_bars(self) -> int:
        """Bars that the base and the floor need."""
        return max(self.base.min_bars, _floor().min_bars)

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts; see ``models``."""
        base = self.base.forecast(bars, count, horizon_hours=horizon_hours, tolerances=tolerances)
        floor = _floor().forecast(bars, count, horizon_hours=horizon_hours, tolerances=tolerances)
        worst = self._worst(bars, count, horizon_hours)[:, :, None]
        rc, rces = (
            np.maximum.reduce([value, (1.0 - STRESS_WEIGHT) * value + STRESS_WEIGHT * worst, low])
            for value, low in ((base.rc, floor.rc), (base.rces, floor.rces))
        )
        return Forecast(rc=rc, rces=np.maximum(rces, rc), method=tuple(f"{text} + add-on" for text in base.method))

    @staticmethod
    def _worst(bars: CoinBars, count: NDArray[np.int64], horizon_hours: int) -> NDArray[np.float64]:
        distance = np.maximum.accumulate(rolling_distances(bars, horizon_hours=horizon_hours), axis=0)
        seen = distance[count - horizon_hours - 1]
        return np.stack([shortfall_maximum(seen[:, side], side) for side in Side], axis=1)


def _floor() -> HistoricalForecast:
    return HistoricalForecast(name="historical-all", label="historical, all", n_windows=None)
