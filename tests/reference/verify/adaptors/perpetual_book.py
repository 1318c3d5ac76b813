"""Perpetual book: one position of a perpetuals-only venue goes through the product, and its figures come back.

The path is that of a user's book: BookInput, resolve, build_pools, pool_statuses. Arithmetic here is the money that
makes up a stated equity, and differences of two figures of the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, MarginMode, Position
from margincover.model.results import PoolStatus
from margincover.venues import margin
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

# Names of the parameter modes -> venue, account mode, symbol, settle asset, whether the position is isolated.
# The symbol stands in for any of its product: size is in coins (dollars, inverse) and the rate is the case's own.
MODES: Mapping[str, tuple[str, str, str, str, bool]] = {
    "krakenfutures_linear": ("kraken", "flex", "PF_XBTUSD", "USD", False),
    "krakenfutures_inverse": ("kraken", "single_collateral", "PI_XBTUSD", "XBT", False),
    "gate_linear": ("gate", "isolated", "BTC_USDT", "USDT", True),
    "kucoin_classic": ("kucoin", "classic", "ETHUSDTM", "USDT", True),
    "kucoin_uta": ("kucoin", "uta", "ETHUSDTM", "USDT", False),
    "bitget_cross": ("bitget", "cross", "BTCUSDT", "USDT", False),
    "bitget_isolated": ("bitget", "isolated", "BTCUSDT", "USDT", True),
    "bitget_uta": ("bitget", "uta", "BTCUSDT", "USDT", False),
    "htx_isolated": ("htx", "isolated", "BTC-USDT", "USDT", True),
    "bitmex_linear": ("bitmex", "margin", "XBTUSDT", "USDT", False),
    "lighter_cross": ("lighter", "cross", "ETH", "USDC", False),
    "blofin_cross": ("blofin", "cross", "LTC-USDT", "USDT", False),
    "delta_isolated": ("delta", "isolated", "BTCUSDT", "USDT", True),
}
# Hours between two funding payments: a case states funding per payment, a book per hour.
FUNDING_HOURS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnePosition:
    """One position and what backs it.

    ``size`` is signed, in coins (linear) or in quote units (inverse). ``equity`` is at the mark, in the settle asset;
    None where the case does not say it. ``fee`` None takes the fee of the rules.
    """

    mode: str
    at: datetime
    size: float
    entry: float
    mark: float
    leverage: float | None
    rate: float
    equity: float | None
    funding: float | None = None
    fee: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Pool and status of the position; ``reported_maintenance`` is as the venue prints it, with or without its fee."""

    pool: MarginPool
    status: PoolStatus
    profit: float
    notional: float
    reported_maintenance: float

    def price(self, *, printed: bool = True) -> float:
        """Return the liquidation price on the position's side; where there is none, the other side's, else 0."""
        level = self.status.levels[0]
        if printed and level.venue_price is not None:
            return level.venue_price
        if printed and self.pool.tick_rule.value == "frozen_requirement":
            return 0.0
        long = self.pool.legs.signed_size[0] > 0
        sides = (level.down, level.up) if long else (level.up, level.down)
        return next((price for price in sides if price is not None), 0.0)


def run(position: OnePosition) -> Result:
    """Return what the product says of a position; an equity that is not stated counts as the profit alone."""
    empty = _run(position, money=0.0)
    if position.equity is None:
        return empty
    return _run(position, money=position.equity - empty.profit)


def bankruptcy_price(position: OnePosition) -> float:
    """Return the mark at which the equity is gone: the liquidation price without maintenance and fee."""
    return run(replace(position, rate=0.0, fee=0.0, funding=0.0)).price(printed=False)


def posted_fee(position: OnePosition) -> float:
    """Return the closing fee inside the initial margin: what initial margin is above that of an account without fee."""
    if position.leverage is None:
        return 0.0
    with_fee = run(position).status.initial_native
    bare = run(replace(position, fee=0.0)).status.initial_native
    assert with_fee is not None, "Invariant: initial margin is known with the leverage"
    assert bare is not None, "Invariant: initial margin is known with the leverage"
    return with_fee - bare


def _run(position: OnePosition, *, money: float) -> Result:
    venue, mode, symbol, settle, isolated = MODES[position.mode]
    account = Account(
        id=f"{venue}:case",
        venue=venue,
        mode=mode,
        positions=(_position(position, symbol, money if isolated else None),),
        balances=() if isolated else (Balance(asset=settle, total_native=money),),
        taker_fee_fraction=position.fee,
    )
    funding = {} if position.funding is None else {symbol: position.funding / FUNDING_HOURS}
    book = resolve(
        BookInput(
            as_of=position.at,
            accounts=(account,),
            market=MarketState(
                as_of=position.at,
                observed_at=position.at,
                # All figures are in the settle asset: its price does not enter them.
                asset_usd={settle: 1.0},
                funding_per_hour=funding,
            ),
            instrument_overrides=(InstrumentOverride(venue=venue, symbol=symbol, multiplier=1.0),),
            source="case",
        )
    )
    (pool,) = build_pools(book)
    (status,) = pool_statuses((pool,))
    notional = float(margin.leg_notional(pool, 0, np.ones(1))[0])
    reported = status.maintenance_native
    if not book.rulebooks[venue].modes[mode].fee_in_reported_maintenance:
        reported -= float(pool.legs.fee_on_notional_fraction[0]) * notional
    profit = float(margin.leg_profit(pool, 0, np.ones(1))[0])
    return Result(pool=pool, status=status, profit=profit, notional=notional, reported_maintenance=reported)


def _position(position: OnePosition, symbol: str, collateral: float | None) -> Position:
    return Position(
        symbol=symbol,
        contracts=position.size,
        entry_price=position.entry,
        mark_price=position.mark,
        margin_mode=MarginMode.CROSS if collateral is None else MarginMode.ISOLATED,
        leverage=position.leverage,
        isolated_collateral_native=collateral,
        maintenance_fraction=0.0 if math.isnan(position.rate) else position.rate,
    )
