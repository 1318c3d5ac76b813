"""Bybit unified accounts: what their rules share - legs by tiers, borrowing, the coins of the account.

Amounts are in the unit of the pool (USD); requirements of a coin convert at its full price, never at its collateral
weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import LegTable, MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.venues import margin
from margincover.venues.bybit.portfolio import BorrowParameters
from margincover.venues.models import ModelRequest

Paths = NDArray[np.float64]


def borrow_parameters(request: ModelRequest) -> tuple[tuple[BorrowParameters, ...], list[ParameterEdition]]:
    """Return the borrow terms of each asset of a pool, and the editions they come from.

    Raises
    ------
    RulebookError
        If no edition is in force.
    """
    editions = [request.edition("borrow", asset) for asset in request.pool.assets.assets]
    terms = tuple(BorrowParameters.from_mapping(e.values, source=f"{e.venue}.toml {e.id}") for e in editions)
    return terms, editions


def borrow_fractions(pool: MarginPool, asset: int, terms: BorrowParameters) -> tuple[float, float]:
    """Return (maintenance, initial) margin of borrowing as fractions of the borrowed value.

    Maintenance is that of the coin's collateral edition, which a user may replace; initial is never below it.
    """
    maintenance = float(pool.assets.borrow_maintenance_fraction[asset])
    return maintenance, max(terms.initial_fraction, maintenance)


def borrow_requirements(
    pool: MarginPool, borrowed: Paths, asset_price: Paths, terms: Sequence[BorrowParameters], *, label: str
) -> tuple[Requirement, ...]:
    """Return the requirement of each asset that is borrowed on some path.

    Parameters
    ----------
    borrowed : array [asset, path]
        >= 0, in the asset.
    """
    done = []
    for asset, name in enumerate(pool.assets.assets):
        amount = borrowed[asset]
        if not np.any(amount > 0.0):
            continue
        maintenance, initial = borrow_fractions(pool, asset, terms[asset])
        value = amount * asset_price[asset]
        done.append(
            Requirement(
                label=f"{name} {label}",
                maintenance=maintenance * value,
                initial=initial * value,
                detail=f"{maintenance:.4%} (initial {initial:.4%}) of {float(amount[0]):,.10g} {name}",
            )
        )
    return tuple(done)


def leg_requirement(state: PoolState, leg: int, *, detailed: bool) -> Requirement:
    """Return the requirement of one perpetual or future by its tiers, as an account without options has it."""
    pool, legs = state.pool, state.pool.legs
    notional, price = state.leg_notional[leg], state.asset_price[legs.asset_index[leg]]
    maintenance = margin.leg_maintenance(pool, leg, notional) * price
    initial = (legs.initial_fraction[leg] * notional + legs.initial_constant[leg]) * price
    trees = _leg_trees(state, leg) if detailed else (None, None)
    return Requirement(
        label=leg_name(legs, leg),
        maintenance=maintenance,
        initial=initial,
        maintenance_tree=trees[0],
        initial_tree=trees[1],
    )


def leg_name(legs: LegTable, leg: int) -> str:
    """Return the symbol of a leg, with its side where it is one of hedge mode's two."""
    return legs.symbols[leg] if legs.buckets[leg] == "NET" else f"{legs.symbols[leg]} {legs.buckets[leg]}"


def hedge_note(pool: MarginPool) -> tuple[str, ...]:
    """Return the note on hedge-mode pairs, whose relief the venue grants but does not publish."""
    legs = pool.legs
    both = [s for s in dict.fromkeys(legs.symbols) if {b for n, b in _sides(legs) if n == s} >= {"LONG", "SHORT"}]
    return tuple(
        f"{symbol} is held long and short: both legs are margined in full; the venue asks less of the hedged part by a "
        "rule it does not publish, so the requirement errs high"
        for symbol in both
    )


def _sides(legs: LegTable) -> list[tuple[str, str]]:
    return list(zip(legs.symbols, legs.buckets, strict=True))


def _leg_trees(state: PoolState, leg: int) -> tuple[ExplainNode, ExplainNode]:
    """Return the trees of maintenance and initial margin of a leg on the first path."""
    legs, unit = state.pool.legs, state.pool.unit
    price = float(state.asset_price[legs.asset_index[leg], 0])
    notional = float(state.leg_notional[leg, 0])
    name = leg_name(legs, leg)
    parts = _tier_parts(state.pool, leg, notional, price)
    shares = (
        ("closing fee", float(legs.fee_on_notional_fraction[leg]) * notional * price, "of the notional at mark"),
        ("fixed at entry", float(legs.maintenance_constant[leg]) * price, "closing fee or entry value"),
    )
    parts += [ExplainNode(label=label, value=value, unit=unit, detail=text) for label, value, text in shares if value]
    if not legs.initial_known[leg]:
        initial = ExplainNode(label=name, value=0.0, unit=unit, detail="leverage not stated: not known")
    else:
        rate = float(legs.initial_fraction[leg])
        by_value = ExplainNode(
            label="rate x notional",
            value=rate * notional * price,
            unit=unit,
            detail=f"{rate:.4%} of {notional:,.10g} at mark",
        )
        fixed = ExplainNode(label="fixed at entry", value=float(legs.initial_constant[leg]) * price, unit=unit)
        initial = summed(name, unit, (by_value, fixed))
    return summed(name, unit, tuple(parts)), initial


def _tier_parts(pool: MarginPool, leg: int, notional: float, price: float) -> list[ExplainNode]:
    legs, unit = pool.legs, pool.unit
    start, count = int(legs.tier_start[leg]), int(legs.tier_count[leg])
    if not count:
        return []
    floors = legs.tier_floor[start : start + count]
    tier = start + max(int(np.searchsorted(floors, notional, side="right")) - 1, 0)
    rate, deduction = float(legs.tier_fraction[tier]), float(legs.tier_deduction[tier])
    text = f"{rate:.4%} of {notional:,.10g}, tier {tier - start + 1} of {count} from {legs.tier_floor[tier]:,.10g}"
    parts = [ExplainNode(label="tier rate x notional", value=rate * notional * price, unit=unit, detail=text)]
    if deduction:
        parts.append(ExplainNode(label="tier deduction", value=-deduction * price, unit=unit))
    return parts
