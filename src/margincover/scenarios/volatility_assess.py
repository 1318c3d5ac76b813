"""Volatility of one coin by every model: levels now, forecasts, and walk-forward scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.volatility import CoinVolatility, ForecastScores, ImpliedSeries, ModelVolatility
from margincover.numeric.arrays import Vector
from margincover.numeric.volatility import annual_volatility
from margincover.scenarios.bars import utc_text
from margincover.scenarios.seasonality import bucket_factors
from margincover.scenarios.volatility_bars import DAY_NS, DayBars
from margincover.scenarios.volatility_garch import DailyGarch, Har, HourlyGjr
from margincover.scenarios.volatility_models import (
    FAR_DAYS,
    DailyEwma,
    HourlyEwma,
    Index,
    ModelForecast,
    RangeMean,
    Realised,
    VolatilityModel,
    first_hour,
    range_variance,
)
from margincover.scenarios.volatility_scores import (
    MIN_SCORED,
    diebold_mariano,
    log_square,
    mincer_zarnowitz,
    qlike,
)
from margincover.units import SECONDS_PER_DAY

RANGE_MEASURES = ("parkinson", "garman-klass", "rogers-satchell", "yang-zhang")
RANGE_WINDOWS_DAYS = (7, 30)
# The first scored day has a month behind it: the longest window of a measure.
_FIRST_ORIGIN = 30
# An implied volatility older than this says nothing of today.
_MAX_IMPLIED_AGE_NS = 2 * DAY_NS
Progress = Callable[[str], None]


def volatility_models() -> tuple[VolatilityModel, ...]:
    """Return the models of an assessment; all constants are usual ones, none was chosen on the data scored."""
    return (
        DailyEwma(),
        HourlyEwma(name="ewma-hourly-0.97", decay=0.97),
        HourlyEwma(name="ewma-hourly-0.99", decay=0.99),
        DailyGarch(name="garch-daily", with_asymmetry=False),
        DailyGarch(name="gjr-t-daily", with_asymmetry=True),
        HourlyGjr(),
        Har(),
        *(Realised(name=f"realised-{name}", hours=h) for name, h in (("6h", 6), ("1d", 24), ("7d", 168), ("30d", 720))),
        *(RangeMean(measure=measure) for measure in RANGE_MEASURES),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpliedIndex:
    """A published index of implied volatility as a forecast: the last value known, the same for every horizon."""

    series: ImpliedSeries
    name: str = "implied-index"
    needs_hours: bool = False

    def forecast(self, bars: DayBars, known: Index) -> ModelForecast:
        """Return forecasts; NaN where no value of the last two days was known."""
        at = bars.start_utc_ns + known * DAY_NS
        place = np.searchsorted(self.series.known_utc_ns, at, side="right") - 1
        found = np.maximum(place, 0)
        fresh = (place >= 0) & (at - self.series.known_utc_ns[found] <= _MAX_IMPLIED_AGE_NS)
        per_day = np.where(fresh, self.series.volatility_annual[found] ** 2 / 365.0, np.nan)
        return ModelForecast(level=per_day, one_day=per_day, five_days=FAR_DAYS * per_day, fallback=("",) * known.size)


def assess(
    bars: DayBars,
    *,
    days: int,
    implied: ImpliedSeries | None = None,
    progress: Progress | None = None,
) -> CoinVolatility:
    """Return levels, forecasts and scores of all models on one coin.

    Parameters
    ----------
    bars : DayBars
    days : int
        Last days to score, at least 30; fewer are scored where the history is shorter.
    implied : ImpliedSeries or None
    progress : callable or None
        Called with the name of each model before it runs.

    Notes
    -----
    One-day-ahead walk-forward: the forecast of a day sees the days before it alone, parameters from fits at whole
    multiples of 14 days. Days that miss more than a quarter of their bars, or in which nothing moved, are not scored.
    """
    if days < MIN_SCORED:
        raise InputError(f"was {days}", field="days", allowed=f"at least {MIN_SCORED}")
    origins = np.arange(max(_FIRST_ORIGIN, bars.n_days - days), bars.n_days + 1)
    scored = bars.is_whole[origins[:-1]] & (bars.realised[origins[:-1]] > 0.0)
    chosen = [model for model in volatility_models() if bars.is_hourly or not model.needs_hours]
    if implied is not None:
        chosen.append(ImpliedIndex(series=implied))
    found: dict[str, ModelForecast] = {}
    for model in chosen:
        if progress:
            progress(model.name)
        found[model.name] = model.forecast(bars, origins)
    scores, best = _scores(bars.realised[origins[:-1]], scored, found)
    models = [_model(name, forecast, scores[name], scored) for name, forecast in found.items()]
    models.sort(key=lambda model: math.inf if model.scores is None else model.scores.qlike)
    return CoinVolatility(
        coin=bars.coin,
        end_utc=utc_text(bars.end_utc_ns),
        step_s=bars.step_s,
        n_days=bars.n_days,
        models=tuple(models),
        best=best,
        range_annual=_ranges(bars),
        season=_season(bars) if bars.is_hourly else None,
        notes=(*_notes(bars, days, int(scored.sum()), origins), *_implied_notes(implied, bars, found)),
    )


def _scores(
    realised: Vector, scored: NDArray[np.bool_], found: dict[str, ModelForecast]
) -> tuple[dict[str, ForecastScores | None], str]:
    usable = {name: scored & np.isfinite(forecast.one_day[:-1]) for name, forecast in found.items()}
    # The best is chosen among models that answered on every scored day; an index that starts late is held against it
    # on its own days.
    full = [name for name in found if usable[name].sum() == scored.sum() >= MIN_SCORED]
    losses = {name: qlike(realised[usable[name]], found[name].one_day[:-1][usable[name]]) for name in full}
    best = min(full, key=lambda name: float(losses[name].mean()), default="")
    table: dict[str, ForecastScores | None] = {}
    for name, forecast in found.items():
        where = usable[name]
        if where.sum() < MIN_SCORED:
            table[name] = None
            continue
        other = found[best].one_day[:-1] if best and name != best else None
        table[name] = _score(realised[where], forecast.one_day[:-1][where], None if other is None else other[where])
    return table, best


def _score(realised: Vector, forecast: Vector, best: Vector | None) -> ForecastScores:
    loss = qlike(realised, forecast)
    line = mincer_zarnowitz(realised, forecast) if np.ptp(forecast) > 0.0 else None
    return ForecastScores(
        n_days=realised.size,
        qlike=float(loss.mean()),
        log_mse=float(log_square(realised, forecast).mean()),
        mean_ratio=float(realised.mean() / forecast.mean()),
        mz_slope=None if line is None else line.slope,
        mz_r2=None if line is None else line.r2,
        p_against_best=None if best is None else diebold_mariano(loss, qlike(realised, best)).p_value,
    )


def _model(
    name: str, forecast: ModelForecast, scores: ForecastScores | None, scored: NDArray[np.bool_]
) -> ModelVolatility:
    # the last forecast is of a day to come
    on_scored = [text for text, is_scored in zip(forecast.fallback[:-1], scored, strict=True) if is_scored]
    reasons = Counter(text.split(":")[0] for text in on_scored)
    return ModelVolatility(
        name=name,
        level_annual=_annual(forecast.level[-1], 1),
        one_day_annual=_annual(forecast.one_day[-1], 1),
        five_days_annual=_annual(forecast.five_days[-1], FAR_DAYS),
        scores=scores,
        fallback_now=forecast.fallback[-1],
        fallback_days={reason: count for reason, count in reasons.items() if reason},
    )


def _annual(variance: float, days: int) -> float | None:
    return annual_volatility(float(variance), step_s=days * SECONDS_PER_DAY) if variance > 0.0 else None


def _ranges(bars: DayBars) -> dict[str, dict[str, float]]:
    return {
        measure: {
            f"{days}d": annual_volatility(
                range_variance(bars, measure, bars.n_days - days, bars.n_days), step_s=SECONDS_PER_DAY
            )
            for days in RANGE_WINDOWS_DAYS
        }
        for measure in RANGE_MEASURES
    }


def _season(bars: DayBars) -> Vector:
    first = first_hour(bars.n_days)
    return bucket_factors(bars.moves[first:], bars.buckets(0, bars.n_days * 24)[first:])


def _notes(bars: DayBars, days: int, n_scored: int, origins: Index) -> list[str]:
    notes = []
    if origins.size - 1 < days:
        notes.append(
            f"{origins.size - 1} days scored instead of {days}: {bars.n_days} days of bars, the first {_FIRST_ORIGIN} "
            "start the models"
        )
    if n_scored < origins.size - 1:
        notes.append(f"{origins.size - 1 - n_scored} days without enough bars or movement are not scored")
    if n_scored < MIN_SCORED:
        notes.append(f"no scores: {n_scored} days, {MIN_SCORED} needed")
    if not bars.is_hourly:
        notes.append(
            "daily bars: no hourly models, no realised variance, no season of hours; what came is measured by "
            "Garman-Klass"
        )
    return notes


def _implied_notes(implied: ImpliedSeries | None, bars: DayBars, found: dict[str, ModelForecast]) -> list[str]:
    if implied is None or np.isfinite(found["implied-index"].one_day[-1]):
        return []
    known = implied.known_utc_ns
    past = known[known <= bars.end_utc_ns]
    last = f"its last value was known {utc_text(int(past[-1]))}" if past.size else "no value was known by then"
    return [f"implied-index has nothing to say of {utc_text(bars.end_utc_ns)}: {last} ({implied.source})"]
