"""Plain twin of the cascade of cross-margined accounts: every round evaluates every account. Slow, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from margincover.clearing.cascade import CascadeSettings, Remainder, SliceRule, Stage
from margincover.clearing.cascade_arrays import Floats, RuleValues
from margincover.clearing.impact import displaced, thinned_depth_usd
from margincover.clearing.population import Population, TierTable


@dataclass(slots=True, kw_only=True)
class PlainAccount:
    """One account: cash, and quantity by market with the tiers of each."""

    venue: str
    cash: float
    held: dict[int, float]
    tiers: dict[int, TierTable]

    def maintenance(self, market: int, price: Floats) -> float:
        """Return the maintenance of one position."""
        table, notional = self.tiers[market], abs(self.held[market]) * price[market]
        lines = zip(table.fraction, table.deduction_usd, strict=True)
        return float(max(0.0, *(fraction * notional - deduction for fraction, deduction in lines)))

    def equity(self, price: Floats) -> float:
        """Return cash plus the value of what is held."""
        return float(self.cash + sum(quantity * price[market] for market, quantity in self.held.items()))

    def orders(self, price: Floats, slip: Floats, settings: CascadeSettings) -> dict[int, float]:
        """Return the quantity to close by market, >= 0; empty where maintenance is covered."""
        equity = self.equity(price)
        missing = sum(self.maintenance(market, price) for market in self.held) - equity
        if not self.held or missing < 0.0:
            return {}
        if settings.slices is None or equity <= 0.0:
            return {market: abs(quantity) for market, quantity in self.held.items()}
        close: dict[int, float] = {}
        for market in sorted(self.held, key=lambda each: -self.maintenance(each, price)):
            if missing <= 0.0:
                break
            close[market], freed = self._slice(market, price, slip, missing, settings)
            missing -= freed
        return close

    def _slice(
        self, market: int, price: Floats, slip: Floats, missing: float, settings: CascadeSettings
    ) -> tuple[float, float]:
        rule = settings.slices or SliceRule()
        held = abs(self.held[market])
        cost = max(slip[market] * np.sign(self.held[market]), 0.0) + settings.fee_fraction
        freed = self.maintenance(market, price) / held - price[market] * cost
        if freed <= 0.0:
            return held, 0.0
        size = max(missing / freed, rule.least_fraction * held)
        if size >= held or (held - size) * price[market] < rule.whole_below_usd:
            size = held
        return size, size * freed


@dataclass(slots=True, kw_only=True)
class PlainTotals:
    """Prices by step and the money of a run."""

    price: list[Floats] = field(default_factory=list)
    fees: float = 0.0
    forfeited: float = 0.0
    shortfall: float = 0.0
    paid: float = 0.0


def plain_accounts(population: Population) -> list[PlainAccount]:
    """Return the accounts one by one; several positions of an account in one market must share it as one."""
    cash = population.cash_usd()
    accounts = []
    for k in range(population.n_accounts):
        rows = range(int(population.start[k]), int(population.start[k + 1]))
        held: dict[int, float] = {}
        for row in rows:
            held[int(population.market[row])] = held.get(int(population.market[row]), 0.0) + population.quantity[row]
        tiers = {int(population.market[row]): population.tables[population.table[row]] for row in rows}
        venue = population.markets[population.market[rows[0]]].venue
        accounts.append(PlainAccount(venue=venue, cash=float(cash[k]), held=held, tiers=tiers))
    return accounts


def run_plain(population: Population, stage: Stage, settings: CascadeSettings) -> PlainTotals:
    """Run the cascade with full scans; it follows the same rules as ``cascade_cross.run_cross``."""
    accounts, totals, rule = plain_accounts(population), PlainTotals(), settings.values()
    fund = dict(zip(stage.venues, stage.fund_usd.tolist(), strict=True))
    coin = [stage.coins.index(market.coin) for market in population.markets]
    displacement = np.zeros(len(coin))
    for row in stage.index:
        index, slip = row[coin], np.zeros(len(coin))
        for _ in range(rule.max_rounds):
            price = index * (1.0 - displacement)
            orders = [(account, account.orders(price, slip, settings)) for account in accounts]
            hit = [(account, close) for account, close in orders if close]
            if not hit:
                break
            displacement, execution = _send(population, stage, settings, (index, displacement), hit)
            slip = 1.0 - execution / price
            _settle(hit, execution, index * (1.0 - displacement), settings, fund, totals)
        totals.price.append(index * (1.0 - displacement))
        displacement = _relaxed(stage, coin, displacement, rule)
    return totals


def _send(
    population: Population,
    stage: Stage,
    settings: CascadeSettings,
    at: tuple[Floats, Floats],
    hit: list[tuple[PlainAccount, dict[int, float]]],
) -> tuple[Floats, Floats]:
    """Return the displacements after the net orders of a round, and the mean prices that traded."""
    (index, before), after, execution = at, at[1].copy(), at[0].copy()
    for m, market in enumerate(population.markets):
        price = index[m] * (1.0 - before[m])
        sold = sum(np.sign(account.held[m]) * close[m] * price for account, close in hit if m in close)
        depth = thinned_depth_usd(float(stage.depth_usd[m]), 1.0 - price / market.mark, settings.impact)
        law, bound = settings.impact.law, float(stage.bound_fraction[m])
        after[m] = displaced(before[m], sold, depth, law, bound)
        middle = displaced(before[m], 0.5 * sold, depth, law, bound)
        execution[m] = index[m] * (1.0 - (before[m] + 4.0 * middle + after[m]) / 6.0)
    return after, execution


def _settle(
    hit: list[tuple[PlainAccount, dict[int, float]]],
    execution: Floats,
    price: Floats,
    settings: CascadeSettings,
    fund: dict[str, float],
    totals: PlainTotals,
) -> None:
    owed = dict.fromkeys(fund, 0.0)
    for account, close in hit:
        for market, size in close.items():
            signed = np.copysign(size, account.held[market])
            account.cash += signed * execution[market]
            account.held[market] -= signed
        account.held = {market: quantity for market, quantity in account.held.items() if quantity != 0.0}
        notional = sum(size * execution[market] for market, size in close.items())
        fee = min(settings.fee_fraction * notional, max(account.equity(price), 0.0))
        account.cash -= fee
        totals.fees += fee
        fund[account.venue] += settings.fee_to_fund_fraction * fee
        if account.held:
            continue
        owed[account.venue] += max(-account.cash, 0.0)
        if settings.remainder is Remainder.TO_FUND and account.cash > 0.0:
            totals.forfeited += account.cash
            fund[account.venue] += account.cash
        account.cash = 0.0
    for venue, debt in owed.items():
        paid = min(fund[venue], debt)
        fund[venue] -= paid
        totals.shortfall += debt
        totals.paid += paid


def _relaxed(stage: Stage, coin: list[int], displacement: Floats, rule: RuleValues) -> Floats:
    result = displacement.copy()
    for place in range(len(stage.coins)):
        own = [m for m, each in enumerate(coin) if each == place]
        mean = float((stage.depth_usd[own] * displacement[own]).sum() / stage.depth_usd[own].sum())
        result[own] += rule.arbitrage * (mean - displacement[own])
    result *= 1.0 - rule.recovery
    return result
