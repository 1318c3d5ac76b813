"""Largest leverage against the closed form of first passage, and the search against a plain bisection."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from margincover.app.size import SizeSettings, size
from margincover.coverage.sizing import SearchSettings, SizeSearch
from margincover.model.sizing import Bound
from margincover.numeric.first_passage import BrownianLaw, touch_probability
from margincover.paths.engine import PathSettings, simulate
from margincover.scenarios.brownian import GeometricBrownian
from margincover.units import years
from tests.books import a_book, a_position, an_account, linear_pool, usdt_pool

DAY = 86_400
SIGMA, RATE = 0.8, 0.005
# Largest leverage of a linear long with P(liquidation) <= 1 %: sigma 80 %, maintenance 0.5 %, price without drift.
LEVERAGE = {1: 9.31, 5: 4.52, 10: 3.35, 30: 2.17}


def market() -> GeometricBrownian:
    return GeometricBrownian(factors=("BTC",), sigma_annual=[SIGMA], correlation=[[1.0]], step_s=DAY)


def closed_form(days: int, *, side: float, tolerance: float = 0.01) -> float:
    law = BrownianLaw(sigma_annual=SIGMA, horizon_years=years(days * DAY), log_drift_annual=-0.5 * SIGMA**2)

    def excess(leverage: float) -> float:
        price = (1.0 - side / leverage) / (1.0 - side * RATE)
        return touch_probability(law, log_barrier=math.log(price)) - tolerance

    return float(brentq(excess, 1.2, 60.0))


def a_linear_book(contracts: float = 1.0):
    """One BTC perpetual at a flat maintenance rate of 0.5 %, no funding, no fee in the maintenance."""
    position = a_position("BTCUSDT", contracts, maintenance_fraction=RATE, leverage=5.0)
    return a_book(an_account("binance", "usdm_single_asset", [position], USDT=100_000.0), funding={"BTCUSDT": 0.0})


@pytest.mark.parametrize("days", [1, 5, 10, 30])
def test_largest_leverage_is_that_of_the_closed_form(days):
    assert closed_form(days, side=1.0) == pytest.approx(LEVERAGE[days], abs=0.006)
    report = size(
        a_linear_book(),
        SizeSettings(
            account="binance:a", symbol="BTCUSDT", tolerance=0.01, horizon_s=days * DAY, paths=100_000,
            with_curve=False,
        ),
        generator=market(),
    )  # fmt: skip
    point = report.result.curves[0].stated
    # Bridge minima are exact for a Brownian path: only the sampling of paths is left.
    assert abs(point.size - closed_form(days, side=1.0)) < 3.0 * point.standard_error
    assert point.low < closed_form(days, side=1.0) < point.high
    assert point.standard_error < 0.01 * point.size
    assert point.next_size <= point.size * 1.001
    assert point.probability.value <= 0.01


def test_largest_short_and_the_scale_of_an_account_are_those_of_the_closed_form():
    settings = {"account": "binance:a", "horizon_s": 5 * DAY, "paths": 100_000, "with_curve": False}
    short = size(
        a_linear_book(), SizeSettings(symbol="BTCUSDT", side="short", tolerance=0.05, **settings), generator=market()
    ).result.curves[0]
    assert short.stated.size == pytest.approx(
        closed_form(5, side=-1.0, tolerance=0.05), abs=3.0 * short.stated.standard_error
    )
    assert short.contracts < 0.0
    scaled = size(a_linear_book(-1.0), SizeSettings(tolerance=0.05, **settings), generator=market()).result.curves[0]
    # The only position is a short: scaling it is sizing it, on the same paths.
    assert scaled.stated.size == pytest.approx(short.stated.size, rel=2e-3)


def test_where_margin_is_proportional_one_run_gives_the_same_answer():
    # E = s D - capital along each path, so that the largest s is capital over the quantile of D, from one run at 1.
    paths = PathSettings(n_paths=20_000, horizon_s=DAY, follow_s=DAY, seed=3, tolerance=0.01, threads=1)
    unit = simulate([linear_pool(notional=1.0, cash=0.0, maintenance_fraction=RATE)], market(), paths).maximum[0]
    search = SizeSearch(
        pools_at=lambda s: (
            [linear_pool(notional=s, cash=1.0, maintenance_fraction=RATE)]
            if s
            else [linear_pool(notional=1e-12, cash=1.0, maintenance_fraction=RATE)]
        ),
        generator=market(),
        settings=SearchSettings(n_paths=20_000, seed=3, threads=1),
    )
    for point in search.largest((0.001, 0.01, 0.05), DAY):
        rank = math.ceil(unit.size * (1.0 - point.tolerance) - 1e-9) - 1
        exact = 1.0 / np.sort(unit)[rank]
        assert point.size < exact <= point.next_size
        assert point.next_size / point.size < 1.001


def test_tiers_bend_the_line_and_the_search_still_ends_where_a_plain_bisection_does():
    # Capital of 60 million: notional passes many tiers of Binance's BTC table.
    def pools(amount):
        return [usdt_pool({"BTCUSDT": amount * 6e7} if amount else {"BTCUSDT": 1.0}, cash=6e7)]

    search = SizeSearch(pools_at=pools, generator=market(), settings=SearchSettings(n_paths=4_096, seed=2, threads=1))
    point = search.largest((0.01,), DAY)[0]
    low, high = 0.5, 64.0
    while high / low > 1.0005:
        middle = math.sqrt(low * high)
        paths = PathSettings(n_paths=4_096, horizon_s=DAY, follow_s=DAY, seed=2, tolerance=0.01, threads=1)
        hits = (simulate(pools(middle), market(), paths).maximum[0] >= 0.0).mean()
        low, high = (middle, high) if hits <= 0.01 else (low, middle)
    assert point.bound is Bound.FOUND
    assert point.size == pytest.approx(low, rel=1.5e-3)
    # Higher tiers ask for more than 0.5 %: the size is clearly below that of the flat rate.
    assert point.size < 0.97 * closed_form(1, side=1.0)
