"""Bybit portfolio margin of the unified account: one risk unit per coin over its perpetuals, futures and options.

Equity is wallet, profits and options after the collateral ladders. Maintenance of a unit is its worst loss over a grid
of prices and volatilities plus contingencies; initial margin is a multiple of it. Where the venue does not publish a
part, a bound from above stands for it, and the notes say so.

References
----------
Bybit help centre: Introduction to Portfolio Margin (2024-09-04); API documentation ``asset/portfolio-margin``
(2026-07-24); read 2026-11-22.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import RulebookError
from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.pricing import black76
from margincover.venues.bybit import account, portfolio, stress
from margincover.venues.bybit.portfolio import BorrowParameters, ContingencyParameters, RiskUnitParameters
from margincover.venues.bybit.stress import OptionStates, SpreadBound, VolatilityParameters
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import counted_by_ladder, wallet_and_profit

Paths = NDArray[np.float64]
_STABLECOINS = ("USDT", "USDC")
_NOTES = (
    "collateral counts after its ladder; the venue's equity may count it in full, so the ratio errs low",
    "spot hedging is taken as off: coins held do not offset derivatives",
    "short-option contingency counts every short option, not the net; vega contingency the whole smaller side over the "
    "longest difference of expiries; calendar-spread contingency is a bound: all three err high",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskUnit:
    """One coin's contracts: positions in the pool's tables by settle group, its index at ``as_of`` and its parameters.

    Contracts of different groups do not offset each other.
    """

    base: str
    factor: int
    index_usd: float
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # (legs, options) of each group
    grid: RiskUnitParameters
    volatility: VolatilityParameters | None
    contingency: ContingencyParameters
    spread: SpreadBound

    @property
    def legs(self) -> tuple[int, ...]:
        """All legs of the unit."""
        return tuple(leg for group in self.groups for leg in group[0])

    @property
    def options(self) -> tuple[int, ...]:
        """All options of the unit."""
        return tuple(k for group in self.groups for k in group[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioMargin:
    """Model of a portfolio-margin account; ``borrow`` are terms by asset."""

    units: tuple[RiskUnit, ...]
    borrow: tuple[BorrowParameters, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return coin equity: wallet, profits and the value of options."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return coin equity after the collateral ladders."""
        return counted_by_ladder(pool, held, asset_price)

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the requirement of each risk unit."""
        return tuple(unit_requirement(state, unit, detailed=detailed) for unit in self.units)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the margin of borrowed coins: those whose equity, options included, is negative."""
        borrowed = portfolio.borrow_amount(held, frozen=0.0, option_buy_initial=0.0, positive_option_value=0.0)
        return account.borrow_requirements(pool, borrowed, asset_price, self.borrow, label="borrowed")


def unit_requirement(state: PoolState, unit: RiskUnit, *, detailed: bool) -> Requirement:
    """Return maintenance and initial margin of one risk unit, [path]."""
    grids = [group_pnl(state, unit, legs, options) for legs, options in unit.groups]
    losses = [portfolio.maximum_loss(linear + chosen.min(axis=1)) for linear, chosen in grids]
    worst = np.zeros(state.n_paths)
    for loss in losses:
        worst = worst + loss
    parts = contingencies(state, unit)
    initial, maintenance = portfolio.unit_margins(worst_loss=worst, contingencies=parts, parameters=unit.grid)
    trees = _trees(state, unit, grids, parts) if detailed else (None, None)
    return Requirement(
        label=f"{unit.base} risk unit",
        maintenance=maintenance,
        initial=initial,
        maintenance_tree=trees[0],
        initial_tree=trees[1],
    )


