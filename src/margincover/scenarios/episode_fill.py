"""What a coin does in an episode that does not hold it: a stated rule, never kinder than the coins that are held.

A coin of the episode moves as it did. A coin for which the book names a stand-in moves as a multiple of it. Every other
coin follows, hour by hour, the worst of

- every coin of the episode but those whose move was their own news, and
- BTC times the coin's beta, where the packaged calibration holds the coin,

with the log move times ``FILL_MULTIPLE`` where it goes against the pool: the weakest for a pool that loses when the
coin falls, the strongest for one that loses when it rises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.stress import HourFactor, StressScenario
from margincover.scenarios.calibration import Calibration

# Coins listed later are smaller and move more than the twelve of the library.
FILL_MULTIPLE = 1.25


class Side(Enum):
    """Which way a coin must go to hurt a pool."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinPath:
    """Low, high and close of one coin over its price at the start, [hour], and the rule by which they came about."""

    low: HourFactor
    high: HourFactor
    close: HourFactor
    rule: str = ""


def held_path(scenario: StressScenario, factor: str, proxies: Mapping[str, Proxy]) -> CoinPath | None:
    """Return the path of a coin that the scenario holds, itself or through the book's stand-in; None for any other."""
    if factor in scenario.factors:
        row = scenario.factors.index(factor)
        return CoinPath(low=scenario.low[:, row], high=scenario.high[:, row], close=scenario.close[:, row])
    proxy = proxies.get(factor)
    if proxy is None or proxy.factor not in scenario.factors:
        return None
    row = scenario.factors.index(proxy.factor)
    return CoinPath(
        low=scenario.low[:, row] ** proxy.multiple,
        high=scenario.high[:, row] ** proxy.multiple,
        close=scenario.close[:, row] ** proxy.multiple,
        rule=f"stand-in of the book: {proxy.multiple:g} x {proxy.factor}",
    )


def filled_path(scenario: StressScenario, factor: str, side: Side, calibration: Calibration) -> CoinPath:
    """Return the path of a coin that the scenario does not hold, for a pool that is hurt when it moves to ``side``.

    Raises
    ------
    InputError
        If the scenario holds no coin that may stand in.
    """
    rows = [row for row, name in enumerate(scenario.factors) if name not in scenario.own_coins]
    if not rows:
        raise InputError(f"{scenario.name} holds no coin to stand in", field=factor, allowed="at least one coin")
    tables = [np.log(table[:, rows]) for table in (scenario.low, scenario.high, scenario.close)]
    beta = beta_to_btc(calibration, factor)
    if beta is not None and "BTC" in scenario.factors:
        column = scenario.factors.index("BTC")
        own = [beta * np.log(table[:, [column]]) for table in (scenario.low, scenario.high, scenario.close)]
        tables = [np.concatenate([table, part], axis=1) for table, part in zip(tables, own, strict=True)]
    worst = [table.min(axis=1) if side is Side.DOWN else table.max(axis=1) for table in tables]
    against = [np.where((x < 0.0) == (side is Side.DOWN), FILL_MULTIPLE * x, x) for x in worst]
    low, high, close = (np.exp(x) for x in against)
    beaten = f", or {beta:.2f} x BTC where that is worse" if beta is not None else ""
    word = "weakest" if side is Side.DOWN else "strongest"
    return CoinPath(
        low=low,
        high=high,
        close=close,
        rule=f"no price in the episode: {word} coin of each hour{beaten}, its move times {FILL_MULTIPLE:g}",
    )


def beta_to_btc(calibration: Calibration, factor: str) -> float | None:
    """Return correlation with BTC times the ratio of volatilities; None where the calibration lacks the coin or BTC."""
    if factor not in calibration or "BTC" not in calibration:
        return None
    own, btc = calibration.position(factor), calibration.position("BTC")
    ratio = calibration.of(factor).long_run_volatility_annual / calibration.of("BTC").long_run_volatility_annual
    return float(calibration.correlation[own, btc] * ratio)
