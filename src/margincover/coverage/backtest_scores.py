"""Scores of forecasts of required coverage: of one series (coin and side), and of a model over all series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric import backtests, scores
from margincover.numeric.arrays import Vector
from margincover.numeric.intervals import wilson
from margincover.numeric.rng import stream

BLOCK_DATES = 7
BOOTSTRAP_DRAWS = 1_000
PASS_LEVEL = 0.05
# A chi-square test needs a few windows; a series shorter than this is reported without tests.
MIN_WINDOWS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOutcome:
    """What came in one series.

    Parameters
    ----------
    series_id : str
        ``BTC:long``.
    date : array [window]
        Number of the window on the common calendar, rising.
    maximum : array [window]
        Realised M as a fraction of notional.
    log_volatility : array [window]
        Known at the forecast; for the dynamic quantile test and the thirds.
    """

    series_id: str
    date: NDArray[np.int64]
    maximum: Vector
    log_volatility: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """Forecasts [window] of one series at one tolerance, fractions of notional."""

    rc: Vector
    rces: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesScore:
    """Scores of one series at one tolerance; rates and capital are fractions, p-values in [0, 1]."""

    series_id: str
    windows: int
    exceedances: int
    rate: float
    rate_calm: float
    rate_stress: float
    kupiec_p: float
    independence_p: float
    conditional_p: float
    dynamic_quantile_p: float
    z2: float
    zone: str
    quantile_loss: float
    fissler_ziegel: float
    capital: float
    exact_rate_capital: float
    peak_to_trough: float
    jump_1: float
    jump_5: float
    jump_30: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    """A model over all series at one tolerance.

    Ratios are to the reference model, 1 for itself; ``rate_low`` and ``rate_high`` are the ends of a bootstrap interval
    over blocks of 7 dates. Pass shares count series with p > 0.05; ``failed_with_too_little`` counts the series that
    fail Kupiec with more exceedances than stated. Procyclicality figures are medians over series.
    """

    model: str
    tolerance: float
    windows: int
    rate: float
    rate_low: float
    rate_high: float
    rate_wilson_low: float
    rate_wilson_high: float
    rate_calm: float
    rate_stress: float
    kupiec_pass: float
    failed_with_too_little: int
    conditional_pass: float
    dynamic_quantile_pass: float
    z2: float
    loss_ratio: scores.RatioInterval
    best_fissler_ziegel: float
    capital: float
    exact_rate_capital: float
    exact_rate_ratio: float
    peak_to_trough: float
    jump_1: float
    jump_5: float
    jump_30: float


def score_series(outcome: SeriesOutcome, forecast: SeriesForecast, *, tail: float) -> SeriesScore:
    """Return the scores of one series at one tolerance.

    Raises
    ------
    InputError
        If there are fewer than 60 windows or the lengths differ.
    """
    loss, rc, rces = outcome.maximum, forecast.rc, forecast.rces
    if loss.size < MIN_WINDOWS or loss.shape != rc.shape:
        raise InputError(
            f"{loss.size} windows, {rc.size} forecasts", field=outcome.series_id, allowed=f"at least {MIN_WINDOWS}"
        )
    hits = loss > rc
    calm, stress = _thirds(outcome.log_volatility)
    moves = scores.procyclicality(rc)
    return SeriesScore(
        series_id=outcome.series_id,
        windows=int(loss.size),
        exceedances=int(hits.sum()),
        rate=float(hits.mean()),
        rate_calm=float(hits[calm].mean()),
        rate_stress=float(hits[stress].mean()),
        kupiec_p=backtests.kupiec(int(hits.sum()), hits.size, tail=tail).p_value,
        independence_p=backtests.christoffersen_independence(backtests.hit_transitions(hits)).p_value,
        conditional_p=backtests.conditional_coverage(hits, tail=tail).p_value,
        dynamic_quantile_p=backtests.dynamic_quantile(hits, outcome.log_volatility, tail=tail).p_value,
        z2=backtests.acerbi_szekely_z2(loss, rc, rces, tail=tail),
        zone=backtests.traffic_light(int(hits.sum()), hits.size, tail=tail).zone,
        quantile_loss=float(scores.quantile_loss(loss, rc, tail=tail).mean()),
        fissler_ziegel=float(scores.fissler_ziegel(loss, rc, rces, tail=tail).mean()),
        capital=float(rc.mean()),
        exact_rate_capital=float(rc.mean()) * scores.exact_rate_scale(loss, rc, tail=tail),
        peak_to_trough=moves.peak_to_trough,
        jump_1=moves.jump_1,
        jump_5=moves.jump_5,
        jump_30=moves.jump_30,
    )


def score_models(
    outcomes: Mapping[str, SeriesOutcome],
    forecasts: Mapping[str, Mapping[str, SeriesForecast]],
    *,
    tail: float,
    reference: str,
) -> tuple[dict[str, dict[str, SeriesScore]], list[ModelScore]]:
    """Return scores [model][series] and one row a model.

    Parameters
    ----------
    outcomes : mapping of series to outcome
    forecasts : mapping of model to mapping of series to forecast
    reference : str
        Model that ratios refer to; one of ``forecasts``.
    """
    rows = {
        model: {name: score_series(outcomes[name], forecast, tail=tail) for name, forecast in found.items()}
        for model, found in forecasts.items()
    }
    best = [min(rows, key=lambda model: rows[model][name].fissler_ziegel) for name in outcomes]
    losses = {model: _on_calendar(outcomes, _losses(outcomes, found, tail)) for model, found in forecasts.items()}
    table = []
    for model, found in rows.items():
        hits = _on_calendar(outcomes, {name: outcomes[name].maximum > f.rc for name, f in forecasts[model].items()})
        table.append(
            _model_score(
                list(found.values()),
                hits=hits,
                ratio=scores.loss_ratio_interval(
                    losses[model],
                    losses[reference],
                    block=BLOCK_DATES,
                    draws=BOOTSTRAP_DRAWS,
                    rng=stream(1, "backtest.bootstrap"),
                ),
                against=list(rows[reference].values()),
                best=best.count(model) / len(best),
                name=model,
                tail=tail,
            )
        )
    return rows, table


def _model_score(
    rows: list[SeriesScore],
    *,
    hits: NDArray[np.float64],
    ratio: scores.RatioInterval,
    against: list[SeriesScore],
    best: float,
    name: str,
    tail: float,
) -> ModelScore:
    windows, exceedances = sum(row.windows for row in rows), sum(row.exceedances for row in rows)
    _, _, wilson_low, wilson_high = wilson(exceedances, windows)
    rate_low, rate_high = _rate_interval(hits)
    exact = [row.exact_rate_capital / other.exact_rate_capital for row, other in zip(rows, against, strict=True)]
    return ModelScore(
        model=name,
        tolerance=tail,
        windows=windows,
        rate=exceedances / windows,
        rate_low=rate_low,
        rate_high=rate_high,
        rate_wilson_low=wilson_low,
        rate_wilson_high=wilson_high,
        rate_calm=_weighted(rows, [row.rate_calm for row in rows]),
        rate_stress=_weighted(rows, [row.rate_stress for row in rows]),
        kupiec_pass=_share(row.kupiec_p for row in rows),
        failed_with_too_little=sum(row.kupiec_p <= PASS_LEVEL and row.rate > tail for row in rows),
        conditional_pass=_share(row.conditional_p for row in rows),
        dynamic_quantile_pass=_share(row.dynamic_quantile_p for row in rows),
        z2=_weighted(rows, [row.z2 for row in rows]),
        loss_ratio=ratio,
        best_fissler_ziegel=best,
        capital=float(np.mean([row.capital for row in rows])),
        exact_rate_capital=float(np.mean([row.exact_rate_capital for row in rows])),
        exact_rate_ratio=float(np.mean(exact)),
        peak_to_trough=float(np.median([row.peak_to_trough for row in rows])),
        jump_1=float(np.median([row.jump_1 for row in rows])),
        jump_5=float(np.median([row.jump_5 for row in rows])),
        jump_30=float(np.median([row.jump_30 for row in rows])),
    )


def _thirds(log_volatility: Vector) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Windows of the calmest and of the most volatile third of the series."""
    # by rank, so that ties leave no third empty
    rank = np.argsort(np.argsort(log_volatility, kind="stable"), kind="stable")
    third = log_volatility.size // 3
    return rank < third, rank >= log_volatility.size - third


