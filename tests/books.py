"""Builders of books for tests: resolved books, one-position pools for closed forms, and the demo book as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from margincover.app.demo import demo_text
from margincover.model.account import Account
from margincover.model.book import Book, BookInput, TierOverride
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, MarginMode, Position
from margincover.venues.pools import build_pools
from margincover.venues.reference import ReferencePool, reference_pools
from margincover.venues.resolve import resolve

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
# Marks of 2026-01-01, rounded; only their size matters.
MARKS = {
    "BTCUSDT": 87_600.0,
    "BTCUSDC": 87_610.0,
    "ETHUSDT": 2_970.0,
    "SOLUSDT": 124.6,
    "XRPUSDT": 1.84,
    "DOGEUSDT": 0.1183,
    "1000PEPEUSDT": 0.00403,
    "BTCUSD_PERP": 87_590.0,
    "BTCPERP": 87_620.0,
    "BTCUSD": 87_580.0,
    "BTC-USDT-SWAP": 87_605.0,
    "ETH-USDT-SWAP": 2_970.5,
    "SOL-USDT-SWAP": 124.57,
    "BTC-USD-SWAP": 87_570.0,
    "BTC-USD-260327": 88_400.0,
    "BTC": 87_600.0,
    "ETH": 2_970.1,
    "SOL": 124.5,
    "HYPE": 25.1,
    "kPEPE": 0.00402,
    "flx:CRCL": 80.5,
}
ASSET_USD = {"USDT": 0.9993, "USDC": 0.9998, "BTC": 87_540.0}
# Tables for inverse contracts that no packaged edition holds: invented, in contracts or coin as the venue counts.
INVENTED_TIERS = (
    TierOverride(
        venue="bybit",
        symbol="BTCUSD",
        rows=((0, 150, 0.005, 100, None), (150, 300, 0.01, 50, None), (300, 1e9, 0.02, 25, None)),
    ),
    TierOverride(
        venue="okx",
        symbol="BTC-USD-SWAP",
        rows=((0, 5_000, 0.004, 100, None), (5_000, 50_000, 0.0065, 75, None), (50_000, 1e9, 0.03, 20, None)),
    ),
    TierOverride(
        venue="okx",
        symbol="BTC-USD-260327",
        rows=((0, 2_000, 0.004, 100, None), (2_000, 40_000, 0.01, 40, None), (40_000, 1e9, 0.05, 10, None)),
    ),
)


def a_book(
    *accounts: Account,
    marks: Mapping[str, float] = MARKS,
    asset_usd: Mapping[str, float] = ASSET_USD,
    funding: Mapping[str, float] | None = None,
    tiers: Sequence[TierOverride] = INVENTED_TIERS,
) -> Book:
    """Return a resolved book at ``AS_OF``."""
    venues = {account.venue for account in accounts}
    market = MarketState(
        as_of=AS_OF, observed_at=AS_OF, marks=marks, asset_usd=asset_usd, funding_per_hour=dict(funding or {})
    )
    return resolve(
        BookInput(
            as_of=AS_OF,
            accounts=accounts,
            market=market,
            tier_overrides=tuple(t for t in tiers if t.venue in venues),
            source="test book",
        )
    )


def an_account(
    venue: str,
    mode: str,
    positions: Sequence[Position] = (),
    name: str = "a",
    fee: float | None = None,
    **totals: float,
) -> Account:
    """Return an account with balances by asset: ``an_account("binance", "coinm", [...], BTC=1.5)``."""
    balances = tuple(Balance(asset=asset, total_native=total) for asset, total in totals.items())
    return Account(
        id=f"{venue}:{name}",
        venue=venue,
        mode=mode,
        positions=tuple(positions),
        balances=balances,
        taker_fee_fraction=fee,
    )


def a_position(symbol: str, contracts: float, entry_price: float | None = None, **fields: object) -> Position:
    """Return a position, entered at the test mark unless stated; isolated when it has collateral of its own."""
    if "isolated_collateral_native" in fields:
        fields.setdefault("margin_mode", MarginMode.ISOLATED)
    entry = MARKS[symbol] if entry_price is None else entry_price
    return Position(symbol=symbol, contracts=contracts, entry_price=entry, **fields)  # type: ignore[arg-type]


def linear_pool(*, notional: float, cash: float, maintenance_fraction: float = 0.005, name: str = "a") -> MarginPool:
    """Return one USDT pool with one BTC position of signed ``notional`` entered at the mark, one flat rate."""
    position = a_position(
        "BTCUSDT", notional / MARKS["BTCUSDT"], maintenance_fraction=maintenance_fraction, leverage=5.0
    )
    return build_pools(a_book(an_account("binance", "usdm_single_asset", [position], name, USDT=cash)))[0]


def inverse_pool(*, notional_coin: float, cash: float, maintenance_fraction: float = 0.005) -> MarginPool:
    """Return one BTC pool with one inverse position worth ``notional_coin`` BTC (signed) at the mark, one flat rate."""
    contracts = notional_coin * MARKS["BTCUSD_PERP"] / 100.0  # 100 USD each
    position = a_position("BTCUSD_PERP", contracts, maintenance_fraction=maintenance_fraction)
    return build_pools(a_book(an_account("binance", "coinm", [position], BTC=cash)))[0]


def usdt_pool(positions: Mapping[str, float], *, cash: float, name: str = "a") -> MarginPool:
    """Return one Binance USDT cross pool with signed notional by symbol, entered at the marks, packaged tiers."""
    held = [a_position(symbol, notional / MARKS[symbol]) for symbol, notional in positions.items()]
    return build_pools(a_book(an_account("binance", "usdm_single_asset", held, name, USDT=cash)))[0]


def twin(
    book: Book,
    account: Account,
    *,
    marks: Mapping[str, Decimal] | None = None,
    asset_usd: Mapping[str, Decimal] | None = None,
) -> list[ReferencePool]:
    """Return the pools of an account by the Decimal twin; marks by symbol and dollar prices are the book's own."""
    mine = {p.symbol: book.instruments[(account.venue, p.symbol)] for p in account.positions}
    levels = marks or {symbol: Decimal(repr(mark)) for symbol, mark in book.market.marks.items()}
    return reference_pools(
        account,
        book.rulebooks[account.venue],
        marks={instrument.id: levels[symbol] for symbol, instrument in mine.items()},
        asset_usd=asset_usd or {asset: Decimal(repr(price)) for asset, price in book.market.asset_usd.items()},
        tier_tables=book.tier_overrides,
        instruments=mine,
    )


def scale_of(pool: MarginPool) -> float:
    """Return gross notional plus gross balances in the pool's unit: what a relative error is measured against."""
    legs, assets = pool.legs, pool.assets
    size = np.abs(legs.signed_size)
    # The value at the entry enters profit too, so it belongs to the scale of rounding.
    values = [np.where(legs.inverse, size / p, size * p) for p in (legs.mark_price, legs.entry_price)]
    price = assets.price_unit[legs.asset_index]
    return float((np.maximum(*values) * price).sum() + (np.abs(assets.balance_native) * assets.price_unit).sum())


def demo_data() -> dict[str, object]:
    """Return the demo book as plain data, free to be changed."""
    data: dict[str, object] = json.loads(demo_text())
    return data


def write_book(folder: Path, data: object) -> Path:
    """Write data as ``book.json`` and return its path."""
    path = folder / "book.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path
