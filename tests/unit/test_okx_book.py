"""OKX modes in a book: hand-worked accounts, what is refused and with which words, and the venue's own responses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.io.exchanges import parse_account
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues.explain import explain_pool
from margincover.venues.pools import build_pools
from margincover.venues.registry import RuleSource
from margincover.venues.resolve import resolve

AT = datetime(2026, 6, 15, tzinfo=UTC)
PUT = "BTC-USD-260925-80000-P"
LADDERS = """
venue = "okx"
[[edition]]
id = "test-ladders"
block = "collateral"
valid_from = 2026-01-01
observed = 2026-06-01
source = "GET api/v5/public/discount-rate-interest-free-quota, api/v5/public/position-tiers"
retrieved = "2026-06-01"
confidence = "CONFIRMED"
[edition.collateral.ETH]
slices = [[0, 100, 0.95], [100, inf, 0.9]]
borrow_maintenance_fraction = RATE
"""


def position(symbol, contracts, **given):
    return Position(symbol=symbol, contracts=contracts, entry_price=given.pop("entry", 90_000.0), **given)


def short_put(**given):
    stated = {"mark_price": 0.03, "implied_volatility": 0.5, "maintenance_fraction": 0.0306} | given
    return position(PUT, -500.0, entry=0.02, **stated)


def pools(mode, positions=(), balances=(), *, rules=(), **market):
    stated = {
        "asset_usd": {"BTC": 90_000.0, "ETH": 3_000.0, "USDT": 1.0},
        "forwards": {"BTC-260925": 100_000.0},
    } | market
    account = Account(
        id="okx:main",
        venue="okx",
        mode=mode,
        positions=tuple(positions),
        balances=tuple(Balance(asset=a, total_native=t) if isinstance(a, str) else a for a, t in balances),
    )
    book = BookInput(
        as_of=AT, accounts=(account,), market=MarketState(as_of=AT, observed_at=AT, **stated), source="book.json"
    )
    return build_pools(resolve(book, extra_rules=rules))


def rule(rate):
    return (RuleSource(text=LADDERS.replace("RATE", rate), source="eth.toml"),)


def status(*args, **given):
    (found,) = pool_statuses(pools(*args, **given))
    return found


def test_short_put_in_futures_mode_by_hand():
    # 5 coins short, 20 % out of the money of the forward: initial max(0.1, 0.15 - 0.2) x 1.02 + 0.03 = 0.132 per coin,
    # maintenance 0.03 x 1.02 + 0.03 = 0.0606 and 0.0003 fee per coin. Help page "Option Margin" (2026-05-01).
    found = status("futures", [short_put()], [("BTC", 1.0)])
    assert found.unit == "BTC"
    assert found.equity_native == pytest.approx(1.0)
    assert found.initial_native == pytest.approx(5 * 0.132)
    assert found.maintenance_native == pytest.approx(5 * (0.0606 + 0.0003))
    # The index at which the coin's own cash no longer covers the put stands below the mark.
    (level,) = found.levels
    assert level.down is not None
    assert level.down < 90_000.0


def test_multi_currency_account_by_hand():
    # 10 BTC at weight 0.98 of 90,000 less the put's 5 x 0.03 coins; 20,000 USDT owed at 2 % and 0.1 % of 102 %.
    found = status("multi_currency", [short_put()], [("BTC", 10.0), ("USDT", -20_000.0)])
    assert found.equity_native == pytest.approx((10.0 - 0.15) * 0.98 * 90_000.0 - 20_000.0)
    assert found.maintenance_native == pytest.approx(5 * 0.0609 * 90_000.0 + 20_000.0 * 0.02 + 20_400.0 * 0.001)
    assert found.initial_native == pytest.approx(5 * 0.132 * 90_000.0 + 20_000.0 * 0.1)


def test_portfolio_unit_of_the_position_builder_sample():
    # API docs sample of 2025-01-15: short 0.1 BTC, mark 97,093.7; the index follows from the printed loss at 24 %.
    index = 2328.8218489440005 / 0.24 / 0.1
    pool, *none = pools(
        "portfolio",
        [position("BTC-USDT-SWAP", -10.0, mark_price=97_093.7)],
        [("USDT", 100_000.0)],
        asset_usd={"BTC": index, "USDT": 0.99954},
    )
    assert not none
    (found,) = pool_statuses([pool])
    assert found.maintenance_native == pytest.approx(1183.8207318516002, abs=1e-6)
    assert found.initial_native == pytest.approx(1538.9669514070802, abs=1e-6)
    _, tree, _ = explain_pool(pool)
    (unit,) = tree.children
    assert [child.label for child in unit.children] == ["MR1 price grid", "MR4 basis"]
    assert "index +12%" in unit.detail


def test_portfolio_margin_of_other_coins_says_that_its_charges_are_a_bound():
    (pool,) = pools("portfolio", [position("ETH-USDT-SWAP", -10.0, mark_price=3_000.0)], [("USDT", 1_000.0)])
    assert any("portfolio_margin_perpetual * " in note and "UNCONFIRMED" in note for note in pool.notes)
    assert any("mode portfolio is INFERRED" in note for note in pool.notes)


def test_a_hedge_across_stable_coins_pays_for_it():
    legs = [
        position("BTC-USDT-SWAP", -100.0, mark_price=90_000.0),
        # The rate stands in for a tier table, which this mode does not use.
        position("BTC-USD-SWAP", 900.0, mark_price=90_000.0, maintenance_fraction=0.004),
    ]
    found = status("portfolio", legs, [("USDT", 1e5), ("BTC", 1.0)])
    # 90,000 USD each way: MR4 0.2 % of both, MR9 0.75 % of the hedged amount (example of the notice).
    assert found.maintenance_native == pytest.approx(180_000.0 * 0.002 + 90_000.0 * 0.0075)


def test_a_hedge_across_stable_coins_is_refused_when_one_has_left_par():
    legs = [
        position("BTC-USDT-SWAP", -100.0, mark_price=90_000.0),
        position("BTC-USD-SWAP", 900.0, mark_price=90_000.0, maintenance_fraction=0.004),
    ]
    with pytest.raises(NotSupportedError, match=r"okx:main: market.asset_usd.USDT.*USDT stood at 0.97"):
        pools("portfolio", legs, [("USDT", 1e5), ("BTC", 1.0)], asset_usd={"BTC": 90_000.0, "USDT": 0.97})


def test_long_pair_with_a_margin_in_the_coin_that_it_owes():
    # 1 BTC against 80,000 USDT borrowed, 10,000 USDT of margin: the fee of 0.1 % and 2 % count on all that is owed.
    lent = Balance(asset="USDT", total_native=10_000.0, borrowed_native=80_000.0)
    found = status("isolated_pair", (), [("BTC", 1.0), (lent, None)])
    assert found.equity_native == pytest.approx(20_000.0)
    assert found.maintenance_native == pytest.approx(80_000.0 * 0.02 + 81_600.0 * 0.001)


def test_captured_short_pair():
    # https://github.com/ccxt/ccxt/issues/18806 (2023-08-07): SHIB-USDT short, 304.08 USDT against 20,000,966 SHIB, loan
    # rate 8 %, fee 0.1 %; the venue printed mgnRatio 8.197678827946161.
    ladder = (RuleSource(text=LADDERS.replace("RATE", "0.08").replace(".ETH", ".SHIB"), source="shib.toml"),)
    lent = Balance(asset="SHIB", total_native=0.0, borrowed_native=20000966.0227737993648251)
    found = status(
        "isolated_pair",
        (),
        [("USDT", 304.082907074178), (lent, None)],
        rules=ladder,
        asset_usd={"USDT": 1.0, "SHIB": 9.133e-06},
    )
    assert found.coverage_ratio == pytest.approx(8.197678827946161, rel=1e-9)


@pytest.mark.parametrize(
    ("mode", "positions", "balances", "error", "words"),
    [
        (
            "futures",
            [short_put(maintenance_fraction=None)],
            [("BTC", 1.0)],
            InputError,
            r"P.maintenance_fraction.*0\.03 x",
        ),
        ("futures", [short_put(maintenance_fraction=0.02)], [("BTC", 1.0)], InputError, r"was 0\.02"),
        (
            "futures",
            [short_put(mark_price=None, implied_volatility=None)],
            [("BTC", 1.0)],
            InputError,
            "no implied volatility",
        ),
        ("multi_currency", [], [("ETH", 1.0)], RulebookError, r"balances\.ETH.*no collateral ladder"),
        ("multi_currency", [short_put()], [("BTC", 1.0), ("DOGE", 5.0)], RulebookError, r"DOGE"),
        ("portfolio", [short_put()], [("BTC", 1.0)], InputError, "option_inverse, which mode portfolio does not hold"),
        (
            "portfolio",
            [position("BTC-USD-260925", 10.0, mark_price=9e4)],
            [("BTC", 1.0)],
            InputError,
            "futures_inverse, which mode portfolio does not hold",
        ),
        ("isolated_pair", [], [("BTC", 1.0)], InputError, "allowed: two"),
        ("isolated_pair", [], [("BTC", 1.0), ("USDT", 5.0)], InputError, "allowed: two"),
        ("isolated_pair", [], [("USDT", 1.0), ("ETH", -5.0)], RulebookError, "no maintenance rate of ETH loans"),
        (
            "isolated_pair",
            [position("BTC-USDT-SWAP", 1.0, mark_price=9e4)],
            [("BTC", 1.0), ("USDT", -5.0)],
            InputError,
            "a pair is two balances",
        ),
    ],
)
def test_what_is_refused(mode, positions, balances, error, words):
    with pytest.raises(error, match=words) as raised:
        pools(mode, positions, balances)
    assert "okx:main" in str(raised.value)


def test_a_coin_that_may_be_owed_needs_a_loan_rate():
    with pytest.raises(RulebookError, match=r"collateral\.ETH\.borrow_maintenance_fraction"):
        pools("multi_currency", (), [("ETH", -1.0)], rules=rule("0.0"))
    found = status("multi_currency", (), [("ETH", -1.0)], rules=rule("0.05"))
    # A coin without packaged loan rates: 0.15 % of 105 % as the fee, the whole loan as initial margin.
    assert found.maintenance_native == pytest.approx(3_000.0 * (0.05 + 1.05 * 0.0015))
    assert found.initial_native == pytest.approx(3_000.0)


def test_what_orders_hold_does_not_back_the_account():
    locked = Balance(asset="BTC", total_native=10.0, locked_native=2.0)
    assert status("multi_currency", (), [(locked, None)]).equity_native == pytest.approx((9.8 - 2.0) * 90_000.0)


def row(**given):
    base = {"mgnMode": "cross", "posSide": "net", "pos": "-5", "avgPx": "0.02", "margin": "", "lever": "", "liqPx": ""}
    return (
        base | {"instId": PUT, "instType": "OPTION", "markPx": "0.03", "mmr": "0.3", "imr": "", "upl": "-0.05"} | given
    )


def parse(mode, **responses):
    return parse_account("okx", responses, account_id="okx:main", mode=mode, source="responses")


def test_option_rows_are_read():
    (held,) = parse("futures", positions=[row()]).account.positions
    assert (held.symbol, held.contracts, held.mark_price, held.leverage) == (PUT, -5.0, 0.03, None)
    assert held.reported is not None
    assert held.reported.maintenance_native == 0.3


def test_figures_of_a_risk_unit_are_not_those_of_a_row():
    swap = row(instId="BTC-USDT-SWAP", instType="SWAP", pos="1", avgPx="90000", markPx="90010")
    (held,) = parse("portfolio", positions=[swap]).account.positions
    assert held.reported is not None
    assert held.reported.maintenance_native is None
    assert held.reported.unrealised_pnl_native == -0.05


def test_cross_spot_margin_stands_in_the_balances():
    pair = row(instId="BTC-USDT", instType="MARGIN", pos="0.5", liab="-45000", liabCcy="USDT", posCcy="BTC")
    details = [
        {"ccy": "BTC", "cashBal": "1.5", "ordFrozen": "0.25", "interest": "", "collateralEnabled": True},
        {"ccy": "USDT", "cashBal": "-45000", "ordFrozen": "", "interest": "12", "collateralEnabled": False},
        {"ccy": "ETH", "cashBal": "3", "collateralEnabled": False},
    ]
    account = {"adjEq": "80000", "imr": "9000", "mmr": "3000", "mgnRatio": "20", "details": details}
    parsed = parse("multi_currency", positions=[pair], balance=account)
    assert parsed.account.positions == ()
    assert any("BTC-USDT is a cross MARGIN position" in issue for issue in parsed.issues)
    # A debt counts even where the coin was switched off as collateral.
    assert [(b.asset, b.total_native, b.locked_native, b.is_collateral) for b in parsed.account.balances] == [
        ("BTC", 1.5, 0.25, True),
        ("USDT", -45_000.0, 0.0, True),
        ("ETH", 3.0, 0.0, False),
    ]
    (report,) = parsed.account.reported
    assert (report.asset, report.equity_native, report.maintenance_native) == ("USD", 80_000.0, 3_000.0)
    for mode, given in (("futures", pair), ("multi_currency", pair | {"mgnMode": "isolated"})):
        with pytest.raises(NotSupportedError, match=r"positions\[0\].instType.*mode isolated_pair"):
            parse(mode, positions=[given])


def test_a_balance_without_a_number_is_refused():
    with pytest.raises(InputError, match=r"details\[0\].cashBal"):
        parse("multi_currency", balance={"adjEq": "", "details": [{"ccy": "BTC", "cashBal": ""}]})
