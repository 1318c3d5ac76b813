"""Deribit responses to an account: numbers written here in the venue's shape."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, NotSupportedError, ReconciliationError
from margincover.io.exchanges import ParsedAccount, parse_account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 2, 10, 12, tzinfo=UTC)
# 9 000 USD long at 91 000 with the mark at 90 000: 9000 / 91000 - 9000 / 90000 coins
PERPETUAL = {
    "instrument_name": "BTC-PERPETUAL",
    "kind": "future",
    "direction": "buy",
    "size": 9_000.0,
    "size_currency": 0.1,
    "average_price": 91_000.0,
    "mark_price": 90_000.0,
    "index_price": 90_010.0,
    "settlement_price": 90_500.0,
    "floating_profit_loss": -0.000552486,
    "total_profit_loss": 9_000.0 / 91_000.0 - 0.1,
    "initial_margin": 0.0020005,
    "maintenance_margin": 0.0010005,
    "estimated_liquidation_price": None,
    "leverage": 50,
}
PUT = {
    "instrument_name": "BTC-27MAR26-80000-P",
    "kind": "option",
    "direction": "sell",
    "size": -2.0,
    "average_price": 0.03,
    "mark_price": 0.0329,
    "index_price": 90_010.0,
    "floating_profit_loss": -0.001,
    "total_profit_loss": -0.0058,
    "initial_margin": 0.2658,
    "maintenance_margin": 0.2158,
}
TICKER = {"instrument_name": "BTC-27MAR26-80000-P", "mark_iv": 55.5, "mark_price": 0.0329, "underlying_price": 90_800.0}
SUMMARY = {
    "currency": "BTC",
    "margin_model": "segregated_sm",
    "balance": 3.0,
    "equity": 2.93410989,
    "options_value": -0.0658,
    "margin_balance": 2.99990989,
    "initial_margin": 0.2678005,
    "maintenance_margin": 0.2168005,
    "available_funds": 2.73210939,
    "locked_balance": 0,
}


def cross(currency: str, equity: float, price: float, *, total: float = 250_000.0) -> dict[str, object]:
    return {
        "currency": currency,
        "margin_model": "cross_pm",
        "equity": equity,
        "options_value": 0.0,
        "margin_balance": total / price,
        "initial_margin": 1_000.0 / price,
        "maintenance_margin": 800.0 / price,
        "total_margin_balance_usd": total,
        "total_initial_margin_usd": 1_000.0,
        "total_maintenance_margin_usd": 800.0,
    }


def parse(mode: str = "segregated_sm", **responses: object) -> ParsedAccount:
    return parse_account("deribit", responses, account_id="deribit:main", mode=mode, source="test.json")


def enveloped(rows: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "result": copy.deepcopy(rows), "usIn": 1, "usOut": 2}


def test_positions_summary_and_ticker_become_an_account():
    parsed = parse(
        positions=enveloped([PERPETUAL, PUT]), **{"positions[1]": enveloped(TICKER)}, account=enveloped(SUMMARY)
    )
    future, put = parsed.account.positions
    assert (future.symbol, future.contracts, future.entry_price, future.mark_price) == (
        "BTC-PERPETUAL",
        9_000.0,
        91_000.0,
        90_000.0,
    )
    # the leverage of a row is the venue's largest, not a choice
    assert future.leverage is None
    assert (put.contracts, put.implied_volatility, put.forward_price) == (-2.0, 0.555, 90_800.0)
    assert put.reported is not None
    assert put.reported.maintenance_native == 0.2158
    (report,) = parsed.account.reported
    assert (report.asset, report.equity_native, report.available_native) == ("BTC", 2.99990989, 2.73210939)
    assert parsed.marks["BTC-PERPETUAL"] == 90_000.0


def test_wallet_reproduces_the_venues_equity_with_profit_from_the_average_price():
    # The daily settlement paid a part of the profit into the balance: adding profit since the average price to the
    # balance would count it twice.
    parsed = parse(positions=[PERPETUAL, PUT], **{"positions[1]": [TICKER]}, account=SUMMARY)
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={"BTC": 90_010.0})
    book = resolve(BookInput(as_of=AT, accounts=(parsed.account,), market=market, source="test"))
    (pool,) = build_pools(book, funding_fallback=lambda factor: 0.0)
    (status,) = pool_statuses((pool,))
    assert status.equity_native == pytest.approx(SUMMARY["margin_balance"], abs=1e-12)
    # 0.1 coin at 1.0005 %, two puts at 0.075 + mark
    assert status.maintenance_native == pytest.approx(SUMMARY["maintenance_margin"], abs=1e-9)


def test_rows_of_a_cross_account_are_one_report_and_are_never_added():
    rows = [cross("BTC", 2.0, 90_000.0), cross("ETH", 10.0, 3_000.0), cross("SOL", 0.0, 150.0)]
    parsed = parse("cross_pm", positions=[], account=enveloped({"summaries": rows}))
    (report,) = parsed.account.reported
    assert (report.asset, report.equity_native, report.initial_native, report.maintenance_native) == (
        "USD",
        250_000.0,
        1_000.0,
        800.0,
    )
    # a currency without equity and position is not held
    assert {b.asset: b.total_native for b in parsed.account.balances} == {"BTC": 2.0, "ETH": 10.0}


def test_cross_rows_of_different_moments_are_refused():
    rows = [cross("BTC", 2.0, 90_000.0), cross("ETH", 10.0, 3_000.0, total=249_000.0)]
    with pytest.raises(ReconciliationError, match="total_margin_balance_usd"):
        parse("cross_pm", positions=[], account={"summaries": rows})


def test_currency_in_another_margin_model_is_left_out_with_a_remark():
    other = {**SUMMARY, "currency": "BNB", "margin_model": "segregated_pm"}
    position = {**PERPETUAL, "instrument_name": "BNB-PERPETUAL"}
    parsed = parse("cross_pm", positions=[position], account=[cross("BTC", 2.0, 90_000.0), other])
    assert not parsed.account.positions
    assert [b.asset for b in parsed.account.balances] == ["BTC"]
    assert "BNB is in segregated_pm" in parsed.issues[0]
    assert "BNB-PERPETUAL settles in BNB" in parsed.issues[1]


def test_linear_positions_settle_in_their_quote():
    linear = {**PERPETUAL, "instrument_name": "BTC_USDC-PERPETUAL", "size": 0.1, "total_profit_loss": -100.0}
    parsed = parse(positions=[linear], account={**SUMMARY, "currency": "USDC", "equity": 900.0, "options_value": 0.0})
    # 900 of equity with a loss of 100: a wallet of 1 000
    assert [(b.asset, b.total_native) for b in parsed.account.balances] == [("USDC", 1_000.0)]


def test_closed_positions_are_skipped_and_missing_summaries_noticed():
    closed = {**PERPETUAL, "direction": "zero", "size": 0.0}
    parsed = parse(positions=[closed])
    assert not parsed.account.positions
    assert "balances must be written by hand" in parsed.issues[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": ""}, r"positions\[0\]\.size"),
        ({"size": None}, r"positions\[0\]\.size"),
        ({"size": "many"}, r"positions\[0\]\.size"),
        ({"size": float("nan")}, r"positions\[0\]\.size"),
        ({"size": -9_000.0}, "on a buy"),
        ({"direction": "long"}, "buy, sell or zero"),
        ({"direction": None}, r"positions\[0\]\.direction"),
        ({"direction": "zero"}, "zero with a size"),
        ({"average_price": None}, "entry_price"),
        ({"average_price": 0}, "entry_price"),
        ({"total_profit_loss": ""}, r"positions\[0\]\.total_profit_loss"),
        ({"mark_price": "x"}, r"positions\[0\]\.mark_price"),
        ({"instrument_name": ""}, "instrument_name"),
        ({"kind": "option_combo"}, "option_combo position"),
    ],
)
def test_unusable_position_rows_are_named(change, message):
    with pytest.raises((InputError, NotSupportedError), match=message) as caught:
        parse(positions=[{**PERPETUAL, **change}], account=SUMMARY)
    assert "test.json" in str(caught.value)
    assert "deribit:main" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"equity": None}, "equity"),
        ({"equity": ""}, "equity"),
        ({"options_value": ""}, "options_value"),
        ({"margin_balance": None}, "margin_balance"),
        ({"initial_margin": "none"}, "initial_margin"),
        ({"maintenance_margin": ""}, "maintenance_margin"),
        ({"margin_model": None}, "margin_model"),
        ({"margin_model": "cross_sm"}, "its mode was segregated_sm"),
        ({"currency": 7}, "currency"),
    ],
)
def test_unusable_summary_rows_are_named(change, message):
    with pytest.raises(InputError, match=message):
        parse(positions=[], account={**SUMMARY, **change})


def test_cross_row_without_its_total_is_refused():
    with pytest.raises(InputError, match="total_margin_balance_usd"):
        parse("cross_pm", positions=[], account={**cross("BTC", 2.0, 9e4), "total_margin_balance_usd": None})


def test_currency_that_stands_twice_is_refused():
    with pytest.raises(InputError, match="BTC stood twice"):
        parse(positions=[], account=[SUMMARY, SUMMARY])


def test_row_that_is_neither_position_nor_ticker_is_refused():
    with pytest.raises(InputError, match="neither a position nor a ticker"):
        parse(positions=[{"instrument_name": "BTC-PERPETUAL"}], account=SUMMARY)


def test_error_of_the_venue_is_told():
    with pytest.raises(InputError, match="13004"):
        parse(positions={"jsonrpc": "2.0", "error": {"code": 13004, "message": "invalid_credentials"}})
    with pytest.raises(InputError, match="JSON"):
        parse(positions={"jsonrpc": "2.0", "result": None})
