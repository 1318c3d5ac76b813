"""Derive book: a described subaccount goes through the product, as a user's book would, and its net margins come back.

The path is BookInput, resolve, build_pools, pool_statuses. Parameters that a case states stand in for the packaged ones
while the model is built. What a book cannot state is put into the pool or its model afterwards: confidences of feeds,
expiries that are not at 08:00 UTC, implied volatilities above 1,000 %, interest rates beyond 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from unittest import mock

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MAX_IMPLIED_VOLATILITY, MAX_INTEREST_RATE_PER_YEAR, MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_YEAR
from margincover.venues.derive import portfolio_account, standard_account
from margincover.venues.derive.parameters import Pm2Parameters, StandardParameters
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

WEEK = 7.0 * SECONDS_PER_DAY
# Options nearer to expiry than this are not taken by a PM2 book; their time is put into the pool.
AVERAGING_SECONDS = 30.0 * 60.0
# Moves no figure that is asked for: the mark of a long option enters no net margin of the standard manager.
STAND_IN_VOLATILITY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """One option; ``volatility`` or ``mark`` may be unknown, ``confidence`` is the lowest of its feeds'."""

    coin: str
    strike: float
    is_call: bool
    quantity: float
    forward: float
    seconds: float = WEEK
    volatility: float | None = None
    mark: float | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpSpec:
    """One perpetual; ``profit`` is unsettled, with funding."""

    coin: str
    quantity: float
    price: float
    profit: float = 0.0
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubaccountSpec:
    """One subaccount; prices in USD, ``rates`` and ``expiry_confidence`` by seconds to expiry, ``coins`` by name."""

    at: datetime
    cash: float
    spot: Mapping[str, float]
    stable: float = 1.0
    options: Sequence[OptionSpec] = ()
    perps: Sequence[PerpSpec] = ()
    coins: Mapping[str, float] = field(default_factory=dict)
    coin_price: Mapping[str, float] = field(default_factory=dict)
    spot_confidence: Mapping[str, float] = field(default_factory=dict)
    coin_confidence: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[float, float] = field(default_factory=dict)
    expiry_confidence: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetFigures:
    """Mark to market and net margins of the pool, USD, and the pool itself."""

    pool: MarginPool
    mtm: float
    maintenance: float
    initial: float


def standard(spec: SubaccountSpec, rules: Mapping[str, StandardParameters]) -> NetFigures:
    """Return the figures of a subaccount under the standard manager; ``rules`` by coin."""
    edition = parameters("derive", mode="SM", underlying="ETH", at=spec.at)
    with mock.patch.object(standard_account, "parameters_of", lambda request, base: (rules[base], edition)):
        pool, options = _pool(spec, "standard")
    model = pool.model
    assert isinstance(model, standard_account.StandardAccount)
    perps = {perp.coin: perp.confidence for perp in spec.perps}
    markets = tuple(
        replace(
            market,
            spot_confidence=spec.spot_confidence.get(market.base, 1.0),
            perp_confidence=perps.get(market.base, 1.0),
            option_confidence=tuple(options[k].confidence for k in market.options),
        )
        for market in model.markets
    )
    return _figures(replace(pool, model=replace(model, markets=markets)))


def portfolio(spec: SubaccountSpec, rules: Pm2Parameters) -> NetFigures:
    """Return the figures of a PM2 subaccount."""
    edition = parameters("derive", mode="PM2", underlying="ETH", at=spec.at)
    with mock.patch.object(portfolio_account, "parameters_of", return_value=(rules, [edition])):
        pool, options = _pool(spec, "portfolio")
    model = pool.model
    assert isinstance(model, portfolio_account.PortfolioAccount)
    seconds = [options[k].seconds for k in model.expiries.first]
    changed = replace(
        model,
        rate_per_year=tuple(spec.rates.get(s, 0.0) for s in seconds),
        spot_confidence=min(spec.spot_confidence.values(), default=1.0),
        perp_confidence=spec.perps[0].confidence if spec.perps else 1.0,
        expiry_confidence=tuple(spec.expiry_confidence.get(s, 1.0) for s in seconds),
        collateral_confidence=tuple(spec.coin_confidence.get(pool.assets.assets[k], 1.0) for k in model.collaterals),
    )
    return _figures(replace(pool, model=changed))


def _figures(pool: MarginPool) -> NetFigures:
    (status,) = pool_statuses((pool,))
    assert status.initial_native is not None
    return NetFigures(
        pool=pool,
        mtm=status.equity_native,
        maintenance=status.equity_native - status.maintenance_native,
        initial=status.equity_native - status.initial_native,
    )


