"""Explain a margin pool: from equity and requirement down to balances, profits, tiers, fees and haircuts.

Every node's parts sum to it, and the roots equal what ``venues.margin`` computes.
"""

from __future__ import annotations

import numpy as np

from margincover.model.explain import ExplainNode, summed
from margincover.model.pool import MarginPool
from margincover.venues import kernels, margin, modelled
from margincover.venues.revalue import revalue

_NOW = np.ones(1)


def explain_pool(pool: MarginPool) -> tuple[ExplainNode, ExplainNode, ExplainNode]:
    """Return the trees of equity, maintenance and initial margin of a pool, in its unit, at ``as_of``.

    The initial tree holds what is known: a leg without a stated leverage says so and counts 0 in it.
    """
    if pool.model is not None:
        return modelled.explain_state(revalue(pool, np.ones((len(pool.factors), 1))))
    equity, maintenance, initial = [], [], []
    for asset, name in enumerate(pool.assets.assets):
        price = float(pool.assets.price_unit[asset])
        legs = [leg for leg in range(pool.legs.count) if int(pool.legs.asset_index[leg]) == asset]
        held = _held(pool, asset, legs)
        equity.append(_counted(pool, asset, name, held, price))
        parts = [_leg_maintenance(pool, leg, price) for leg in legs]
        parts += _borrow(pool, asset, held.value, price)
        if parts:
            maintenance.append(summed(f"{name} requirements", pool.unit, tuple(parts)))
        margins = [_leg_initial(pool, leg, price) for leg in legs] + _borrow(pool, asset, held.value, price)
        if margins:
            initial.append(summed(f"{name} requirements", pool.unit, tuple(margins)))
    if pool.open_order_initial:
        initial.append(
            ExplainNode(
                label="resting orders",
                value=pool.open_order_initial,
                unit=pool.unit,
                detail="beyond the positions' own margin",
            )
        )
    return (
        summed("equity after haircut", pool.unit, tuple(equity)),
        summed("maintenance margin", pool.unit, tuple(maintenance)),
        summed("initial margin", pool.unit, tuple(initial)),
    )


def _held(pool: MarginPool, asset: int, legs: list[int]) -> ExplainNode:
    """Return asset equity in the asset's own unit: balance and unrealised profits."""
    name = pool.assets.assets[asset]
    parts = [ExplainNode(label="balance", value=float(pool.assets.balance_native[asset]), unit=name)]
    for leg in legs:
        parts.append(
            ExplainNode(
                label=f"{_leg_name(pool, leg)} unrealised profit",
                value=float(margin.leg_profit(pool, leg, _NOW)[0]),
                unit=name,
                detail=f"{pool.legs.signed_size[leg]:+,.10g} units, entry {pool.legs.entry_price[leg]:,.10g}, "
                f"mark {pool.legs.mark_price[leg]:,.10g}",
            )
        )
    return summed(f"{name} equity", name, tuple(parts))


def _counted(pool: MarginPool, asset: int, name: str, held: ExplainNode, price: float) -> ExplainNode:
    """Return what an asset counts in the pool's unit: its equity, converted, less its haircut."""
    start = int(pool.assets.slice_start[asset])
    part = slice(start, start + int(pool.assets.slice_count[asset]))
    counted = float(
        kernels.collateral_value(
            amount=held.value,
            slice_floor=pool.assets.slice_floor[part],
            slice_cap=pool.assets.slice_cap[part],
            slice_weight=pool.assets.slice_weight[part],
        )
    )
    plain = price == 1.0 and name == pool.unit
    parts = [_scaled(node, price, pool.unit, plain) for node in held.children]
    if part.start != part.stop and held.value > 0:
        weights = ", ".join(_slice_text(pool, k) for k in range(part.start, part.stop))
        parts.append(
            ExplainNode(
                label="haircut",
                value=(counted - held.value) * price,
                unit=pool.unit,
                detail=f"weights {weights} {name}",
            )
        )
    return summed(name, pool.unit, tuple(parts), "" if plain else f"at {price:,.8g} {pool.unit}")


