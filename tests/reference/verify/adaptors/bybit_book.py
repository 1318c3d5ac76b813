"""Bybit accounts that hold one option or one coin, through the book: what a case states put in place of the rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues import registry
from margincover.venues.bybit.cross_options import CrossOptions
from margincover.venues.bybit.options import OptionParameters
from margincover.venues.bybit.portfolio import CollateralParameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue

# The margin of a short option depends on index and mark, not on expiry or volatility: any will do.
EXPIRY = "26JUN26"
VOLATILITY = 0.5
# Holds the option where a case states no balance; only figures of the position are read then.
AMPLE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOption:
    """An option as a case states it; None where it says nothing."""

    quantity: float
    index: float
    mark: float
    entry: float | None
    strike: float | None
    is_call: bool
    balance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFigures:
    """Figures of the account in its settle coin."""

    position_maintenance: float
    position_initial: float
    maintenance_rate: float
    initial_rate: float


def option_account(held: HeldOption, rule: OptionParameters, *, at: datetime, source: str) -> OptionFigures:
    """Return the figures of a cross account with one option; ``rule`` stands in the model in place of the edition's."""
    symbol = f"BTC-{EXPIRY}-{held.strike or held.index:f}-{'C' if held.is_call else 'P'}"
    position = Position(
        symbol=symbol,
        contracts=held.quantity,
        entry_price=held.entry or held.mark or held.index,
        mark_price=held.mark,
        implied_volatility=VOLATILITY,
        forward_price=held.index,
    )
    balance = AMPLE if held.balance is None else held.balance
    account = Account(
        id="bybit:case",
        venue="bybit",
        mode="uta_cross",
        positions=(position,),
        balances=(Balance(asset="USDC", total_native=balance),),
    )
    market = MarketState(as_of=at, observed_at=at, asset_usd={"BTC": held.index, "USDC": 1.0})
    book = resolve(BookInput(as_of=at, accounts=(account,), market=market, source=source))
    pool = build_pools(book)[0]
    assert isinstance(pool.model, CrossOptions), "Invariant: a cross account with an option has the model"
    pool = replace(pool, model=replace(pool.model, options=(rule,)))
    assert pool.model is not None, "Invariant: it was just put in"
    status = pool_statuses([pool])[0]
    parts = pool.model.requirements(revalue(pool, np.ones((len(pool.factors), 1))))
    own = [part for part in parts if part.label == pool.options.symbols[0]]
    equity = status.equity_native
    initial = status.initial_native or 0.0
    return OptionFigures(
        position_maintenance=sum(float(part.maintenance[0]) for part in own),
        position_initial=sum(float(part.initial[0]) for part in own),
        maintenance_rate=status.maintenance_native / equity if equity > 0.0 else float("inf"),
        initial_rate=initial / equity if equity > 0.0 else float("inf"),
    )


def collateral_value(amount: float, *, index: float, ladder: CollateralParameters, at: datetime, source: str) -> float:
    """Return the margin balance of an account that holds one coin, by the ladder of a case as a rule file."""
    uppers = [*(f"{edge!r}" for edge in ladder.edges[1:]), "inf"]
    slices = ", ".join(
        f"[{low!r}, {high}, {rate!r}]" for low, high, rate in zip(ladder.edges, uppers, ladder.rates, strict=True)
    )
    lines = ['venue = "bybit"', "[[edition]]", 'id = "case-ladder"', 'block = "collateral"']
    lines += [f"valid_from = {at:%Y-%m-%d}", f"observed = {at:%Y-%m-%d}", 'source = "stated by a case"']
    lines += [f'retrieved = "{at:%Y-%m-%d}"', 'confidence = "UNCONFIRMED"', "[edition.collateral.BTC]"]
    lines += [f"slices = [{slices}]", "borrow_maintenance_fraction = 0.0"]
    rules = registry.RuleSource(text="\n".join(lines), source="case.toml")
    account = Account(
        id="bybit:case", venue="bybit", mode="uta_cross", balances=(Balance(asset="BTC", total_native=amount),)
    )
    market = MarketState(as_of=at, observed_at=at, asset_usd={"BTC": index})
    book = resolve(BookInput(as_of=at, accounts=(account,), market=market, source=source), extra_rules=(rules,))
    return float(pool_statuses(build_pools(book))[0].equity_native)
