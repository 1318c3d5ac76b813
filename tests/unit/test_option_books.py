"""Option books: symbols, what an option must state, premiums of trades that are tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import margincover as mc
from margincover.app.changes import changed_book, parse_trade
from margincover.errors import InputError
from margincover.pricing import black76

AS_OF = "2026-02-01T08:00:00Z"


OWN_PARAMETERS = """
venue = "deribit"
[[parameters]]
id = "own-options"
mode = "option_inverse"
valid_from = 2026-01-01T00:00:00Z
observed = 2026-01-31T00:00:00Z
source = "read from the venue"
retrieved = "2026-01-31"
confidence = "CONFIRMED"
[parameters.parameters]
initial_fraction = 0.2
initial_floor_fraction = 0.1
maintenance_fraction = 0.1
order_fee_fraction = 0.0003
"""


def book_of(tmp_path: Path, rules: Path | None = None, **changes: object) -> mc.Book:
    market: dict[str, object] = {
        "observed_at": AS_OF,
        "asset_usd": {"BTC": 90_000, "ETH": 3_000, "USDC": 1.0},
        "forwards": {"BTC-260327": 90_300},
        "implied_volatility": {"BTC-27MAR26-80000-P": 0.6, "BTC-27MAR26-110000-C.DERIBIT": 0.5},
    }
    account: dict[str, object] = {
        "id": "deribit:main",
        "mode": "segregated_sm",
        "balances": [{"asset": "BTC", "total": 3.0}],
        "positions": [{"symbol": "BTC-27MAR26-80000-P", "contracts": -10, "entry_price": 0.03}],
    }
    for key, value in changes.items():
        (market if key in ("marks", "forwards", "implied_volatility", "asset_usd") else account)[key] = value
    path = tmp_path / "book.json"
    path.write_text(json.dumps({"schema_version": 1, "as_of": AS_OF, "market": market, "accounts": [account]}))
    return mc.load(path, rules=rules)


@pytest.mark.parametrize(
    ("symbol", "base", "strike", "right"),
    [
        ("BTC-27MAR26-80000-P", "BTC", 80_000.0, "put"),
        ("BTC/USD:BTC-260327-80000-P", "BTC", 80_000.0, "put"),
        ("BTC_USDC-6FEB26-100000-C", "BTC", 100_000.0, "call"),
        ("XRP_USDC-6FEB26-0d625-C", "XRP", 0.625, "call"),
    ],
)
def test_option_symbols_are_read(tmp_path, symbol, base, strike, right):
    rows = [{"symbol": symbol, "contracts": 1, "entry_price": 0.03}]
    book = book_of(tmp_path, positions=rows, balances=[{"asset": "BTC", "total": 1}, {"asset": "USDC", "total": 1}])
    instrument = book.instruments[("deribit", symbol)]
    assert (instrument.base, instrument.strike, instrument.right.value) == (base, strike, right)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"implied_volatility": {}}, "implied_volatility"),
        ({"forwards": {}}, "forward_price"),
        ({"forwards": {"BTC-260327": 9.03}}, "within 10-fold of the index"),
        ({"asset_usd": {"USDC": 1.0}}, "asset_usd.BTC"),
        ({"implied_volatility": {"BTC-27MAR26-80000-P": 60}}, "implied_volatility"),
        ({"marks": {"BTC-27MAR26-80000-P": 2.0}, "implied_volatility": {}}, "mark_price"),
        ({"mode": "portfolio_of_nowhere"}, "mode"),
    ],
)
def test_what_an_option_needs_is_named(tmp_path, changes, field):
    with pytest.raises(InputError, match=field) as caught:
        mc.status(book_of(tmp_path, **changes))
    assert "book.json" in str(caught.value)


def test_a_mark_alone_gives_the_volatility_and_stands_in_the_margin(tmp_path):
    years = 54 / 365
    value = float(black76.price(forward=90_300, strike=80_000, years=years, volatility=0.7, is_call=False)) / 90_300
    stated = mc.status(book_of(tmp_path, implied_volatility={"BTC-27MAR26-80000-P": 0.7})).result.pools[0]
    marked = mc.status(book_of(tmp_path, marks={"BTC-27MAR26-80000-P": value}, implied_volatility={})).result.pools[0]
    assert marked.maintenance_native == pytest.approx(stated.maintenance_native, rel=1e-9)
    assert marked.common_move_down == pytest.approx(stated.common_move_down, rel=1e-6)


def test_the_venue_s_mark_is_kept_beside_its_volatility(tmp_path):
    result = mc.status(book_of(tmp_path, marks={"BTC-27MAR26-80000-P": 0.05})).result.pools[0]
    # Ten short puts of 7.5 % of a coin and their mark.
    assert result.maintenance_native == pytest.approx(10 * (0.075 + 0.05), rel=1e-12)
    assert any("the mark differs" in note for note in result.notes)


def test_selling_an_option_receives_its_premium(tmp_path):
    book = book_of(tmp_path)
    after = changed_book(
        book, [parse_trade("-2 BTC-27MAR26-110000-C@0.02"), parse_trade("4 BTC-27MAR26-80000-P@0.04")], []
    )
    (account,) = after.accounts
    assert account.balances[0].total_native == pytest.approx(3.0 + 2 * 0.02 - 4 * 0.04)
    held = {p.symbol: (p.contracts, p.entry_price) for p in account.positions}
    assert held == {"BTC-27MAR26-80000-P": (-6.0, 0.03), "BTC-27MAR26-110000-C": (-2.0, 0.02)}
    closed = changed_book(after, [parse_trade("2 BTC-27MAR26-110000-C@0.05")], [])
    assert [p.symbol for p in closed.accounts[0].positions] == ["BTC-27MAR26-80000-P"]
    assert closed.accounts[0].balances[0].total_native == pytest.approx(3.0 + 2 * 0.02 - 4 * 0.04 - 2 * 0.05)


def test_an_option_without_volatility_cannot_be_tried(tmp_path):
    with pytest.raises(InputError, match="implied_volatility"):
        changed_book(book_of(tmp_path), [parse_trade("-2 BTC-27MAR26-120000-C")], [])


def test_a_user_s_own_parameters_win_while_they_are_in_force(tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "deribit.toml").write_text(OWN_PARAMETERS)
    marks = {"BTC-27MAR26-80000-P": 0.05}
    result = mc.status(book_of(tmp_path, rules=rules, marks=marks)).result
    assert result.pools[0].maintenance_native == pytest.approx(10 * (0.1 + 0.05), rel=1e-12)
    assert "own-options" in {use.edition for use in result.provenance.editions}
    (rules / "deribit.toml").write_text(OWN_PARAMETERS.replace("2026-01-01T", "2026-03-01T"))
    later = mc.status(book_of(tmp_path, rules=rules, marks=marks)).result.pools[0]
    assert later.maintenance_native == pytest.approx(10 * (0.075 + 0.05), rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("maintenance_fraction = 0.1", "maintenance_fraction = 10", "maintenance_fraction"),
        ("initial_fraction = 0.2\n", "", "initial_fraction"),
        ("confidence = ", "confidense = ", "confidense"),
        ("2026-01-01T00:00:00Z", '"soon"', "own-options"),
    ],
)
def test_a_user_s_broken_parameters_are_named(tmp_path, old, new, words):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "deribit.toml").write_text(OWN_PARAMETERS.replace(old, new))
    with pytest.raises(mc.RulebookError, match=words):
        mc.status(book_of(tmp_path, rules=rules))
