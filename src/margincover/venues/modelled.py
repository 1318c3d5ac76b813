"""Evaluate and explain a pool by its model: the sums that every model shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.model.explain import ExplainNode, summed
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState, Requirement
from margincover.venues.revalue import row_total

Paths = NDArray[np.float64]


def model_of(pool: MarginPool) -> PoolModel:
    """Return the model of a pool that has one."""
    assert pool.model is not None, "Invariant: the pool has a model"
    return pool.model


def evaluate_state(state: PoolState) -> tuple[Paths, Paths, Paths]:
    """Return equity, maintenance and initial margin of a pool in its unit, each [path]."""
    model = model_of(state.pool)
    held = model.held(state)
    own = model.requirements(state)
    return combine(state.pool, held, state.asset_price, *totals(own, state.n_paths))


def totals(requirements: tuple[Requirement, ...], n_paths: int) -> tuple[Paths, Paths]:
    """Return the sums of maintenance and of initial margin, [path]."""
    maintenance, initial = np.zeros(n_paths), np.zeros(n_paths)
    for part in requirements:
        maintenance = maintenance + part.maintenance
        initial = initial + part.initial
    return maintenance, initial


def combine(
    pool: MarginPool, held: Paths, asset_price: Paths, maintenance: Paths, initial: Paths
) -> tuple[Paths, Paths, Paths]:
    """Return equity, maintenance and initial margin [path] from what is held and what the positions require.

    Parameters
    ----------
    held, asset_price : array [asset, path]
    maintenance, initial : array [path]
        Of the positions alone; what borrowing adds is added here.
    """
    model = model_of(pool)
    equity = row_total(model.counted(pool, held, asset_price))
    more = totals(model.account_requirements(pool, held, asset_price), held.shape[1])
    return equity, maintenance + more[0], initial + more[1] + pool.open_order_initial


def explain_state(state: PoolState) -> tuple[ExplainNode, ExplainNode, ExplainNode]:
    """Return the trees of equity, maintenance and initial margin of the first path."""
    pool, model = state.pool, model_of(state.pool)
    held = model.held(state)
    counted = model.counted(pool, held, state.asset_price)
    equity = tuple(_asset(state, asset, held, counted) for asset in range(pool.assets.count))
    parts = model.requirements(state, detailed=True)
    parts += model.account_requirements(pool, held, state.asset_price, detailed=True)
    initial = [_node(part, part.initial_tree, part.initial, pool.unit) for part in parts]
    if pool.open_order_initial:
        initial.append(ExplainNode(label="resting orders", value=pool.open_order_initial, unit=pool.unit))
    maintenance = tuple(_node(part, part.maintenance_tree, part.maintenance, pool.unit) for part in parts)
    return (
        summed("equity after haircut", pool.unit, equity),
        summed("maintenance margin", pool.unit, maintenance),
        summed("initial margin", pool.unit, tuple(initial)),
    )


def _node(part: Requirement, tree: ExplainNode | None, values: Paths, unit: str) -> ExplainNode:
    if tree is not None:
        return tree
    return ExplainNode(label=part.label, value=float(values[0]), unit=unit, detail=part.detail)


def _asset(state: PoolState, asset: int, held: Paths, counted: Paths) -> ExplainNode:
    """Return what an asset counts: balance, profits, options, then the haircut that leads to the counted value."""
    pool, name = state.pool, state.pool.assets.assets[asset]
    price = float(state.asset_price[asset, 0])
    plain = price == 1.0 and name == pool.unit
    parts = [_scaled("balance", float(state.balance[asset, 0]), price, name, pool.unit, plain)]
    for leg, symbol in enumerate(pool.legs.symbols):
        if pool.legs.asset_index[leg] == asset:
            label = f"{symbol} unrealised profit"
            parts.append(_scaled(label, float(state.leg_profit[leg, 0]), price, name, pool.unit, plain))
    # Whether options stand in equity is the model's rule: what is held beyond wallet and profits is their value.
    wallet = float(state.balance[asset, 0]) + sum(
        float(state.leg_profit[leg, 0]) for leg in range(pool.legs.count) if pool.legs.asset_index[leg] == asset
    )
    options = [k for k in range(pool.options.count) if pool.options.asset_index[k] == asset]
    value = sum(float(state.option_value[k, 0]) for k in options)
    rest = float(held[asset, 0]) - wallet
    if options and abs(rest - value) <= 1e-9 * max(abs(value), 1.0):
        for k in options:
            label = f"{pool.options.symbols[k]} option value"
            parts.append(_scaled(label, float(state.option_value[k, 0]), price, name, pool.unit, plain))
    elif options and abs(rest - _profit(state, options)) <= 1e-9 * max(abs(value), 1.0):
        for k in options:
            label = f"{pool.options.symbols[k]} unrealised profit"
            parts.append(_scaled(label, _profit(state, [k]), price, name, pool.unit, plain))
    elif abs(rest) > 1e-12 * max(abs(wallet), abs(value), 1e-12):
        label = "options, as the rule values them" if options else "other"
        parts.append(_scaled(label, rest, price, name, pool.unit, plain))
    haircut = float(counted[asset, 0]) - sum(part.value for part in parts)
    size = sum(abs(part.value) for part in parts)
    if abs(haircut) > 1e-12 * max(size, 1e-12):
        parts.append(ExplainNode(label="haircut", value=haircut, unit=pool.unit))
    return summed(name, pool.unit, tuple(parts), "" if plain else f"at {price:,.8g} {pool.unit}")


def _profit(state: PoolState, options: list[int]) -> float:
    """Return the value of options less what they were entered at: what counts where no premium changes hands."""
    table = state.pool.options
    return sum(float(state.option_value[k, 0]) - float(table.quantity[k]) * float(table.entry[k]) for k in options)


def _scaled(label: str, native: float, price: float, asset: str, unit: str, plain: bool) -> ExplainNode:
    return ExplainNode(label=label, value=native * price, unit=unit, detail="" if plain else f"{native:,.10g} {asset}")
