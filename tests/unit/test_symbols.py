"""Symbols of the four packaged venues, in the venue's own writing and in the unified one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from margincover.errors import InputError, RulebookError
from margincover.model.instrument import Instrument, Kind, Payoff
from margincover.venues import registry, symbols

AT = datetime(2026, 11, 20, tzinfo=UTC)


def resolve(venue: str, symbol: str, **stated: float) -> Instrument:
    return symbols.resolve_instrument(registry.rulebook(venue, at=AT), symbol, **stated)


@pytest.mark.parametrize(
    ("venue", "symbol", "expected_id", "product", "settle", "multiplier"),
    [
        ("binance", "BTCUSDT", "BTCUSDT.BINANCE", "usdm", "USDT", 1.0),
        ("binance", "BTC/USDT:USDT", "BTCUSDT.BINANCE", "usdm", "USDT", 1.0),
        ("binance", "BTC/USDC:USDC", "BTCUSDC.BINANCE", "usdm", "USDC", 1.0),
        # 100 USD per contract for BTC, 10 USD for every other coin: Binance COIN-M contract specification.
        ("binance", "BTC/USD:BTC", "BTCUSD_PERP.BINANCE", "coinm", "BTC", 100.0),
        ("binance", "ETHUSD_PERP", "ETHUSD_PERP.BINANCE", "coinm", "ETH", 10.0),
        ("bybit", "BTC/USDT:USDT", "BTCUSDT.BYBIT", "linear", "USDT", 1.0),
        ("bybit", "BTC/USDC:USDC", "BTCPERP.BYBIT", "linear", "USDC", 1.0),
        ("bybit", "BTC/USD:BTC", "BTCUSD.BYBIT", "inverse", "BTC", 1.0),
        # ctVal 0.01 BTC and 100 USD: OKX instruments as read in 2026.
        ("okx", "BTC/USDT:USDT", "BTC-USDT-SWAP.OKX", "swap", "USDT", 0.01),
        ("okx", "BTC-USD-SWAP", "BTC-USD-SWAP.OKX", "swap_inverse", "BTC", 100.0),
        ("hyperliquid", "BTC/USDC:USDC", "BTC.HYPERLIQUID", "perp", "USDC", 1.0),
        ("hyperliquid", "flx:CRCL", "flx:CRCL.HYPERLIQUID", "builder_perp", "USDC", 1.0),
    ],
)
def test_perpetual_is_read(
    venue: str, symbol: str, expected_id: str, product: str, settle: str, multiplier: float
) -> None:
    found = resolve(venue, symbol)
    assert (expected_id, product, settle, multiplier) == (found.id, found.product, found.settle, found.multiplier)
    assert found.kind is Kind.PERP
    assert found.expiry is None


@pytest.mark.parametrize(
    ("venue", "symbol", "unified", "expiry"),
    [
        ("binance", "BTCUSDT_270326", "BTC/USDT:USDT-270326", datetime(2027, 3, 26, 8, tzinfo=UTC)),
        ("binance", "BTCUSD_210625", "BTC/USD:BTC-210625", datetime(2021, 6, 25, 8, tzinfo=UTC)),
        ("bybit", "BTCUSDT-27MAR26", "BTC/USDT:USDT-260327", datetime(2026, 3, 27, 8, tzinfo=UTC)),
        ("bybit", "BTC-27MAR26", "BTC/USDC:USDC-260327", datetime(2026, 3, 27, 8, tzinfo=UTC)),
        ("bybit", "BTC-5MAR26", "BTC/USDC:USDC-260305", datetime(2026, 3, 5, 8, tzinfo=UTC)),
        ("okx", "BTC-USD-260327", "BTC/USD:BTC-260327", datetime(2026, 3, 27, 8, tzinfo=UTC)),
    ],
)
def test_dated_contract_is_read_the_same_in_both_writings(
    venue: str, symbol: str, unified: str, expiry: datetime
) -> None:
    own = resolve(venue, symbol)
    assert own == resolve(venue, unified)
    assert own.kind is Kind.FUTURE
    assert own.expiry == expiry


def test_inverse_settles_in_base() -> None:
    found = resolve("okx", "ETH-USD-210430")
    assert found.payoff is Payoff.INVERSE
    assert (found.base, found.settle) == ("ETH", "ETH")


@pytest.mark.parametrize(
    ("venue", "symbol", "base"), [("binance", "1000PEPEUSDT", "1000PEPE"), ("hyperliquid", "kPEPE", "kPEPE")]
)
def test_size_prefix_leaves_the_factor(venue: str, symbol: str, base: str) -> None:
    found = resolve(venue, symbol)
    assert (found.base, found.factor) == (base, "PEPE")


def test_dated_binance_contract_does_not_share_the_perpetual_table() -> None:
    # A quarter captured in June 2021 had 1 % where the perpetual's first bracket had 0.4 %.
    dated = resolve("binance", "BTCUSDT_270326")
    with pytest.raises(RulebookError, match=r"--rules DIR") as caught:
        symbols.tier_table_for(registry.rulebook("binance", at=AT), dated)
    assert "BTCUSDT_270326" in str(caught.value)


def test_expiries_of_an_okx_family_share_one_table_key() -> None:
    assert resolve("okx", "BTC-USD-260327").tier_table == resolve("okx", "BTC-USD-260626").tier_table


def test_unknown_symbol_names_close_matches() -> None:
    with pytest.raises(InputError) as caught:
        resolve("binance", "BTCUSTD")
    assert "BTCUSTD" in str(caught.value)
    assert "BTCUSDT" in str(caught.value)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:BTC", "BTCUSDT_269999", "BTC/USDT:USDT-261340", ""])
def test_what_is_no_derivative_of_the_venue_is_refused(symbol: str) -> None:
    with pytest.raises(InputError, match="has no symbol"):
        resolve("binance", symbol)


def test_unknown_contract_size_is_refused_and_may_be_stated() -> None:
    with pytest.raises(InputError, match="contract size of DOGE-USDT-SWAP is not known"):
        resolve("okx", "DOGE-USDT-SWAP")
    assert resolve("okx", "DOGE-USDT-SWAP", multiplier=1000.0).multiplier == 1000.0


def test_stated_facts_win_over_the_rulebook() -> None:
    found = resolve("okx", "ETH-USD-210430", multiplier=20.0, tick=0.05)
    assert (found.multiplier, found.tick) == (20.0, 0.05)
    # Tick of the ETH-USD future in the payload of 2021-04-27.
    assert resolve("okx", "ETH-USD-210430").tick == 0.01


def test_bybit_inverse_quarter_is_refused_as_its_expiry_is_not_in_the_symbol() -> None:
    with pytest.raises(InputError, match="has no symbol"):
        resolve("bybit", "BTCUSDH26")
