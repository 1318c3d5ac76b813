"""OKX portfolio margin of accounts with perpetuals: risk units by coin, loans, and discounted equity, in USD.

A unit holds all perpetuals of a coin, whatever they settle in. Its charges are those of ``portfolio``; theta, vega and
interest charges (MR2, MR3, MR5) arise from options and expiries, which this mode does not hold because the venue does
not publish their rules.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import NotSupportedError
from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.okx import parts, portfolio
from margincover.venues.okx.multi_currency_model import frozen_by_orders
from margincover.venues.revalue import counted_by_ladder, row_total, wallet_and_profit

Paths = NDArray[np.float64]
# Contracts that settle in the coin are counted in dollars, the others in their stable coin.
_USD, _STABLE = "USD", ("USDT", "USDC")
NOTES = (
    "no closing fee of positions stands in this mode's requirement: inferred from captured accounts, MR7 stands for it",
    "spot in use is not set against perpetuals and MR4, MR7 count every leg without netting: errs to the safe side",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTerms:
    """One risk unit: its legs, the index of the coin at ``as_of`` in each leg's quote asset, and its parameters.

    ``stable`` is None where all legs settle alike: nothing is hedged across stable coins then.
    """

    base: str
    legs: tuple[int, ...]
    leg_index: tuple[float, ...]
    shocks: portfolio.RiskUnitParameters
    charges: portfolio.PerpetualChargeParameters
    scaling: portfolio.ScalingParameters
    stable: portfolio.StablecoinParameters | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioModel:
    """Model of the account; ``frozen_native`` [asset] is what resting orders hold of each coin, >= 0."""

    units: tuple[UnitTerms, ...]
    loans: tuple[parts.LoanTerms, ...]
    frozen_native: Vector
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return wallet and profits of each coin."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the discounted equity of each coin less what orders hold: adjEq is their sum."""
        return counted_by_ladder(pool, held, asset_price) - self.frozen_native[:, None] * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each risk unit."""
        return tuple(_unit_requirement(state, unit, detailed=detailed) for unit in self.units)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the margin (MR8) and the fee of every coin that is owed."""
        return parts.loan_requirements(pool, self.loans, held, asset_price, detailed=detailed)


def build(request: ModelRequest) -> PortfolioModel:
    """Return the model of an account in portfolio margin.

    Raises
    ------
    RulebookError
        If a coin has no parameters in force, or an asset that may be owed no maintenance rate of loans.
    InputError
        If the market states no USD price of a coin.
    NotSupportedError
        If contracts hedge across stable coins one of which has left par: the venue's charge for it is not published.
    """
    legs, units, editions = request.pool.legs, [], []
    for base in dict.fromkeys(legs.bases):
        unit, used = _unit_terms(request, base)
        units.append(unit)
        editions += used
    loans, loan_editions = parts.loan_terms(request)
    editions += loan_editions
    notes = [*edition_notes(editions, request.at), *(NOTES if units else ())]
    if loans:
        notes.append(parts.LOAN_NOTE)
    return PortfolioModel(
        units=tuple(units),
        loans=loans,
        frozen_native=frozen_by_orders(request),
        notes=tuple(notes),
        editions=edition_uses(editions, request.at),
    )


def _unit_terms(request: ModelRequest, base: str) -> tuple[UnitTerms, list[ParameterEdition]]:
    legs = request.pool.legs
    own = tuple(k for k in range(legs.count) if legs.bases[k] == base)
    shocks = request.edition("portfolio_margin", base)
    charges = request.edition("portfolio_margin_perpetual", base)
    scaling = request.edition("portfolio_margin_scaling", base)
    used = [shocks, charges, scaling]
    stable, cash = None, {_cash(request.pool, k) for k in own}
    if len(cash) > 1:
        used += [_near_par(request, cash), request.edition("portfolio_margin_stablecoin_example", base)]
        stable = portfolio.StablecoinParameters.from_mapping(used[-1].values, source=f"okx.toml {used[-1].id}")
    unit = UnitTerms(
        base=base,
        legs=own,
        leg_index=tuple(request.index(base, legs.quotes[k]) for k in own),
        shocks=portfolio.RiskUnitParameters.from_mapping(shocks.values, source=f"okx.toml {shocks.id}"),
        charges=portfolio.PerpetualChargeParameters.from_mapping(charges.values, source=f"okx.toml {charges.id}"),
        scaling=portfolio.ScalingParameters.from_mapping(scaling.values, source=f"okx.toml {scaling.id}"),
        stable=stable,
    )
    return unit, used


def _near_par(request: ModelRequest, cash: Collection[str]) -> ParameterEdition:
    """Return the edition of the range in which MR9 is known; refuse a stable coin that stands below it."""
    edition = request.edition("portfolio_margin_stablecoin_range", "*")
    least = portfolio.StablecoinRangeParameters.from_mapping(
        edition.values, source=f"okx.toml {edition.id}"
    ).least_price_usd
    for asset in sorted(set(cash) - {_USD}):
        price = request.index(asset)
        if price < least:
            raise NotSupportedError(
                f"{asset} stood at {price:g} USD with contracts hedged across stable coins",
                account=request.pool.account_id,
                field=f"market.asset_usd.{asset}",
                allowed=f"at least {least:g}: the venue's charge (MR9) below it is not published in full",
            )
    return edition


