"""The walk-forward backtest: which windows, which models, resumable work, and the scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from margincover.app.crisis_windows import CrisisWindows, crisis_windows
from margincover.coverage.backtest_scores import (
    MIN_WINDOWS,
    ModelScore,
    SeriesForecast,
    SeriesOutcome,
    SeriesScore,
    score_models,
)
from margincover.errors import InputError, UsageError
from margincover.io.backtest_state import BacktestState
from margincover.io.market_files import MarketFiles
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.fallback import range_volatility
from margincover.scenarios.forecast.models import DEFAULT, REFERENCE, ForecastModel, answered, coin_models
from margincover.scenarios.forecast.pooled import PooledForecast
from margincover.scenarios.forecast.pooled_panel import ANCHOR_TAIL, SHAPE_TAIL
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances
from margincover.scenarios.forecast.stress_floor import StoredForecast, StressFloorForecast
from margincover.scenarios.forecast.windows import DAY_HOURS, realised_maxima
from margincover.version import __version__

# A model is judged once it could have learned: 300 days after the first bar of the coin.
FIRST_FORECAST_HOURS = 300 * DAY_HOURS
# Volatility that sorts windows into thirds: the range volatility of the five days before.
SORTING_HOURS = 5 * DAY_HOURS
DEFAULT_MODELS = (
    "historical-500d",
    "historical-all",
    "ewma-normal-daily",
    "ewma-normal-hourly",
    "garch-t-daily",
    "gjr-t-daily",
    "filtered-ewma",
    REFERENCE,
    "reference-stress-floor",
    "range-fallback",
    DEFAULT,
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """What is walked forward: model names, horizon, tolerances, paths and seed of the simulations."""

    models: tuple[str, ...] = DEFAULT_MODELS
    horizon_hours: int = DAY_HOURS
    tolerances: Tolerances = field(default_factory=lambda: Tolerances(values=(0.05, 0.01, 0.001)))
    n_paths: int = 10_000
    seed: int = 1

    def __post_init__(self) -> None:
        unknown = [name for name in self.models if name not in DEFAULT_MODELS]
        if unknown or not self.models:
            raise UsageError(f"was '{', '.join(unknown)}'", field="--models", allowed=", ".join(DEFAULT_MODELS))


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCoin:
    """Windows of one coin: start, bars known at it, realised M [window, side], log volatility before it."""

    coin: str
    start_utc_ns: NDArray[np.int64]
    count: NDArray[np.int64]
    maximum: NDArray[np.float64]
    log_volatility: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """All that a report needs.

    ``series[tolerance][model][series_id]`` and ``models[tolerance]`` hold the scores; ``forecasts[model][coin]`` what
    was forecast in the windows of ``judged``. ``crises[coin]`` are the windows of crisis days, those from 00:00 UTC and
    those from the hour before the slide, ``crisis_forecasts[model][coin]`` what default and reference forecast there.
    """

    settings: BacktestSettings
    judged: tuple[JudgedCoin, ...]
    forecasts: Mapping[str, Mapping[str, Forecast]]
    series: Mapping[float, Mapping[str, Mapping[str, SeriesScore]]]
    models: Mapping[float, list[ModelScore]]
    notes: tuple[str, ...]
    crises: Mapping[str, CrisisWindows]
    crisis_forecasts: Mapping[str, Mapping[str, Forecast]]


def market_of(files: MarketFiles) -> dict[str, CoinBars]:
    """Return the bars of every coin as forecasts read them."""
    return {coin: CoinBars(history=history) for coin, history in files.histories.items()}


def backtest(
    files: MarketFiles,
    settings: BacktestSettings,
    *,
    resume: Path | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> BacktestResult:
    """Walk all models forward over all coins and score them.

    Parameters
    ----------
    files : MarketFiles
    settings : BacktestSettings
    resume : path or None
        State file: written after every unit of work, read when it exists.
    progress : callable or None
        Called with (what, done, total).
    threads : int
        Coins walked at the same time; the figures are the same for any number.

    Raises
    ------
    InputError
        If no coin has 300 days and 60 windows of history, or the state file belongs to another run.
    """
    if settings.horizon_hours % DAY_HOURS:
        raise UsageError(
            f"was {settings.horizon_hours} h", field="--horizon", allowed="whole days: the windows start at 00:00 UTC"
        )
    market = market_of(files)
    judged, refused = _judged(market, settings.horizon_hours)
    state = BacktestState(resume, fingerprint=_fingerprint(files, settings))
    crises = {
        found.coin: crisis_windows(market[found.coin], found.start_utc_ns, settings.horizon_hours) for found in judged
    }
    asked = {found.coin: np.union1d(found.count, crises[found.coin].count) for found in judged}
    every = run_models(market, asked, settings, state=state, progress=progress, threads=threads)
    daily = {found.coin: found.count for found in judged}
    forecasts = _parts(every, asked, daily)
    known = {name: by_coin for name, by_coin in every.items() if name in (DEFAULT, REFERENCE)}
    series, models = _scores(judged, forecasts, settings)
    return BacktestResult(
        settings=settings,
        judged=judged,
        forecasts=forecasts,
        series=series,
        models=models,
        notes=(*files.issues, *refused, *_replacements(forecasts)),
        crises=crises,
        crisis_forecasts=_parts(known, asked, {coin: found.count for coin, found in crises.items()}),
    )


def _judged(market: Mapping[str, CoinBars], horizon_hours: int) -> tuple[tuple[JudgedCoin, ...], list[str]]:
    """Coins with windows enough, and why others are not judged."""
    windows = {coin: judged_windows(bars, horizon_hours) for coin, bars in market.items()}
    refused = {coin: reason for coin, found in windows.items() if (reason := _why_not_judged(found))}
    judged = tuple(found for coin, found in windows.items() if coin not in refused)
    if not judged:
        raise InputError(
            "; ".join(refused.values()),
            field="--history",
            allowed=f"a coin with 300 days and {MIN_WINDOWS} windows",
        )
    return judged, list(refused.values())


def _parts(
    every: Mapping[str, Mapping[str, Forecast]],
    asked: Mapping[str, NDArray[np.int64]],
    wanted: Mapping[str, NDArray[np.int64]],
) -> dict[str, dict[str, Forecast]]:
    """Forecasts [model][coin] at the counts ``wanted`` of those made at ``asked``."""
    return {
        name: {coin: at_counts(found, asked[coin], wanted[coin]) for coin, found in by_coin.items()}
        for name, by_coin in every.items()
    }


def judged_windows(bars: CoinBars, horizon_hours: int) -> JudgedCoin:
    """Return the windows that decide: from 00:00 UTC, not overlapping, from 300 days after the first bar on."""
    step_ns = horizon_hours * HOUR_NS
    first = bars.start_utc_ns + FIRST_FORECAST_HOURS * HOUR_NS
    last = bars.start_utc_ns + (bars.n_bars - horizon_hours) * HOUR_NS
    start = np.arange(-(-first // step_ns) * step_ns, last + 1, step_ns, dtype=np.int64)
    count = bars.closed_by(start)
    volatility = range_volatility(bars, count, window=SORTING_HOURS)
    return JudgedCoin(
        coin=bars.coin,
        start_utc_ns=start,
        count=count,
        maximum=realised_maxima(bars, count, horizon_hours=horizon_hours),
        log_volatility=np.log(np.maximum(volatility, 1e-9)),
    )


def run_models(
    market: Mapping[str, CoinBars],
    asked: Mapping[str, NDArray[np.int64]],
    settings: BacktestSettings,
    *,
    state: BacktestState,
    progress: Progress | None = None,
    threads: int = 1,
) -> dict[str, dict[str, Forecast]]:
    """Return forecasts [model][coin] for the instants at which ``asked`` bars had closed.

    Notes
    -----
    The default learns from the reference's forecasts on every day of every coin, so the reference is run on these
    days too when the default is wanted; forecasts do not depend on the other instants asked.
    """
    # first, as the add-on and the default build on it
    wanted = [REFERENCE, *(name for name in settings.models if name not in (DEFAULT, REFERENCE))]
    pooled = PooledForecast() if DEFAULT in settings.models else None
    tolerances, kept = _with_anchors(settings.tolerances)
    learned: dict[str, tuple[NDArray[np.int64], Forecast]] = {}

    walk = _Walk(
        market=market,
        asked=asked,
        settings=settings,
        state=state,
        tolerances=tolerances,
        learned=learned,
        training=pooled.training_counts if pooled is not None else None,
    )
    found = _walk_all(walk, learned, (wanted, kept), progress, threads)
    if pooled is not None:
        adjusted = pooled.forecast(
            market, learned, asked, horizon_hours=settings.horizon_hours, base_tolerances=tolerances
        )
        everywhere = {coin: np.arange(len(forecast.method)) for coin, forecast in adjusted.items()}
        found[DEFAULT] = {coin: _taken(forecast, everywhere[coin], kept) for coin, forecast in adjusted.items()}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """One model over one coin at a time; ``learned`` is filled by the caller between models, never in a worker."""

    market: Mapping[str, CoinBars]
    asked: Mapping[str, NDArray[np.int64]]
    settings: BacktestSettings
    state: BacktestState
    tolerances: Tolerances
    learned: Mapping[str, tuple[NDArray[np.int64], Forecast]]
    training: Callable[[CoinBars], NDArray[np.int64]] | None

    def forecast(self, name: str, coin: str) -> tuple[NDArray[np.int64], Forecast | None]:
        """Return the counts and the forecasts there, from the state where they are done."""
        bars, count = self.market[coin], self.asked.get(coin, np.empty(0, dtype=np.int64))
        # the add-on is put on what the reference has forecast for the same instants
        if name == REFERENCE and self.training is not None:
            count = np.union1d(count, self.training(bars))
        if not count.size:
            return count, None
        unit = self.state.get(f"{name}/{coin}")
        if unit is not None:
            return count, Forecast(rc=unit[0]["rc"], rces=unit[0]["rces"], method=tuple(unit[1]))
        models = coin_models(n_paths=self.settings.n_paths, seed=self.settings.seed)
        model = _on_stored_base(models[name], self.learned.get(coin))
        horizon = self.settings.horizon_hours
        return count, answered(model, bars, count, horizon_hours=horizon, tolerances=self.tolerances)


def _walk_all(
    walk: _Walk,
    learned: dict[str, tuple[NDArray[np.int64], Forecast]],
    names: tuple[list[str], list[int]],
    progress: Progress | None,
    threads: int,
) -> dict[str, dict[str, Forecast]]:
    """Forecasts [model][coin] at the asked counts, for (models, places of the asked tolerances); fills ``learned``."""
    wanted, kept = names
    found: dict[str, dict[str, Forecast]] = {name: {} for name in wanted}
    done = 0
    with ThreadPoolExecutor(max_workers=threads) as executor:
        # one model after the other, as the add-on reads what the reference has found
        for name in wanted:
            for coin, (count, forecast) in zip(
                walk.market, executor.map(partial(walk.forecast, name), walk.market), strict=True
            ):
                done += 1
                if progress is not None:
                    progress(f"{name} {coin}", done, len(wanted) * len(walk.market))
                if forecast is None:
                    continue
                # here and not in the worker: one thread alone writes the file
                _keep(walk.state, f"{name}/{coin}", forecast)
                if name == REFERENCE:
                    learned[coin] = (count, forecast)
                if coin in walk.asked and walk.asked[coin].size:
                    found[name][coin] = _taken(forecast, np.searchsorted(count, walk.asked[coin]), kept)
    return found


def _with_anchors(asked: Tolerances) -> tuple[Tolerances, list[int]]:
    """Tolerances that the default builds on beside those asked, and the places of those asked."""
    values = tuple(sorted({*asked.values, ANCHOR_TAIL, SHAPE_TAIL}, reverse=True))
    return Tolerances(values=values), [values.index(value) for value in asked.values]


def _on_stored_base(model: ForecastModel, base: tuple[NDArray[np.int64], Forecast] | None) -> ForecastModel:
    """Let the add-on reuse the reference's forecasts where they are already there."""
    if isinstance(model, StressFloorForecast) and base is not None:
        return replace(model, base=StoredForecast(count=base[0], found=base[1], min_bars=model.base.min_bars))
    return model


