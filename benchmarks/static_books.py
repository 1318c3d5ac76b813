"""Books of many accounts with 20 positions each, all venues and rules mixed, for ``static_margin.py``.

Thirteen kinds of account in turn: perpetuals in 20 coins at ten of them, and a perpetual or two with options in two
expiries at Deribit (segregated standard and portfolio margin) and Derive (standard). Half the positions are short.
Where the packaged rules hold no table for a coin, or one that ends below these sizes, a ladder from round numbers
stands in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.numeric.rng import stream
from margincover.venues import registry
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AS_OF = datetime(2026, 11, 24, tzinfo=UTC)
N_POSITIONS = 20
# Round prices in USD: only their spread of sizes matters.
COINS = {
    "BTC": 90_000.0, "ETH": 3_000.0, "SOL": 130.0, "XRP": 2.0, "DOGE": 0.12, "ADA": 0.5, "LTC": 90.0, "LINK": 13.0,
    "AVAX": 14.0, "SUI": 1.5, "BCH": 500.0, "DOT": 2.2, "NEAR": 1.6, "APT": 2.4, "ARB": 0.2, "OP": 0.3, "UNI": 6.0,
    "AAVE": 160.0, "ATOM": 2.3, "ETC": 13.0,
}  # fmt: skip
LADDER = ((0.0, 1e5, 0.01, None, None), (1e5, 1e6, 0.02, None, None), (1e6, 1e12, 0.05, None, None))
# Venues whose markets have one rate at every size.
FLAT = ((0.0, 1e12, 0.02, None, None),)
FLAT_VENUES = ("dydx", "paradex")
# The packaged tables end below the sizes held here.
SMALL_TABLES = ("kraken", "gate", "bitget")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Accounts of one venue and mode: the symbol of a coin's perpetual, balances, coins and expiries of options."""

    venue: str
    mode: str
    symbol: str
    balances: tuple[str, ...]
    option: str = ""
    bases: tuple[str, ...] = ()
    expiries: tuple[str, ...] = ()


KINDS = (
    Kind(venue="binance", mode="usdm_single_asset", symbol="{coin}USDT", balances=("USDT",)),
    Kind(venue="binance", mode="usdm_multi_assets", symbol="{coin}USDT", balances=("USDT", "BTC")),
    Kind(venue="bybit", mode="uta_cross", symbol="{coin}USDT", balances=("USDT", "BTC")),
    Kind(venue="okx", mode="futures", symbol="{coin}-USDT-SWAP", balances=("USDT",)),
    Kind(venue="hyperliquid", mode="perps", symbol="{coin}", balances=("USDC",)),
    Kind(venue="kraken", mode="flex", symbol="PF_{coin}USD", balances=("USD",)),
    Kind(venue="gate", mode="cross", symbol="{coin}_USDT", balances=("USDT",)),
    Kind(venue="bitget", mode="cross", symbol="{coin}USDT", balances=("USDT",)),
    Kind(venue="dydx", mode="cross", symbol="{coin}-USD", balances=("USDC",)),
    Kind(venue="paradex", mode="cross", symbol="{coin}-USD-PERP", balances=("USDC",)),
    *(
        Kind(
            venue="deribit",
            mode=mode,
            symbol="{coin}-PERPETUAL",
            balances=("BTC",),
            option="{coin}-{expiry}-{strike}-{right}",
            bases=("BTC",),
            expiries=("25DEC26", "26MAR27"),
        )
        for mode in ("segregated_sm", "segregated_pm")
    ),
    Kind(
        venue="derive",
        mode="standard",
        symbol="{coin}-PERP",
        balances=("USDC", "ETH"),
        option="{coin}-{expiry}-{strike}-{right}",
        bases=("BTC", "ETH"),
        expiries=("20261225", "20270326"),
    ),
)


