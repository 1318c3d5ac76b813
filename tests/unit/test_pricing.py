"""Values and profits of one contract, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from margincover.pricing import funding, inverse, linear, spot

PRICES = np.array([8_000.0, 10_000.0, 12_500.0])


def test_linear_profit_is_size_times_move():
    # 2 coins from 10,000: -4,000, 0, +5,000; a short the opposite.
    assert linear.profit(signed_size=2.0, entry_price=10_000.0, price=PRICES).tolist() == [-4_000.0, 0.0, 5_000.0]
    assert linear.profit(signed_size=-2.0, entry_price=10_000.0, price=PRICES).tolist() == [4_000.0, 0.0, -5_000.0]
    assert linear.notional(size=2.0, price=PRICES).tolist() == [16_000.0, 20_000.0, 25_000.0]


def test_inverse_profit_is_in_coin_and_loses_more_than_it_gains():
    # 10,000 USD long from 10,000: 1 coin is worth 1.25 coins at 8,000 and 0.8 at 12,500.
    expected = [-0.25, 0.0, 0.2]
    assert inverse.profit(signed_size=10_000.0, entry_price=10_000.0, price=PRICES) == pytest.approx(expected)
    assert inverse.profit(signed_size=-10_000.0, entry_price=10_000.0, price=PRICES) == pytest.approx(
        [-each for each in expected]
    )
    assert inverse.notional(size=10_000.0, price=PRICES) == pytest.approx([1.25, 1.0, 0.8])


def test_inverse_long_with_its_coin_of_collateral_is_worth_a_constant_in_dollars():
    # One coin and a short of 10,000 USD from 10,000: a synthetic dollar, whatever the price.
    coins = 1.0 + inverse.profit(signed_size=-10_000.0, entry_price=10_000.0, price=PRICES)
    assert spot.value(amount=coins, price=PRICES) == pytest.approx([10_000.0] * 3)


@pytest.mark.parametrize(("side", "expected"), [(1.0, -3.0), (-1.0, 3.0)])
def test_positive_funding_is_paid_by_longs_and_received_by_shorts(side, expected):
    # 1 basis point per 8 hours on 10,000 for 24 hours: 3.
    flow = funding.accrual(signed_notional=side * 10_000.0, rate_per_hour=0.0001 / 8.0, hours=24.0)
    assert float(flow) == pytest.approx(expected)


def test_debt_counts_at_the_full_price():
    assert spot.value(amount=np.array([-2.0, 3.0]), price=50.0).tolist() == [-100.0, 150.0]
