"""Answers to requests for forecasts: every row answered, from bars that had closed by its instant alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.app.backtest import BacktestSettings, Progress, market_of, run_models
from margincover.io.backtest_state import BacktestState
from margincover.io.market_files import MarketFiles
from margincover.io.requests_table import RequestsTable
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.fallback import unknown_coin
from margincover.scenarios.forecast.models import DEFAULT
from margincover.scenarios.forecast.required import Tolerances

# A forecast from bars older than this is named stale in the answer.
STALE_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Required coverage [row] as fractions of notional, and the model that answered each row."""

    rc: NDArray[np.float64]
    rces: NDArray[np.float64]
    model: list[str]


def answer_requests(
    files: MarketFiles,
    requests: RequestsTable,
    *,
    model: str = DEFAULT,
    n_paths: int = 10_000,
    seed: int = 1,
    progress: Progress | None = None,
    threads: int = 1,
) -> Answers:
    """Return rc and rces for every request.

    Parameters
    ----------
    files : MarketFiles
    requests : RequestsTable
    model : str
        Name of the model asked; where it cannot answer, ``Answers.model`` names who did and why.
    threads : int
        Coins computed at the same time; the answers are the same for any number.

    Notes
    -----
    The history is cut at the latest request before anything is computed, and each forecast reads bars before its own
    instant alone. A coin without any file gets the whole notional, a stated bound. Requests of one horizon are answered
    together.
    """
    market = market_of(_cut(files, int(requests.forecast_utc_ns.max())))
    count = requests.forecast_utc_ns.size
    answers = Answers(rc=np.empty(count), rces=np.empty(count), model=[""] * count)
    for horizon in np.unique(requests.horizon_hours):
        rows = np.flatnonzero(requests.horizon_hours == horizon)
        tails = sorted({float(tail) for tail in requests.tolerance[rows]}, reverse=True)
        settings = BacktestSettings(
            models=(model,),
            horizon_hours=int(horizon),
            tolerances=Tolerances(values=tuple(tails)),
            n_paths=n_paths,
            seed=seed,
        )
        _answer_rows(market, requests, rows, settings, answers, (progress, threads))
    return answers


def _answer_rows(
    market: Mapping[str, CoinBars],
    requests: RequestsTable,
    rows: NDArray[np.int64],
    settings: BacktestSettings,
    answers: Answers,
    running: tuple[Progress | None, int],
) -> None:
    """Fill the answers of the rows of one horizon."""
    by_coin: dict[str, list[int]] = {}
    for row in rows:
        by_coin.setdefault(requests.coin[row], []).append(int(row))
    counts = {
        coin: market[coin].closed_by(requests.forecast_utc_ns[places])
        for coin, places in by_coin.items()
        if coin in market
    }
    asked = {coin: np.unique(count) for coin, count in counts.items()}
    state = BacktestState(None, fingerprint="requests")
    found = run_models(market, asked, settings, state=state, progress=running[0], threads=running[1])[
        settings.models[0]
    ]
    for coin, places in by_coin.items():
        if coin in market:
            forecast, where = found[coin], np.searchsorted(asked[coin], counts[coin])
            end = int(market[coin].closes_at(np.array([market[coin].n_bars]))[0])
        else:
            forecast, where = unknown_coin(1, settings.tolerances), np.zeros(len(places), dtype=np.int64)
            end = int(requests.forecast_utc_ns[places].max())
        for place, row in zip(where, places, strict=True):
            tail = settings.tolerances.values.index(float(requests.tolerance[row]))
            side = int(requests.is_short[row])
            answers.rc[row] = forecast.rc[place, side, tail]
            answers.rces[row] = forecast.rces[place, side, tail]
            hours = (int(requests.forecast_utc_ns[row]) - end) // HOUR_NS
            stale = f" (last bar {hours} h old)" if hours > STALE_HOURS else ""
            answers.model[row] = forecast.method[int(place)] + stale


def _cut(files: MarketFiles, latest_utc_ns: int) -> MarketFiles:
    """Histories without bars that had not closed at the latest request; coins that had no two bars by then are gone."""
    kept = {}
    for coin, history in files.histories.items():
        count = min(history.close.size, max(0, (latest_utc_ns - history.start_utc_ns) // HOUR_NS))
        if count >= 2:
            kept[coin] = replace(
                history,
                open=history.open[:count],
                high=history.high[:count],
                low=history.low[:count],
                close=history.close[:count],
            )
    return MarketFiles(histories=kept, issues=files.issues)
