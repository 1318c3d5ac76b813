"""What the pooled model knows at an instant: range volatilities of the coin, of BTC and of the market, recent moves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.fallback import range_volatility
from margincover.scenarios.forecast.required import Side

# 6 hours, a day, five days, thirty days, all: each in bars.
WINDOWS = (6, 24, 120, 720, 1 << 40)
LEADER = "BTC"
_FLOOR = 1e-5
_MOVE_LIMIT = 3.0
# About the log of the daily range volatility of the market: centres a regressor, changes no forecast.
_TYPICAL_LOG_VOLATILITY = -3.0
N_FEATURES = 14


def log_volatilities(bars: CoinBars, count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log of the volatility of a day [instant, window] from hourly ranges."""
    found = [range_volatility(bars, count, window=window) for window in WINDOWS]
    return np.log(np.maximum(np.stack(found, axis=1), _FLOOR))


def market_state(
    market: Mapping[str, CoinBars], times_utc_ns: NDArray[np.int64], *, min_bars: int
) -> NDArray[np.float64]:
    """Return five figures [instant] of the market from bars that had closed at each instant.

    Notes
    -----
    Mean over coins of log volatility: day over thirty days, five days over all, all; that of BTC: day over thirty days;
    and the number of coins. A coin counts from ``min_bars`` on until its history ends. Without any coin, or without
    BTC, the figures are 0: nothing is known beyond the coin itself.
    """
    total = np.zeros((times_utc_ns.size, 3))
    number = np.zeros(times_utc_ns.size)
    leader = np.zeros(times_utc_ns.size)
    for coin, bars in market.items():
        count = bars.closed_by(times_utc_ns)
        last = int(bars.closes_at(np.array([bars.n_bars]))[0])
        there = (count >= min_bars) & (times_utc_ns <= last)
        logs = log_volatilities(bars, count)
        # a coin that did not move for a day says nothing of the market
        there &= logs[:, 1] > np.log(_FLOOR)
        figures = np.stack([logs[:, 1] - logs[:, 3], logs[:, 2] - logs[:, 4], logs[:, 4]], axis=1)
        total[there] += figures[there]
        number += there
        if coin == LEADER:
            leader = np.where(there, figures[:, 0], 0.0)
    mean = total / np.maximum(number, 1.0)[:, None]
    return np.column_stack([mean, leader, number])


def features(
    bars: CoinBars, count: NDArray[np.int64], base_distance: NDArray[np.float64], state: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return regressors [instant, side, feature].

    Parameters
    ----------
    count : array [instant]
        Bars closed, at least 1.
    base_distance : array [instant, side]
        Distance in logs of the base forecast at 5 %.
    state : array [instant, 5]
        From ``market_state``.
    """
    logs = log_volatilities(bars, count)
    terms = logs[:, :-1] - logs[:, 1:]
    market = np.column_stack([state[:, 0], state[:, 1], state[:, 3]])
    known = state[:, 4] > 0.0
    own_level = np.where(known, logs[:, 4] - state[:, 2], 0.0)
    market_level = np.where(known, state[:, 2] - _TYPICAL_LOG_VOLATILITY, 0.0)
    sides = []
    for side in Side:
        sign = 1.0 if side == Side.LONG else -1.0
        moves = [
            np.clip(sign * _move(bars, count, hours) / np.exp(logs[:, 2]) / np.sqrt(hours / 24.0), -1e9, 1e9)
            for hours in (24, 120)
        ]
        sides.append(
            np.column_stack(
                [
                    np.ones(count.size),
                    np.full(count.size, float(side)),
                    terms,
                    np.log(base_distance[:, side]) - logs[:, 2],
                    market,
                    *(np.clip(move, -_MOVE_LIMIT, _MOVE_LIMIT) for move in moves),
                    own_level,
                    market_level,
                ]
            )
        )
    return np.stack(sides, axis=1)


def _move(bars: CoinBars, count: NDArray[np.int64], hours: int) -> Vector:
    """Log move of the last hours; of all there is for a shorter history."""
    last = count - 1
    return np.asarray(bars.log_close[last] - bars.log_close[np.maximum(last - hours, 0)], dtype=np.float64)
