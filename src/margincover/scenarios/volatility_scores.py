"""Scores of variance forecasts: QLIKE, squared error of the log, Mincer-Zarnowitz, Diebold-Mariano."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

_Array = NDArray[np.float64]
# Below this neither a regression nor a long-run variance says anything.
MIN_SCORED = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MincerZarnowitz:
    """Regression of what came on what was forecast: intercept 0 and slope 1 are right; R2 is what is explained."""

    intercept: float
    slope: float
    r2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DieboldMariano:
    """Statistic (> 0: the first has the larger loss) and two-sided p-value."""

    statistic: float
    p_value: float


def qlike(realised: _Array, forecast: _Array) -> _Array:
    """Return x - ln x - 1 with x = realised / forecast [day]; 0 is right, too low costs more than too high.

    Notes
    -----
    The order of models by its mean is that by the unseen variance when ``realised`` is unbiased, however noisy.

    References
    ----------
    Patton (2011), Journal of Econometrics 160:246-256, doi:10.1016/j.jeconom.2010.03.034.

    Examples
    --------
    >>> qlike(np.array([1.0, 2.0]), np.array([1.0, 1.0])).round(4).tolist()
    [0.0, 0.3069]
    """
    ratio = _positive(realised, "realised") / _positive(forecast, "forecast")
    return np.asarray(ratio - np.log(ratio) - 1.0, dtype=np.float64)


def log_square(realised: _Array, forecast: _Array) -> _Array:
    """Return the squared error of the log variance [day]."""
    return np.asarray(np.log(_positive(realised, "realised") / _positive(forecast, "forecast")) ** 2, dtype=np.float64)


def mincer_zarnowitz(realised: _Array, forecast: _Array) -> MincerZarnowitz:
    """Return the least-squares line of realised on forecast variance.

    Raises
    ------
    InputError
        With fewer than 30 days, or forecasts that do not vary.

    References
    ----------
    Mincer, Zarnowitz (1969), The evaluation of economic forecasts, NBER.
    """
    _enough(realised.size)
    spread = float(forecast.var())
    if not spread > 0.0:
        raise InputError("did not vary", field="forecast", allowed="forecasts that vary")
    slope = float(((forecast - forecast.mean()) * (realised - realised.mean())).mean()) / spread
    total = float(realised.var())
    explained = slope**2 * spread / total if total > 0.0 else 0.0
    return MincerZarnowitz(intercept=float(realised.mean()) - slope * float(forecast.mean()), slope=slope, r2=explained)


def diebold_mariano(first: _Array, second: _Array) -> DieboldMariano:
    """Return the test that two series of one-step losses [day] have the same mean.

    Notes
    -----
    The long-run variance takes Bartlett weights up to lag floor(4 (n / 100)^(2/9)) (Newey-West), for the losses of
    misspecified models are not independent; the statistic is held against Student's t with n - 1 degrees of freedom.
    Equal series have the statistic 0 and the p-value 1.

    References
    ----------
    Diebold, Mariano (1995), Journal of Business and Economic Statistics 13:253-263; Newey, West (1987), Econometrica
    55:703-708.
    """
    from scipy.stats import t

    difference = first - second
    n = difference.size
    _enough(n)
    if not np.ptp(difference) > 0.0:
        same = float(difference[0]) == 0.0
        return DieboldMariano(statistic=0.0 if same else math.copysign(math.inf, difference[0]), p_value=float(same))
    centred = difference - difference.mean()
    lags = math.floor(4.0 * (n / 100.0) ** (2.0 / 9.0))
    long_run = float(centred @ centred) / n
    for lag in range(1, lags + 1):
        long_run += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    statistic = float(difference.mean()) / math.sqrt(long_run / n)
    return DieboldMariano(statistic=statistic, p_value=float(2.0 * t.sf(abs(statistic), n - 1)))


def _enough(n: int) -> None:
    if n < MIN_SCORED:
        raise InputError(f"{n} days", field="scores", allowed=f"at least {MIN_SCORED} days")


def _positive(values: _Array, name: str) -> _Array:
    if not (values.size and np.isfinite(values).all() and (values > 0.0).all()):
        raise InputError("was empty, not finite or not positive", field=name, allowed="variances > 0")
    return values
