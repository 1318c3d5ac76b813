"""Published figures of barrier options, touches and liquidation prices: the outside tests of first passage."""

from __future__ import annotations

import math

import pytest

from margincover.numeric.first_passage import BGK_BETA, BrownianLaw, Contract, touch_probability
from margincover.pricing.barrier import BarrierMarket, Knock, Right, barrier_option, cash_at_touch
from margincover.pricing.single_position import bankruptcy_price, liquidation_price


def test_down_and_in_calls_of_el_babsiri_and_noel():
    # babsiri-noel-down-in: El Babsiri, Noel (1998), Journal of Derivatives 6(2); spot 100, barrier 90, one year
    published = {0.1: 0.07187, 0.15: 0.60638, 0.2: 1.64005, 0.25: 2.98495, 0.3: 4.50952}
    for sigma, value in published.items():
        market = BarrierMarket(spot=100, barrier=90, sigma_annual=sigma, years=1, rate=0.05, carry=0.03)
        found = barrier_option(market, right=Right.CALL, knock=Knock.IN, strike=100)
        assert found == pytest.approx(value, rel=1e-4, abs=6e-6)


@pytest.mark.parametrize(
    ("right", "knock", "barrier", "published"),
    [
        # haug-barrier-options: Haug (1998), spot 100, rebate 3, half a year, rate 8 %, carry 4 %, volatility 25 %;
        # strikes 90, 100, 110
        (Right.CALL, Knock.OUT, 95, (9.0246, 6.7924, 4.8759)),
        (Right.CALL, Knock.OUT, 105, (2.6789, 2.3580, 2.3453)),
        (Right.CALL, Knock.IN, 95, (7.7627, 4.0109, 2.0576)),
        (Right.CALL, Knock.IN, 105, (14.1112, 8.4482, 4.5910)),
        (Right.PUT, Knock.OUT, 95, (2.2798, 2.2947, 2.6252)),
        (Right.PUT, Knock.OUT, 105, (3.7760, 5.4932, 7.5187)),
        (Right.PUT, Knock.IN, 95, (2.9586, 6.5677, 11.9752)),
        (Right.PUT, Knock.IN, 105, (1.4653, 3.3721, 7.0846)),
    ],
)
def test_barrier_options_of_haug(right, knock, barrier, published):
    market = BarrierMarket(spot=100, barrier=barrier, sigma_annual=0.25, years=0.5, rate=0.08, carry=0.04)
    found = [barrier_option(market, right=right, knock=knock, strike=k, rebate=3.0) for k in (90, 100, 110)]
    assert found == pytest.approx(published, abs=6e-5)


def test_cash_at_a_touch_of_haug():
    # haug-cash-at-hit: cash 15, barrier 100, half a year, rate and carry 10 %, volatility 20 %
    for spot, value in ((105.0, 9.7264), (95.0, 11.6553)):
        market = BarrierMarket(spot=spot, barrier=100, sigma_annual=0.2, years=0.5, rate=0.1, carry=0.1)
        assert cash_at_touch(market, cash=15.0) == pytest.approx(value, abs=6e-5)


def test_cash_at_a_touch_without_a_rate_is_the_touch_probability():
    market = BarrierMarket(spot=100, barrier=80, sigma_annual=0.8, years=10 / 365)
    law = BrownianLaw(sigma_annual=0.8, horizon_years=10 / 365, log_drift_annual=-0.32)
    expected = touch_probability(law, log_barrier=math.log(0.8))
    assert cash_at_touch(market, cash=1.0) == pytest.approx(expected, rel=1e-12)


def test_discrete_barriers_of_broadie_glasserman_and_kou():
    # bgk-beta; bgk-table-down-out-call: spot and strike 100, 30 %, rate 10 %, 0.2 years, watched 50 times, barrier 90
    assert pytest.approx(0.5826, abs=5e-5) == BGK_BETA
    every, watched = (
        BarrierMarket(
            spot=100, barrier=90, sigma_annual=0.3, years=0.2, rate=0.1, carry=0.1, watch_interval_years=interval
        )
        for interval in (0.0, 0.2 / 50)
    )
    assert barrier_option(every, right=Right.CALL, knock=Knock.OUT, strike=100) == pytest.approx(5.977, abs=6e-4)
    assert barrier_option(watched, right=Right.CALL, knock=Knock.OUT, strike=100) == pytest.approx(6.098, abs=6e-4)


def test_liquidation_prices_at_ten_times_leverage():
    # liquidation-price-linear-inverse: maintenance 0.5 %, entry 1
    found = [liquidation_price(c, entry_price=1.0, leverage=10.0, maintenance_fraction=0.005) for c in Contract]
    assert found == pytest.approx([0.9045226, 1.094527, 0.9136364, 1.105556], rel=1e-6)


def test_liquidation_prices_of_the_deleveraging_paper():
    # adl-liquidation-prices: Chitra et al., arXiv:2512.01112, appendix, maintenance 10 %. The paper prints prices; the
    # leverages 1, 1.5 (both sides), 9.5 long and 9.9 short are worked back from them.
    cases = [
        (Contract.LINEAR_LONG, 1.0, 0.0),
        (Contract.LINEAR_LONG, 1.5, 0.3704),
        (Contract.LINEAR_SHORT, 1.5, 1.5152),
        (Contract.LINEAR_LONG, 9.5, 0.9942),
        (Contract.LINEAR_SHORT, 9.9, 1.001),
    ]
    for contract, leverage, published in cases:
        found = liquidation_price(contract, entry_price=1.0, leverage=leverage, maintenance_fraction=0.1)
        assert found == pytest.approx(published, rel=1e-4, abs=1e-4)


def test_bankruptcy_prices():
    assert bankruptcy_price(Contract.LINEAR_LONG, entry_price=100.0, leverage=4.0) == pytest.approx(75.0)
    assert bankruptcy_price(Contract.LINEAR_SHORT, entry_price=100.0, leverage=4.0) == pytest.approx(125.0)
    assert bankruptcy_price(Contract.INVERSE_SHORT, entry_price=100.0, leverage=1.0) is None
    assert bankruptcy_price(Contract.LINEAR_LONG, entry_price=100.0, leverage=0.5) is None
