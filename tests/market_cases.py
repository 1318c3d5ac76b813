"""Hourly histories made from a stated law, for the tests of the backtest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from margincover.model.scenario import FactorHistory
from margincover.numeric.recursions_reference import bridge_extremes

# 2023-01-01T00:00:00Z, a Sunday
START_UTC_NS = 1_672_531_200 * 1_000_000_000


def clustered_prices(*, n_bars: int, seed: int, level: float = 0.006) -> np.ndarray:
    """Prices [open high low close, bar]: GARCH(0.08, 0.9) around an hourly sigma of ``level``, bars from a bridge."""
    rng = np.random.default_rng(seed)
    normals = rng.standard_normal(n_bars) * np.sqrt(3.0 / rng.chisquare(5, n_bars))
    move, used = np.empty(n_bars), np.empty(n_bars)
    h = level**2
    for t in range(n_bars):
        used[t], move[t] = h, np.sqrt(h) * normals[t]
        h = 0.02 * level**2 + 0.08 * move[t] ** 2 + 0.90 * h
    close = np.cumsum(move)
    draws = rng.standard_exponential((2, n_bars, 1, 1))
    low, high = bridge_extremes(close[:, None, None], used[:, None, None], draws[0], draws[1])
    opened = np.concatenate(([0.0], close[:-1]))
    return 100.0 * np.exp(np.stack((opened, high[:, 0, 0], low[:, 0, 0], close)))


def coin_history(name: str, table: np.ndarray, *, start_utc_ns: int = START_UTC_NS) -> FactorHistory:
    """A history of one coin from an array [open high low close, bar]."""
    return FactorHistory(
        factor=name,
        start_utc_ns=start_utc_ns,
        step_s=3_600,
        open=table[0],
        high=table[1],
        low=table[2],
        close=table[3],
        source=f"{name}.parquet",
    )


def write_history(path: Path, table: np.ndarray, *, start_utc_ns: int = START_UTC_NS) -> None:
    """Write an array [open high low close, bar] as the Parquet file of a coin."""
    times = start_utc_ns + np.arange(table.shape[1]) * 3_600_000_000_000
    frame = pl.DataFrame({"ts": times, "open": table[0], "high": table[1], "low": table[2], "close": table[3]})
    frame = frame.with_columns(pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))
    frame.write_parquet(path)