def _pool(spec: SubaccountSpec, mode: str) -> tuple[MarginPool, list[OptionSpec]]:
    """Return the pool of the book, and its options in the order of the pool's."""
    options = _merged(spec.options)
    as_of, days = _days(spec.at, options)
    symbols = [_symbol(option, days[option.seconds]) for option in options]
    perps = [perp for perp in spec.perps if perp.quantity]
    positions = [_option(option, symbol) for option, symbol in zip(options, symbols, strict=True)]
    cash = spec.cash
    for perp in perps:
        entry = perp.price - perp.profit / perp.quantity
        if entry <= 0:
            # A profit that no entry price gives is money all the same.
            cash, entry = cash + perp.profit, perp.price
        positions.append(
            Position(symbol=f"{perp.coin}-PERP", contracts=perp.quantity, entry_price=entry, mark_price=perp.price)
        )
    held = {name: amount for name, amount in spec.coins.items() if amount}
    balances = [Balance(asset="USDC", total_native=cash)]
    balances += [Balance(asset=name, total_native=amount) for name, amount in held.items()]
    largest = MAX_INTEREST_RATE_PER_YEAR
    market = MarketState(
        as_of=as_of,
        observed_at=as_of,
        asset_usd={**spec.coin_price, **spec.spot, "USDC": spec.stable},
        interest_rate_per_year={
            f"{option.coin}-{days[option.seconds]:%y%m%d}": min(
                max(spec.rates.get(option.seconds, 0.0), -largest), largest
            )
            for option in options
        },
    )
    account = Account(id="derive:case", venue="derive", mode=mode, positions=tuple(positions), balances=tuple(balances))
    book = BookInput(as_of=as_of, accounts=(account,), market=market, source="case")
    (pool,) = build_pools(resolve(book))
    return _with_exact_options(pool, options), options


def _with_exact_options(pool: MarginPool, options: Sequence[OptionSpec]) -> MarginPool:
    if not options:
        return pool
    years = np.array([option.seconds / SECONDS_PER_YEAR for option in options])
    stated = [option.volatility for option in options]
    volatility = np.array([known if s is None else s for s, known in zip(stated, pool.options.volatility, strict=True)])
    return replace(pool, options=replace(pool.options, years=years, volatility=volatility))


def _option(option: OptionSpec, symbol: str) -> Position:
    volatility = option.volatility
    if volatility is None and option.mark is None:
        volatility = STAND_IN_VOLATILITY
    return Position(
        symbol=symbol,
        contracts=option.quantity,
        entry_price=1.0,
        mark_price=option.mark,
        implied_volatility=None if volatility is None else min(max(volatility, 1e-6), MAX_IMPLIED_VOLATILITY),
        forward_price=option.forward,
    )


def _symbol(option: OptionSpec, day: datetime) -> str:
    strike = f"{option.strike:.12f}".rstrip("0").rstrip(".").replace(".", "_")
    return f"{option.coin}-{day:%Y%m%d}-{strike}-{'C' if option.is_call else 'P'}"


def _merged(options: Sequence[OptionSpec]) -> list[OptionSpec]:
    """Return the options with those of one instrument added up, as the venue holds them."""
    found: dict[tuple[str, float, float, bool], OptionSpec] = {}
    for option in options:
        key = (option.coin, option.seconds, option.strike, option.is_call)
        before = found.get(key)
        found[key] = option if before is None else replace(option, quantity=option.quantity + before.quantity)
    return [option for option in found.values() if option.quantity]


def _days(at: datetime, options: Sequence[OptionSpec]) -> tuple[datetime, dict[float, datetime]]:
    """Return as_of and the expiry of each time to expiry: at 08:00 UTC, exact where the times are whole days apart."""
    start = at.replace(hour=8, minute=0, second=0, microsecond=0)
    terms = sorted({option.seconds for option in options})
    rest = terms[-1] % SECONDS_PER_DAY if terms else 0.0
    as_of = start - timedelta(seconds=rest)
    found: dict[float, datetime] = {}
    last = -1
    for term in terms:
        number = (term - rest) / SECONDS_PER_DAY
        day = max(math.ceil(number), last + 1, 1 if term <= AVERAGING_SECONDS else 0)
        if start + timedelta(days=day) <= as_of + timedelta(seconds=AVERAGING_SECONDS):
            day += 1
        last = day
        found[term] = start + timedelta(days=day)
    return as_of, found
