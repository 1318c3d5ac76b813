"""Revalue a pool that has a model: every price, profit and option value in many states of the market."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState
from margincover.pricing import black76
from margincover.venues import kernels

Paths = NDArray[np.float64]
DAYS_PER_YEAR = 365.0


def revalue(
    pool: MarginPool,
    factor_ratio: Paths,
    *,
    volatility_ratio: ArrayLike = 1.0,
    elapsed_days: float = 0.0,
    received_native: Paths | None = None,
    settle_expired: bool = True,
) -> PoolState:
    """Return the state of a pool.

    Parameters
    ----------
    factor_ratio : array [factor of the pool, path]
        Factor level over its level at ``as_of``, > 0.
    volatility_ratio : float or array [path]
        Multiple of every implied volatility, > 0, beside what the pool's ``spot_volatility`` says of the move.
    elapsed_days : float
        Time since ``as_of``, >= 0.
    received_native : array [asset, path] or None
        Funding received and options settled since ``as_of``, by asset; paid amounts < 0.
    settle_expired : bool
        Pay an option that has expired by now at this state's spot. False where the caller has paid it when it expired.
    """
    legs, options, assets = pool.legs, pool.options, pool.assets
    n_paths = factor_ratio.shape[1]
    leg_price = legs.mark_price[:, None] * factor_ratio[legs.factor_index]
    size = np.abs(legs.signed_size)[:, None]
    inverse = legs.inverse[:, None]
    entry = legs.entry_price[:, None]
    profit = legs.signed_size[:, None] * np.where(inverse, 1.0 / entry - 1.0 / leg_price, leg_price - entry)
    moved = factor_ratio[options.factor_index]
    years = np.maximum(options.years - elapsed_days / DAYS_PER_YEAR, 0.0)
    alive = years > 0.0
    quantity = np.where(alive, options.quantity, 0.0)
    forward = options.forward[:, None] * moved
    volatility = options.volatility[:, None] * np.broadcast_to(np.asarray(volatility_ratio, dtype=np.float64), n_paths)
    if pool.spot_volatility is not None:
        volatility = volatility * pool.spot_volatility.option_multiple(
            moved,
            moneyness_log=np.log(options.strike / options.forward),
            volatility=options.volatility,
            years=years,
            elapsed_days=elapsed_days,
        )
    mark = option_marks(pool, forward=forward, years=years, volatility=volatility)
    asset_ratio = np.ones((assets.count, n_paths))
    moving = assets.factor_index >= 0
    asset_ratio[moving] = factor_ratio[assets.factor_index[moving]]
    balance = np.repeat(assets.balance_native[:, None], n_paths, axis=1)
    if received_native is not None:
        balance = balance + received_native
    if settle_expired and not alive.all():
        balance = balance + settlement(pool, factor_ratio, ~alive)
    return PoolState(
        pool=pool,
        factor_ratio=factor_ratio,
        elapsed_years=elapsed_days / DAYS_PER_YEAR,
        leg_price=leg_price,
        leg_notional=np.where(inverse, size / leg_price, size * leg_price),
        leg_profit=profit,
        option_quantity=quantity,
        option_index=options.index[:, None] * moved,
        option_forward=forward,
        option_volatility=volatility,
        option_years=years,
        option_mark=mark,
        option_value=quantity[:, None] * mark,
        balance=balance,
        asset_price=assets.price_unit[:, None] * asset_ratio,
    )


def option_marks(pool: MarginPool, *, forward: Paths, years: NDArray[np.float64], volatility: Paths) -> Paths:
    """Return the mark of one coin's option in its settle asset, [option, path], >= 0."""
    options = pool.options
    if not options.count:
        return np.zeros(forward.shape)
    value = black76.price(
        forward=forward,
        strike=options.strike[:, None],
        years=years[:, None],
        volatility=volatility,
        is_call=options.is_call[:, None],
    )
    value = np.where(options.inverse[:, None], value / forward, value)
    return np.asarray(np.maximum(value + options.residual[:, None], 0.0), dtype=np.float64)


def settlement(pool: MarginPool, factor_ratio: Paths, expired: NDArray[np.bool_]) -> Paths:
    """Return what options pay at expiry, [asset, path], in the asset: the intrinsic value at the index.

    Parameters
    ----------
    expired : bool array [option]
        Which options are paid.
    """
    options = pool.options
    paid = np.zeros((pool.assets.count, factor_ratio.shape[1]))
    for k in np.flatnonzero(expired):
        index = options.index[k] * factor_ratio[options.factor_index[k]]
        side = 1.0 if options.is_call[k] else -1.0
        value = np.maximum(side * (index - options.strike[k]), 0.0)
        paid[options.asset_index[k]] += options.quantity[k] * (value / index if options.inverse[k] else value)
    return paid


def wallet_and_profit(state: PoolState, *, with_options: bool) -> Paths:
    """Return balance and profits of each asset, [asset, path], with the value of its options where they count."""
    held = added(state.balance, state.pool.legs.asset_index, state.leg_profit)
    if with_options:
        held = added(held, state.pool.options.asset_index, state.option_value)
    return held


def added(start: Paths, group: NDArray[np.integer], items: Paths) -> Paths:
    """Return ``start`` [group, path] plus the rows [item, path] of each group, in the order of the items."""
    # One numpy call a row costs more than the row when states are few; both ways add the same numbers in one order.
    if items.shape[0] > items.shape[1]:
        return RowAdder(group.astype(np.int64), *start.shape).total(start, items)
    total = start.copy()
    for row, at in zip(items, group, strict=True):
        total[at] += row
    return total


class RowAdder:
    """Adds rows of items to rows of groups, [item, path] to [group, path], in the order of the items."""

    def __init__(self, group: NDArray[np.int64], n_groups: int, n_paths: int) -> None:
        rows = np.concatenate([np.arange(n_groups), group])
        self._cell = (rows[:, None] * n_paths + np.arange(n_paths)).ravel()
        self._shape = (n_groups, n_paths)

    def total(self, start: Paths, items: Paths) -> Paths:
        """Return ``start`` [group, path] plus the items of each group."""
        # bincount adds one after the other, as a loop does; a pairwise sum would differ in the last digits.
        flat = np.bincount(self._cell, weights=np.concatenate([start, items]).ravel())
        return np.asarray(flat, dtype=np.float64).reshape(self._shape)


def counted_by_ladder(pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
    """Return what each asset counts by the rulebook's collateral ladder, [asset, path], in the pool's unit.

    An asset without a ladder counts in full, as does a debt.
    """
    assets = pool.assets
    counted = np.empty_like(held)
    for asset in range(assets.count):
        start = int(assets.slice_start[asset])
        part = slice(start, start + int(assets.slice_count[asset]))
        counted[asset] = kernels.collateral_value(
            amount=held[asset],
            slice_floor=assets.slice_floor[part],
            slice_cap=assets.slice_cap[part],
            slice_weight=assets.slice_weight[part],
        )
    return counted * asset_price


def row_total(rows: Paths) -> Paths:
    """Return the sum over rows, [path], added row by row: its bits do not depend on the number of paths."""
    total = np.zeros(rows.shape[-1])
    for row in rows:
        total = total + row
    return total
