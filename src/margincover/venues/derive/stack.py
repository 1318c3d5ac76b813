"""Many Derive subaccounts under the standard manager at once: the rule of ``standard_account`` by row.

For the market as it stands: an option that expires makes another account, which the model itself margins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.venues.derive import standard
from margincover.venues.derive.parameters import PerpPrice, StandardParameters
from margincover.venues.derive.standard_account import Market, StandardAccount
from margincover.venues.derive.state import OptionLegs
from margincover.venues.revalue import added, wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows, same

Index = NDArray[np.int64]
Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRows:
    """All markets of one set of parameters; tables [market], rows are those of the merged tables.

    ``coin`` is -1 where a market holds no coin. ``option`` are all options in the order of their expiry;
    ``group`` [option] numbers the expiries; ``first`` [expiry] is an option of it. ``payoff`` (<= 0) and ``net_calls``
    [expiry] are those of ``standard.lowest_payoff``.
    """

    parameters: StandardParameters
    factor: Index
    index_usd: Paths
    stable_price: Paths
    coin: Index
    coin_stable: Paths
    perp: Index
    perp_market: Index
    size: Paths
    asset: Index
    option: Index
    option_market: Index
    group: Index
    first: Index
    payoff: Paths
    net_calls: Paths

    def rows(self, state: PoolState, held: Paths) -> list[RequiredRows]:
        """Return the rows of perpetuals, expiries, contingencies and coins."""
        spot = self.index_usd[:, None] * state.factor_ratio[self.factor]
        done = [self._contingency(spot)]
        if self.perp.size:
            done.append(self._perpetuals(state, spot))
        if self.option.size:
            done.append(self._expiries(state, spot))
        if self.coin.size:
            done.append(self._coins(state, held))
        return done

    def _perpetuals(self, state: PoolState, spot: Paths) -> RequiredRows:
        p, legs = self.parameters, state.pool.legs
        at_index = p.perp_price is PerpPrice.INDEX
        price = spot[self.perp_market] if at_index else state.leg_price[self.perp]
        notional = np.abs(legs.signed_size[self.perp])[:, None] * price
        return RequiredRows(
            asset=legs.asset_index[self.perp].astype(np.int64),
            maintenance=notional * p.perp_maintenance_fraction,
            initial=notional * p.perp_initial_fraction,
        )

    def _expiries(self, state: PoolState, spot: Paths) -> RequiredRows:
        p, table = self.parameters, state.pool.options
        alone = standard.isolated_margins(
            quantity=state.option_quantity[self.option, None],
            is_call=table.is_call[self.option, None],
            strike=table.strike[self.option, None],
            mark=state.option_mark[self.option],
            spot=spot[self.option_market],
            parameters=p,
        )
        empty = np.zeros((self.first.size, state.n_paths))
        market = added(empty, self.group, alone.mark_to_market_usd)
        unpaired = np.minimum(0.0, self.net_calls)[:, None] * state.option_forward[self.first]
        lowest = self.payoff[:, None]
        maintenance = np.maximum(
            added(empty, self.group, alone.maintenance_usd), lowest + p.unpaired_maintenance_factor * unpaired
        )
        initial = np.maximum(added(empty, self.group, alone.initial_usd), lowest + p.unpaired_initial_factor * unpaired)
        asset = table.asset_index[self.first].astype(np.int64)
        return RequiredRows(asset=asset, maintenance=market - maintenance, initial=market - initial)

    def _contingency(self, spot: Paths) -> RequiredRows:
        p = self.parameters
        gap = np.maximum(0.0, p.depeg_threshold_fraction - self.stable_price)
        initial = gap[:, None] * p.depeg_factor * spot * self.size[:, None]
        return RequiredRows(asset=self.asset, maintenance=np.zeros_like(spot), initial=initial)

    def _coins(self, state: PoolState, held: Paths) -> RequiredRows:
        stable = self.coin_stable[:, None]
        margin = standard.base_margin(
            quantity=held[self.coin],
            spot=state.asset_price[self.coin] * stable,
            stable_price=stable,
            parameters=self.parameters,
        )
        value = margin.mark_to_market_usd
        return RequiredRows(
            asset=self.coin, maintenance=value - margin.maintenance_usd, initial=value - margin.initial_usd
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardStack:
    """``markets`` by parameters."""

    markets: tuple[MarketRows, ...]

    def held(self, state: PoolState) -> Paths:
        """Return cash with profits and the marks of options, and the coins."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return the mark to market of each asset; haircuts stand in the rows."""
        return held * asset_price

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return the rows of all markets."""
        return tuple(row for market in self.markets for row in market.rows(state, held))


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: an account whose feeds are all trusted."""
    return isinstance(model, StandardAccount) and all(_is_trusted(market) for market in model.markets)


