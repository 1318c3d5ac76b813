"""Evaluate margin pools in market states: equity, maintenance and initial margin on arrays of paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.model.pool import MarginPool, RiskVector
from margincover.numeric.arrays import FactorPath
from margincover.venues import kernels, mixed_batch, modelled
from margincover.venues.revalue import revalue

Paths = NDArray[np.float64]

# From here on stacking the pools costs less than walking over them; both give the same numbers.
STACKED_FROM_LEGS = 20
STACKED_FROM_MODELS = 4


def leg_notional(pool: MarginPool, leg: int, leg_ratio: Paths) -> Paths:
    """Return the notional of one leg in its settle asset, [path], with its mark times ``leg_ratio``."""
    legs = pool.legs
    size = abs(legs.signed_size[leg])
    price = legs.mark_price[leg] * leg_ratio
    return np.asarray(size / price if legs.inverse[leg] else size * price, dtype=np.float64)


def leg_profit(pool: MarginPool, leg: int, leg_ratio: Paths) -> Paths:
    """Return the unrealised profit of one leg in its settle asset, [path], > 0 is a gain."""
    legs = pool.legs
    price = legs.mark_price[leg] * leg_ratio
    if legs.inverse[leg]:
        profit = legs.signed_size[leg] * (1.0 / legs.entry_price[leg] - 1.0 / price)
    else:
        profit = legs.signed_size[leg] * (price - legs.entry_price[leg])
    return np.asarray(profit, dtype=np.float64)


def leg_maintenance(pool: MarginPool, leg: int, notional: Paths) -> Paths:
    """Return the maintenance of one leg in its settle asset, closing fee included, [path]."""
    legs = pool.legs
    total = legs.maintenance_constant[leg] + legs.fee_on_notional_fraction[leg] * notional
    count = int(legs.tier_count[leg])
    if count:
        part = slice(int(legs.tier_start[leg]), int(legs.tier_start[leg]) + count)
        total = total + kernels.tiered_maintenance(
            notional=notional,
            floors=legs.tier_floor[part],
            fractions=legs.tier_fraction[part],
            deductions=legs.tier_deduction[part],
        )
    return np.asarray(total, dtype=np.float64)


def evaluate_legs(
    pool: MarginPool, leg_ratio: Paths, asset_ratio: Paths, funding_native: Paths | None = None
) -> tuple[Paths, Paths, Paths]:
    """Return equity, maintenance and initial margin of a pool without a model, each [path], in the pool's unit.

    Parameters
    ----------
    pool : MarginPool
    leg_ratio : array [leg, path]
        Mark over mark at ``as_of``, by leg.
    asset_ratio : array [asset, path]
        Asset price over its price at ``as_of``, by asset.
    funding_native : array [asset, path] or None
        Funding received (> 0) or paid (< 0) since ``as_of``, by asset.
    """
    n_paths = leg_ratio.shape[1] if leg_ratio.size else asset_ratio.shape[1]
    assets, legs = pool.assets, pool.legs
    held = np.repeat(assets.balance_native[:, None], n_paths, axis=1)
    if funding_native is not None:
        held = held + funding_native
    maintenance = np.zeros((assets.count, n_paths))
    initial = np.zeros((assets.count, n_paths))
    for leg in range(legs.count):
        asset = int(legs.asset_index[leg])
        value = leg_notional(pool, leg, leg_ratio[leg])
        held[asset] += leg_profit(pool, leg, leg_ratio[leg])
        maintenance[asset] += leg_maintenance(pool, leg, value)
        initial[asset] += legs.initial_fraction[leg] * value + legs.initial_constant[leg]
    equity_total = np.zeros(n_paths)
    maintenance_total = np.zeros(n_paths)
    initial_total = np.full(n_paths, pool.open_order_initial)
    for asset in range(assets.count):
        price = assets.price_unit[asset] * asset_ratio[asset]
        start = int(assets.slice_start[asset])
        part = slice(start, start + int(assets.slice_count[asset]))
        counted = kernels.collateral_value(
            amount=held[asset],
            slice_floor=assets.slice_floor[part],
            slice_cap=assets.slice_cap[part],
            slice_weight=assets.slice_weight[part],
        )
        borrow = assets.borrow_maintenance_fraction[asset] * np.maximum(-held[asset], 0.0)
        equity_total += counted * price
        maintenance_total += (maintenance[asset] + borrow) * price
        initial_total += (initial[asset] + borrow) * price
    return equity_total, maintenance_total, initial_total


def evaluate_pool(
    pool: MarginPool,
    factor_ratio: FactorPath,
    *,
    volatility_ratio: ArrayLike = 1.0,
    elapsed_days: float = 0.0,
    received_native: Paths | None = None,
    settle_expired: bool = True,
) -> tuple[Paths, Paths, Paths]:
    """Return equity, maintenance and initial margin of one pool when factors move, each [path].

    Parameters
    ----------
    pool : MarginPool
    factor_ratio : array [factor of the pool, path]
        Factor level over its level at ``as_of``, > 0.
    volatility_ratio : float or array [path]
        Multiple of every implied volatility; nothing to a pool without options.
    elapsed_days : float
        Time since ``as_of``: options age, and one that has expired is paid at this state's spot.
    received_native : array [asset, path] or None
        Funding received (> 0) or paid (< 0) since ``as_of``, by asset.
    settle_expired : bool
        False where ``received_native`` holds what expired options paid.
    """
    if pool.model is not None:
        state = revalue(
            pool,
            factor_ratio,
            volatility_ratio=volatility_ratio,
            elapsed_days=elapsed_days,
            received_native=received_native,
            settle_expired=settle_expired,
        )
        return modelled.evaluate_state(state)
    n_paths = factor_ratio.shape[1]
    leg_ratio = factor_ratio[pool.legs.factor_index] if pool.legs.count else np.ones((0, n_paths))
    asset_ratio = np.ones((pool.assets.count, n_paths))
    for asset, factor in enumerate(pool.assets.factor_index):
        if factor >= 0:
            asset_ratio[asset] = factor_ratio[factor]
    return evaluate_legs(pool, leg_ratio, asset_ratio, received_native)


def evaluate(pools: Sequence[MarginPool]) -> RiskVector:
    """Return equity, maintenance and initial margin of pools in the market at ``as_of``, [pool, 1]."""
    shape = (len(pools), 1)
    equity, maintenance, initial = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    known = np.ones(len(pools), dtype=bool)
    plain_legs = sum(pool.legs.count for pool in pools if pool.model is None)
    models = sum(mixed_batch.can_stack(pool) for pool in pools)
    if plain_legs >= STACKED_FROM_LEGS or models >= STACKED_FROM_MODELS:
        together = mixed_batch.MixedBatch.of(pools)
        equity, maintenance, initial = mixed_batch.evaluate(together, np.ones((len(together.factors), 1)))
    else:
        for row, pool in enumerate(pools):
            equity[row], maintenance[row], initial[row] = evaluate_pool(pool, np.ones((len(pool.factors), 1)))
    for row, pool in enumerate(pools):
        known[row] = pool.model.initial_known if pool.model else bool(pool.legs.initial_known.all())
    return RiskVector(
        pool_ids=tuple(pool.id for pool in pools),
        units=tuple(pool.unit for pool in pools),
        unit_usd=np.array([pool.unit_usd for pool in pools], dtype=np.float64),
        equity=equity,
        maintenance=maintenance,
        initial=initial,
        initial_known=known,
    )
