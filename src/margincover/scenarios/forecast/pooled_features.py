"""What the pooled model knows at an instant: range volatilities of the coin, of BTC and of the market, moves, days."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.fallback import range_volatility
from margincover.scenarios.forecast.required import Side

# 6 hours, a day, five days, thirty days, all: each in bars.
WINDOWS = (6, 24, 120, 720, 1 << 40)
LEADER = "BTC"
_FLOOR = 1e-5
_MOVE_LIMIT = 3.0
# About the log of the daily range volatility of the market: centres a regressor, changes no forecast.
_TYPICAL_LOG_VOLATILITY = -3.0
_DAYS_OF_WEEK = 7
# 1970-01-01 was a Thursday; Monday is day 0.
_EPOCH_WEEKDAY = 3


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


def levels(logs: NDArray[np.float64], state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level of the coin over that of the market, and that of the market [instant, 2], from all history."""
    known = state[:, 4] > 0.0
    own = np.where(known, logs[:, 4] - state[:, 2], 0.0)
    return np.column_stack([own, np.where(known, state[:, 2] - _TYPICAL_LOG_VOLATILITY, 0.0)])


def signed_moves(bars: CoinBars, count: NDArray[np.int64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return moves of one and of five days [instant, side, 2] towards the loss, in units of five-day volatility."""
    scaled = [_move(bars, count, hours) / np.exp(logs[:, 2]) / np.sqrt(hours / 24.0) for hours in (24, 120)]
    long = np.clip(np.stack(scaled, axis=1), -_MOVE_LIMIT, _MOVE_LIMIT)
    return np.stack([long if side == Side.LONG else -long for side in Side], axis=1)


def scale_features(
    bars: CoinBars,
    count: NDArray[np.int64],
    logs: NDArray[np.float64],
    state: NDArray[np.float64],
    *,
    log_base: Vector,
    horizon_hours: int,
) -> NDArray[np.float64]:
    """Return the regressors [instant, feature] of the log range that is to come; neither side is told apart.

    Parameters
    ----------
    count : array [instant]
        Bars closed, at least 1.
    logs : array [instant, window]
        From ``log_volatilities``.
    state : array [instant, 5]
        From ``market_state``.
    log_base : array [instant]
        Log distance of the base forecast, mean over sides.
    """
    rise = signed_moves(bars, count, logs)[:, Side.SHORT]
    return np.column_stack(
        [
            np.ones(count.size),
            logs[:, :-1] - logs[:, 1:],
            log_base - logs[:, 2],
            state[:, 0],
            state[:, 1],
            state[:, 3],
            levels(logs, state),
            rise,
            np.abs(rise),
            _largest_move(bars, count, 24) - logs[:, 1],
            _largest_move(bars, count, 120) - logs[:, 2],
            weekday_shares(bars.closes_at(count), horizon_hours),
        ]
    )


def weekday_shares(times_utc_ns: NDArray[np.int64], horizon_hours: int) -> NDArray[np.float64]:
    """Return the share of the horizon on Monday to Saturday [instant, 6]; Sunday is the rest."""
    hours = (times_utc_ns[:, None] // HOUR_NS) + np.arange(horizon_hours)
    weekday = (hours // 24 + _EPOCH_WEEKDAY) % _DAYS_OF_WEEK
    return np.stack([(weekday == day).mean(axis=1) for day in range(_DAYS_OF_WEEK - 1)], axis=1)


def _largest_move(bars: CoinBars, count: NDArray[np.int64], hours: int) -> Vector:
    """Log of the largest absolute hourly close-to-close move of the last hours."""
    size = np.abs(np.nan_to_num(bars.close))
    padded = np.concatenate((np.zeros(hours), size))
    largest = sliding_window_view(padded, hours).max(axis=1)[count]
    return np.asarray(np.log(np.maximum(largest, _FLOOR)), dtype=np.float64)


def _move(bars: CoinBars, count: NDArray[np.int64], hours: int) -> Vector:
    """Log fall of the last hours, positive where the price fell; of all there is for a shorter history."""
    last = count - 1
    return np.asarray(bars.log_close[np.maximum(last - hours, 0)] - bars.log_close[last], dtype=np.float64)
