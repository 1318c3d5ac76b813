"""The named models of the backtest, their common protocol, and how a model that cannot answer is replaced."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.daily_garch import DailyGarchForecast
from margincover.scenarios.forecast.fallback import RangeFallback
from margincover.scenarios.forecast.filtered import FilteredForecast
from margincover.scenarios.forecast.historical import HistoricalForecast
from margincover.scenarios.forecast.normal import NormalForecast
from margincover.scenarios.forecast.required import Forecast, Tolerances
from margincover.scenarios.forecast.stress_floor import StressFloorForecast

REFERENCE = "reference"
DEFAULT = "default"


class ForecastModel(Protocol):
    """Forecaster of one coin. One required method."""

    @property
    def name(self) -> str:
        """Short name, as on the command line."""

    @property
    def label(self) -> str:
        """What it is, in a line."""

    @property
    def min_bars(self) -> int:
        """Bars that must have closed before it can answer."""

    def forecast(
        self, bars: CoinBars, count: NDArray[np.int64], *, horizon_hours: int, tolerances: Tolerances
    ) -> Forecast:
        """Return forecasts for the instants at which ``count`` bars [window] had closed.

        Parameters
        ----------
        bars : CoinBars
            May reach beyond the instants; bars from ``count`` on are never read for a forecast.
        count : array [window]
            At least ``min_bars`` each, rising.
        horizon_hours : int
        tolerances : Tolerances

        Returns
        -------
        Forecast
            It depends on the bars before each instant, the horizon and the seed alone, not on the other instants.

        Raises
        ------
        InputError
            If the coin did not move in the window of a fit.
        """


def coin_models(*, n_paths: int = 10_000, seed: int = 1) -> dict[str, ForecastModel]:
    """Return the models that know one coin at a time, by name; the reference and its rivals."""
    reference = FilteredForecast(n_paths=n_paths, seed=seed)
    models: list[ForecastModel] = [
        HistoricalForecast(name="historical-500d", label="Historical simulation, 500 days", n_windows=500),
        HistoricalForecast(name="historical-all", label="Historical simulation, all days", n_windows=None),
        NormalForecast(
            name="ewma-normal-daily", label="EWMA 0.94 of daily returns, first passage", decay=0.94, step_hours=24
        ),
        NormalForecast(
            name="ewma-normal-hourly", label="EWMA 0.99 of hourly returns, first passage", decay=0.99, step_hours=1
        ),
        DailyGarchForecast(
            name="garch-t-daily",
            label="GARCH-t on daily returns, bridge",
            with_asymmetry=False,
            n_paths=n_paths,
            seed=seed,
        ),
        DailyGarchForecast(
            name="gjr-t-daily", label="GJR-t on daily returns, bridge", with_asymmetry=True, n_paths=n_paths, seed=seed
        ),
        FilteredForecast(
            name="filtered-ewma",
            label="Filtered historical simulation, hourly, EWMA 0.99",
            ewma_decay=0.99,
            with_hours=False,
            with_tails=False,
            rescaled=True,
            n_paths=n_paths,
            seed=seed,
        ),
        reference,
        StressFloorForecast(base=reference),
        RangeFallback(),
    ]
    return {model.name: model for model in models}


def answered(
    model: ForecastModel,
    bars: CoinBars,
    count: NDArray[np.int64],
    *,
    horizon_hours: int,
    tolerances: Tolerances,
) -> Forecast:
    """Return forecasts for every instant: by the model where it can, by the range fallback elsewhere.

    Parameters
    ----------
    count : array [window]
        Any number of bars, in any order.

    Notes
    -----
    ``Forecast.method`` names who answered. The fallback steps in for a coin with too few bars, and for a whole coin
    when the model refuses it (a close that never moved).
    """
    order = np.argsort(count, kind="stable")
    ready = order[count[order] >= model.min_bars]
    fallback = RangeFallback()
    found = fallback.forecast(bars, count, horizon_hours=horizon_hours, tolerances=tolerances)
    method = [
        f"{text} ({known} bars, {model.name} needs {model.min_bars})"
        for text, known in zip(found.method, count, strict=True)
    ]
    if ready.size:
        try:
            own = model.forecast(bars, count[ready], horizon_hours=horizon_hours, tolerances=tolerances)
        except InputError as error:
            return Forecast(
                rc=found.rc, rces=found.rces, method=tuple(f"{text} ({error.found})" for text in found.method)
            )
        found.rc[ready], found.rces[ready] = own.rc, own.rces
        for place, text in zip(ready, own.method, strict=True):
            method[int(place)] = text
    return Forecast(rc=found.rc, rces=found.rces, method=tuple(method))
