"""dYdX through the product: positions in base quantums as a book, its figures back in quote quantums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput, TierOverride
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues.dydx.integers import PPM, DydxMarket, DydxParameters, DydxRisk
from margincover.venues.dydx.subaccount_model import DydxSubaccount, MarketRule
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
# Up to here dividing by a million and back gives the same whole number; a case above it asks the whole-number rule.
LARGEST = 2**50


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One position: symbol, signed coins, oracle price, and the chain's rule of its market."""

    symbol: str
    coins: float
    price: float
    tier: DydxParameters
    open_interest: float | None = None
    custom_ppm: int = 0


def of_market(symbol: str, quantums: int, market: DydxMarket) -> Held:
    """Return a position of base quantums in a market."""
    return Held(
        symbol=symbol,
        coins=_coins(quantums, market.atomic_resolution),
        price=float(f"{market.price}e{market.price_exponent}"),
        tier=market.tier,
    )


def risk(rows: Sequence[Held], *, usdc_quantums: int) -> DydxRisk:
    """Return the account's figures in quote quantums, from the statuses of its pool.

    The wallet of a book is USDC before unrealised profit: with entries at the oracle price it is net collateral. The
    rules of the markets are put into the pool's model, where a book cannot state parts per million.
    """
    wallet = usdc_quantums / PPM + sum(row.coins * row.price for row in rows)
    account = Account(
        id="dydx:case",
        venue="dydx",
        mode="cross",
        positions=tuple(
            Position(symbol=row.symbol, contracts=row.coins, entry_price=row.price, mark_price=row.price)
            for row in rows
        ),
        balances=(Balance(asset="USDC", total_native=wallet),),
    )
    tiers = tuple(
        TierOverride(
            venue="dydx",
            symbol=row.symbol,
            rows=((0.0, float("inf"), max(row.tier.initial_margin_ppm, 1) / PPM, None, None),),
            observed="case",
        )
        for row in rows
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={"USDC": 1.0})
    (pool,) = build_pools(
        resolve(BookInput(as_of=AT, accounts=(account,), market=market, tier_overrides=tiers, source="case"))
    )
    assert isinstance(pool.model, DydxSubaccount), "Invariant: a subaccount has its model"
    rules = tuple(
        MarketRule(tier=row.tier, open_interest=row.open_interest, is_bounded=False, custom_ppm=row.custom_ppm)
        for row in rows
    )
    (status,) = pool_statuses((replace(pool, model=replace(pool.model, markets=rules)),))
    assert status.initial_native is not None, "Invariant: the model knows the initial margin"
    return DydxRisk(
        net_collateral=_quantums(status.equity_native),
        initial=_quantums(status.initial_native),
        maintenance=_quantums(status.maintenance_native),
    )


def _coins(quantums: int, resolution: int) -> float:
    # One division of whole numbers is the nearest float to the decimal.
    return float(quantums * 10**resolution) if resolution >= 0 else quantums / 10**-resolution


def _quantums(usdc: float) -> int:
    return round(usdc * PPM)
