"""What shares one equity, how pools are named, and worked figures of each venue's mode."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from margincover.errors import InputError, NotSupportedError, RulebookError, StaleDataError
from margincover.model.account import Account
from margincover.model.position import Balance, Bucket, OpenOrder, Side
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import AS_OF, MARKS, a_book, a_position, an_account


def figures(pool) -> tuple[float, float, float]:
    return tuple(float(each[0]) for each in margin.evaluate_pool(pool, np.ones((len(pool.factors), 1))))


def test_one_pool_per_settle_asset_and_per_isolated_position():
    positions = [
        a_position("BTCUSDT", 1.0),
        a_position("BTCUSDC", 1.0),
        a_position("ETHUSDT", 5.0, isolated_collateral_native=2_000.0),
        a_position("SOLUSDT", 5.0, isolated_collateral_native=100.0, bucket=Bucket.LONG),
    ]
    pools = build_pools(a_book(an_account("binance", "usdm_single_asset", positions, USDT=5e3, USDC=6e3)))
    assert [(pool.id, pool.unit, pool.factors) for pool in pools] == [
        ("binance:a/USDT", "USDT", ("BTC",)),
        ("binance:a/USDC", "USDC", ("BTC",)),
        ("binance:a/ETHUSDT", "USDT", ("ETH",)),
        ("binance:a/SOLUSDT:LONG", "USDT", ("SOL",)),
    ]
    # Entered at the mark: equity is what backs the pool, and nothing of the wallet backs an isolated position.
    assert [figures(pool)[0] for pool in pools] == pytest.approx([5e3, 6e3, 2e3, 100.0])


def test_only_pool_of_an_account_has_its_id():
    pools = build_pools(a_book(an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0)], USDT=1e4)))
    assert [pool.id for pool in pools] == ["binance:a"]


def test_binance_pool_by_hand():
    # 87,600 USD in the packaged table of 2024-07: 0.4 % to 50,000, then 0.5 % with a deduction of 50.
    position = a_position("BTCUSDT", 1.0, 80_000.0, leverage=10.0)
    (pool,) = build_pools(a_book(an_account("binance", "usdm_single_asset", [position], USDT=9_000.0)))
    equity, maintenance, initial = figures(pool)
    assert equity == pytest.approx(9_000.0 + 7_600.0)
    assert maintenance == pytest.approx(87_600.0 * 0.005 - 50.0)
    assert initial == pytest.approx(8_760.0)
    assert pool.margin_call_coverage_ratio == 1.25


def test_borrowed_coins_are_taken_off_the_wallet():
    account = Account(
        id="binance:a",
        venue="binance",
        mode="usdm_single_asset",
        balances=(Balance(asset="USDT", total_native=100.0, borrowed_native=30.0),),
    )
    assert figures(build_pools(a_book(account))[0])[0] == pytest.approx(70.0)


def test_bybit_unified_account_by_hand():
    # 2 BTC at 98 % and 1,000 USDT of debt, long 0.1 BTC at 10x from 87,600 (the mark), fee 0.001.
    position = a_position("BTCUSDT", 0.1, leverage=10.0)
    (pool,) = build_pools(a_book(an_account("bybit", "uta_cross", [position], fee=0.001, USDT=-1_000.0, BTC=2.0)))
    equity, maintenance, initial = figures(pool)
    tether, bitcoin = 0.9993, 87_540.0
    assert pool.unit == "USD"
    assert equity == pytest.approx(2.0 * 0.98 * bitcoin - 1_000.0 * tether)
    # 0.5 % on the first tier, the fee at the bankruptcy price, and 4 % of the debt.
    fee = 8_760.0 * 0.9 * 0.001
    assert maintenance == pytest.approx((8_760.0 * 0.005 + fee + 1_000.0 * 0.04) * tether)
    assert initial == pytest.approx((876.0 + fee + 1_000.0 * 0.04) * tether)


def test_coin_that_is_no_collateral_supports_nothing():
    account = Account(
        id="bybit:a",
        venue="bybit",
        mode="uta_cross",
        balances=(
            Balance(asset="USDT", total_native=100.0),
            Balance(asset="BTC", total_native=5.0, is_collateral=False),
        ),
    )
    assert figures(build_pools(a_book(account))[0])[0] == pytest.approx(99.93)


def test_okx_tier_is_chosen_by_contracts_of_the_cross_family_and_rate_is_on_everything():
    # The invented table: 0.4 % below 5,000 contracts, 0.65 % from there. A long and a short of 3,000 each make 6,000.
    legs = [a_position("BTC-USD-SWAP", s * 3_000, bucket=b) for s, b in ((1, Bucket.LONG), (-1, Bucket.SHORT))]
    fee = 0.0005
    (pair,) = build_pools(a_book(an_account("okx", "futures", legs, fee=fee, BTC=1.0)))
    (single,) = build_pools(a_book(an_account("okx", "futures", legs[:1], fee=fee, BTC=1.0)))
    coins = 300_000.0 / MARKS["BTC-USD-SWAP"]
    assert figures(pair)[1] == pytest.approx(2.0 * coins * (0.0065 + fee))
    assert figures(single)[1] == pytest.approx(coins * (0.004 + fee))


def test_coinm_contract_counts_in_coin():
    (pool,) = build_pools(a_book(an_account("binance", "coinm", [a_position("BTCUSD_PERP", 1_000, 80_000.0)], BTC=1.0)))
    equity, maintenance, _ = figures(pool)
    assert equity == pytest.approx(1.0 + 100_000.0 * (1 / 80_000.0 - 1 / 87_590.0))
    assert maintenance == pytest.approx(100_000.0 / 87_590.0 * 0.004)
    assert (pool.unit, pool.unit_usd) == ("BTC", 87_540.0)


def test_rate_served_with_the_position_wins_over_the_table():
    position = a_position("BTCUSDT", 1.0, maintenance_fraction=0.02, maintenance_deduction_native=100.0)
    (pool,) = build_pools(a_book(an_account("binance", "usdm_single_asset", [position], USDT=9e3)))
    assert figures(pool)[1] == pytest.approx(87_600.0 * 0.02 - 100.0)


def test_mark_of_the_position_wins_over_the_market():
    position = a_position("BTCUSDT", 1.0, 80_000.0, mark_price=81_000.0)
    (pool,) = build_pools(a_book(an_account("binance", "usdm_single_asset", [position], USDT=0.0)))
    assert figures(pool)[0] == pytest.approx(1_000.0)


def test_funding_is_paid_by_the_side_that_the_sign_says():
    legs = [a_position("BTCUSDT", 1.0, bucket=Bucket.LONG), a_position("BTCUSDT", -1.0, bucket=Bucket.SHORT)]
    account = an_account("binance", "usdm_single_asset", legs, USDT=1e4)
    (pool,) = build_pools(a_book(account, funding={"BTCUSDT": 0.0002}))
    assert pool.legs.funding_per_hour.tolist() == [0.0002, -0.0002]
    (unknown,) = build_pools(a_book(account), funding_fallback=lambda factor: 0.0007)
    # Not stated: a cost to both sides.
    assert unknown.legs.funding_per_hour.tolist() == [0.0007, 0.0007]


def test_resting_orders_add_initial_margin_and_no_maintenance():
    # One-way: max(|N + bids|, |N - asks|) / leverage; N 87,600, a bid of 1 at 80,000: 80,000 / 10 more.
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, leverage=10.0)], USDT=5e4)
    with_order = replace(
        account, open_orders=(OpenOrder(symbol="BTCUSDT", side=Side.BUY, contracts=1.0, price=80_000.0),)
    )
    (plain,), (resting,) = build_pools(a_book(account)), build_pools(a_book(with_order))
    assert figures(resting)[2] - figures(plain)[2] == pytest.approx(8_000.0)
    assert figures(resting)[:2] == figures(plain)[:2]
    elsewhere = replace(with_order, id="okx:a", venue="okx", mode="futures", positions=())
    order = OpenOrder(symbol="BTC-USDT-SWAP", side=Side.BUY, contracts=1.0, price=80_000.0)
    with pytest.raises(NotSupportedError, match="okx"):
        build_pools(a_book(replace(elsewhere, open_orders=(order,))))


@pytest.mark.parametrize(
    ("account", "words", "kind"),
    [
        (an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0)]), "balances.USDT", InputError),
        (an_account("bybit", "uta_cross"), "balances", InputError),
        (an_account("bybit", "uta_cross", [a_position("BTCUSDT", 1.0)], USDT=1.0), "BTCUSDT.leverage", InputError),
        (an_account("bybit", "uta_cross", USDT=1.0, DOGE=1.0), "balances.DOGE", RulebookError),
        (
            an_account("bybit", "uta_cross", [a_position("BTCUSDT", 1.0, isolated_collateral_native=1.0)], USDT=1.0),
            "margin_mode",
            InputError,
        ),
        (an_account("binance", "coinm", [a_position("BTCUSDT", 1.0)], BTC=1.0), "coinm does not hold", InputError),
        (
            an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, isolated_collateral_native=-1.0)]),
            "isolated_collateral",
            InputError,
        ),
    ],
)
def test_what_is_missing_is_named_with_file_account_and_field(account, words, kind):
    book = a_book(account)
    with pytest.raises(kind, match=words) as caught:
        build_pools(book)
    assert caught.value.source is not None
    assert caught.value.account == account.id


def test_old_market_is_refused_with_its_file():
    book = a_book(an_account("bybit", "uta_cross", USDT=1.0))
    old = replace(book, market=replace(book.market, observed_at=AS_OF - timedelta(hours=2)))
    with pytest.raises(StaleDataError, match="7200 s") as caught:
        build_pools(old)
    assert caught.value.source == "test book"


def test_price_of_a_stable_coin_is_never_assumed():
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0)], USDT=1e4)
    with pytest.raises(InputError, match=r"asset_usd\.USDT"):
        build_pools(a_book(account, asset_usd={"BTC": 87_540.0}))


def test_one_instrument_by_two_names_is_refused():
    positions = [a_position("BTCUSDT", 1.0), a_position("BTC/USDT:USDT", 1.0, 80_000.0)]
    with pytest.raises(InputError, match="one position per instrument"):
        a_book(an_account("binance", "usdm_single_asset", positions, USDT=1e4))
