"""Roots of headroom on functions whose roots are known, and what a venue prints."""

from __future__ import annotations

import numpy as np
import pytest

from margincover.venues import liquidation_price
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, linear_pool, usdt_pool


@pytest.mark.parametrize(
    ("headroom", "down", "up"),
    [
        (lambda r: r - 0.8, 0.8, None),
        (lambda r: 1.25 - r, None, 1.25),
        (lambda r: (r - 0.5) * (3.0 - r), 0.5, 3.0),
        # Two roots below: the nearer one is where the pool is closed.
        (lambda r: (r - 0.3) * (r - 0.9), 0.9, None),
        (lambda r: r - 1e-6, 1e-6, None),
        (lambda r: 900.0 - r, None, 900.0),
        (lambda r: np.ones_like(r), None, None),
    ],
)
def test_nearest_roots_of_known_functions(headroom, down, up):
    found = liquidation_price.nearest_roots(headroom)
    for root, expected in zip(found, (down, up), strict=True):
        assert (root is None) == (expected is None)
        if expected is not None:
            assert root == pytest.approx(expected, rel=1e-12)


def test_long_without_enough_cash_to_lose_has_a_price_below_only():
    level = liquidation_price.instrument_levels(linear_pool(notional=1e5, cash=2e4))[0]
    # (1 - 0.2) / (1 - 0.005)
    assert level.down / level.mark_price == pytest.approx(0.8 / 0.995, rel=1e-12)
    assert level.up is None


def test_fully_paid_long_has_no_liquidation_price():
    level = liquidation_price.instrument_levels(linear_pool(notional=1e5, cash=1.01e5))[0]
    assert (level.down, level.up) == (None, None)


def test_hedged_pool_has_a_price_for_each_coin_with_the_other_held():
    pool = usdt_pool({"BTCUSDT": 1e5, "ETHUSDT": -1e5}, cash=2e4)
    bitcoin, ether = liquidation_price.instrument_levels(pool)
    assert (bitcoin.symbol, ether.symbol) == ("BTCUSDT", "ETHUSDT")
    assert bitcoin.down < MARKS["BTCUSDT"]
    assert ether.up > MARKS["ETHUSDT"]
    # Both coins together hardly move the pool: a fall costs nothing, and only a long rise of maintenance does.
    down, up = liquidation_price.common_move(pool)
    assert down is None
    assert up is None or up > 5.0


def test_pool_without_positions_has_no_liquidation_price():
    pool = build_pools(a_book(an_account("bybit", "uta_cross", USDT=5.0)))[0]
    assert liquidation_price.common_move(pool) == (None, None)
    assert liquidation_price.instrument_levels(pool) == ()


def test_common_move_of_one_coin_is_the_move_to_its_price():
    pool = linear_pool(notional=-1e5, cash=2e4)
    (level,) = liquidation_price.instrument_levels(pool)
    down, up = liquidation_price.common_move(pool)
    assert down is None
    assert 1.0 + up == pytest.approx(level.up / level.mark_price, rel=1e-12)


def test_isolated_position_ignores_the_wallet():
    def level(cash):
        position = a_position("BTCUSDT", 1.0, isolated_collateral_native=8_760.0, maintenance_fraction=0.005)
        book = a_book(an_account("binance", "usdm_single_asset", [position], USDT=cash))
        return liquidation_price.instrument_levels(build_pools(book)[-1])[0].down

    assert level(0.0) == level(1e9)
    assert level(0.0) == pytest.approx(87_600.0 * 0.9 / 0.995, rel=1e-12)
