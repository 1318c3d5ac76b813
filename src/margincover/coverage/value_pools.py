"""Value pools: one or several margin pools as a portfolio in USD, without haircut and without any requirement.

The path engine follows whatever is a margin pool. A pool that requires nothing has the shortfall -value, so the largest
shortfall of a value pool is the largest loss along the path, bridge included, and its value at the horizon is the
profit and loss. Pools of different units join because every asset carries its price in USD and the coin that moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margincover.model.option_table import OptionTable
from margincover.model.pool import AssetTable, LegTable, MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.model.rules import TickRule
from margincover.model.spot_volatility import SpotVolatility
from margincover.numeric.arrays import frozen, frozen_index
from margincover.venues.assets import is_pegged
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

# Fields of legs that make margin: a value pool has none of it.
_MARGIN_FIELDS = frozenset(
    {
        "fee_on_notional_fraction",
        "maintenance_constant",
        "initial_fraction",
        "initial_constant",
        "tier_start",
        "tier_count",
    }
)
_TIER_FIELDS = frozenset({"tier_floor", "tier_fraction", "tier_deduction"})
# Only a liquidatable value pool would ever read it.
_CALL_RATIO = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketValue:
    """Margin model of a portfolio that nobody margins: wallet, profits and options at their mark, no requirement."""

    notes: tuple[str, ...] = ()
    editions: tuple[EditionUse, ...] = ()
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return wallet, profits and option values, [asset, path], in the asset."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the value of each asset, [asset, path], in USD."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return no requirement."""
        return ()

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return no requirement."""
        return ()


def unit_factor(pool: MarginPool) -> str | None:
    """Return the factor that moves the pool's unit against the dollar; None for dollars and what is pegged to them."""
    return None if is_pegged(pool.unit) else pool.unit


def value_pool(name: str, venue: str, pools: Sequence[MarginPool], *, law: SpotVolatility | None) -> MarginPool:
    """Return the portfolio of several pools as one pool in USD.

    Parameters
    ----------
    name, venue : str
    pools : sequence of MarginPool
        At least one.
    law : SpotVolatility or None
        How implied volatility moves along the paths; used where a pool holds options.
    """
    factors = tuple(dict.fromkeys(factor for pool in pools for factor in _factors(pool)))
    offsets = np.concatenate(([0], np.cumsum([pool.assets.count for pool in pools])))
    legs = _joined(
        [_moved(pool.legs, pool, factors, int(at)) for pool, at in zip(pools, offsets, strict=False)], LegTable
    )
    options = _joined(
        [_moved(pool.options, pool, factors, int(at)) for pool, at in zip(pools, offsets, strict=False)], OptionTable
    )
    has_options = any(pool.options.count for pool in pools)
    return MarginPool(
        id=f"value/{name}",
        account_id=name,
        venue=venue,
        mode="value",
        margin_mode="cross",
        unit="USD",
        unit_usd=1.0,
        factors=factors,
        legs=_without_margin(legs),
        options=options,
        assets=_assets(pools, factors),
        margin_call_coverage_ratio=_CALL_RATIO,
        margin_call_source="",
        tick_rule=TickRule.NONE,
        model=MarketValue() if has_options else None,
        spot_volatility=law if has_options else None,
    )


def _factors(pool: MarginPool) -> tuple[str, ...]:
    unit = unit_factor(pool)
    return pool.factors if unit is None or unit in pool.factors else (*pool.factors, unit)


def _moved(table: Any, pool: MarginPool, factors: Sequence[str], first_asset: int) -> Any:  # LegTable or OptionTable
    """Return the table with its indices into the joint factors and assets."""
    place = np.array([factors.index(factor) for factor in pool.factors], dtype=np.int32)
    factor_index = place[table.factor_index] if table.count else table.factor_index
    return replace(
        table,
        factor_index=frozen_index(factor_index),
        asset_index=frozen_index(np.asarray(table.asset_index) + first_asset),
    )


def _joined(tables: Sequence[Any], kind: type[Any]) -> Any:
    """Return tables one after the other, field by field."""
    joined: dict[str, Any] = {}
    for each in fields(kind):
        parts = [getattr(table, each.name) for table in tables]
        joined[each.name] = sum(parts, ()) if isinstance(parts[0], tuple) else np.concatenate(parts)
    return kind(**joined)


def _without_margin(legs: LegTable) -> LegTable:
    nothing: Mapping[str, Any] = {name: np.zeros_like(getattr(legs, name)) for name in _MARGIN_FIELDS}
    empty: Mapping[str, Any] = {name: np.zeros(0) for name in _TIER_FIELDS}
    return replace(legs, **nothing, **empty)


def _assets(pools: Sequence[MarginPool], factors: Sequence[str]) -> AssetTable:
    names, amounts, prices, moving = [], [], [], []
    for pool in pools:
        unit = unit_factor(pool)
        for asset in range(pool.assets.count):
            own = int(pool.assets.factor_index[asset])
            names.append(pool.assets.assets[asset])
            amounts.append(float(pool.assets.balance_native[asset]))
            prices.append(float(pool.assets.price_unit[asset]) * pool.unit_usd)
            # A pool in coin holds that coin alone, at price 1 of itself: the coin is what moves its dollars.
            factor = unit if unit is not None else pool.factors[own] if own >= 0 else None
            moving.append(-1 if factor is None else factors.index(factor))
    count = len(names)
    empty = frozen([], name="slices", ndim=1)
    return AssetTable(
        assets=tuple(names),
        balance_native=frozen(amounts, name="balance", ndim=1),
        price_unit=frozen(prices, name="price", ndim=1),
        factor_index=frozen_index(moving),
        slice_start=frozen_index(np.zeros(count)),
        slice_count=frozen_index(np.zeros(count)),
        slice_floor=empty,
        slice_cap=empty,
        slice_weight=empty,
        borrow_maintenance_fraction=frozen(np.zeros(count), name="borrow_maintenance", ndim=1),
    )