def pools_of(n_accounts: int) -> tuple[MarginPool, ...]:
    """Return the pools of a book with that many accounts, all kinds in turn."""
    perpetuals = {
        (kind.venue, _symbol(kind, coin)): price
        for kind in KINDS
        for coin, price in COINS.items()
        if coin in (kind.bases or COINS)
    }
    held = {(kind.venue, _symbol(kind, coin)) for kind in KINDS if not kind.option for coin in COINS}
    tables = {kind.venue: registry.rulebook(kind.venue, at=AS_OF).tier_tables for kind in KINDS}
    book = BookInput(
        as_of=AS_OF,
        accounts=tuple(_account(number) for number in range(n_accounts)),
        market=MarketState(
            as_of=AS_OF,
            observed_at=AS_OF,
            marks={symbol: price for (_, symbol), price in perpetuals.items()},
            asset_usd={"USDT": 1.0, "USDC": 1.0, **COINS},
        ),
        instrument_overrides=tuple(
            InstrumentOverride(venue=venue, symbol=symbol, multiplier=1.0) for venue, symbol in sorted(held)
        ),
        tier_overrides=tuple(
            TierOverride(venue=venue, symbol=symbol, rows=FLAT if venue in FLAT_VENUES else LADDER)
            for venue, symbol in sorted(held)
            if symbol not in tables[venue] or venue in SMALL_TABLES
        ),
        source="benchmark",
    )
    return build_pools(resolve(book))


def _symbol(kind: Kind, coin: str) -> str:
    own = "XBT" if kind.venue == "kraken" and coin == "BTC" else coin
    return kind.symbol.format(coin=own)


def _account(number: int) -> Account:
    kind, rng = KINDS[number % len(KINDS)], stream(7, "benchmark.account", number)
    notional = np.exp(rng.uniform(np.log(5_000.0), np.log(6_000_000.0), N_POSITIONS))
    positions = _with_options(kind, notional, rng) if kind.option else _perpetuals(kind, tuple(COINS), notional, rng)
    share = float(notional.sum()) / 5.0 / len(kind.balances)
    return Account(
        id=f"{kind.venue}:{number:04d}",
        venue=kind.venue,
        mode=kind.mode,
        positions=tuple(positions),
        balances=tuple(Balance(asset=asset, total_native=share / COINS.get(asset, 1.0)) for asset in kind.balances),
    )


def _perpetuals(kind: Kind, coins: tuple[str, ...], notional: np.ndarray, rng: np.random.Generator) -> list[Position]:
    # An inverse contract is held in dollars, the others in coins.
    per_price = 0.0 if kind.venue == "deribit" else 1.0
    return [
        Position(
            symbol=_symbol(kind, coin),
            contracts=float(_sign(row) * np.round(notional[row] / 10.0) * 10.0 / COINS[coin] ** per_price),
            entry_price=float(COINS[coin] * rng.uniform(0.9, 1.1)),
            leverage=10.0 if kind.venue != "derive" else None,
            # The leverage curve of these futures is not published as a whole: the venue's own rate is stated.
            maintenance_fraction=0.01 if kind.mode == "segregated_sm" else None,
        )
        for row, coin in enumerate(coins)
    ]


def _with_options(kind: Kind, notional: np.ndarray, rng: np.random.Generator) -> list[Position]:
    positions = _perpetuals(kind, kind.bases, notional, rng)
    for row in range(len(positions), N_POSITIONS):
        coin, expiry = kind.bases[row % len(kind.bases)], kind.expiries[row // 2 % len(kind.expiries)]
        price = COINS[coin]
        strike = round(price * (0.6 + 0.04 * row), -2)
        positions.append(
            Position(
                symbol=kind.option.format(coin=coin, expiry=expiry, strike=f"{strike:.0f}", right="CP"[row % 2]),
                contracts=float(_sign(row // 2) * (round(notional[row] / price, 1) + 0.1)),
                entry_price=0.05 if kind.venue == "deribit" else 0.05 * price,
                implied_volatility=float(rng.uniform(0.4, 0.8)),
                forward_price=price * (1.005 if expiry == kind.expiries[0] else 1.02),
            )
        )
    return positions


def _sign(row: int) -> float:
    return -1.0 if row % 2 else 1.0
