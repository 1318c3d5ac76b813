"""Rows of all coins in time order: what the pooled model learns from, and when it may learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.filtered import MIN_BARS
from margincover.scenarios.forecast.pooled_features import (
    levels,
    log_volatilities,
    market_state,
    scale_features,
    signed_moves,
)
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, extreme_distance
from margincover.scenarios.forecast.windows import DAY_HOURS, rolling_distances

BASE = "reference"
# Below it a quantile regression has too few exceedances; smaller tolerances are carried down from here.
ANCHOR_TAIL = 0.01
# The tolerance with exceedances enough for a regression with many terms; smaller ones build on it.
SHAPE_TAIL = 0.05
DAY_NS = DAY_HOURS * HOUR_NS
REFIT_NS = 28 * DAY_NS
# Coin-days (each with two sides) before the regressions speak at all.
MIN_TRAINING_DAYS = 300
# A day counts by the level of its own forecast over that of the coin's history, within these bounds.
WEIGHT_BOUNDS = (0.2, 5.0)
SMALLEST_DISTANCE = 1e-4

Learned = Mapping[str, tuple[NDArray[np.int64], Forecast]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Rows of all coins in time order: coin number, time, base figures and regressors.

    ``came`` [row, side] and ``base`` [row, side, tolerance] are log distances, ``came`` NaN where the window ended
    after the data; ``base_ratio`` is rces over rc of the base. ``scale_design`` [row, feature] explains the log range
    over the five-day volatility ``recent`` [row]; ``own_level`` [row] is the log volatility of all history, ``levels``
    [row, 2] that of the coin over the market and that of the market; ``moves`` [row, side, 2] as in
    ``pooled_features``.
    """

    coins: tuple[str, ...]
    horizon_hours: int
    coin: NDArray[np.int64]
    count: NDArray[np.int64]
    time: NDArray[np.int64]
    is_day: NDArray[np.bool_]
    came: NDArray[np.float64]
    base: NDArray[np.float64]
    base_ratio: NDArray[np.float64]
    scale_design: NDArray[np.float64]
    recent: Vector
    own_level: Vector
    levels: NDArray[np.float64]
    moves: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """One refit: its instant, rows that may teach (their windows had ended), rows answered; all [row] or scalar."""

    now: int
    taught: NDArray[np.bool_]
    answered: NDArray[np.bool_]

    def age_weight(self, panel: Panel, half_life_days: float) -> Vector:
        """Return weights [taught row], halved with every half-life."""
        age_days = (self.now - panel.time[self.taught]) / DAY_NS
        return np.asarray(0.5 ** (age_days / half_life_days), dtype=np.float64)

    def level_weight(self, panel: Panel) -> NDArray[np.float64]:
        """Return weights [taught row, side] by the level of the forecast, around 1."""
        weight = panel.weight[self.taught]
        return np.asarray(np.clip(weight / weight.mean(), *WEIGHT_BOUNDS), dtype=np.float64)


def refits_of(panel: Panel) -> list[Refit]:
    """Return the refits, every 28 days since the epoch, at which enough was known."""
    horizon_ns = panel.horizon_hours * HOUR_NS
    ended = panel.is_day & ~np.isnan(panel.came[:, 0])
    period = panel.time // REFIT_NS
    found = [
        Refit(
            now=int(number) * REFIT_NS,
            taught=ended & (panel.time + horizon_ns <= number * REFIT_NS),
            answered=period == number,
        )
        for number in range(int(period.min()), int(period.max()) + 1)
    ]
    return [refit for refit in found if int(refit.taught.sum()) >= MIN_TRAINING_DAYS]


def panel_of(market: Mapping[str, CoinBars], learned: Learned, horizon_hours: int, tolerances: Tolerances) -> Panel:
    """Return the rows of all coins at which the base itself answered."""
    coins = tuple(learned)
    usable = {coin: usable_rows(found) for coin, found in learned.items()}
    times = {coin: market[coin].closes_at(learned[coin][0][usable[coin]]) for coin in coins}
    instants = np.unique(np.concatenate(list(times.values())))
    state = market_state(market, instants, min_bars=MIN_BARS)
    parts = [
        _coin_rows(
            number,
            market[coin],
            (learned[coin][0][usable[coin]], learned[coin][1].rc[usable[coin]], learned[coin][1].rces[usable[coin]]),
            state[np.searchsorted(instants, times[coin])],
            horizon_hours,
            tolerances,
        )
        for number, coin in enumerate(coins)
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((joined["coin"], joined["time"]))
    rows = {name: values[order] for name, values in joined.items()}
    return Panel(coins=coins, horizon_hours=horizon_hours, is_day=rows["time"] % DAY_NS == 0, **rows)


def usable_rows(learned: tuple[NDArray[np.int64], Forecast]) -> NDArray[np.bool_]:
    """Return which rows the base answered itself: a fallback's bound teaches nothing and is passed on as it is."""
    return np.array([text.split(":")[0] == BASE for text in learned[1].method], dtype=bool)


def _coin_rows(
    number: int,
    bars: CoinBars,
    base: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    state: NDArray[np.float64],
    horizon_hours: int,
    tolerances: Tolerances,
) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    anchor, shape = (tolerances.values.index(tail) for tail in (ANCHOR_TAIL, SHAPE_TAIL))
    count, rc, rces = base
    distance = np.stack([extreme_distance(rc[:, side], side) for side in Side], axis=1)
    log_base = np.log(np.maximum(distance, SMALLEST_DISTANCE))
    came = np.full((count.size, len(Side)), np.nan)
    ended = count + horizon_hours <= bars.n_bars
    came[ended] = rolling_distances(bars, horizon_hours=horizon_hours)[count[ended] - 1]
    logs = log_volatilities(bars, count)
    return {
        "coin": np.full(count.size, number),
        "count": count,
        "time": bars.closes_at(count),
        "came": np.log(np.maximum(came, SMALLEST_DISTANCE)),
        "base": log_base,
        "base_ratio": rces / rc,
        "scale_design": scale_features(
            bars, count, logs, state, log_base=log_base[:, :, shape].mean(axis=1), horizon_hours=horizon_hours
        ),
        "recent": logs[:, 2],
        "own_level": logs[:, 4],
        "levels": levels(logs, state),
        "moves": signed_moves(bars, count, logs),
        "weight": np.exp(log_base[:, :, anchor] - logs[:, 4:5]),
    }