def _keep(state: BacktestState, key: str, found: Forecast) -> None:
    if state.get(key) is None:
        state.put(key, {"rc": found.rc, "rces": found.rces}, list(found.method))


def at_counts(forecast: Forecast, counts: NDArray[np.int64], wanted: NDArray[np.int64]) -> Forecast:
    """Return the forecasts at ``wanted`` of those at ``counts``, rising."""
    return _taken(forecast, np.searchsorted(counts, wanted), list(range(forecast.rc.shape[2])))


def _taken(forecast: Forecast, places: NDArray[np.int64], tolerances: list[int]) -> Forecast:
    return Forecast(
        rc=forecast.rc[places][:, :, tolerances],
        rces=forecast.rces[places][:, :, tolerances],
        method=tuple(forecast.method[place] for place in places),
    )


def _scores(
    judged: Iterable[JudgedCoin], forecasts: Mapping[str, Mapping[str, Forecast]], settings: BacktestSettings
) -> tuple[dict[float, Mapping[str, Mapping[str, SeriesScore]]], dict[float, list[ModelScore]]]:
    outcomes = {}
    for found in judged:
        for side in Side:
            name = series_id(found.coin, side)
            outcomes[name] = SeriesOutcome(
                series_id=name,
                date=found.start_utc_ns // (settings.horizon_hours * HOUR_NS),
                maximum=found.maximum[:, side],
                log_volatility=found.log_volatility,
            )
    series: dict[float, Mapping[str, Mapping[str, SeriesScore]]] = {}
    models = {}
    for k, tail in enumerate(settings.tolerances.values):
        split = {
            model: {
                series_id(coin, side): SeriesForecast(rc=forecast.rc[:, side, k], rces=forecast.rces[:, side, k])
                for coin, forecast in found.items()
                for side in Side
            }
            for model, found in forecasts.items()
        }
        series[tail], models[tail] = score_models(outcomes, split, tail=tail, reference=REFERENCE)
    return series, models