def _slice_text(pool: MarginPool, k: int) -> str:
    cap = float(pool.assets.slice_cap[k])
    # An open last slice is stored as the largest double.
    return f"{pool.assets.slice_weight[k]:.4g} " + ("above" if cap > 1e300 else f"to {cap:,.6g}")


def _scaled(node: ExplainNode, price: float, unit: str, plain: bool) -> ExplainNode:
    detail = node.detail if plain else ", ".join(x for x in (f"{node.value:,.10g} {node.unit}", node.detail) if x)
    return ExplainNode(label=node.label, value=node.value * price, unit=unit, detail=detail)


def _leg_maintenance(pool: MarginPool, leg: int, price: float) -> ExplainNode:
    notional = float(margin.leg_notional(pool, leg, _NOW)[0])
    legs, unit = pool.legs, pool.unit
    parts = []
    count, start = int(legs.tier_count[leg]), int(legs.tier_start[leg])
    if count:
        floors = legs.tier_floor[start : start + count]
        tier = start + max(int(np.searchsorted(floors, notional, side="right")) - 1, 0)
        rate, deduction = float(legs.tier_fraction[tier]), float(legs.tier_deduction[tier])
        parts.append(
            ExplainNode(
                label="tier rate x notional",
                value=rate * notional * price,
                unit=unit,
                detail=f"{rate:.4%} of {notional:,.10g}, tier {tier - start + 1} of {count} "
                f"from {legs.tier_floor[tier]:,.10g}",
            )
        )
        if deduction:
            parts.append(ExplainNode(label="tier deduction", value=-deduction * price, unit=unit))
    fee = float(legs.fee_on_notional_fraction[leg])
    if fee:
        parts.append(
            ExplainNode(
                label="closing fee",
                value=fee * notional * price,
                unit=unit,
                detail=f"{fee:.4%} of the notional at mark",
            )
        )
    constant = float(legs.maintenance_constant[leg])
    if constant:
        parts.append(
            ExplainNode(label="fixed at entry", value=constant * price, unit=unit, detail="closing fee or entry value")
        )
    return summed(_leg_name(pool, leg), unit, tuple(parts))


def _leg_initial(pool: MarginPool, leg: int, price: float) -> ExplainNode:
    if not pool.legs.initial_known[leg]:
        return ExplainNode(
            label=_leg_name(pool, leg), value=0.0, unit=pool.unit, detail="leverage not stated: not known"
        )
    notional = float(margin.leg_notional(pool, leg, _NOW)[0])
    rate, constant = float(pool.legs.initial_fraction[leg]), float(pool.legs.initial_constant[leg])
    parts = []
    if rate:
        parts.append(
            ExplainNode(
                label="rate x notional",
                value=rate * notional * price,
                unit=pool.unit,
                detail=f"{rate:.4%} of {notional:,.10g} at mark",
            )
        )
    if constant:
        parts.append(ExplainNode(label="fixed at entry", value=constant * price, unit=pool.unit))
    return summed(_leg_name(pool, leg), pool.unit, tuple(parts))


def _borrow(pool: MarginPool, asset: int, held: float, price: float) -> list[ExplainNode]:
    rate = float(pool.assets.borrow_maintenance_fraction[asset])
    if held >= 0.0 or not rate:
        return []
    return [
        ExplainNode(
            label="borrowed",
            value=-held * rate * price,
            unit=pool.unit,
            detail=f"{rate:.4%} of {-held:,.10g} {pool.assets.assets[asset]}",
        )
    ]


def _leg_name(pool: MarginPool, leg: int) -> str:
    bucket = pool.legs.buckets[leg]
    return pool.legs.symbols[leg] if bucket == "NET" else f"{pool.legs.symbols[leg]} {bucket}"
