"""Binance accounts that several assets back: what multi-assets mode and portfolio margin share.

A leg is margined by its bracket in its settle asset; the account converts it to dollars at a rate of that asset.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.explain import ExplainNode, summed
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.model.rules import HaircutLadder
from margincover.venues import margin
from margincover.venues.models import ModelRequest

Paths = NDArray[np.float64]


def leg_requirement(state: PoolState, leg: int, *, rate: Paths, multiple: float, detailed: bool) -> Requirement:
    """Return the requirement of one perpetual or future in the pool's unit.

    Parameters
    ----------
    rate : array [path]
        Pool unit per unit of the leg's settle asset.
    multiple : float
        Equity over the venue's maintenance at which it liquidates, >= 1; initial margin is not multiplied.
    """
    legs, notional = state.pool.legs, state.leg_notional[leg]
    own = margin.leg_maintenance(state.pool, leg, notional) * rate
    initial = (legs.initial_fraction[leg] * notional + legs.initial_constant[leg]) * rate
    name = legs.symbols[leg] if legs.buckets[leg] == "NET" else f"{legs.symbols[leg]} {legs.buckets[leg]}"
    tree = None
    if detailed:
        parts = _bracket_parts(state, leg, float(rate[0]))
        parts += above_venue(float(own[0]), multiple, state.pool.unit)
        tree = summed(name, state.pool.unit, tuple(parts))
    detail = "" if legs.initial_known[leg] else "leverage not stated: not known"
    return Requirement(label=name, maintenance=multiple * own, initial=initial, detail=detail, maintenance_tree=tree)


def above_venue(own: float, multiple: float, unit: str) -> list[ExplainNode]:
    """Return what stands above the venue's own maintenance margin because it liquidates before equity falls to it."""
    if multiple == 1.0:
        return []
    detail = f"liquidation at {multiple:g} times the venue's maintenance margin of {own:,.10g}"
    return [ExplainNode(label="up to the liquidation line", value=(multiple - 1.0) * own, unit=unit, detail=detail)]


def _bracket_parts(state: PoolState, leg: int, rate: float) -> list[ExplainNode]:
    """Return the bracket that holds a leg's notional on the first path: its rate and its deduction."""
    legs, unit = state.pool.legs, state.pool.unit
    notional = float(state.leg_notional[leg, 0])
    start, count = int(legs.tier_start[leg]), int(legs.tier_count[leg])
    parts = []
    if count:
        floors = legs.tier_floor[start : start + count]
        tier = start + max(int(np.searchsorted(floors, notional, side="right")) - 1, 0)
        fraction, deduction = float(legs.tier_fraction[tier]), float(legs.tier_deduction[tier])
        asset = state.pool.assets.assets[int(legs.asset_index[leg])]
        text = f"{fraction:.4%} of {notional:,.10g} {asset}, bracket {tier - start + 1} of {count}, at {rate:,.10g}"
        parts.append(
            ExplainNode(label="bracket rate x notional", value=fraction * notional * rate, unit=unit, detail=text)
        )
        if deduction:
            parts.append(ExplainNode(label="bracket deduction", value=-deduction * rate, unit=unit))
    fixed = float(legs.maintenance_constant[leg] + legs.fee_on_notional_fraction[leg] * notional) * rate
    if fixed:
        parts.append(ExplainNode(label="fixed part and fee", value=fixed, unit=unit))
    return parts


def require_counted_debts(request: ModelRequest) -> None:
    """Raise InputError for a debt that is marked as no collateral: what is owed counts whatever backs the account."""
    for balance in request.account.balances:
        if not balance.is_collateral and (balance.borrowed_native > 0.0 or balance.total_native < 0.0):
            raise InputError(
                f"{balance.asset} of {balance.total_native:g} with {balance.borrowed_native:g} borrowed is not counted",
                account=request.account.id,
                field=f"balances.{balance.asset}.is_collateral",
                allowed="true for a coin that is owed",
            )


def ladder_uses(request: ModelRequest, ladders: Mapping[str, HaircutLadder]) -> tuple[EditionUse, ...]:
    """Return the provenance of collateral ladders of the rulebook, each edition once."""
    names = {ladder.source.partition("; ")[0] for ladder in ladders.values()}
    return tuple(
        EditionUse(
            venue=request.pool.venue,
            edition=edition.id,
            valid_from=f"{edition.valid_from:%Y-%m-%d}",
            source=edition.source,
            retrieved=edition.retrieved,
            age_days=(request.at - edition.observed).days,
        )
        for edition in request.rulebook.editions
        if edition.id in names
    )