def group_pnl(
    state: PoolState, unit: RiskUnit, legs: tuple[int, ...], options: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return profits in USD at each node: of futures [node, path], of options [node, volatility state, path]."""
    table, shocks = state.pool.legs, unit.grid.price_shock_fraction
    linear = np.zeros((len(shocks), state.n_paths))
    for leg in legs:
        size = float(table.signed_size[leg])
        value = size * state.leg_price[leg] * state.asset_price[table.asset_index[leg]]
        for node, shock in enumerate(shocks):
            linear[node] += stress.inverse_pnl(size, shock) if table.inverse[leg] else value * shock
    live = [k for k in options if state.option_quantity[k] != 0.0]
    if not live or unit.volatility is None:
        return linear, np.zeros((len(shocks), 1, state.n_paths))
    states = option_states(state, live)
    return linear, stress.option_pnl(states, price_shocks=shocks, parameters=unit.volatility)


def option_states(state: PoolState, rows: list[int]) -> OptionStates:
    """Return the options of a state in the given rows."""
    table = state.pool.options
    shape = (len(rows), state.n_paths)
    return OptionStates(
        quantity=state.option_quantity[rows],
        strike=table.strike[rows],
        is_call=table.is_call[rows],
        years=state.option_years[rows],
        forward=state.option_forward[rows],
        volatility=state.option_volatility[rows],
        mark=state.option_mark[rows],
        residual=np.broadcast_to(table.residual[rows][:, None], shape),
        settle_usd=state.asset_price[table.asset_index[rows]],
    )


def contingencies(state: PoolState, unit: RiskUnit) -> portfolio.Contingencies:
    """Return the contingencies of a unit in USD, each [path]; bounds where the venue's rule is not published."""
    index = unit.index_usd * state.factor_ratio[unit.factor]
    quantity = {k: float(state.option_quantity[k]) for k in unit.options if state.option_quantity[k] != 0.0}
    short = -sum(q for q in quantity.values() if q < 0.0)
    long = sum(q for q in quantity.values() if q > 0.0)
    coins = [leg_coins(state, leg) for leg in unit.legs]
    held = np.stack(coins) if coins else np.zeros((1, state.n_paths))
    factors, nothing = unit.contingency, np.zeros(state.n_paths)
    return portfolio.Contingencies(
        future=portfolio.future_contingency(quantity=held, index_price=index, parameters=factors),
        short_option=portfolio.short_option_contingency(
            net_short_quantity=short, index_price=index, parameters=factors
        ),
        vega_spread=portfolio.vega_spread_contingency(
            days_difference=stress.days_between([float(state.option_years[k]) for k in quantity]),
            hedged_quantity=min(long, short),
            index_price=index,
            parameters=factors,
        ),
        delta_spread=stress.delta_spread_bound(
            deltas_by_expiry(state, unit), index_price=index, parameters=unit.spread, n_paths=state.n_paths
        ),
        # Contracts of different stable coins do not offset each other here: nothing is left to charge.
        stablecoin_spread=nothing,
    )


def leg_coins(state: PoolState, leg: int) -> Paths:
    """Return the signed size of a leg in coins, [path]."""
    legs = state.pool.legs
    size = np.full(state.n_paths, float(legs.signed_size[leg]))
    return np.asarray(size / state.leg_price[leg] if legs.inverse[leg] else size, dtype=np.float64)


def deltas_by_expiry(state: PoolState, unit: RiskUnit) -> dict[float, Paths]:
    """Return the net delta in coins, [path], of all of a unit's contracts that expire at a time, in years from now."""
    table = state.pool.options
    found: dict[float, Paths] = {}
    for leg in unit.legs:
        years = max(float(state.pool.legs.years[leg]) - state.elapsed_years, 0.0)
        found[years] = found.get(years, np.zeros(state.n_paths)) + leg_coins(state, leg)
    for k in unit.options:
        quantity = float(state.option_quantity[k])
        if quantity == 0.0:
            continue
        years = float(state.option_years[k])
        delta = quantity * black76.delta(
            forward=state.option_forward[k],
            strike=float(table.strike[k]),
            years=years,
            volatility=state.option_volatility[k],
            is_call=bool(table.is_call[k]),
        )
        found[years] = found.get(years, np.zeros(state.n_paths)) + delta
    return found


def _trees(
    state: PoolState,
    unit: RiskUnit,
    grids: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    parts: portfolio.Contingencies,
) -> tuple[ExplainNode, ExplainNode]:
    """Return the trees of maintenance and initial margin of a unit on the first path."""
    currency = state.pool.unit
    nodes = [_worst_node(unit, linear[:, 0], chosen[..., 0], currency) for linear, chosen in grids]
    for name in parts.__dataclass_fields__:
        value = float(np.asarray(getattr(parts, name)).reshape(-1)[0])
        nodes.append(ExplainNode(label=f"{name.replace('_', ' ')} contingency", value=value, unit=currency))
    maintenance = summed(f"{unit.base} risk unit", currency, tuple(nodes))
    more = unit.grid.initial_over_maintenance - 1.0
    extra = ExplainNode(label=f"{more:.4%} of maintenance", value=more * maintenance.value, unit=currency)
    return maintenance, summed(maintenance.label, currency, (maintenance, extra))


def _worst_node(unit: RiskUnit, linear: NDArray[np.float64], chosen: NDArray[np.float64], currency: str) -> ExplainNode:
    """Return the worst loss of a group with the node and the volatility state it stands at."""
    total = linear + chosen.min(axis=1)
    node = int(np.argmin(total))
    if total[node] >= 0.0:
        return ExplainNode(label="worst loss", value=0.0, unit=currency, detail="no node loses")
    state = int(np.argmin(chosen[node]))
    names = ("volatility up", "volatility unchanged", "volatility down") if chosen.shape[1] > 1 else ("no options",)
    return summed(
        "worst loss",
        currency,
        (
            ExplainNode(label="futures", value=-float(linear[node]), unit=currency),
            ExplainNode(label="options", value=-float(chosen[node, state]), unit=currency),
        ),
        f"price {unit.grid.price_shock_fraction[node]:+.0%}, {names[state]}",
    )


def build(request: ModelRequest) -> PortfolioMargin:
    """Return the model of a portfolio-margin account.

    Raises
    ------
    RulebookError
        If the grid, the volatility shocks or the contingencies of a coin are not known.
    InputError
        If the market states no USD price of a coin.
    """
    pool = request.pool
    used: list[ParameterEdition] = []
    bases = dict.fromkeys((*pool.legs.bases, *pool.options.bases))
    units = tuple(_unit(request, base, used) for base in bases)
    terms, borrowing = account.borrow_parameters(request)
    used += borrowing
    apart = [
        f"{unit.base}: contracts in USDT, in USDC and in the coin do not offset each other here; the venue nets them "
        "and charges a contingency it does not publish, so the requirement errs high"
        for unit in units
        if len(unit.groups) > 1
    ]
    return PortfolioMargin(
        units=units,
        borrow=terms,
        notes=(*(_NOTES if units else ()), *apart, *edition_notes(used, request.at)),
        editions=edition_uses(used, request.at),
    )


def _unit(request: ModelRequest, base: str, used: list[ParameterEdition]) -> RiskUnit:
    pool = request.pool
    legs = [k for k in range(pool.legs.count) if pool.legs.bases[k] == base]
    options = [k for k in range(pool.options.count) if pool.options.bases[k] == base]
    modes = ["portfolio_margin", "portfolio_margin_contingency", "portfolio_margin_spread"]
    modes += ["portfolio_margin_volatility"] if options else []
    found = {mode: request.edition(mode, base) for mode in modes}
    used += found.values()
    source = {mode: f"{e.venue}.toml {e.id}" for mode, e in found.items()}
    grid = RiskUnitParameters.from_mapping(found[modes[0]].values, source=source[modes[0]])
    if min(grid.price_shock_fraction) <= -1.0:
        raise RulebookError("was -1", source=source[modes[0]], field="price_shock_fraction", allowed="above -1")
    settles = [pool.assets.assets[pool.legs.asset_index[k]] for k in legs]
    settles += [pool.assets.assets[pool.options.asset_index[k]] for k in options]
    factor = pool.legs.factor_index[legs[0]] if legs else pool.options.factor_index[options[0]]
    return RiskUnit(
        base=base,
        factor=int(factor),
        index_usd=request.index(base),
        groups=_groups(pool, legs, options, tuple(dict.fromkeys(settles))),
        grid=grid,
        volatility=VolatilityParameters.from_mapping(found[modes[3]].values, source=source[modes[3]])
        if options
        else None,
        contingency=ContingencyParameters.from_mapping(found[modes[1]].values, source=source[modes[1]]),
        spread=SpreadBound.from_mapping(found[modes[2]].values, source=source[modes[2]]),
    )


def _groups(
    pool: MarginPool, legs: list[int], options: list[int], settles: tuple[str, ...]
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Return the groups that offset within themselves: all together unless both stable coins are there."""
    if not set(_STABLECOINS) <= set(settles):
        return ((tuple(legs), tuple(options)),)
    assets = pool.assets.assets
    return tuple(
        (
            tuple(k for k in legs if assets[pool.legs.asset_index[k]] == settle),
            tuple(k for k in options if assets[pool.options.asset_index[k]] == settle),
        )
        for settle in settles
    )
