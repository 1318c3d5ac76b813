"""Results of a volatility assessment: levels, forecasts and scores of models, side by side per coin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.provenance import Provenance
from margincover.numeric.arrays import Vector, frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpliedSeries:
    """An index of implied volatility of one coin, such as DVOL.

    Parameters
    ----------
    coin : str
    known_utc_ns : int array [value]
        When each value was known (the close of its bar), ascending.
    volatility_annual : Vector [value]
        Fraction (0.6 is 60 %), > 0.
    source : str
    """

    coin: str
    known_utc_ns: NDArray[np.int64]
    volatility_annual: Vector
    source: str

    def __post_init__(self) -> None:
        values = frozen(self.volatility_annual, name="volatility_annual", ndim=1)
        if not values.size or values.size != self.known_utc_ns.size or not (values > 0.0).all():
            raise InputError("was empty, of two lengths or not positive", source=self.source, field=self.coin)
        if (np.diff(self.known_utc_ns) <= 0).any():
            raise InputError("times did not ascend", source=self.source, field=self.coin)
        object.__setattr__(self, "volatility_annual", values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastScores:
    """How one model forecast the variance of single days.

    Parameters
    ----------
    n_days : int
        Days scored.
    qlike, log_mse : float
        Mean losses; smaller is better.
    mean_ratio : float
        Mean variance that came over mean variance forecast: above 1 the model is too low.
    mz_slope, mz_r2 : float or None
        Mincer-Zarnowitz line of what came on what was forecast; None where the forecasts did not vary.
    p_against_best : float or None
        Diebold-Mariano p-value of the QLIKE against the best model on the days of both; None for the best itself.
    """

    n_days: int
    qlike: float
    log_mse: float
    mean_ratio: float
    mz_slope: float | None
    mz_r2: float | None
    p_against_best: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVolatility:
    """One model on one coin; volatilities are annual fractions (0.6 is 60 %), None where the model has none.

    ``fallback_now`` names what answered instead and why, empty when the model itself did; ``fallback_days`` counts the
    scored days on which that was so, by reason.
    """

    name: str
    level_annual: float | None
    one_day_annual: float | None
    five_days_annual: float | None
    scores: ForecastScores | None
    fallback_now: str = ""
    fallback_days: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinVolatility:
    """All models on one coin.

    Parameters
    ----------
    coin : str
    end_utc : str
        Close of the last bar.
    step_s, n_days : int
    models : tuple of ModelVolatility
        Best QLIKE first, those without a score last.
    best : str
        Name of the best by QLIKE; empty when no day could be scored.
    range_annual : mapping of str to mapping of str to float
        Range measure -> window (``"7d"``) -> annual volatility.
    season : Vector [bucket] or None
        Factor on sigma of 24 hours of a weekday and 24 of a weekend day, UTC; None for daily bars.
    notes : tuple of str
    """

    coin: str
    end_utc: str
    step_s: int
    n_days: int
    models: tuple[ModelVolatility, ...]
    best: str
    range_annual: Mapping[str, Mapping[str, float]]
    season: Vector | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityResult:
    """Volatility of several coins; ``failed`` holds the reason for each coin that could not be assessed."""

    coins: tuple[CoinVolatility, ...]
    failed: Mapping[str, str]
    days: int
    provenance: Provenance
