"""The whole engine against closed forms of Brownian first passage, and a hedge against a fine grid.

A daily grid of ten steps: whatever the bridge inside the steps got wrong would show, as the naive grid is 28 % low.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.coverage.required import estimates
from margincover.numeric import first_passage
from margincover.numeric.first_passage import BrownianLaw, Contract, Extreme
from margincover.paths.engine import PathSettings, simulate
from margincover.scenarios.brownian import GeometricBrownian
from margincover.units import years
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, inverse_pool, linear_pool

DAY, HORIZON = 86_400, 10 * 86_400
SIGMA, RATE, TOLERANCE = 0.8, 0.005, 0.01
# Price without drift: the log price drifts by minus half the variance.
LAW = BrownianLaw(sigma_annual=SIGMA, horizon_years=years(HORIZON), log_drift_annual=-0.5 * SIGMA**2)
NOTIONAL = 1e5
PATHS = 1_000_000


def market(factors=("BTC",), *, step_s=DAY, rho=0.0) -> GeometricBrownian:
    n = len(factors)
    return GeometricBrownian(
        factors=factors,
        sigma_annual=np.full(n, SIGMA),
        correlation=np.full((n, n), rho) + (1.0 - rho) * np.eye(n),
        step_s=step_s,
    )


def run(pools, generator, *, paths, seed=11):
    settings = PathSettings(n_paths=PATHS, horizon_s=HORIZON, follow_s=HORIZON, seed=seed, tolerance=TOLERANCE)
    return simulate(pools, generator, settings)


def pool_of(contract: Contract, equity_fraction: float):
    """Return a pool of notional 1e5 dollars (linear) or 1 coin (inverse) with equity as a fraction of it."""
    side = 1.0 if contract in (Contract.LINEAR_LONG, Contract.INVERSE_LONG) else -1.0
    if contract in (Contract.LINEAR_LONG, Contract.LINEAR_SHORT):
        return linear_pool(
            notional=side * NOTIONAL, cash=equity_fraction * NOTIONAL, maintenance_fraction=RATE
        ), NOTIONAL
    return inverse_pool(notional_coin=side, cash=equity_fraction, maintenance_fraction=RATE), 1.0


def barrier_of(contract: Contract, equity: float) -> float:
    """Return log of the liquidation price over the mark."""
    return math.log(
        {
            Contract.LINEAR_LONG: (1.0 - equity) / (1.0 - RATE),
            Contract.LINEAR_SHORT: (1.0 + equity) / (1.0 + RATE),
            Contract.INVERSE_LONG: (1.0 + RATE) / (1.0 + equity),
            Contract.INVERSE_SHORT: (1.0 - RATE) / (1.0 - equity),
        }[contract]
    )


def test_closed_forms_give_the_stated_figures_of_the_linear_long():
    # sigma 80 %, 10 days, maintenance 0.5 %, 5x; computed twice independently, to the four digits printed here.
    assert first_passage.touch_probability(LAW, log_barrier=barrier_of(Contract.LINEAR_LONG, 0.2)) == pytest.approx(
        0.1108, abs=5e-5
    )
    needed = first_passage.required_coverage(
        LAW, contract=Contract.LINEAR_LONG, maintenance_fraction=RATE, tolerance=TOLERANCE
    )
    assert (needed.rc, needed.rces) == pytest.approx((0.2981, 0.3264), abs=5e-5)


def test_linear_long_of_five_times_leverage_by_simulation():
    levered, _ = pool_of(Contract.LINEAR_LONG, 0.2)
    bare, _ = pool_of(Contract.LINEAR_LONG, 0.0)
    done = run([levered, bare], market(), paths=PATHS)
    n = done.maximum.shape[1]
    probability = float((done.liquidation_step[0] >= 0).mean())
    assert abs(probability - 0.1108) < 3.0 * math.sqrt(0.1108 * 0.8892 / n) + 5e-5
    rc, rces = estimates(done.maximum[1] / NOTIONAL, TOLERANCE)
    # The stated figures are rounded to 0.01 %.
    assert abs(rc.value - 0.2981) < 3.0 * rc.standard_error + 5e-5
    assert abs(rces.value - 0.3264) < 3.0 * rces.standard_error + 5e-5


@pytest.mark.parametrize("equity", [0.1, 0.2])
@pytest.mark.parametrize("contract", Contract)
def test_probability_of_liquidation_is_that_of_first_passage(contract, equity):
    pool, _ = pool_of(contract, equity)
    done = run([pool], market(), paths=100_000)
    for days in (1, 3, 10):
        law = BrownianLaw(sigma_annual=SIGMA, horizon_years=years(days * DAY), log_drift_annual=-0.5 * SIGMA**2)
        expected = first_passage.touch_probability(law, log_barrier=barrier_of(contract, equity))
        step = done.liquidation_step[0]
        found = float(((step >= 0) & (step <= days)).mean())
        assert abs(found - expected) < 3.0 * math.sqrt(expected * (1.0 - expected) / step.size)


@pytest.mark.parametrize("contract", Contract)
def test_required_coverage_is_the_closed_form(contract):
    pool, unit = pool_of(contract, 0.0)
    rc, rces = estimates(run([pool], market(), paths=PATHS).maximum[0] / unit, TOLERANCE)
    expected = first_passage.required_coverage(LAW, contract=contract, maintenance_fraction=RATE, tolerance=TOLERANCE)
    assert abs(rc.value - expected.rc) < 3.0 * rc.standard_error
    assert abs(rces.value - expected.rces) < 3.0 * rces.standard_error


def test_inverse_long_needs_more_coin_than_a_linear_long_needs_dollars_of_notional():
    # Profit in coin is concave in the price: the tail beyond the barrier costs more coin.
    linear, inverse = (
        first_passage.required_coverage(LAW, contract=c, maintenance_fraction=RATE, tolerance=TOLERANCE)
        for c in (Contract.LINEAR_LONG, Contract.INVERSE_LONG)
    )
    assert inverse.rc > linear.rc
    assert inverse.rces > linear.rces


def test_quantile_of_the_price_minimum_is_seen_by_the_low_of_the_steps():
    block = market().block(seed=3, number=0, n_steps=10, n_paths=100_000)
    lows = block.low_log.min(axis=0)[0]
    for tail in (0.01, 0.1):
        expected = first_passage.extreme_quantile(LAW, tail=tail, extreme=Extreme.MINIMUM)
        below = float((lows <= expected).mean())
        assert abs(below - tail) < 3.0 * math.sqrt(tail * (1.0 - tail) / lows.size)


@pytest.mark.parametrize("sizes", [(1.0, -1.0), (1.0, 0.6)], ids=["hedge", "both long"])
def test_bridge_of_two_coins_on_a_daily_grid_agrees_with_an_hourly_grid(sizes):
    held = [
        a_position(symbol, size * NOTIONAL / MARKS[symbol], maintenance_fraction=RATE)
        for symbol, size in zip(("BTCUSDT", "ETHUSDT"), sizes, strict=True)
    ]
    pools = [
        build_pools(a_book(an_account("binance", "usdm_single_asset", held, name, USDT=cash * NOTIONAL)))[0]
        for name, cash in (("bare", 0.0), ("levered", 0.15))
    ]
    coarse = run(pools, market(("BTC", "ETH"), rho=0.8), paths=60_000)
    fine = run(pools, market(("BTC", "ETH"), rho=0.8, step_s=3_600), paths=30_000, seed=12)
    for index in (0, 1):
        mine, reference = (estimates(done.maximum[0] / NOTIONAL, TOLERANCE)[index] for done in (coarse, fine))
        # The local bridge treats the pool as normal inside a day: 1 % of the figure is allowed beside the errors.
        room = 3.0 * math.hypot(mine.standard_error, reference.standard_error) + 0.01 * abs(reference.value)
        assert abs(mine.value - reference.value) < room
    hits = [(done.liquidation_step[1] >= 0) for done in (coarse, fine)]
    shares = [float(each.mean()) for each in hits]
    error = math.sqrt(sum(p * (1.0 - p) / each.size for p, each in zip(shares, hits, strict=True)))
    assert abs(shares[0] - shares[1]) < 3.0 * error + 0.01 * shares[1]
    # Without the bridge the daily grid misses far more than that.
    on_grid = (coarse.fan_maintenance - coarse.fan_equity)[:, 1].max(axis=0) >= 0.0
    assert on_grid.mean() < 0.9 * shares[1]