def _is_trusted(market: Market) -> bool:
    feeds = (market.spot_confidence, market.perp_confidence, *market.option_confidence)
    return min(feeds) >= market.parameters.confidence_threshold_fraction


def stack(models: Sequence[PoolModel], merged: Merged) -> StandardStack:
    """Return the rule of many subaccounts."""
    found = [
        (member, market)
        for member, model in enumerate(models)
        if isinstance(model, StandardAccount)
        for market in model.markets
    ]
    groups = same([market.parameters for _, market in found])
    return StandardStack(markets=tuple(_markets(merged, [found[row] for row in rows]) for rows in groups.values()))


def _markets(merged: Merged, chosen: Sequence[tuple[int, Market]]) -> MarketRows:
    factors = {name: row for row, name in enumerate(merged.pool.factors)}
    coins = [(m, merged.first_asset[m] + market.collateral) for m, market in chosen if market.collateral >= 0]
    perps = [(row, merged.first_leg[m] + market.leg) for row, (m, market) in enumerate(chosen) if market.leg >= 0]
    options: list[int] = []
    option_market: list[int] = []
    group: list[int] = []
    payoffs: list[tuple[float, float]] = []
    for row, (member, market) in enumerate(chosen):
        for expiry in range(len(market.expiries.names)):
            mine = [k for k, at in zip(market.options, market.expiries.row, strict=True) if at == expiry]
            options += [int(merged.first_option[member]) + k for k in mine]
            option_market += [row] * len(mine)
            group += [len(payoffs)] * len(mine)
            payoffs.append(_lowest_payoff(merged.pools[member], mine))
    groups = np.array(group, dtype=np.int64)
    rows = np.array(options, dtype=np.int64)
    return MarketRows(
        parameters=chosen[0][1].parameters,
        factor=np.array([factors[merged.pools[m].factors[market.factor]] for m, market in chosen], dtype=np.int64),
        index_usd=np.array([market.index_usd for _, market in chosen]),
        stable_price=np.array([merged.pools[m].unit_usd for m, _ in chosen]),
        coin=np.array([row for _, row in coins], dtype=np.int64),
        coin_stable=np.array([merged.pools[m].unit_usd for m, _ in coins]),
        perp=np.array([row for _, row in perps], dtype=np.int64),
        perp_market=np.array([row for row, _ in perps], dtype=np.int64),
        size=np.array([_size(merged.pools[m], market) for m, market in chosen]),
        asset=np.array([merged.first_asset[m] for m, _ in chosen], dtype=np.int64),
        option=rows,
        option_market=np.array(option_market, dtype=np.int64),
        group=groups,
        first=rows[np.unique(groups, return_index=True)[1]],
        payoff=np.array([payoff for payoff, _ in payoffs]),
        net_calls=np.array([calls for _, calls in payoffs]),
    )


def _lowest_payoff(pool: MarginPool, options: Sequence[int]) -> tuple[float, float]:
    table, chosen = pool.options, list(options)
    legs = OptionLegs.of(
        expiry=np.zeros(len(chosen), dtype=np.int32),
        strike=table.strike[chosen],
        is_call=table.is_call[chosen],
        quantity_contracts=table.quantity[chosen],
    )
    return standard.lowest_payoff(legs, np.arange(len(chosen)))


def _size(pool: MarginPool, market: Market) -> float:
    """Return the coins that a depeg counts on: short options and the perpetual."""
    short = float(np.maximum(-pool.options.quantity[list(market.options)], 0.0).sum())
    return short + (abs(float(pool.legs.signed_size[market.leg])) if market.leg >= 0 else 0.0)
