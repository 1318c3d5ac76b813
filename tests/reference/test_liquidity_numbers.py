"""Published and exact figures of liquidity and debt coverage, with their sources."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.liquidity.execution import (
    AVERAGE_OF_IMPACT,
    ExecutionMarket,
    best_schedule,
    least_lvar,
    lognormal_loss_fraction,
    spread_lvar,
    square_root_impact,
)
from margincover.liquidity.ladder import liquid_stock
from margincover.liquidity.loans import fall_until, health_after_repayment, health_factor

# Almgren, Chriss (2000), J. Risk 3:5-39, their example: a million shares at 50 in five days, 30 % a year.
EXAMPLE = ExecutionMarket(
    units=1e6,
    horizon=5.0,
    periods=5,
    sigma=0.95,
    fixed_cost=0.0625,
    permanent_impact=2.5e-7,
    temporary_impact=2.5e-6,
)


@pytest.mark.parametrize(
    ("risk_aversion", "mean", "variance", "half_life"),
    [(1e-9, 0.6625, 1.0812, 51.3), (2e-9, 0.6625, 1.0794, 36.27), (5e-9, 0.6625, 1.0740, 22.94),
     (9e-9, 0.6626, 1.0669, 17.1)],
)  # fmt: skip
def test_frontier_of_almgren_and_chriss(risk_aversion, mean, variance, half_life):
    # almgren-chriss-frontier: four rows of the published run of DROP; printed to the digits shown
    found = best_schedule(EXAMPLE, risk_aversion)
    assert found.expected_cost / 1e6 == pytest.approx(mean, abs=6e-5)
    assert found.cost_variance / 1e12 == pytest.approx(variance, abs=6e-5)
    assert 1.0 / found.urgency == pytest.approx(half_life, abs=0.006)


def test_urgency_of_almgren_and_chriss():
    # almgren-chriss-kappa: 0.61 a day at lambda = 1e-6, in the paper's own table of parameters
    assert best_schedule(EXAMPLE, 1e-6).urgency == pytest.approx(0.61, abs=0.005)


def test_no_other_schedule_costs_less_at_the_same_aversion():
    best = best_schedule(EXAMPLE, 1e-6)
    rng = np.random.default_rng(3)
    for _ in range(200):
        sold = rng.dirichlet(np.ones(5)) * 1e6
        left = 1e6 - np.cumsum(sold)
        cost = 0.125e6 + 0.0625e6 + EXAMPLE.eased_impact * float(sold @ sold)
        variance = 0.95**2 * float(left @ left)
        assert cost + 1e-6 * variance >= best.expected_cost + 1e-6 * best.cost_variance - 1e-3


def test_least_lvar_is_the_best_of_the_frontier():
    found = least_lvar(EXAMPLE, 1.645)
    tried = [best_schedule(EXAMPLE, math.exp(each)).lvar(1.645) for each in np.linspace(-24, -4, 400)]
    assert found.lvar(1.645) <= min(tried) + 1e-6
    assert found.lvar(1.645) == pytest.approx(min(tried), rel=1e-4)
    # first-order condition on the frontier: dE/dV = -lambda, so lambda = z / (2 sqrt V)
    aversion = 1.645 / (2.0 * math.sqrt(found.cost_variance))
    assert best_schedule(EXAMPLE, aversion).lvar(1.645) == pytest.approx(found.lvar(1.645), rel=1e-6)
    assert least_lvar(EXAMPLE, 0.0).urgency == 0.0
    assert least_lvar(EXAMPLE, 0.0).left_units == pytest.approx([1e6, 8e5, 6e5, 4e5, 2e5, 0.0])


def test_great_urgency_sells_at_once_without_overflow():
    found = best_schedule(EXAMPLE, 1e300)
    assert found.left_units == pytest.approx([1e6, 0, 0, 0, 0, 0], abs=1e-6)


def test_impact_that_permanence_eats_up_is_refused():
    with pytest.raises(InputError, match="temporary_impact"):
        ExecutionMarket(
            units=1.0, horizon=1.0, periods=1, sigma=1.0, fixed_cost=0.0, permanent_impact=1.0, temporary_impact=0.4
        )


def test_constant_spread_example_of_dowd():
    # lvar-constant-spread: 100 at 2 % a day, z = 1.65, spread 1 %: 3.30 + 0.50
    assert spread_lvar(100.0, price_loss_fraction=1.65 * 0.02, spread_mean=0.01) == pytest.approx(3.8, rel=1e-9)


def test_random_spread_and_lognormal_price_as_bangia_and_others():
    # by hand: 100 (1 - exp(-2.33 x 0.05)) = 10.9968, 50 (0.004 + 3 x 0.002) = 0.5
    loss = lognormal_loss_fraction(2.33, 0.05)
    found = spread_lvar(100.0, price_loss_fraction=loss, spread_mean=0.004, spread_deviation=0.002, spread_multiple=3.0)
    assert found == pytest.approx(100.0 * (1.0 - math.exp(-0.1165)) + 0.5, rel=1e-12)


def test_square_root_law_and_its_average():
    # selling 1 % of the day's volume at 4 % a day moves the price by 0.4 %, and costs two thirds of it
    assert square_root_impact(0.01, daily_volatility=0.04) == pytest.approx(0.004)
    shares = (np.arange(200_000) + 0.5) / 200_000 * 0.01
    mean = np.mean([square_root_impact(share, daily_volatility=0.04) for share in shares])
    assert mean == pytest.approx(AVERAGE_OF_IMPACT * 0.004, rel=1e-6)


# Nexo, support article on margin calls: warnings at these loans to value, repayment at the last.
NEXO = (0.714, 0.741, 0.769, 0.833)


def test_ladder_of_a_lender_as_coverage():
    # nexo-ladder-as-coverage, one over the LTV
    assert [1.0 / ltv for ltv in NEXO] == pytest.approx([1.40, 1.35, 1.30, 1.20], rel=1e-3)
    assert [health_factor(1.0, [1.0 / ltv], [1.0]) for ltv in NEXO] == pytest.approx([1.4, 1.35, 1.3, 1.2], rel=1e-3)


def test_liquidation_example_of_a_lender():
    # nexo-liquidation-example: 5,000 owed on collateral of 10,000 is repaid when the collateral falls to 6,000; the
    # steps are falls of 30.0, 32.5, 35.0 and 40.0 %
    falls = [fall_until(5_000.0, moving=10_000.0 * ltv) for ltv in NEXO]
    assert falls == pytest.approx([0.300, 0.325, 0.350, 0.400], abs=5e-4)
    assert health_factor(5_000.0, [6_000.0], [5.0 / 6.0]) == pytest.approx(1.0)


def test_partial_liquidation_heals_only_above_threshold_and_bonus():
    # health-factor-partial-liquidation: HF' - HF = r (HF - LT (1 + bonus)) / (debt - r)
    threshold, bonus, debt = 0.8, 0.05, 1_000.0
    for health, repaid in itertools.product((0.99, 0.9, 0.84, 0.7), (10.0, 500.0, 900.0)):
        # from the balances: repaid leaves the debt, repaid (1 + bonus) the collateral
        collateral = health * debt / threshold - repaid * (1.0 + bonus)
        after = health_factor(debt - repaid, [collateral], [threshold])
        found = health_after_repayment(health, debt_usd=debt, repaid_usd=repaid, threshold=threshold, bonus=bonus)
        assert found == pytest.approx(after, rel=1e-12)
        step = repaid * (health - threshold * (1.0 + bonus)) / (debt - repaid)
        assert found - health == pytest.approx(step, abs=1e-12)
        assert (found > health + 1e-12) == (health > threshold * (1.0 + bonus) + 1e-12)
    with pytest.raises(InputError, match="repaid"):
        health_after_repayment(0.9, debt_usd=debt, repaid_usd=debt, threshold=threshold, bonus=bonus)


def _us_stock(level_1: float, level_2a: float, level_2b: float) -> float:
    """12 CFR 249.21: excess over 40 % first, then over 15 %; the Basel text takes them the other way round."""
    a, b = 0.85 * level_2a, 0.5 * level_2b
    over_40 = max(a + b - 2.0 / 3.0 * level_1, 0.0)
    over_15 = max(b - over_40 - 15.0 / 85.0 * (level_1 + a), 0.0)
    return level_1 + a + b - over_40 - over_15


def test_caps_of_basel_and_of_the_us_rule_agree():
    # lcr-cap-us-vs-basel
    rng = np.random.default_rng(11)
    for _ in range(2_000):
        amounts = rng.exponential(1.0, 3) * rng.integers(0, 2, 3) * 10.0 ** rng.integers(0, 4, 3)
        found = liquid_stock(*amounts, outflow_usd=1.0)
        assert found.stock_usd == pytest.approx(_us_stock(*amounts), rel=1e-12, abs=1e-9)


def test_liquid_stock_by_hand():
    # L1 100, L2A 100 -> 85, L2B 100 -> 50. Over 15 %: 50 - 15/60 x 100 = 25; over 40 %: 85 + 50 - 25 - 66.67 = 43.33;
    # stock 100 + 135 - 68.33 = 166.67, of which 40 % is level 2
    found = liquid_stock(100.0, 100.0, 100.0, outflow_usd=125.0)
    assert found.stock_usd == pytest.approx(500.0 / 3.0)
    assert found.ratio == pytest.approx(4.0 / 3.0)
    assert liquid_stock(1.0, 0.0, 0.0, outflow_usd=0.0).ratio is None
