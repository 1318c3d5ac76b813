"""Accounts with several coins, at several venues, closed whole or by slices: a cascade step by step."""

from __future__ import annotations

import numpy as np

from margincover.clearing.cascade import CascadeResult, CascadeSettings, Stage, finished
from margincover.clearing.cascade_arrays import AccountArrays, CrossState, MarketArrays, new_record
from margincover.clearing.cascade_cross_kernels import cross_path
from margincover.clearing.population import Population


def account_arrays(population: Population) -> AccountArrays:
    """Return copies of the accounts for a kernel, which changes cash and quantity."""
    lines = [(table.fraction, table.deduction_usd) for table in population.tables]
    return AccountArrays(
        start=population.start.astype(np.int64),
        market=population.market.astype(np.int32),
        quantity=population.quantity.copy(),
        table=population.table.astype(np.int32),
        table_start=np.cumsum([0, *(len(fraction) for fraction, _ in lines)]).astype(np.int32),
        line_fraction=np.array([value for fraction, _ in lines for value in fraction]),
        line_deduction=np.array([value for _, deduction in lines for value in deduction]),
        cash=population.cash_usd(),
    )


def market_arrays(population: Population, stage: Stage) -> MarketArrays:
    """Return the markets for a kernel; the venues of a coin weigh by their depth."""
    coin = np.array([stage.coins.index(market.coin) for market in population.markets], dtype=np.int32)
    venue = np.array([stage.venues.index(market.venue) for market in population.markets], dtype=np.int32)
    total = np.bincount(coin, weights=stage.depth_usd, minlength=len(stage.coins))
    return MarketArrays(
        coin=coin,
        venue=venue,
        depth_usd=stage.depth_usd.copy(),
        reference=np.array([market.mark for market in population.markets]),
        weight=stage.depth_usd / total[coin],
        bound=stage.bound_fraction.copy(),
    )


def new_state(n_accounts: int, n_markets: int) -> CrossState:
    """Return the state before the first step: every account is still to be looked at."""
    return CrossState(
        travelled=np.zeros(1),
        safe_until=np.full(n_accounts, -np.inf),
        hit=np.zeros(n_accounts, dtype=np.int32),
        slip=np.zeros(n_markets),
        execution=np.zeros(n_markets),
    )


def run_cross(population: Population, stage: Stage, settings: CascadeSettings) -> CascadeResult:
    """Run one cascade."""
    accounts, markets = account_arrays(population), market_arrays(population, stage)
    n_markets = len(population.markets)
    record = new_record(stage.index.shape[0], n_markets, len(stage.venues))
    state = new_state(population.n_accounts, n_markets)
    index, fund = np.ascontiguousarray(stage.index), stage.fund_usd.astype(np.float64)
    cross_path(index, accounts, markets, settings.values(), fund, state, record)
    # What each account is worth at the marks before the event, with what it still holds: the difference was taken.
    kept = accounts.cash + np.add.reduceat(accounts.quantity * markets.reference[accounts.market], accounts.start[:-1])
    taken = float((population.equity_usd() - kept).sum())
    return finished(population, stage, settings, record, taken)
