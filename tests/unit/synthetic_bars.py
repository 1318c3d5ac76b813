"""Histories made from a stated law, for the tests of the generators."""

from __future__ import annotations

import numpy as np

from margincover.model.scenario import FactorHistory, History
from margincover.numeric.recursions_reference import bridge_extremes

# 2025-01-06T00:00:00Z, a Monday
START_UTC_NS = 1_736_121_600 * 1_000_000_000


def history_of_two_clustered_coins(*, n_bars: int = 3_000, missing: tuple[int, ...] = (), seed: int = 11) -> History:
    """Hourly bars of BTC and ETH: correlation 0.8, GARCH(0.08, 0.9) with t5 innovations, bars from a bridge."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n_bars)
    scale = np.sqrt(3.0 / rng.chisquare(5, n_bars))
    normals = np.stack((common, 0.8 * common + 0.6 * rng.standard_normal(n_bars))) * scale
    moves = np.empty((2, n_bars))
    variance = np.full(2, 3e-5)
    path = np.empty((2, n_bars))
    for t in range(n_bars):
        path[:, t] = variance
        moves[:, t] = np.sqrt(variance) * normals[:, t]
        variance = 3e-5 * 0.02 + 0.08 * moves[:, t] ** 2 + 0.90 * variance
    close = np.cumsum(moves, axis=1)
    low, high = bridge_extremes(
        close.T[:, :, None],
        path.T[:, :, None],
        rng.standard_exponential((n_bars, 2, 1)),
        rng.standard_exponential((n_bars, 2, 1)),
    )
    factors = {}
    for f, name in enumerate(("BTC", "ETH")):
        opened = np.concatenate(([0.0], close[f, :-1]))
        table = 100.0 * np.exp(np.stack((opened, high[:, f, 0], low[:, f, 0], close[f])))
        if name == "ETH":
            table[:, list(missing)] = np.nan
        factors[name] = bars_of(name, table)
    return History(factors=factors, step_s=3_600, sha256="synthetic")


def bars_of(name: str, table: np.ndarray) -> FactorHistory:
    """A history of one coin from an array [open high low close, bar]."""
    return FactorHistory(
        factor=name,
        start_utc_ns=START_UTC_NS,
        step_s=3_600,
        open=table[0],
        high=table[1],
        low=table[2],
        close=table[3],
        source="synthetic.csv",
    )


def history_of_one_constant_coin(*, n_bars: int = 2_000) -> History:
    """A coin whose price never moves."""
    return History(factors={"USDX": bars_of("USDX", np.ones((4, n_bars)))}, step_s=3_600, sha256="constant")
