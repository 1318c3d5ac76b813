"""Synthetic pools for the benchmarks: perpetuals with six progressive tiers, written here from round numbers.

The sizes are made so that the pools are leveraged about five times and their positions cross tier edges on the paths:
a book far from every edge would flatter the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.model.pool import AssetTable, LegTable, MarginPool
from margincover.model.rules import TickRule
from margincover.numeric.rng import stream
from margincover.scenarios.brownian import GeometricBrownian

STEP_S = 3_600
# Six bands by notional in USDT; the fractions double, as the venues' ladders roughly do.
TIER_FLOOR = np.array([0.0, 50_000.0, 250_000.0, 1_000_000.0, 5_000_000.0, 20_000_000.0])
TIER_FRACTION = np.array([0.004, 0.005, 0.01, 0.025, 0.05, 0.10])


def tier_deduction() -> np.ndarray:
    """Return the deductions that make the margin of a progressive ladder continuous."""
    return np.concatenate([[0.0], np.cumsum(TIER_FLOOR[1:] * np.diff(TIER_FRACTION))])


def coins(n: int) -> tuple[str, ...]:
    """Return n made-up coin names."""
    return tuple(f"COIN{number:02d}" for number in range(n))


def perpetual_pools(*, n_pools: int = 10, n_legs: int = 20, names: Sequence[str] | None = None) -> list[MarginPool]:
    """Return cross pools of linear perpetuals, one position per coin, half of them short."""
    return [_pool(number, n_legs, tuple(names or coins(n_legs))) for number in range(n_pools)]


def _pool(number: int, n_legs: int, names: tuple[str, ...]) -> MarginPool:
    rng = stream(7, "benchmark.pool", number)
    mark = np.exp(rng.uniform(np.log(0.1), np.log(100_000.0), n_legs))
    notional = np.exp(rng.uniform(np.log(20_000.0), np.log(6_000_000.0), n_legs))
    side = rng.permutation(np.where(np.arange(n_legs) % 2, -1.0, 1.0))
    zero = np.zeros(n_legs)
    six = TIER_FLOOR.size
    legs = LegTable(
        instrument_ids=tuple(f"{name}USDT.VENUE{number}" for name in names[:n_legs]),
        symbols=tuple(f"{name}USDT" for name in names[:n_legs]),
        buckets=("NET",) * n_legs,
        factor_index=np.arange(n_legs, dtype=np.int32),
        asset_index=np.zeros(n_legs, dtype=np.int32),
        inverse=np.zeros(n_legs, dtype=bool),
        signed_size=side * notional / mark,
        entry_price=mark * rng.uniform(0.95, 1.05, n_legs),
        mark_price=mark,
        tier_start=np.arange(n_legs, dtype=np.int32) * six,
        tier_count=np.full(n_legs, six, dtype=np.int32),
        tier_floor=np.tile(TIER_FLOOR, n_legs),
        tier_fraction=np.tile(TIER_FRACTION, n_legs),
        tier_deduction=np.tile(tier_deduction(), n_legs),
        fee_on_notional_fraction=np.full(n_legs, 0.0005),
        maintenance_constant=zero,
        initial_fraction=np.full(n_legs, 0.1),
        initial_constant=zero,
        initial_known=np.ones(n_legs, dtype=bool),
        funding_per_hour=zero,
        tick=zero,
        bases=names[:n_legs],
        quotes=("USDT",) * n_legs,
        products=("linear",) * n_legs,
        years=zero,
        leverage=np.full(n_legs, 10.0),
    )
    cash = AssetTable(
        assets=("USDT",),
        balance_native=np.array([notional.sum() / 5.0]),
        price_unit=np.ones(1),
        factor_index=np.array([-1], dtype=np.int32),
        slice_start=np.zeros(1, dtype=np.int32),
        slice_count=np.zeros(1, dtype=np.int32),
        slice_floor=np.zeros(0),
        slice_cap=np.zeros(0),
        slice_weight=np.zeros(0),
        borrow_maintenance_fraction=np.zeros(1),
    )
    return MarginPool(
        id=f"venue{number}:desk",
        account_id=f"venue{number}:desk",
        venue=f"venue{number}",
        mode="cross",
        margin_mode="cross",
        unit="USDT",
        unit_usd=1.0,
        factors=names[:n_legs],
        legs=legs,
        assets=cash,
        margin_call_coverage_ratio=1.25,
        margin_call_source="benchmark",
        tick_rule=next(iter(TickRule)),
    )


def brownian(n_coins: int = 20) -> GeometricBrownian:
    """Return correlated coins with 60 % to 120 % annual volatility, correlation 0.6."""
    correlation = np.full((n_coins, n_coins), 0.6)
    np.fill_diagonal(correlation, 1.0)
    return GeometricBrownian(
        factors=coins(n_coins),
        sigma_annual=np.linspace(0.6, 1.2, n_coins),
        correlation=correlation,
        step_s=STEP_S,
    )
