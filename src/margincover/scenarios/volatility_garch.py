"""GARCH models of daily and hourly returns, their sums over several steps, and HAR; each with a named fallback."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from margincover.numeric.arrays import Vector
from margincover.numeric.garch_likelihood import maximise_gjr_t
from margincover.numeric.recursions import gjr_filter
from margincover.numeric.volatility import GjrParameters, targeted
from margincover.scenarios.garch_fit import FALLBACK, fallback_fit, fit_gjr
from margincover.scenarios.volatility_bars import DayBars
from margincover.scenarios.volatility_models import (
    FAR_DAYS,
    DailyEwma,
    Index,
    ModelForecast,
    empty_forecast,
    fill_hourly,
    first_hour,
    refit_groups,
    season_at,
)

MIN_GARCH_DAYS = 500
MIN_HOURLY_DAYS = 60
MIN_HAR_DAYS = 180
WINDOW_DAYS = 1_000
_HAR_DAYS = (1, 7, 30)


def expected_variances(parameters: GjrParameters, next_variance: float, n_steps: int) -> Vector:
    """Return the expected variance [step] of the next steps: hbar + p^k (h_1 - hbar), k from 0.

    Examples
    --------
    >>> p = GjrParameters(omega=0.1, alpha=0.1, gamma=0.0, beta=0.8)
    >>> expected_variances(p, 2.0, 3).round(4).tolist()
    [2.0, 1.9, 1.81]
    """
    mean = parameters.long_run_variance
    return np.asarray(mean + parameters.persistence ** np.arange(n_steps) * (next_variance - mean), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyGarch:
    """GARCH(1,1) with normal, or GJR-GARCH(1,1) with Student-t innovations, on the last 1,000 daily returns."""

    name: str
    with_asymmetry: bool
    needs_hours: bool = False

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        out, texts = empty_forecast(known.size), [""] * known.size
        for fit, places in refit_groups(bars, known, min_days=MIN_GARCH_DAYS):
            first = max(0, fit - WINDOW_DAYS)
            residuals = bars.returns[first : int(known[places[-1]])] - bars.returns[first:fit].mean()
            inside = residuals[: fit - first]
            parameters, reason = _daily_fit(inside, with_asymmetry=self.with_asymmetry)
            path = gjr_filter(residuals, parameters.as_vector(), float(np.mean(inside**2)))
            for place in places:
                ahead = expected_variances(parameters, float(path[int(known[place]) - first]), FAR_DAYS)
                out.level[place] = out.one_day[place] = ahead[0]
                out.five_days[place] = ahead.sum()
                texts[place] = reason
        return with_fallback(replace(out, fallback=tuple(texts)), bars, known, min_days=MIN_GARCH_DAYS)


def _daily_fit(residuals: Vector, *, with_asymmetry: bool) -> tuple[GjrParameters, str]:
    if with_asymmetry:
        fit = fit_gjr(residuals)
        return fit.parameters, f"{FALLBACK}: {fit.note}" if fit.method == FALLBACK else ""
    found = maximise_garch(residuals)
    if isinstance(found, str):
        return fallback_fit(residuals, reason=found).parameters, f"{FALLBACK}: {found}"
    alpha, beta = found
    return targeted(alpha=alpha, gamma=0.0, beta=beta, variance=float(np.mean(residuals**2))), ""


def maximise_garch(residuals: Vector) -> tuple[float, float] | str:
    """Return alpha and beta of a GARCH(1,1) with normal innovations, or the reason why there are none."""
    from arch import arch_model

    variance = float(np.mean(residuals**2))
    if not variance > 0.0:
        return "the close never moved"
    model = arch_model(residuals / np.sqrt(variance), mean="Zero", vol="GARCH", p=1, q=1, dist="normal", rescale=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is judged below, from the flag
            result = model.fit(disp="off", show_warning=False)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return f"the optimiser failed: {error}"
    values = np.asarray(result.params, dtype=np.float64)
    if result.convergence_flag != 0 or not np.isfinite(values).all():
        return f"the optimiser did not converge (flag {result.convergence_flag})"
    return max(float(values[1]), 0.0), max(float(values[2]), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyGjr:
    """GJR-GARCH(1,1) with Student-t innovations on two years of hourly moves without their season."""

    name: str = "gjr-t-hourly"
    needs_hours: bool = True

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        out, texts = empty_forecast(known.size), [""] * known.size
        for fit, places in refit_groups(bars, known, min_days=MIN_HOURLY_DAYS):
            season, first = season_at(bars, fit), first_hour(fit)
            last = int(known[places[-1]]) * 24
            moves = bars.moves[first:last] / season[bars.buckets(0, last)[first:]]
            inside = moves[: fit * 24 - first]
            residuals = moves - np.nanmean(inside)
            parameters, reason = _hourly_fit(residuals[: inside.size])
            path = gjr_filter(residuals, parameters.as_vector(), parameters.long_run_variance)
            for place in places:
                ahead = expected_variances(parameters, float(path[int(known[place]) * 24 - first]), FAR_DAYS * 24)
                fill_hourly(out, int(place), bars, int(known[place]), season, ahead)
                texts[place] = reason
        return with_fallback(replace(out, fallback=tuple(texts)), bars, known, min_days=MIN_HOURLY_DAYS)


def _hourly_fit(residuals: Vector) -> tuple[GjrParameters, str]:
    present = residuals[np.isfinite(residuals)]
    variance = float(np.mean(present**2))
    found = maximise_gjr_t(present / np.sqrt(variance)) if variance > 0.0 else "the close never moved"
    if isinstance(found, str):
        return fallback_fit(present, reason=found).parameters, f"{FALLBACK}: {found}"
    alpha, gamma, beta, _ = found
    return targeted(alpha=alpha, gamma=gamma, beta=beta, variance=variance), ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Har:
    """Log variance of the next day (and of the next five) on those of the last 1, 7 and 30 days, by least squares.

    Notes
    -----
    In logs, so that no forecast is negative and one crash does not set the line; exp(fit + s^2 / 2) brings it back.

    References
    ----------
    Corsi (2009), Journal of Financial Econometrics 7:174-196, doi:10.1093/jjfinec/nbp001, with the 7 and 30 days of a
    market that does not close.
    """

    name: str = "har"
    needs_hours: bool = False

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; see ``VolatilityModel``."""
        out = empty_forecast(known.size)
        design = har_design(bars.realised)
        for fit, places in refit_groups(bars, known, min_days=MIN_HAR_DAYS):
            lines = [har_line(bars.realised, design, fit, days) for days in (1, FAR_DAYS)]
            rows = design[known[places] - 1]
            out.level[places] = bars.realised[known[places] - 1]
            out.one_day[places] = np.exp(rows @ lines[0][0] + lines[0][1] / 2.0)
            out.five_days[places] = FAR_DAYS * np.exp(rows @ lines[1][0] + lines[1][1] / 2.0)
        return with_fallback(out, bars, known, min_days=MIN_HAR_DAYS)


