"""Invariants of margin and of liquidation prices that hold for every account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.model.position import Bucket
from margincover.model.rules import TierKernel
from margincover.numeric.arrays import frozen
from margincover.venues import kernels, liquidation_price, margin, registry
from margincover.venues.pools import build_pools
from tests.books import AS_OF, a_book, a_position, an_account, inverse_pool, linear_pool, scale_of
from tests.strategies import SHAPES, books

PROGRESSIVE = [
    (venue, key, table)
    for venue in ("binance", "bybit", "hyperliquid", "okx")  # the venues with tables by size at that date
    for key, table in registry.rulebook(venue, at=AS_OF).tier_tables.items()
    if table.kernel is TierKernel.PROGRESSIVE and len(table.tiers) > 1
]
NOTIONAL = st.floats(0.0, 1e9)


def columns(table):
    names = ("floor", "maintenance_fraction", "deduction")
    return [np.array([getattr(tier, name) for tier in table.tiers]) for name in names]


def maintenance_of(table, notional):
    floors, fractions, deductions = columns(table)
    return kernels.tiered_maintenance(notional=notional, floors=floors, fractions=fractions, deductions=deductions)


@settings(max_examples=100)
@given(which=st.sampled_from(PROGRESSIVE), notional=NOTIONAL)
def test_progressive_tier_is_the_maximum_over_all_lines(which, notional):
    table = which[2]
    _, fractions, deductions = columns(table)
    expected = np.max(fractions * notional - deductions)
    assert expected == pytest.approx(float(maintenance_of(table, notional)), rel=1e-9, abs=1e-9)


@settings(max_examples=100)
@given(which=st.sampled_from(PROGRESSIVE), ends=st.tuples(NOTIONAL, NOTIONAL), weight=st.floats(0.0, 1.0))
def test_progressive_maintenance_is_convex_and_rises(which, ends, weight):
    table = which[2]
    low, high = min(ends), max(ends)
    at_low, between, at_high = maintenance_of(table, np.array([low, low + weight * (high - low), high]))
    room = 1e-9 * (1.0 + at_high)
    assert between <= at_low + weight * (at_high - at_low) + room
    assert -room <= at_low <= between + room
    assert between <= at_high + room


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_account_without_positions_needs_nothing(shape):
    account = an_account(shape.venue, shape.mode, **dict.fromkeys(shape.assets, 3.0))
    risk = margin.evaluate(build_pools(a_book(account)))
    assert len(risk.pool_ids) == (0 if not shape.assets else 1 if shape.mode == "uta_cross" else len(shape.assets))
    assert (risk.maintenance == 0.0).all()
    assert (risk.initial == 0.0).all()
    assert (risk.equity > 0.0).all()


def test_account_of_zero_balances_is_worth_zero():
    risk = margin.evaluate(build_pools(a_book(an_account("bybit", "uta_cross", USDT=0.0, BTC=0.0))))
    assert (risk.equity == 0.0).all()
    assert (risk.maintenance == 0.0).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=25)
@given(data=st.data())
def test_maintenance_does_not_fall_when_a_position_grows(shape, data):
    book = data.draw(books(shape, least=1))
    account = book.accounts[0]
    grown = data.draw(st.integers(0, len(account.positions) - 1))
    factor = data.draw(st.floats(1.0, 20.0))
    positions = [
        replace(p, contracts=p.contracts * factor) if k == grown else p for k, p in enumerate(account.positions)
    ]
    before = build_pools(book)
    after = build_pools(replace(book, accounts=(replace(account, positions=tuple(positions)),)))
    for small, large in zip(before, after, strict=True):
        needs = [margin_of_legs(pool) for pool in (small, large)]
        assert needs[1] >= needs[0] - 1e-9 * scale_of(large)


def margin_of_legs(pool):
    """Return maintenance of the positions alone: a loss of the larger position may also add to borrowed coins."""
    now = np.ones(1)
    legs = range(pool.legs.count)
    price = pool.assets.price_unit
    return sum(
        float(margin.leg_maintenance(pool, leg, margin.leg_notional(pool, leg, now))[0])
        * price[pool.legs.asset_index[leg]]
        for leg in legs
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=20)
@given(data=st.data())
def test_liquidation_prices_are_roots_with_headroom_up_to_them(shape, data):
    for pool in build_pools(data.draw(books(shape, least=1, shift=1.0137))):
        check_levels(pool)
        check_common_move(pool)


def check_levels(pool):
    for level in liquidation_price.instrument_levels(pool):
        moved = np.array([symbol == level.symbol for symbol in pool.legs.symbols])

        def headroom(prices, moved=moved, mark=level.mark_price):
            ratio = np.where(moved[:, None], np.asarray(prices)[None, :] / mark, 1.0)
            equity, maintenance, _ = margin.evaluate_legs(pool, ratio, np.ones((pool.assets.count, ratio.shape[1])))
            return equity - maintenance

        for root in (level.down, level.up):
            check_root(pool, headroom, level.mark_price, root)


def check_common_move(pool):
    def headroom(ratio):
        factors = np.repeat(np.asarray(ratio)[None, :], len(pool.factors), axis=0)
        equity, maintenance, _ = margin.evaluate_pool(pool, factors)
        return equity - maintenance

    down, up = liquidation_price.common_move(pool)
    assert down is None or down <= 0.0
    assert up is None or up >= 0.0
    for move in (down, up):
        check_root(pool, headroom, 1.0, None if move is None else 1.0 + move)


def check_root(pool, headroom, start, root):
    """Check by evaluation alone, without the solver: zero at the root, one sign from the mark to the root."""
    if root is None:
        return
    # An inverse value grows as the price falls, so the scale of rounding is that at the root.
    room = 1e-9 * scale_of(pool) * max(root / start, start / root)
    assert abs(float(headroom(np.array([root]))[0])) < room
    between = headroom(np.linspace(start, root, 203)[1:-1])
    sign = np.sign(float(headroom(np.array([start]))[0]))
    assert (sign * between >= -room).all()


@given(
    leverage=st.floats(1.5, 100.0),
    rate=st.floats(0.001, 0.009),
    side=st.sampled_from([1.0, -1.0]),
)
def test_linear_liquidation_price_is_the_closed_form(leverage, rate, side):
    # Equity = maintenance: long (q P0 - W) / (q (1 - m)), short (q P0 + W) / (q (1 + m)), with W = q P0 / leverage.
    pool = linear_pool(notional=side * 1e5, cash=1e5 / leverage, maintenance_fraction=rate)
    level = liquidation_price.instrument_levels(pool)[0]
    found = (level.down if side > 0 else level.up) / level.mark_price
    assert found == pytest.approx((1.0 - side / leverage) / (1.0 - side * rate), rel=1e-9)


@given(
    leverage=st.floats(1.5, 100.0),
    rate=st.floats(0.001, 0.009),
    side=st.sampled_from([1.0, -1.0]),
)
def test_inverse_liquidation_price_is_the_closed_form(leverage, rate, side):
    # Equity = maintenance: long n (1 + m) / (C + n / P0), short n (1 - m) / (n / P0 - C), with C = n / (P0 leverage).
    pool = inverse_pool(notional_coin=side * 2.0, cash=2.0 / leverage, maintenance_fraction=rate)
    level = liquidation_price.instrument_levels(pool)[0]
    found = (level.down if side > 0 else level.up) / level.mark_price
    assert found == pytest.approx((1.0 + side * rate) / (1.0 + side / leverage), rel=1e-9)


@given(cash=st.floats(-5e5, 5e5), side=st.sampled_from([1.0, -1.0]), move=st.floats(-0.6, 2.0))
def test_long_and_short_of_one_size_mirror_each_other(cash, side, move):
    # Profits are opposite, so the equities add up to twice the cash; maintenance is the same.
    ratio = np.array([[1.0 + move]])
    linear = [linear_pool(notional=s * 1e5, cash=cash) for s in (side, -side)]
    inverse = [inverse_pool(notional_coin=s * 2.0, cash=cash / 1e5) for s in (side, -side)]
    for pair, money in ((linear, cash), (inverse, cash / 1e5)):
        mine, other = (margin.evaluate_pool(pool, ratio) for pool in pair)
        assert mine[0][0] + other[0][0] == pytest.approx(2.0 * money, abs=1e-9 * scale_of(pair[0]))
        assert mine[1][0] == pytest.approx(other[1][0], rel=1e-12)


def test_inverse_long_is_closer_to_liquidation_than_a_linear_one_and_the_short_farther():
    # At 10x and 0.5 %: 0.90452, 1.09453 linear; 0.91364, 1.10556 inverse.
    roots = []
    for side in (1.0, -1.0):
        for pool in (linear_pool(notional=side * 1e5, cash=1e4), inverse_pool(notional_coin=side, cash=0.1)):
            level = liquidation_price.instrument_levels(pool)[0]
            roots.append((level.down if side > 0 else level.up) / level.mark_price)
    assert roots == pytest.approx([0.90452, 0.91364, 1.09453, 1.10556], abs=5e-6)


def test_hedge_of_equal_legs_has_no_liquidation_price_of_its_instrument():
    legs = [
        a_position("BTCUSDT", 1.0, bucket=Bucket.LONG, maintenance_fraction=0.0),
        a_position("BTCUSDT", -1.0, bucket=Bucket.SHORT, maintenance_fraction=0.0),
    ]
    pool = build_pools(a_book(an_account("binance", "usdm_single_asset", legs, USDT=100.0)))[0]
    (level,) = liquidation_price.instrument_levels(pool)
    assert (level.down, level.up) == (None, None)


def test_cash_moves_equity_one_for_one_and_nothing_else():
    pool = linear_pool(notional=1e5, cash=1e4)
    richer = replace(pool, assets=replace(pool.assets, balance_native=frozen([1e4 + 777.0], name="balance")))
    before, after = (margin.evaluate_pool(each, np.array([[0.7, 1.0, 1.9]])) for each in (pool, richer))
    assert after[0] - before[0] == pytest.approx(777.0, abs=1e-9)
    assert (after[1] == before[1]).all()