def _cash(pool: MarginPool, leg: int) -> str:
    """Return the cash in which a leg's delta is counted: a stable coin, or USD for one that settles in the coin."""
    return _USD if pool.legs.inverse[leg] else pool.legs.quotes[leg]


def unit_charges(state: PoolState, unit: UnitTerms) -> tuple[portfolio.UnitCharges, Paths]:
    """Return the charges of a risk unit [path] in USD, and its profit at each node of the MR1 grid [node, path]."""
    deltas = [_deltas(state, unit, k) for k in range(len(unit.legs))]
    at_index = row_total(np.stack([pair[0] for pair in deltas]))
    gross = row_total(np.stack([np.abs(pair[1]) for pair in deltas]))
    pnl = portfolio.linear_pnl(at_index, shock_fraction=unit.shocks.price_shock_fraction)
    move = unit.shocks.extreme_shock_fraction
    raw = portfolio.perpetual_minimum_charge(gross, unit.charges)
    nothing = np.zeros(state.n_paths)
    charges = portfolio.UnitCharges(
        mr1=portfolio.worst_loss(pnl),
        mr2=nothing,
        mr3=nothing,
        mr4=portfolio.perpetual_basis_charge(gross, unit.charges),
        mr5=nothing,
        mr6=portfolio.extreme_charge(pnl_down=-move * at_index, pnl_up=move * at_index, parameters=unit.shocks),
        mr7=portfolio.scaled_minimum_charge(raw, unit.scaling),
        mr9=_stablecoins(state, unit, [pair[1] for pair in deltas]),
    )
    return charges, pnl


def _deltas(state: PoolState, unit: UnitTerms, k: int) -> tuple[Paths, Paths]:
    """Return the signed delta of a unit's leg in USD [path], at the index and at the mark."""
    legs, leg = state.pool.legs, unit.legs[k]
    size = float(legs.signed_size[leg])
    if legs.inverse[leg]:
        # Contracts of a fixed dollar amount: their delta in dollars is that amount at any price.
        return np.full(state.n_paths, size), np.full(state.n_paths, size)
    cash = state.asset_price[int(legs.asset_index[leg])]
    index = unit.leg_index[k] * state.factor_ratio[int(legs.factor_index[leg])]
    return size * index * cash, size * state.leg_price[leg] * cash


def _stablecoins(state: PoolState, unit: UnitTerms, delta: Sequence[Paths]) -> Paths:
    """Return MR9 [path]: what is hedged across stable coins and dollars, by its slices."""
    if unit.stable is None:
        return np.zeros(state.n_paths)
    cash = dict.fromkeys((*_STABLE, _USD), np.zeros(state.n_paths))
    for k, leg in enumerate(unit.legs):
        cash[_cash(state.pool, leg)] = cash[_cash(state.pool, leg)] + delta[k]
    hedged = portfolio.stablecoin_hedges(usdt_usd=cash["USDT"], usdc_usd=cash["USDC"], usd_usd=cash[_USD])
    return row_total(np.stack([portfolio.stablecoin_charge(part, unit.stable) for part in hedged]))


def _unit_requirement(state: PoolState, unit: UnitTerms, *, detailed: bool) -> Requirement:
    charges, pnl = unit_charges(state, unit)
    maintenance = portfolio.unit_maintenance(charges)
    multiple = unit.shocks.initial_over_maintenance
    label, tree, initial_tree = f"risk unit {unit.base}", None, None
    if detailed:
        tree = _unit_tree(label, state.pool.unit, unit, charges, pnl)
        children = tuple(
            ExplainNode(label=c.label, value=multiple * c.value, unit=c.unit, detail=f"{multiple:g} x maintenance")
            for c in tree.children
        )
        initial_tree = summed(label, state.pool.unit, children, f"{multiple:g} x maintenance")
    return Requirement(
        label=label,
        maintenance=maintenance,
        initial=multiple * maintenance,
        maintenance_tree=tree,
        initial_tree=initial_tree,
    )


def _unit_tree(label: str, currency: str, unit: UnitTerms, charges: portfolio.UnitCharges, pnl: Paths) -> ExplainNode:
    """Return the charges of the first path: those that add up to the maintenance, the others in the detail."""
    mr = {name: float(np.asarray(getattr(charges, name))[0]) for name in charges.__dataclass_fields__}
    worst = float(unit.shocks.price_shock_fraction[int(np.argmin(pnl[:, 0]))])
    grid = f"worst node of the grid: index {worst:+.0%}"
    extreme = f"{unit.shocks.extreme_share_fraction:.0%} of the loss at {unit.shocks.extreme_shock_fraction:.0%}"
    largest = ("mr1", "MR1 price grid", grid) if mr["mr1"] >= mr["mr6"] else ("mr6", "MR6 extreme move", extreme)
    rows = [largest, ("mr4", "MR4 basis", "of every leg's delta"), ("mr9", "MR9 stable coins", "hedged across them")]
    total = sum(mr[name] for name, _, _ in rows)
    if mr["mr7"] > total:
        rows = [("mr7", "MR7 minimum charge", "scaled; it is above the other charges together")]
    children = tuple(
        ExplainNode(label=text, value=mr[name], unit=currency, detail=detail)
        for name, text, detail in rows
        if mr[name] > 0.0 or name == rows[0][0]
    )
    figures = ", ".join(f"{name.upper()} {value:,.2f}" for name, value in mr.items() if value)
    return summed(label, currency, children, f"charges {figures}; {grid}" if figures else "")
