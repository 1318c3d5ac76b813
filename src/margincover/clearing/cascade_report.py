"""A cascade with what surrounds it, as one value for tables, pages and JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from margincover.clearing.cascade import CascadeResult
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.cascade_systemic import SystemicMap
from margincover.model.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationSummary:
    """Who was there: accounts, positions, notional by side and market, leverage."""

    n_accounts: int
    n_positions: int
    long_usd: tuple[float, ...]  # [market]
    short_usd: tuple[float, ...]
    leverage_p10_p50_p90: tuple[float, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelOutcome:
    """A cascade started by one move of the index: how far each market went, and who paid."""

    shock: float
    liquidated_usd: float
    furthest: tuple[float, ...]  # [market], extreme local price over the mark before the event - 1
    paid_usd: float
    residual_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeReportData:
    """Everything that a report shows."""

    result: CascadeResult
    systemic: SystemicMap
    levels: tuple[LevelOutcome, ...]
    population: PopulationSummary
    index_label: str
    provenance: Provenance


def by_minute(values: Floats, step_s: float) -> Floats:
    """Return sums by minute [minute, ...] of values by step [step, ...]; a longer step stands for itself."""
    n_steps = values.shape[0]
    minute = np.floor(np.arange(n_steps) * step_s / 60.0).astype(np.int64) if step_s < 60.0 else np.arange(n_steps)
    total: Floats = np.add.reduceat(values, np.flatnonzero(np.diff(minute, prepend=-1)), axis=0)
    return total


def share_of_worst_window(liquidated_usd: Floats, step_s: float, window_s: float) -> float | None:
    """Return the largest part of all liquidations that falls within one window; None where there are none."""
    total, width = float(liquidated_usd.sum()), max(1, round(window_s / step_s))
    if total <= 0.0:
        return None
    running = np.concatenate([[0.0], np.cumsum(liquidated_usd)])
    width = min(width, liquidated_usd.size)
    return float((running[width:] - running[:-width]).max() / total)


def deepest_gap(result: CascadeResult) -> Floats:
    """Return the deepest point of each local price below its index [market], >= 0."""
    coin = [result.stage.coins.index(market.coin) for market in result.markets]
    gap: Floats = np.maximum(1.0 - result.record.low / result.stage.index[:, coin], 0.0).max(axis=0)
    return gap
