"""What-if changes of a book: trades keep the money, transfers move it, and nonsense is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.app.changes import Trade, Transfer, changed_book, parse_trade, parse_transfer
from margincover.errors import InputError, UsageError
from margincover.model.position import MarginMode
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import a_book, a_position, an_account

MARK = {"BTCUSDT": 87_600.0, "BTCUSD_PERP": 87_600.0}


def linear_book(contracts=3.0):
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", contracts, 80_000.0)], USDT=50_000.0)
    return a_book(account), account.id, "BTCUSDT"


def inverse_book(contracts=500.0):
    account = an_account("binance", "coinm", [a_position("BTCUSD_PERP", contracts, 80_000.0)], BTC=1.0)
    return a_book(account), account.id, "BTCUSD_PERP"


def equity(book):
    return float(margin.evaluate(build_pools(book)).equity[0, 0])


@pytest.mark.parametrize("make", [linear_book, inverse_book])
@settings(max_examples=60)
@given(share=st.floats(-2.5, 2.5).filter(lambda x: abs(x) > 1e-6))
def test_a_trade_at_the_mark_leaves_equity_as_it_was(make, share):
    book, account, symbol = make()
    held = book.accounts[0].positions[0].contracts
    changed = changed_book(book, [Trade(account=account, contracts=held * share, symbol=symbol)], [])
    assert equity(changed) == pytest.approx(equity(book), rel=1e-9)


def test_growing_averages_the_entry_and_turning_takes_the_price_of_the_trade():
    book, account, symbol = linear_book(1.0)
    grown = changed_book(book, [Trade(account=account, contracts=1.0, symbol=symbol, price=90_000.0)], [])
    assert grown.accounts[0].positions[0].entry_price == 85_000.0
    turned = changed_book(book, [Trade(account=account, contracts=-3.0, symbol=symbol, price=90_000.0)], [])
    (position,) = turned.accounts[0].positions
    assert (position.contracts, position.entry_price) == (-2.0, 90_000.0)
    # The long of 1 from 80,000 was closed at 90,000.
    assert turned.accounts[0].balances[0].total_native == 60_000.0


def test_closing_all_leaves_no_position():
    book, account, symbol = linear_book(2.0)
    closed = changed_book(book, [Trade(account=account, contracts=-2.0, symbol=symbol)], [])
    assert closed.accounts[0].positions == ()


def test_the_ccxt_spelling_meets_the_venues_own():
    book, account, _ = linear_book(2.0)
    changed = changed_book(book, [Trade(account=account, contracts=1.0, symbol="BTC/USDT:USDT", price=87_600.0)], [])
    assert [position.contracts for position in changed.accounts[0].positions] == [3.0]


def test_a_transfer_moves_money_once():
    first = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, 80_000.0)], USDT=9_000.0, name="a")
    second = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, 80_000.0)], USDT=1_000.0, name="b")
    book = a_book(first, second)
    moved = changed_book(book, [], [Transfer(amount=500.0, asset="USDT", origin=first.id, destination=second.id)])
    assert [account.balances[0].total_native for account in moved.accounts] == [8_500.0, 1_500.0]
    assert [account.balances[0].total_native for account in book.accounts] == [9_000.0, 1_000.0]


def test_money_of_an_asset_that_is_not_there_cannot_leave():
    book, account, _ = linear_book()
    with pytest.raises(InputError, match="USDC"):
        changed_book(book, [], [Transfer(amount=1.0, asset="USDC", origin=account, destination="outside")])


def test_an_isolated_position_is_not_traded():
    account = an_account(
        "binance",
        "usdm_single_asset",
        [a_position("BTCUSDT", 1.0, 80_000.0, margin_mode=MarginMode.ISOLATED, isolated_collateral_native=9_000.0)],
        USDT=1_000.0,
    )
    with pytest.raises(InputError, match="isolated"):
        changed_book(a_book(account), [Trade(account=account.id, contracts=1.0, symbol="BTCUSDT")], [])


@pytest.mark.parametrize("text", ["", "BTCUSDT", "0 BTCUSDT", "ten BTCUSDT", "1 BTCUSDT @", "1 BTCUSDT x"])
def test_a_trade_that_does_not_read_is_refused(text):
    with pytest.raises(UsageError, match="--add"):
        parse_trade(text)


@pytest.mark.parametrize("text", ["", "5 USDT a:b", "5 USDT a:b -> a:b", "0 USDT a:b -> outside", "-5 USDT a:b -> c:d"])
def test_a_transfer_that_does_not_read_is_refused(text):
    with pytest.raises(UsageError, match="--transfer"):
        parse_transfer(text)


def test_trade_and_transfer_read_as_written():
    trade = parse_trade("binance:mm -2.5 BTC/USDT:USDT@90000.5 x20")
    assert (trade.account, trade.contracts, trade.symbol, trade.price, trade.leverage) == (
        "binance:mm",
        -2.5,
        "BTC/USDT:USDT",
        90_000.5,
        20.0,
    )
    assert parse_transfer("20000 USDT outside -> okx:hedge") == Transfer(
        amount=20_000.0, asset="USDT", origin="outside", destination="okx:hedge"
    )