def series_id(coin: str, side: Side) -> str:
    """Return ``BTC:long``."""
    return f"{coin}:{side.name.lower()}"


def _why_not_judged(found: JudgedCoin) -> str:
    """Return why a coin has no scores, empty if it has."""
    if found.count.size < MIN_WINDOWS:
        return f"{found.coin}: {found.count.size} windows after the first 300 days, {MIN_WINDOWS} needed: not judged"
    if not float(np.ptp(found.maximum, axis=0).max()) > 0.0:
        return f"{found.coin}: the price never moved: not judged"
    return ""


def _replacements(forecasts: Mapping[str, Mapping[str, Forecast]]) -> list[str]:
    """Say where a model did not answer itself."""
    notes = []
    for model, found in forecasts.items():
        for coin, forecast in found.items():
            others = [text for text in forecast.method if text.split(" + ")[0] not in (model, REFERENCE)]
            if others:
                notes.append(f"{model}, {coin}: {len(others)} forecasts by {others[0]}")
    return notes


def _fingerprint(files: MarketFiles, settings: BacktestSettings) -> str:
    digest = hashlib.sha256(f"{__version__} {settings.horizon_hours} {settings.tolerances}".encode())
    digest.update(f" {settings.n_paths} {settings.seed} {DEFAULT in settings.models} crisis hours".encode())
    for coin, history in files.histories.items():
        digest.update(f" {coin} {history.start_utc_ns}".encode())
        for values in (history.open, history.high, history.low, history.close):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