def har_design(realised: Vector) -> Vector:
    """Return [day, 4]: 1 and the log mean variance of the last 1, 7 and 30 days; NaN where there is none."""
    table = np.full((realised.size, 1 + len(_HAR_DAYS)), np.nan)
    table[:, 0] = 1.0
    sums = np.concatenate(([0.0], np.cumsum(realised)))
    with np.errstate(divide="ignore"):
        for column, days in enumerate(_HAR_DAYS, start=1):
            means = realised if days == 1 else (sums[days:] - sums[:-days]) / days
            table[days - 1 :, column] = np.log(means)
    table[~np.isfinite(table)] = np.nan
    return table


def har_line(realised: Vector, design: Vector, fit: int, ahead: int) -> tuple[Vector, float]:
    """Return coefficients and residual variance of the log mean variance of the next ``ahead`` days.

    Rows end ``ahead`` days before the fit: a target that had not ended is not known.
    """
    first = max(0, fit - WINDOW_DAYS)
    sums = np.concatenate(([0.0], np.cumsum(realised[:fit])))
    rows = np.arange(first, fit - ahead)
    with np.errstate(divide="ignore"):
        target = np.log(np.maximum(sums[rows + 1 + ahead] - sums[rows + 1], 0.0) / ahead)
    usable = np.isfinite(target) & np.isfinite(design[rows]).all(axis=1)
    x, y = design[rows[usable]], target[usable]
    line = np.linalg.lstsq(x, y, rcond=None)[0]
    residual = y - x @ line
    return line, float(residual @ residual) / max(y.size - x.shape[1], 1)


def with_fallback(out: ModelForecast, bars: DayBars, known: Index, *, min_days: int) -> ModelForecast:
    """Return the forecast with the daily EWMA wherever the model had none, and the reason."""
    missing = ~np.isfinite(out.one_day)
    if not missing.any():
        return out
    texts = list(out.fallback)
    instead = DailyEwma().forecast(bars, known)
    for place in np.flatnonzero(missing):
        days = int(known[place])
        reason = f"{days} days, {min_days} needed" if days < min_days else "a day without movement"
        texts[place] = f"ewma-daily: {reason}"
    return ModelForecast(
        level=np.where(missing, instead.level, out.level),
        one_day=np.where(missing, instead.one_day, out.one_day),
        five_days=np.where(missing, instead.five_days, out.five_days),
        fallback=tuple(texts),
    )