def _losses(
    outcomes: Mapping[str, SeriesOutcome], forecasts: Mapping[str, SeriesForecast], tail: float
) -> dict[str, Vector]:
    return {
        name: scores.quantile_loss(outcomes[name].maximum, forecast.rc, tail=tail)
        for name, forecast in forecasts.items()
    }


def _on_calendar(outcomes: Mapping[str, SeriesOutcome], values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Values [series, date]; NaN where a series has no window."""
    first = min(int(outcome.date[0]) for outcome in outcomes.values())
    last = max(int(outcome.date[-1]) for outcome in outcomes.values())
    table = np.full((len(outcomes), last - first + 1), np.nan)
    for row, (name, outcome) in zip(table, outcomes.items(), strict=True):
        row[outcome.date - first] = values[name]
    return table


def _rate_interval(hits: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the pooled rate; dates are drawn in blocks, as exceedances of coins come together."""
    found = scores.pooled_rates(hits, block=BLOCK_DATES, draws=BOOTSTRAP_DRAWS, rng=stream(1, "backtest.bootstrap"))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def _weighted(rows: list[SeriesScore], values: list[float]) -> float:
    return float(np.average(values, weights=[row.windows for row in rows]))


def _share(p_values: Iterable[float]) -> float:
    return float(np.mean([p > PASS_LEVEL for p in p_values]))
