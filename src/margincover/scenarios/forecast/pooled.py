"""The default model: the reference's simulated quantiles, corrected by what all coins have shown so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.quantile_regression import fit_quantile
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.filtered import MIN_BARS
from margincover.scenarios.forecast.pooled_correction import Series, corrected
from margincover.scenarios.forecast.pooled_features import N_FEATURES, features, market_state
from margincover.scenarios.forecast.required import (
    Forecast,
    Side,
    Tolerances,
    extreme_distance,
    shortfall_maximum,
)
from margincover.scenarios.forecast.windows import DAY_HOURS, rolling_distances

NAME = "default"
BASE = "reference"
# Below it a quantile regression has too few exceedances; smaller tolerances are carried down from here.
ANCHOR_TAIL = 0.01
# The reference's quantile here tells how far its volatility is from that of the last five days: a regressor.
SHAPE_TAIL = 0.05
DAY_NS = DAY_HOURS * HOUR_NS
REFIT_NS = 28 * DAY_NS
HALF_LIFE_DAYS = 700.0
# Coin-days (each with two sides) before the regression speaks at all.
MIN_TRAINING_DAYS = 300
RIDGE, RIDGE_OF_CONSTANT = 1.0, 0.1
# A day counts by the level of its own forecast over that of the coin's history, within these bounds.
WEIGHT_BOUNDS = (0.2, 5.0)
# Exceedances at the base's own ratio that Expected Shortfall and far tails start with.
PRIOR_EXCEEDANCES = 20.0
_SMALLEST_DISTANCE = 1e-4

Learned = Mapping[str, tuple[NDArray[np.int64], Forecast]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Rows of all coins in time order: coin number, time, base figures and regressors."""

    coins: tuple[str, ...]
    coin: NDArray[np.int64]
    count: NDArray[np.int64]
    time: NDArray[np.int64]
    is_day: NDArray[np.bool_]
    came: NDArray[np.float64]  # [row, side] log distance, NaN where the window ended after the data
    base: NDArray[np.float64]  # [row, side, tolerance] log distance
    base_ratio: NDArray[np.float64]  # [row, side, tolerance] rces over rc of the base
    design: NDArray[np.float64]  # [row, side, feature]
    weight: NDArray[np.float64]  # [row, side]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledForecast:
    """Quantile regression over all coins on top of the reference, with a correction along each series.

    Notes
    -----
    log distance = log reference distance + regressors (range volatilities over 6 hours to 30 days, those of BTC and of
    the market, recent moves, level of the coin) x coefficients, fitted to all coins and both sides every 28 days on
    windows that had ended, half-life 700 days, shrunk towards the reference. Tolerances below 1 % follow the shape of
    the reference beyond its 1 % quantile, times a factor from what came. ``pooled_correction`` holds the rate of each
    series, and bounds rise and fall. Until 300 coin-days are known, the reference speaks alone.
    """

    name: str = NAME
    label: str = "Reference, pooled quantile regression and online correction"

    def training_counts(self, bars: CoinBars) -> NDArray[np.int64]:
        """Return the bars closed at every 00:00 UTC at which the reference can answer."""
        first = -(-(bars.start_utc_ns + MIN_BARS * HOUR_NS) // DAY_NS) * DAY_NS
        last = bars.start_utc_ns + bars.n_bars * HOUR_NS
        return bars.closed_by(np.arange(first, last + 1, DAY_NS, dtype=np.int64))

    def forecast(
        self,
        market: Mapping[str, CoinBars],
        learned: Learned,
        asked: Mapping[str, NDArray[np.int64]],
        *,
        horizon_hours: int,
        base_tolerances: Tolerances,
    ) -> dict[str, Forecast]:
        """Return forecasts for the instants at which ``asked`` bars [window] had closed, by coin.

        Parameters
        ----------
        market : mapping of coin to CoinBars
        learned : mapping of coin to (counts, Forecast)
            The reference at all ``training_counts`` and all asked counts, rising, at ``base_tolerances``.
        base_tolerances : Tolerances
            Hold ``ANCHOR_TAIL`` and ``SHAPE_TAIL``; the forecasts have the same.

        Notes
        -----
        Instants at which the reference itself was replaced keep that answer and its name.
        """
        if not any(_usable(found).any() for found in learned.values()):
            return {coin: _base_alone(learned[coin], counts) for coin, counts in asked.items()}
        panel = _panel(market, learned, horizon_hours, base_tolerances)
        rows = panel.time.size
        rc = np.empty((rows, len(Side), len(base_tolerances.values)))
        rces = np.empty_like(rc)
        anchor = base_tolerances.values.index(ANCHOR_TAIL)
        levels = {}
        for k, tail in enumerate(base_tolerances.values):
            if tail >= ANCHOR_TAIL:
                level, trained = _regressed(panel, k, tail, horizon_hours)
                levels[k] = level
            else:
                shape = panel.base[:, :, k] - panel.base[:, :, anchor]
                level = levels[anchor] + shape + _tail_factor(panel, levels[anchor] + shape, tail, horizon_hours)
            log_distance = _corrected(panel, level, tail, horizon_hours)
            for side in Side:
                rc[:, side, k] = shortfall_maximum(np.exp(log_distance[:, side]), side)
            rces[:, :, k] = rc[:, :, k] * _shortfall_ratio(panel, k, rc[:, :, k], log_distance, horizon_hours)
        rc = np.maximum.accumulate(rc, axis=2)
        rces = np.maximum.accumulate(np.maximum(rces, rc), axis=2)
        return {coin: _answer(panel, coin, learned, asked, (rc, rces), trained) for coin in asked}


def _panel(market: Mapping[str, CoinBars], learned: Learned, horizon_hours: int, tolerances: Tolerances) -> _Panel:
    anchor, shape = (tolerances.values.index(tail) for tail in (ANCHOR_TAIL, SHAPE_TAIL))
    coins = tuple(learned)
    parts: list[dict[str, NDArray[np.float64] | NDArray[np.int64]]] = []
    usable = {coin: _usable(found) for coin, found in learned.items()}
    times = {coin: market[coin].closes_at(learned[coin][0][usable[coin]]) for coin in coins}
    instants = np.unique(np.concatenate(list(times.values())))
    state = market_state(market, instants, min_bars=MIN_BARS)
    for number, coin in enumerate(coins):
        bars, forecast = market[coin], learned[coin][1]
        count = learned[coin][0][usable[coin]]
        rc, rces = forecast.rc[usable[coin]], forecast.rces[usable[coin]]
        distance = np.stack([extreme_distance(rc[:, side], side) for side in Side], axis=1)
        distance = np.maximum(distance, _SMALLEST_DISTANCE)
        came = np.full((count.size, len(Side)), np.nan)
        ended = count + horizon_hours <= bars.n_bars
        came[ended] = rolling_distances(bars, horizon_hours=horizon_hours)[count[ended] - 1]
        design = features(bars, count, distance[:, :, shape], state[np.searchsorted(instants, times[coin])])
        # the last term but one is the coin's own level over the market's, the last the market's: their sum its level
        own = design[:, :, -1] + design[:, :, -2]
        parts.append(
            {
                "coin": np.full(count.size, number),
                "count": count,
                "time": times[coin],
                "came": np.log(np.maximum(came, _SMALLEST_DISTANCE)),
                "base": np.log(distance),
                "base_ratio": rces / rc,
                "design": design,
                "weight": np.exp(np.log(distance[:, :, anchor]) - own),
            }
        )
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((joined["coin"], joined["time"]))
    sorted_parts = {name: values[order] for name, values in joined.items()}
    return _Panel(coins=coins, is_day=sorted_parts["time"] % DAY_NS == 0, **sorted_parts)


def _refits(panel: _Panel, horizon_hours: int) -> list[tuple[int, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Dates of refits, with the rows that may teach (their windows had ended) and those that are answered."""
    horizon_ns = horizon_hours * HOUR_NS
    ended = panel.is_day & ~np.isnan(panel.came[:, 0])
    period = panel.time // REFIT_NS
    return [
        (int(number) * REFIT_NS, ended & (panel.time + horizon_ns <= number * REFIT_NS), period == number)
        for number in range(int(period.min()), int(period.max()) + 1)
    ]


def _age_weight(panel: _Panel, taught: NDArray[np.bool_], now: int) -> Vector:
    return np.asarray(0.5 ** ((now - panel.time[taught]) / DAY_NS / HALF_LIFE_DAYS), dtype=np.float64)


def _regressed(panel: _Panel, k: int, tail: float, horizon_hours: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Log distances [row, side] with the regression on top of the base, and the rows [row] where it spoke."""
    level = panel.base[:, :, k].copy()
    trained = np.zeros(panel.time.size, dtype=bool)
    ridge = np.full(N_FEATURES, RIDGE)
    ridge[0] = RIDGE_OF_CONSTANT
    found = np.zeros(N_FEATURES)
    for now, taught, answered in _refits(panel, horizon_hours):
        if int(taught.sum()) < MIN_TRAINING_DAYS:
            continue
        weight = panel.weight[taught]
        weight = np.clip(weight / weight.mean(), *WEIGHT_BOUNDS) * _age_weight(panel, taught, now)[:, None]
        found = fit_quantile(
            panel.design[taught].reshape(-1, N_FEATURES),
            (panel.came[taught] - panel.base[taught, :, k]).ravel(),
            tail=tail,
            weights=weight.ravel(),
            ridge=ridge,
            start=found,
        )
        level[answered] += panel.design[answered] @ found
        trained |= answered
    return level, trained


def _tail_factor(panel: _Panel, level: NDArray[np.float64], tail: float, horizon_hours: int) -> NDArray[np.float64]:
    """Log factor [row, 1] that would have made the far tail right so far, shrunk to 0 while little is known."""
    factor = np.zeros((panel.time.size, 1))
    for now, taught, answered in _refits(panel, horizon_hours):
        if int(taught.sum()) < MIN_TRAINING_DAYS:
            continue
        excess = (panel.came[taught] - level[taught]).ravel()
        weight = np.repeat(_age_weight(panel, taught, now), len(Side))
        order = np.argsort(excess)[::-1]
        place = int(np.searchsorted(np.cumsum(weight[order]), tail * weight.sum()))
        known = float(weight.sum()) * tail
        factor[answered] = excess[order[place]] * known / (known + PRIOR_EXCEEDANCES)
    return factor


def _corrected(panel: _Panel, level: NDArray[np.float64], tail: float, horizon_hours: int) -> NDArray[np.float64]:
    out = np.empty_like(level)
    for number in range(len(panel.coins)):
        rows = np.flatnonzero(panel.coin == number)
        for side in Side:
            series = Series(
                time_utc_ns=panel.time[rows],
                is_day=panel.is_day[rows],
                log_level=level[rows, side],
                log_came=panel.came[rows, side],
            )
            out[rows, side] = corrected(series, tail=tail, horizon_ns=horizon_hours * HOUR_NS, day_ns=DAY_NS)
    return out


def _shortfall_ratio(
    panel: _Panel, k: int, rc: NDArray[np.float64], log_distance: NDArray[np.float64], horizon_hours: int
) -> NDArray[np.float64]:
    """Return Expected Shortfall over quantile [row, side]: the base's, times what exceedances have shown of it."""
    came = np.stack([shortfall_maximum(np.exp(panel.came[:, side]), side) for side in Side], axis=1)
    factor = np.ones((panel.time.size, 1))
    for now, taught, answered in _refits(panel, horizon_hours):
        if not taught.any():
            continue
        hits = panel.came[taught] > log_distance[taught]
        weight = _age_weight(panel, taught, now)[:, None] * hits
        ratio = panel.base_ratio[taught, :, k]
        prior = PRIOR_EXCEEDANCES * float(ratio.mean())
        seen = float((weight * came[taught] / rc[taught]).sum())
        factor[answered] = (prior + seen) / (prior + float((weight * ratio).sum()))
    return panel.base_ratio[:, :, k] * factor


def _usable(learned: tuple[NDArray[np.int64], Forecast]) -> NDArray[np.bool_]:
    """Rows that the base answered itself: a fallback's bound teaches nothing and is passed on as it is."""
    return np.array([text.split(":")[0] == BASE for text in learned[1].method], dtype=bool)


def _base_alone(learned: tuple[NDArray[np.int64], Forecast], asked: NDArray[np.int64]) -> Forecast:
    """Answers of the base, where no coin can teach."""
    counts, base = learned
    place = np.searchsorted(counts, asked)
    return Forecast(rc=base.rc[place], rces=base.rces[place], method=tuple(base.method[k] for k in place))


def _answer(
    panel: _Panel,
    coin: str,
    learned: Learned,
    asked: Mapping[str, NDArray[np.int64]],
    figures: tuple[NDArray[np.float64], NDArray[np.float64]],
    trained: NDArray[np.bool_],
) -> Forecast:
    """Rows of one coin in the order asked; where the base was replaced, its own answer."""
    counts, base = learned[coin]
    place = np.searchsorted(counts, asked[coin])
    rc, rces = base.rc[place].copy(), base.rces[place].copy()
    method = [base.method[p] for p in place]
    rows = np.flatnonzero(panel.coin == panel.coins.index(coin))
    usable = _usable(learned[coin])[place]
    for k, count in enumerate(asked[coin]):
        if not usable[k]:
            continue
        row = rows[np.searchsorted(panel.count[rows], count)]
        rc[k], rces[k] = figures[0][row], figures[1][row]
        if method[k] == BASE:
            method[k] = NAME if trained[row] else f"{NAME}: reference alone, too few coin-days to learn from"
    return Forecast(rc=rc, rces=rces, method=tuple(method))
