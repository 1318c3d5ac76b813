"""Binance multi-assets mode and portfolio margin behind the book: drawn accounts against exact twins, invariants."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.coverage.reconcile import reconcile
from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account, AccountReport
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, OpenOrder, Position, Side
from margincover.venues import margin, registry
from margincover.venues.binance import multi_assets, portfolio
from margincover.venues.explain import explain_pool
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 6, 15, tzinfo=UTC)
USD = {"BTC": 90_000.0, "ETH": 3_000.0, "USDT": 0.9995, "USDC": 1.0002, "ADA": 0.7}
MARK = {"BTCUSDT": 90_040.0, "BTCUSDC": 90_020.0, "ETHUSDT": 3_001.0, "BTCUSD_PERP": 90_010.0}
SETTLE = {"BTCUSDT": "USDT", "BTCUSDC": "USDC", "ETHUSDT": "USDT", "BTCUSD_PERP": "BTC"}
# Rate and deduction that positions state, so that the twin needs no bracket table.
RATE, DEDUCTION, LEVERAGE, ENTRY = 0.0075, 1e-9, 20.0, 88_000.0
LINE = 1.05
EDITION = """
[[edition]]
id = "own-{name}"
block = "collateral"
valid_from = 2026-01-01
observed = 2026-06-14
source = "own account"
retrieved = "2026-06-14"
confidence = "CONFIRMED"
[edition.collateral."{key}"]
slices = {slices}
borrow_maintenance_fraction = {borrow}
{more}
"""
BUFFERS = {"BTC": (0.05, 0.05), "USDT": (0.0001, 0.0001), "USDC": (0.0, 0.002)}
WEIGHTS = {"BTC": 0.95, "ETH": 0.9, "USDT": 0.9999}
SIZE = st.one_of(st.just(0.0), st.floats(-5.0, 5.0).map(lambda x: round(x, 3)))
CASH = st.floats(-1e6, 1e6)
COINS = st.floats(-10.0, 20.0)
RATIO = st.floats(0.2, 4.0)


def own_rules(*editions):
    return (registry.RuleSource(text='venue = "binance"\n' + "".join(editions), source="own.toml"),)


def edition(key, *, slices, borrow=0.0, more=""):
    return EDITION.format(name=key.replace("/", "-"), key=key, slices=slices, borrow=borrow, more=more)


MULTI_RULES = own_rules(edition("usdm_multi_assets/USDC", slices="[[0, inf, 1.0]]", more="owed_weight = 1.002"))
PORTFOLIO_RULES = own_rules(
    edition("ETH", slices="[[0, inf, 0.9]]", borrow=0.08),
    edition("USDT", slices="[[0, inf, 0.9999]]", borrow=0.05),
)


def book_of(mode, sizes, balances, *, rules=(), orders=(), reported=(), leverage=LEVERAGE):
    positions = tuple(
        Position(
            symbol=symbol,
            contracts=size,
            entry_price=ENTRY if symbol.startswith("BTC") else 2_900.0,
            leverage=leverage,
            maintenance_fraction=RATE,
            maintenance_deduction_native=0.0,
        )
        for symbol, size in sizes.items()
        if size
    )
    account = Account(
        id="binance:drawn",
        venue="binance",
        mode=mode,
        positions=positions,
        balances=tuple(balances),
        open_orders=tuple(orders),
        reported=tuple(reported),
    )
    market = MarketState(as_of=AT, observed_at=AT, marks=MARK, asset_usd=USD)
    return resolve(BookInput(as_of=AT, accounts=(account,), market=market, source="drawn"), extra_rules=rules)


def pool_of(mode, sizes, balances, **more):
    (pool,) = build_pools(book_of(mode, sizes, balances, **more))
    return pool


def amounts(**held):
    return [Balance(asset=asset, total_native=total) for asset, total in held.items()]


def evaluated(pool, ratio=1.0):
    """Return equity, maintenance and initial margin of the pool when BTC moves."""
    factors = np.ones((len(pool.factors), 1))
    factors[[name == "BTC" for name in pool.factors]] = ratio
    return tuple(float(value[0]) for value in margin.evaluate_pool(pool, factors))


def leg(symbol, size, ratio):
    """Return (notional, profit) of a leg in its settle asset when BTC moves."""
    price = MARK[symbol] * (ratio if symbol.startswith("BTC") else 1.0)
    if symbol == "BTCUSD_PERP":
        return abs(size) * 100.0 / price, size * 100.0 * (1.0 / ENTRY - 1.0 / price)
    return abs(size) * price, size * (price - (ENTRY if symbol.startswith("BTC") else 2_900.0))


def close(value, scale):
    # Double arithmetic leaves about 1e-15 of the values that are added; 1e-10 of their scale is the contract.
    return pytest.approx(value, rel=1e-10, abs=1e-10 * scale)


@given(tether=SIZE, circle=SIZE, ether=SIZE, coins=COINS, usdt=CASH, usdc=CASH, ratio=RATIO)
def test_multi_assets_equals_the_twin(tether, circle, ether, coins, usdt, usdc, ratio):
    sizes = {"BTCUSDT": tether, "BTCUSDC": circle, "ETHUSDT": ether}
    pool = pool_of("usdm_multi_assets", sizes, amounts(BTC=coins, USDT=usdt, USDC=usdc), rules=MULTI_RULES)
    equity, maintenance, initial = evaluated(pool, ratio)
    held = {"BTC": coins, "USDT": usdt, "USDC": usdc}
    notional = dict.fromkeys(held, 0.0)
    for symbol, size in sizes.items():
        value, profit = leg(symbol, size, ratio)
        held[SETTLE[symbol]] += profit
        notional[SETTLE[symbol]] += value
    twin = multi_assets.account_reference(
        [
            multi_assets.ReferenceAsset(
                index_price=USD[asset] * (ratio if asset == "BTC" else 1.0),
                bid_buffer_fraction=BUFFERS[asset][0],
                ask_buffer_fraction=BUFFERS[asset][1],
                equity=held[asset],
                initial_margin=notional[asset] / LEVERAGE,
                maintenance_margin=notional[asset] * RATE,
            )
            for asset in held
        ]
    )
    scale = sum(notional.values()) + abs(usdt) + abs(usdc) + abs(coins) * USD["BTC"] * ratio + 5e6
    assert equity == close(twin["equity_usd"], scale)
    assert maintenance == close(twin["maintenance_usd"], sum(notional.values()))
    assert initial == close(twin["initial_usd"], sum(notional.values()))


@given(
    tether=SIZE,
    inverse=st.integers(-3_000, 3_000),
    ether=SIZE,
    coins=st.floats(0.0, 20.0),
    loan=st.floats(0.0, 10.0),
    ether_loan=st.floats(0.0, 100.0),
    usdt=CASH,
    loss=st.floats(0.0, 1e4),
    ratio=RATIO,
)
def test_portfolio_margin_equals_the_twin(tether, inverse, ether, coins, loan, ether_loan, usdt, loss, ratio):
    sizes = {"BTCUSDT": tether, "BTCUSD_PERP": float(inverse), "ETHUSDT": ether}
    balances = [
        Balance(asset="BTC", total_native=coins, borrowed_native=loan),
        Balance(asset="ETH", total_native=50.0, borrowed_native=ether_loan),
        Balance(asset="USDT", total_native=usdt),
        Balance(asset="USD", total_native=-loss),
    ]
    pool = pool_of("portfolio_margin", sizes, balances, rules=PORTFOLIO_RULES)
    equity, maintenance, initial = evaluated(pool, ratio)
    held = {"BTC": coins - loan, "ETH": 50.0 - ether_loan, "USDT": usdt}
    index = {"BTC": USD["BTC"] * ratio, "ETH": USD["ETH"], "USDT": USD["USDT"]}
    notional = dict.fromkeys(held, 0.0)
    for symbol, size in sizes.items():
        value, profit = leg(symbol, size, ratio)
        held[SETTLE[symbol]] += profit
        notional[SETTLE[symbol]] += value
    # No rate is stated for loans of BTC: 10 %, the highest. ETH has 8 %, which is a margin leverage of 5.
    loans = {"BTC": (loan, 0.10), "ETH": (ether_loan, 0.08), "USDT": (0.0, 0.05)}
    twin = portfolio.account_reference(
        [
            portfolio.ReferenceHolding(
                equity=held[asset],
                index_price=index[asset],
                collateral_weight=WEIGHTS[asset],
                open_loss=loss / index[asset] if asset == "USDT" else 0.0,
                futures_maintenance=notional[asset] * RATE,
                loan=loans[asset][0],
                loan_rate_fraction=loans[asset][1],
            )
            for asset in held
        ]
    )
    value = sum(notional[asset] * index[asset] for asset in held)
    scale = value + abs(usdt) + loss + (coins + loan) * index["BTC"] + (50.0 + ether_loan) * 3_000.0 + 5e6
    assert equity == close(twin["adjusted_usd"], scale)
    assert maintenance == close(LINE * twin["maintenance_usd"], scale)
    assert initial == close(value / LEVERAGE + loan * index["BTC"] / 2.0 + ether_loan * 3_000.0 / 4.0, scale)


@given(tether=SIZE, inverse=st.integers(-3_000, 3_000), coins=st.floats(0.0, 20.0), loan=st.floats(0.0, 10.0))
def test_explain_sums_to_what_is_computed(tether, inverse, coins, loan):
    for mode in ("portfolio_margin", "portfolio_margin_pro"):
        balances = [Balance(asset="BTC", total_native=coins, borrowed_native=loan), *amounts(USDT=-100.0)]
        sizes = {"BTCUSDT": tether, "BTCUSD_PERP": float(inverse)}
        pool = pool_of(mode, sizes, balances, rules=PORTFOLIO_RULES)
        trees = explain_pool(pool)
        scale = 1e-9 * (1.0 + abs(tether) * 90_000.0 + abs(inverse) * 100.0 + (coins + loan) * 90_000.0)
        assert [tree.value for tree in trees] == pytest.approx(evaluated(pool), rel=1e-9, abs=scale)
        assert pool.model is not None
        assert pool.model.initial_known is (mode == "portfolio_margin")


@given(size=st.floats(0.001, 5.0), more=st.floats(1.0, 10.0), ratio=RATIO, short=st.booleans())
def test_requirement_never_falls_when_a_position_grows(size, more, ratio, short):
    sign = -1.0 if short else 1.0
    for mode, rules in (("usdm_multi_assets", MULTI_RULES), ("portfolio_margin", PORTFOLIO_RULES)):
        found = [
            evaluated(pool_of(mode, {"BTCUSDT": sign * size * by}, amounts(USDT=1e5), rules=rules), ratio)
            for by in (1.0, more)
        ]
        assert found[1][1] >= found[0][1] * (1.0 - 1e-12)
        assert found[1][2] >= found[0][2] * (1.0 - 1e-12)


@pytest.mark.parametrize("mode", ["usdm_multi_assets", "portfolio_margin", "portfolio_margin_pro"])
def test_an_account_that_holds_nothing_needs_nothing(mode):
    pool = pool_of(mode, {}, amounts(USDT=0.0), rules=PORTFOLIO_RULES)
    assert evaluated(pool) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("mode", ["usdm_multi_assets", "portfolio_margin"])
def test_the_figures_do_not_depend_on_the_number_of_paths(mode):
    rules = (*MULTI_RULES, *PORTFOLIO_RULES)
    pool = pool_of(mode, {"BTCUSDT": 1.3, "ETHUSDT": -7.0}, amounts(BTC=0.7, USDT=-2_000.0), rules=rules)
    ratios = np.linspace(0.5, 2.0, 1_001)[None, :] * np.ones((len(pool.factors), 1))
    together = margin.evaluate_pool(pool, ratios)
    for path in (0, 17, 500, 1_000):
        alone = margin.evaluate_pool(pool, ratios[:, path : path + 1])
        assert [float(value[0]) for value in alone] == [float(value[path]) for value in together]


def test_liquidation_stands_where_uni_mmr_is_at_the_line():
    # 1 BTC long at 90,040 with 10,000 USDT: equity 10,000 + P - 88,000, venue maintenance 0.75 % of P.
    pool = pool_of("portfolio_margin", {"BTCUSDT": 1.0}, amounts(USDT=10_000.0), rules=PORTFOLIO_RULES)
    # 0.9999 (P - 78,000) = 1.05 x 0.0075 P gives the price.
    price = 0.9999 * 78_000.0 / (0.9999 - LINE * RATE)
    equity, maintenance, _ = evaluated(pool, price / MARK["BTCUSDT"])
    assert equity == pytest.approx(maintenance, rel=1e-9)
    # The reminder line: uniMMR of 1.5 is the warning level of the pool.
    edition_in_force = parameters("binance", mode="portfolio_margin", underlying="*", at=AT)
    rule = portfolio.PortfolioParameters.from_mapping(edition_in_force.values, source=edition_in_force.id)
    assert pool.margin_call_coverage_ratio == pytest.approx(rule.reminder_ratio / rule.liquidation_ratio, rel=1e-15)


def test_portfolio_margin_says_the_venues_own_figures_and_compares_with_them():
    # 1 BTC at 90,040 USDT of 0.9995: venue maintenance 0.0075 x 90,040 x 0.9995 = 674.96 USD; equity
    # 12,040 x 0.9995 x 0.9999 = 12,032.78 USD, uniMMR 17.8274.
    own = 0.0075 * 90_040.0 * 0.9995
    ratio = 12_040.0 * 0.9995 * 0.9999 / own
    report = AccountReport(asset="USD", maintenance_native=own, ratio=ratio, ratio_kind="equity_over_mm")
    book = book_of(
        "portfolio_margin", {"BTCUSDT": 1.0}, amounts(USDT=10_000.0), rules=PORTFOLIO_RULES, reported=[report]
    )
    pools = build_pools(book)
    assert f"maintenance margin is {own:,.2f} USD and uniMMR {ratio:,.4f}" in " ".join(pools[0].notes)
    _, rows = reconcile(book, pools, pool_statuses(pools))
    found = {row.figure: row for row in rows}
    assert found["maintenance margin"].ours == pytest.approx(own, rel=1e-12)
    assert found["ratio (equity_over_mm)"].ours == pytest.approx(ratio, rel=1e-12)
    assert all(abs(row.difference_bps) < 1e-6 for row in rows)


def test_a_loan_is_margined_although_the_coin_is_still_held():
    # 3 of 5 ETH are borrowed: 2 ETH count at 90 %, the loan needs 8 % of 9,000 USD = 720, times 1.05.
    balance = Balance(asset="ETH", total_native=5.0, borrowed_native=3.0)
    pool = pool_of("portfolio_margin", {}, [balance], rules=PORTFOLIO_RULES)
    assert evaluated(pool) == pytest.approx((5_400.0, 756.0, 2_250.0), rel=1e-12)


def test_resting_orders_of_multi_assets_mode_convert_at_the_ask():
    # FAQ 4f83b65d: 0.5 at 90,040 with a bid of 0.1 at 85,000, leverage 20: 8,500 / 20 = 425 USDT beyond the position.
    order = OpenOrder(symbol="BTCUSDT", side=Side.BUY, contracts=0.1, price=85_000.0)
    held = ({"BTCUSDT": 0.5}, amounts(USDT=10_000.0))
    without, pool = pool_of("usdm_multi_assets", *held), pool_of("usdm_multi_assets", *held, orders=[order])
    assert pool.open_order_initial == pytest.approx(425.0 * 0.9995 * 1.0001, rel=1e-12)
    assert evaluated(pool)[2] - evaluated(without)[2] == pytest.approx(pool.open_order_initial, rel=1e-9)
    assert any("one-way rule of single-asset mode" in note for note in pool.notes)


def test_resting_orders_of_portfolio_margin_are_refused():
    order = OpenOrder(symbol="BTCUSDT", side=Side.BUY, contracts=0.1, price=85_000.0)
    with pytest.raises(NotSupportedError, match="resting orders in mode portfolio_margin"):
        pool_of("portfolio_margin", {"BTCUSDT": 0.5}, amounts(USDT=1e4), rules=PORTFOLIO_RULES, orders=[order])


def test_a_wallet_beyond_the_auto_exchange_threshold_is_named():
    deep = pool_of("usdm_multi_assets", {"BTCUSDT": 0.5}, amounts(BTC=1.0, USDT=-10_100.0))
    assert any("USDT wallet of -10,100.00 lies below" in note for note in deep.notes)
    shallow = pool_of("usdm_multi_assets", {"BTCUSDT": 0.5}, amounts(BTC=1.0, USDT=-9_900.0))
    assert not any("auto-exchange" in note for note in shallow.notes)


@pytest.mark.parametrize(
    ("mode", "balances", "rules", "kind", "said"),
    [
        ("usdm_multi_assets", amounts(ETH=1.0), (), RulebookError, r"balances.ETH: ETH has no buffers in force"),
        (
            "usdm_multi_assets",
            amounts(ETH=1.0),
            own_rules(edition("usdm_multi_assets/ETH", slices="[[0, inf, 0.95]]")),
            RulebookError,
            r"usdm_multi_assets/ETH: 1 slices, owed_weight None; allowed: .*owed_weight = 1 \+ askBuffer",
        ),
        ("portfolio_margin", amounts(ETH=1.0), (), RulebookError, r"balances.ETH: ETH has no collateral rate in force"),
        ("portfolio_margin", amounts(USD=5.0), (), InputError, r"balances.USD: was 5; allowed: 0 or less"),
        (
            "portfolio_margin",
            [Balance(asset="BTC", total_native=1.0, borrowed_native=0.5, is_collateral=False)],
            (),
            InputError,
            r"balances.BTC.is_collateral: BTC of 1 with 0.5 borrowed is not counted",
        ),
        (
            "usdm_multi_assets",
            [Balance(asset="BTC", total_native=-1.0, is_collateral=False)],
            (),
            InputError,
            r"balances.BTC.is_collateral",
        ),
        (
            "portfolio_margin",
            [Balance(asset="ETH", total_native=1.0, borrowed_native=0.5)],
            own_rules(edition("ETH", slices="[[0, inf, 0.9]]", borrow=0.07)),
            RulebookError,
            r"collateral.ETH.borrow_maintenance_fraction: was 0.07; allowed: 0.1 \(3x margin leverage\)",
        ),
    ],
    ids=["no buffer", "no ask", "no rate", "usd held", "loan not counted", "debt not counted", "loan rate"],
)
def test_what_is_not_known_is_refused_by_name(mode, balances, rules, kind, said):
    with pytest.raises(kind, match=rf"binance:drawn.*{said}"):
        pool_of(mode, {}, balances, rules=rules)


@pytest.mark.parametrize("weight", ["0.95", "5", "nan"])
def test_an_owed_weight_that_is_no_weight_is_refused(weight):
    rules = own_rules(edition("usdm_multi_assets/ETH", slices="[[0, inf, 0.95]]", more=f"owed_weight = {weight}"))
    with pytest.raises(RulebookError, match="owed_weight"):
        pool_of("usdm_multi_assets", {}, amounts(ETH=1.0), rules=rules)


def test_a_coin_that_is_listed_but_not_held_needs_no_buffers():
    pool = pool_of("usdm_multi_assets", {"BTCUSDT": 0.1}, amounts(USDT=1e4, ADA=0.0, ETH=0.0))
    assert math.isfinite(evaluated(pool)[0])
