"""Paradex and dYdX: responses of their endpoints, and books that must be refused with a sentence that helps."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from margincover.errors import InputError, RulebookError
from margincover.io.exchanges import parse_account
from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

POSITIONS = {
    "results": [
        {
            "market": "BTC-USD-PERP",
            "status": "OPEN",
            "side": "SHORT",
            "size": "0.25",
            "average_entry_price": "64980.5",
            "average_entry_price_usd": "65000",
            "unrealized_pnl": "-12.5",
            "unrealized_funding_pnl": "-1.25",
            "leverage": "10",
            "liquidation_price": "",
        },
        {
            "market": "BTC-USD-8MAY26-78000-C",
            "status": "OPEN",
            "side": "LONG",
            "size": "0.5",
            "average_entry_price": "2400",
            "average_entry_price_usd": "",
            "unrealized_pnl": "10",
            "unrealized_funding_pnl": "",
            "leverage": "",
            "liquidation_price": "",
        },
        {"market": "ETH-USD-PERP", "status": "CLOSED", "side": "LONG", "size": "0", "average_entry_price": "0"},
    ]
}
SUMMARY = {
    "account_value": "5123.75",
    "initial_margin_requirement": "1700.5",
    "maintenance_margin_requirement": "900.25",
    "free_collateral": "3423.25",
    "settlement_asset": "USDC",
}
BALANCES = {"results": [{"token": "USDC", "size": "5126.5"}, {"token": "DIME", "size": "40"}]}

SUBACCOUNT = {
    "subaccount": {
        "address": "dydx1synthetic",
        "subaccountNumber": 0,
        "equity": "1099.5",
        "freeCollateral": "999.5",
        "openPerpetualPositions": {
            "BTC-USD": {
                "market": "BTC-USD",
                "status": "OPEN",
                "side": "LONG",
                "size": "0.1",
                "entryPrice": "50000",
                "unrealizedPnl": "100",
            }
        },
        "assetPositions": {"USDC": {"symbol": "USDC", "side": "SHORT", "size": "4000.5"}},
    }
}


def parse(venue, mode="cross", **responses):
    return parse_account(venue, responses, account_id=f"{venue}:a", mode=mode, source="book.json")


def test_paradex_positions_are_signed_closed_rows_dropped_and_empty_text_is_nothing():
    found = parse("paradex", positions=POSITIONS, account=SUMMARY, balance=BALANCES).account
    perp, option = found.positions
    assert (perp.symbol, perp.contracts, perp.entry_price, perp.leverage) == ("BTC-USD-PERP", -0.25, 65_000.0, 10.0)
    assert (option.contracts, option.entry_price, option.leverage) == (0.5, 2_400.0, None)
    assert perp.reported.liquidation_price is None


def test_paradex_wallet_is_usdc_with_funding_that_has_accrued():
    usdc, other = parse("paradex", positions=POSITIONS, account=SUMMARY, balance=BALANCES).account.balances
    # 5,126.5 less 1.25 of funding not settled yet; DIME backs nothing.
    assert (usdc.asset, usdc.total_native, usdc.is_collateral) == ("USDC", 5_125.25, True)
    assert (other.asset, other.is_collateral) == ("DIME", False)


def test_paradex_report_is_the_account_summary():
    (report,) = parse("paradex", account=SUMMARY).account.reported
    assert (report.equity_native, report.maintenance_native, report.initial_native) == (5_123.75, 900.25, 1_700.5)


def test_paradex_refuses_an_error_an_unknown_side_and_a_market_twice():
    with pytest.raises(InputError, match="INVALID_TOKEN"):
        parse("paradex", account={"error": "INVALID_TOKEN", "message": "expired"})
    broken = copy.deepcopy(POSITIONS)
    broken["results"][0]["side"] = "BUY"
    with pytest.raises(InputError, match="LONG or SHORT"):
        parse("paradex", positions=broken)
    doubled = {"results": [POSITIONS["results"][0], POSITIONS["results"][0]]}
    with pytest.raises(InputError, match="stood twice"):
        parse("paradex", positions=doubled)


def test_dydx_wallet_is_the_debt_plus_what_the_positions_cost():
    parsed = parse("dydx", account=SUBACCOUNT)
    (balance,) = parsed.account.balances
    (position,) = parsed.account.positions
    # 0.1 x 50,000 - 4,000.5; with the profit of 100 this is the equity of 1,099.5 that the indexer states.
    assert balance.total_native == pytest.approx(999.5)
    assert position.mark_price == pytest.approx(51_000.0)
    assert parsed.account.reported[0].equity_native == pytest.approx(balance.total_native + 100.0)


def test_dydx_subaccounts_of_isolated_markets_need_their_mode():
    isolated = copy.deepcopy(SUBACCOUNT)
    isolated["subaccount"]["subaccountNumber"] = 128
    assert parse("dydx", "isolated_market", account=isolated).account.mode == "isolated_market"
    with pytest.raises(InputError, match="isolated_market"):
        parse("dydx", account=isolated)
    with pytest.raises(InputError, match="subaccount 0 in mode isolated_market"):
        parse("dydx", "isolated_market", account=SUBACCOUNT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["assetPositions"]["USDC"].update(symbol="TDAI"), "USDC"),
        (lambda s: s["openPerpetualPositions"]["BTC-USD"].update(size="many"), "size"),
        (lambda s: s["openPerpetualPositions"]["BTC-USD"].update(unrealizedPnl="-9000"), "oracle price above 0"),
        (lambda s: s.pop("assetPositions"), "assetPositions"),
    ],
)
def test_dydx_broken_responses_name_the_field(change, words):
    broken = copy.deepcopy(SUBACCOUNT)
    change(broken["subaccount"])
    with pytest.raises(InputError, match=words):
        parse("dydx", account=broken)


AT = datetime(2026, 11, 25, tzinfo=UTC)
CALL = Position(
    symbol="BTC-USD-8JAN27-100000-C",
    contracts=-1.0,
    entry_price=3_000.0,
    implied_volatility=0.5,
    forward_price=100_000.0,
)
PERP = Position(symbol="BTC-USD-PERP", contracts=1.0, entry_price=100_000.0, mark_price=100_000.0)
MARKET = MarketState(
    as_of=AT,
    observed_at=AT,
    asset_usd={"BTC": 100_000.0, "DOGE": 0.2, "USDC": 1.0},
    funding_per_hour={"BTC-USD-PERP": 0.00001},
)


def pools(venue, mode, positions, market=MARKET, facts=(), tiers=()):
    account = Account(
        id=f"{venue}:a",
        venue=venue,
        mode=mode,
        positions=tuple(positions),
        balances=(Balance(asset="USDC", total_native=10_000.0),),
    )
    book = BookInput(
        as_of=market.as_of,
        accounts=(account,),
        market=market,
        instrument_overrides=tuple(facts),
        tier_overrides=tuple(tiers),
    )
    return build_pools(resolve(book))


def test_paradex_portfolio_without_funding_or_index_is_refused():
    with pytest.raises(InputError, match="no funding for BTC-USD-PERP"):
        pools("paradex", "portfolio", [PERP], replace(MARKET, funding_per_hour={}))
    with pytest.raises(InputError, match="no USD price for BTC"):
        pools("paradex", "portfolio", [PERP], replace(MARKET, asset_usd={"USDC": 1.0}))


@pytest.mark.parametrize("mode", ["cross", "portfolio"])
def test_paradex_coin_without_parameters_is_refused(mode):
    doge = replace(CALL, symbol="DOGE-USD-8JAN27-0.2-C", forward_price=0.2)
    with pytest.raises(RulebookError, match="DOGE"):
        pools("paradex", mode, [doge])


def test_paradex_option_without_volatility_or_forward_is_refused():
    with pytest.raises(InputError, match="implied volatility"):
        pools("paradex", "cross", [replace(CALL, implied_volatility=None)])
    with pytest.raises(InputError, match="forward"):
        pools("paradex", "cross", [replace(CALL, forward_price=None)])


def test_paradex_unstated_leverage_is_said():
    (pool,) = pools("paradex", "cross", [PERP, CALL])
    assert any("leverage not stated for BTC-USD-PERP" in note for note in pool.notes)
    assert not pool.model.initial_known


OLDER = replace(MARKET, as_of=datetime(2026, 3, 5, tzinfo=UTC), observed_at=datetime(2026, 3, 5, tzinfo=UTC))
BTC, ETH = (
    Position(symbol=symbol, contracts=1.0, entry_price=100.0, mark_price=100.0) for symbol in ("BTC-USD", "ETH-USD")
)


def test_dydx_isolated_market_is_one_pool_of_one_market():
    (pool,) = pools("dydx", "isolated_market", [BTC], OLDER)
    assert (pool.id, pool.unit) == ("dydx:a", "USDC")
    with pytest.raises(InputError, match="2 markets in one subaccount"):
        pools("dydx", "isolated_market", [BTC, ETH], OLDER)


def test_dydx_isolated_names_stand_in_isolated_subaccounts_only():
    pig = Position(
        symbol="PIG,RAYDIUM,6xAbc-USD", contracts=1.0, entry_price=1.0, mark_price=1.0, maintenance_fraction=0.03
    )
    (pool,) = pools("dydx", "isolated_market", [pig], OLDER)
    assert any("whole value" in note for note in pool.notes)
    with pytest.raises(InputError, match="does not hold"):
        pools("dydx", "cross", [pig], OLDER)


@pytest.mark.parametrize(
    ("lower", "upper", "interest", "words"),
    [
        (1.0, None, None, "both caps or none"),
        (5.0, 1.0, None, "at least the lower cap"),
        (1.0, 5.0, -1.0, "a finite number >= 0"),
    ],
)
def test_dydx_wrong_open_interest_is_refused(lower, upper, interest, words):
    fact = InstrumentOverride(
        venue="dydx",
        symbol="BTC-USD",
        open_interest=interest,
        open_interest_lower_cap=lower,
        open_interest_upper_cap=upper,
    )
    with pytest.raises(InputError, match=words):
        pools("dydx", "cross", [BTC], OLDER, facts=[fact])


def test_dydx_market_with_bands_is_refused():
    bands = TierOverride(
        venue="dydx", symbol="BTC-USD", rows=((0.0, 10.0, 0.05, None, None), (10.0, 1e9, 0.1, None, None))
    )
    with pytest.raises(InputError, match="had 2 tiers"):
        pools("dydx", "cross", [BTC], OLDER, tiers=[bands])


def test_hyperliquid_pools_say_where_the_backstop_stands():
    (pool,) = pools("hyperliquid", "perps", [replace(PERP, symbol="BTC")])
    # Stage two at two thirds of maintenance: Hyperliquid docs, page liquidations.
    assert any("backstop at headroom -0.3333 x maintenance" in note for note in pool.notes)
