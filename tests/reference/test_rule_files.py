"""Venues that are a rule file alone, held against the venues' own arithmetic."""

from datetime import UTC, datetime

import pytest

from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues import margin
from margincover.venues.dydx.integers import (
    DydxMarket,
    DydxParameters,
    maintenance_quote_quantums,
    notional_quote_quantums,
)
from margincover.venues.liquidation_price import instrument_levels
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 9, 1, tzinfo=UTC)


def pool_of(venue, symbol, contracts, price, usdc, **fields):
    account = Account(
        id=f"{venue}:a",
        venue=venue,
        mode="cross",
        positions=(Position(symbol=symbol, contracts=contracts, entry_price=price, mark_price=price, **fields),),
        balances=(Balance(asset="USDC", total_native=usdc),),
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={"USDC": 1.0})
    (pool,) = build_pools(resolve(BookInput(as_of=AT, accounts=(account,), market=market)))
    return pool


@pytest.mark.parametrize("contracts", [1.0, -0.37])
@pytest.mark.parametrize("symbol", ["BTC-USD", "ETH-USD"])
def test_dydx_maintenance_is_that_of_the_chain_to_its_rounding(symbol, contracts):
    price = 50_000.25
    pool = pool_of("dydx", symbol, contracts, price, 10_000.0)
    tier = DydxParameters.from_mapping(
        parameters("dydx", mode="cross", underlying=symbol[:3], at=AT).values, source="dydx.toml"
    )
    notional = round(abs(contracts) * price * 1e6)
    chain = maintenance_quote_quantums(notional=notional, tier=tier) / 1e6
    ours = float(margin.evaluate([pool]).maintenance[0, 0])
    # The chain rounds up twice: never below ours, and by at most two quantums.
    assert -1e-9 <= chain - ours <= 2e-6


def test_dydx_liquidation_price_is_the_derived_one():
    # p' = (e - q p) / (|q| mmf - q), e = net collateral at p (docs/reference/rules-dydx.md): 1 at 50,000 with 2,000
    pool = pool_of("dydx", "BTC-USD", 1.0, 50_000.0, 2_000.0)
    (level,) = instrument_levels(pool)
    # The chain's requirement is whole quantums: two of them (2e-6 USDC) move the price by as much.
    assert level.down == pytest.approx((2_000.0 - 50_000.0) / (0.012 - 1.0), rel=0, abs=3e-6)


def test_paradex_requirement_is_half_the_initial_rate_and_the_fee():
    # Page "cross margin requirement", short 1 BTC at 90,000, IMF 2 %: maintenance 50 % x 2 % x 90,000 = 900; the
    # provision of a 2.4 bp taker fee adds 21.60.
    pool = pool_of("paradex", "BTC-USD-PERP", -1.0, 90_000.0, 5_000.0, leverage=50.0)
    risk = margin.evaluate([pool])
    assert float(risk.maintenance[0, 0]) == pytest.approx(921.6, rel=1e-12)
    assert float(risk.initial[0, 0]) == pytest.approx(1_821.6, rel=1e-12)


def test_value_of_a_position_in_the_integers_of_the_chain():
    # 1 BTC at atomic resolution -10 and price exponent -5: the value of a position in the chain's integers.
    tier = DydxParameters.from_mapping(
        parameters("dydx", mode="cross", underlying="BTC", at=AT).values, source="dydx.toml"
    )
    market = DydxMarket(tier=tier, price=5_000_025_000, price_exponent=-5, atomic_resolution=-10)
    assert notional_quote_quantums(10**10, market=market) == 50_000_250_000
