"""Hypothesis strategies: accounts of every venue and mode, and books around them."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

from hypothesis import strategies as st

from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.position import Balance, Bucket, MarginMode, Position
from tests.books import MARKS, a_book


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What an account of one venue and mode may hold: symbols with their contract size, quote units when inverse."""

    venue: str
    mode: str
    symbols: dict[str, float]
    assets: dict[str, tuple[float, float]]
    margin_modes: tuple[str, ...] = ("cross", "isolated")
    inverse: tuple[str, ...] = ()


_USD = (-2e6, 2e6)
_COIN = (-20.0, 80.0)  # crosses every slice of Bybit's BTC ladder, and debt
SHAPES = {
    f"{shape.venue}-{shape.mode}": shape
    for shape in (
        Shape(
            venue="binance",
            mode="usdm_single_asset",
            symbols=dict.fromkeys(
                ("BTCUSDT", "BTCUSDC", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "1000PEPEUSDT"), 1.0
            ),
            assets={"USDT": _USD, "USDC": _USD},
        ),
        Shape(
            venue="binance",
            mode="coinm",
            symbols={"BTCUSD_PERP": 100.0},
            assets={"BTC": _COIN},
            inverse=("BTCUSD_PERP",),
        ),
        Shape(
            venue="bybit",
            mode="uta_cross",
            symbols=dict.fromkeys(("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BTCPERP", "BTCUSD"), 1.0),
            assets={"USDT": _USD, "USDC": _USD, "BTC": _COIN},
            margin_modes=("cross",),
            inverse=("BTCUSD",),
        ),
        Shape(
            venue="bybit",
            mode="uta_isolated",
            symbols=dict.fromkeys(("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BTCPERP", "BTCUSD"), 1.0),
            assets={},
            margin_modes=("isolated",),
            inverse=("BTCUSD",),
        ),
        Shape(
            venue="okx",
            mode="futures",
            symbols={
                "BTC-USDT-SWAP": 0.01,
                "ETH-USDT-SWAP": 0.1,
                "SOL-USDT-SWAP": 1.0,
                "BTC-USD-SWAP": 100.0,
                "BTC-USD-260327": 100.0,
            },
            assets={"USDT": _USD, "BTC": _COIN},
            inverse=("BTC-USD-SWAP", "BTC-USD-260327"),
        ),
        Shape(
            venue="hyperliquid",
            mode="perps",
            symbols=dict.fromkeys(("BTC", "ETH", "SOL", "HYPE", "kPEPE"), 1.0),
            assets={"USDC": _USD},
        ),
        Shape(
            venue="hyperliquid",
            mode="builder_perps",
            symbols={"flx:CRCL": 1.0},
            assets={},
            margin_modes=("isolated",),
        ),
    )
}


def digits(value: float, places: int = 9) -> float:
    """Return the value with that many significant digits, as a person or a venue would write it."""
    return float(f"{value:.{places}g}")


@st.composite
def positions(draw: st.DrawFn, shape: Shape, symbol: str, bucket: Bucket, shift: float = 1.0) -> Position:
    """Draw one position with 1,000 to 300 million dollars of notional: every tier can be met.

    Drawn numbers like to be round, so that notionals stand on tier edges and entries at the mark; ``shift`` moves them
    off.
    """
    notional_usd = shift * 10 ** draw(st.floats(3.0, log10(3e8)))
    contracts = digits(notional_usd / (shape.symbols[symbol] * (1.0 if symbol in shape.inverse else MARKS[symbol])))
    short = bucket is Bucket.SHORT or (bucket is Bucket.NET and draw(st.booleans()))
    mode = draw(st.sampled_from(shape.margin_modes))
    collateral = None
    if mode == "isolated":
        settle_usd = MARKS["BTC"] if symbol in shape.inverse else 1.0
        collateral = digits(notional_usd / settle_usd * draw(st.floats(0.0, 0.5)))
    return Position(
        symbol=symbol,
        contracts=-contracts if short else contracts,
        entry_price=digits(shift * MARKS[symbol] * draw(st.floats(0.6, 1.6))),
        margin_mode=MarginMode(mode),
        isolated_collateral_native=collateral,
        leverage=draw(st.sampled_from([1.0, 2.0, 7.5, 20.0, 125.0])),
        bucket=bucket,
    )


@st.composite
def accounts(draw: st.DrawFn, shape: Shape, *, least: int = 0, shift: float = 1.0) -> Account:
    """Draw an account: some symbols, one-way or as a hedge-mode pair, and every balance it can need."""
    chosen = draw(st.lists(st.sampled_from(sorted(shape.symbols)), min_size=least, max_size=4, unique=True))
    held: list[Position] = []
    for symbol in chosen:
        buckets = draw(st.sampled_from([(Bucket.NET,), (Bucket.LONG, Bucket.SHORT), (Bucket.SHORT,)]))
        held += [draw(positions(shape, symbol, bucket, shift)) for bucket in buckets]
    balances = []
    for asset, (low, high) in shape.assets.items():
        borrowed = draw(st.sampled_from([0.0, 0.0, digits((high - low) / 30.0)]))
        balances.append(Balance(asset=asset, total_native=digits(draw(st.floats(low, high))), borrowed_native=borrowed))
    return Account(
        id=f"{shape.venue}:drawn",
        venue=shape.venue,
        mode=shape.mode,
        positions=tuple(held),
        balances=tuple(balances),
        taker_fee_fraction=draw(st.sampled_from([None, 0.0002, 0.001])),
    )


@st.composite
def books(draw: st.DrawFn, shape: Shape, *, least: int = 0, shift: float = 1.0) -> Book:
    """Draw a book with one account; funding stands on some symbols, of either sign."""
    rates = st.sampled_from([None, 0.0000125, -0.0003])
    funding = {symbol: draw(rates) for symbol in shape.symbols}
    stated = {symbol: rate for symbol, rate in funding.items() if rate is not None}
    return a_book(draw(accounts(shape, least=least, shift=shift)), funding=stated)
