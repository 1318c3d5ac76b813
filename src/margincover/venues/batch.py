"""Equity and margins of many pools at once: the pools stacked to arrays, evaluated without a loop over pools or legs.

For pools whose rule is tiers and haircuts alone. ``venues.margin.evaluate_pool`` is the plain twin, one pool after the
other; a test ties the two, and sums are taken in the same order, so that the results agree to the last digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.model.pool import MarginPool
from margincover.numeric.arrays import FactorPath, PoolPath, Vector
from margincover.venues import kernels
from margincover.venues.revalue import RowAdder

Index = NDArray[np.int64]
Paths = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]  # fields of PoolBatch by name; index, float

# Cells [leg, path] held at a time: some ten arrays of this size, 80 MB, however many market states are asked for.
MAX_CELLS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBatch:
    """Pools stacked to arrays; every leg, asset, tier and slice of all pools in one row of tables.

    Parameters
    ----------
    pool_ids : tuple of str [pool]
    factors : tuple of str [factor]
        Market factors of all pools together; a factor that two pools name is one factor.
    open_order_initial : Vector [pool]
    leg_asset, leg_factor : index [leg]
        Row in the stacked assets, index in ``factors``.
    linear, inverse : index [leg of that payoff]
    signed_size, entry_price, mark_price : Vector [leg]
    fee_on_notional_fraction, maintenance_constant, initial_fraction, initial_constant : Vector [leg]
    tiered : index [leg with tiers]
    tier_start, tier_count : index [leg with tiers]
    tier_floor, tier_fraction, tier_deduction : Vector [tier]
    asset_pool, asset_factor : index [asset]
        Row of the pool; index in ``factors``, or their number for a price that is held.
    balance_native, price_unit, borrow_maintenance_fraction : Vector [asset]
    laddered : index [asset with a ladder]
    slice_asset : index [slice]
        Position in ``laddered``.
    slice_floor, slice_cap, slice_weight : Vector [slice]
    """

    pool_ids: tuple[str, ...]
    factors: tuple[str, ...]
    open_order_initial: Vector
    leg_asset: Index
    leg_factor: Index
    linear: Index
    inverse: Index
    signed_size: Vector
    entry_price: Vector
    mark_price: Vector
    fee_on_notional_fraction: Vector
    maintenance_constant: Vector
    initial_fraction: Vector
    initial_constant: Vector
    tiered: Index
    tier_start: Index
    tier_count: Index
    tier_floor: Vector
    tier_fraction: Vector
    tier_deduction: Vector
    asset_pool: Index
    asset_factor: Index
    balance_native: Vector
    price_unit: Vector
    borrow_maintenance_fraction: Vector
    laddered: Index
    slice_asset: Index
    slice_floor: Vector
    slice_cap: Vector
    slice_weight: Vector

    @classmethod
    def of(cls, pools: Sequence[MarginPool]) -> PoolBatch:
        """Return pools as one batch, in their order.

        Raises
        ------
        NotSupportedError
            If a pool carries a model: its rule is more than tiers and haircuts.
        """
        for pool in pools:
            if pool.model is not None:
                raise NotSupportedError(
                    f"{pool.id} has a rule of its own",
                    account=pool.account_id,
                    field="model",
                    allowed="pools margined by tiers and haircuts alone",
                )
        factors = tuple(dict.fromkeys(chain.from_iterable(pool.factors for pool in pools)))
        number = {name: row for row, name in enumerate(factors)}
        # Factor indices of a pool count within the pool; this list says what each of them is in the batch.
        global_factor = np.array([number[name] for pool in pools for name in pool.factors], dtype=np.int64)
        first_factor = _starts([len(pool.factors) for pool in pools])
        return cls(
            pool_ids=tuple(pool.id for pool in pools),
            factors=factors,
            open_order_initial=np.array([pool.open_order_initial for pool in pools], dtype=np.float64),
            **_stacked_legs(pools, global_factor, first_factor),
            **_stacked_assets(pools, global_factor, first_factor, held=len(factors)),
        )


def evaluate(batch: PoolBatch, factor_ratio: FactorPath) -> tuple[PoolPath, PoolPath, PoolPath]:
    """Return equity, maintenance and initial margin of all pools, each [pool, path] in the pool's own unit.

    Parameters
    ----------
    batch : PoolBatch
    factor_ratio : array [factor of the batch, path]
        Factor level over its level at ``as_of``, > 0; one column is one state of the market.

    Raises
    ------
    InputError
        If the array has another number of factors than the batch, or a ratio is not a number > 0.
    """
    ratio = checked_ratio(factor_ratio, len(batch.factors))
    n_paths = ratio.shape[1]
    step = max(1, MAX_CELLS // max(batch.leg_asset.size, batch.asset_pool.size, 1))
    parts = [_evaluate(batch, ratio[:, first : first + step]) for first in range(0, max(n_paths, 1), step)]
    equity, maintenance, initial = (np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True))
    return equity, maintenance, initial


def checked_ratio(factor_ratio: FactorPath, n_factors: int) -> Paths:
    """Return factor ratios [factor, path] as numbers; InputError as ``evaluate``."""
    ratio = np.asarray(factor_ratio, dtype=np.float64)
    if ratio.ndim != 2 or ratio.shape[0] != n_factors:
        raise InputError(f"had shape {ratio.shape}", field="factor_ratio", allowed=f"({n_factors} factors, paths)")
    if not (np.isfinite(ratio) & (ratio > 0.0)).all():
        raise InputError("held a ratio that was not a number > 0", field="factor_ratio", allowed="numbers > 0")
    return ratio


def _evaluate(batch: PoolBatch, ratio: Paths) -> tuple[Paths, Paths, Paths]:
    n_paths = ratio.shape[1]
    moves = np.concatenate([ratio, np.ones((1, n_paths))])
    price = batch.mark_price[:, None] * moves[batch.leg_factor]
    notional, profit = _values(batch, price)
    n_assets, n_pools = batch.asset_pool.size, len(batch.pool_ids)
    of_asset = RowAdder(batch.leg_asset, n_assets, n_paths)
    balance = np.repeat(batch.balance_native[:, None], n_paths, axis=1)
    held = of_asset.total(balance, profit)
    nothing = np.zeros((n_assets, n_paths))
    maintenance = of_asset.total(nothing, _leg_maintenance(batch, notional))
    initial = of_asset.total(nothing, batch.initial_fraction[:, None] * notional + batch.initial_constant[:, None])
    unit = batch.price_unit[:, None] * moves[batch.asset_factor]
    borrow = batch.borrow_maintenance_fraction[:, None] * np.maximum(-held, 0.0)
    of_pool = RowAdder(batch.asset_pool, n_pools, n_paths)
    empty = np.zeros((n_pools, n_paths))
    orders = np.repeat(batch.open_order_initial[:, None], n_paths, axis=1)
    return (
        of_pool.total(empty, _counted(batch, held) * unit),
        of_pool.total(empty, (maintenance + borrow) * unit),
        of_pool.total(orders, (initial + borrow) * unit),
    )


def _values(batch: PoolBatch, price: Paths) -> tuple[Paths, Paths]:
    """Return notional and profit of every leg in its settle asset, [leg, path]."""
    notional, profit = np.empty_like(price), np.empty_like(price)
    for rows, is_inverse in ((batch.linear, False), (batch.inverse, True)):
        signed, entry, mark = batch.signed_size[rows][:, None], batch.entry_price[rows][:, None], price[rows]
        if is_inverse:
            notional[rows] = np.abs(signed) / mark
            profit[rows] = signed * (1.0 / entry - 1.0 / mark)
        else:
            notional[rows] = np.abs(signed) * mark
            profit[rows] = signed * (mark - entry)
    return notional, profit


def _leg_maintenance(batch: PoolBatch, notional: Paths) -> Paths:
    """Return maintenance of every leg in its settle asset, closing fee included, [leg, path]."""
    total = batch.maintenance_constant[:, None] + batch.fee_on_notional_fraction[:, None] * notional
    value = notional[batch.tiered]
    tier = kernels.tier_rows(value, floors=batch.tier_floor, start=batch.tier_start, count=batch.tier_count)
    total[batch.tiered] += batch.tier_fraction[tier] * value - batch.tier_deduction[tier]
    return total


def _counted(batch: PoolBatch, held: Paths) -> Paths:
    """Return the amount of every asset that counts as collateral, [asset, path]; a debt counts in full."""
    counted = held.copy()
    if batch.laddered.size:
        own = held[batch.laddered]
        amount, floor = own[batch.slice_asset], batch.slice_floor[:, None]
        parts = batch.slice_weight[:, None] * (np.clip(amount, floor, batch.slice_cap[:, None]) - floor)
        of_ladder = RowAdder(batch.slice_asset, batch.laddered.size, held.shape[1])
        counted[batch.laddered] = of_ladder.total(np.minimum(own, 0.0), parts)
    return counted


def _starts(counts: Sequence[int]) -> Index:
    return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int64))]).astype(np.int64)[: len(counts)]


def _stack(pools: Sequence[MarginPool], take: Callable[[MarginPool], NDArray[np.generic]]) -> NDArray[np.generic]:
    return np.concatenate([take(pool) for pool in pools]) if pools else np.zeros(0)


def _floats(pools: Sequence[MarginPool], take: Callable[[MarginPool], NDArray[np.generic]]) -> Vector:
    return np.ascontiguousarray(_stack(pools, take), dtype=np.float64)


def _rows(
    pools: Sequence[MarginPool], take: Callable[[MarginPool], NDArray[np.generic]], per_row: Index, start: Index
) -> Index:
    """Return indices that count within a pool as indices of the batch; ``per_row`` is the pool of each."""
    return _stack(pools, take).astype(np.int64) + start[per_row]


def _stacked_legs(pools: Sequence[MarginPool], global_factor: Index, first_factor: Index) -> Columns:
    pool_of_leg = np.repeat(np.arange(len(pools)), [pool.legs.count for pool in pools])
    first_asset = _starts([pool.assets.count for pool in pools])
    first_tier = _starts([pool.legs.tier_floor.size for pool in pools])
    inverse = _stack(pools, lambda pool: pool.legs.inverse).astype(np.bool_)
    count = _stack(pools, lambda pool: pool.legs.tier_count).astype(np.int64)
    start = _rows(pools, lambda pool: pool.legs.tier_start, pool_of_leg, first_tier)
    tiered = np.flatnonzero(count)
    return {
        "leg_asset": _rows(pools, lambda pool: pool.legs.asset_index, pool_of_leg, first_asset),
        "leg_factor": global_factor[_rows(pools, lambda pool: pool.legs.factor_index, pool_of_leg, first_factor)],
        "linear": np.flatnonzero(~inverse),
        "inverse": np.flatnonzero(inverse),
        "signed_size": _floats(pools, lambda pool: pool.legs.signed_size),
        "entry_price": _floats(pools, lambda pool: pool.legs.entry_price),
        "mark_price": _floats(pools, lambda pool: pool.legs.mark_price),
        "fee_on_notional_fraction": _floats(pools, lambda pool: pool.legs.fee_on_notional_fraction),
        "maintenance_constant": _floats(pools, lambda pool: pool.legs.maintenance_constant),
        "initial_fraction": _floats(pools, lambda pool: pool.legs.initial_fraction),
        "initial_constant": _floats(pools, lambda pool: pool.legs.initial_constant),
        "tiered": tiered,
        "tier_start": start[tiered],
        "tier_count": count[tiered],
        "tier_floor": _floats(pools, lambda pool: pool.legs.tier_floor),
        "tier_fraction": _floats(pools, lambda pool: pool.legs.tier_fraction),
        "tier_deduction": _floats(pools, lambda pool: pool.legs.tier_deduction),
    }


def _stacked_assets(pools: Sequence[MarginPool], global_factor: Index, first_factor: Index, *, held: int) -> Columns:
    pool_of_asset = np.repeat(np.arange(len(pools)), [pool.assets.count for pool in pools])
    own = _stack(pools, lambda pool: pool.assets.factor_index).astype(np.int64)
    moving = np.flatnonzero(own >= 0)
    factor = np.full(own.size, held, dtype=np.int64)
    factor[moving] = global_factor[own[moving] + first_factor[pool_of_asset[moving]]]
    count = _stack(pools, lambda pool: pool.assets.slice_count).astype(np.int64)
    first_slice = _starts([pool.assets.slice_floor.size for pool in pools])
    start = _rows(pools, lambda pool: pool.assets.slice_start, pool_of_asset, first_slice)
    laddered = np.flatnonzero(count)
    sizes = count[laddered]
    # Slices in the order of the assets: within a ladder they are added from the lowest up.
    within = np.arange(sizes.sum()) - np.repeat(_starts(sizes.tolist()), sizes)
    piece = np.repeat(start[laddered], sizes) + within
    return {
        "asset_pool": pool_of_asset,
        "asset_factor": factor,
        "balance_native": _floats(pools, lambda pool: pool.assets.balance_native),
        "price_unit": _floats(pools, lambda pool: pool.assets.price_unit),
        "borrow_maintenance_fraction": _floats(pools, lambda pool: pool.assets.borrow_maintenance_fraction),
        "laddered": laddered,
        "slice_asset": np.repeat(np.arange(laddered.size), sizes),
        "slice_floor": _floats(pools, lambda pool: pool.assets.slice_floor)[piece],
        "slice_cap": _floats(pools, lambda pool: pool.assets.slice_cap)[piece],
        "slice_weight": _floats(pools, lambda pool: pool.assets.slice_weight)[piece],
    }
