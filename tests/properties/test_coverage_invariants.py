"""Invariants of required coverage: cash, tolerance, horizon, pooling, and parts that sum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.coverage.required import estimates, measure
from margincover.coverage.status import pool_statuses
from margincover.model.book import Tolerance
from margincover.model.position import Bucket
from margincover.model.provenance import Provenance
from margincover.paths.engine import PathSettings, simulate
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, inverse_pool, linear_pool, scale_of, usdt_pool
from tests.strategies import SHAPES, books

DAY = 86_400
N_PATHS = 512
MAIN = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SIGNED = st.floats(-3e6, 3e6).filter(lambda n: abs(n) > 1e3)
HOLDINGS = st.dictionaries(st.sampled_from(MAIN), SIGNED, min_size=1, max_size=3)


def market(factors=("BTC", "ETH", "SOL")) -> GeometricBrownian:
    n = len(factors)
    return GeometricBrownian(
        factors=factors,
        sigma_annual=np.linspace(0.6, 1.2, n),
        correlation=np.full((n, n), 0.7) + 0.3 * np.eye(n),
        step_s=DAY // 4,
    )


def run(pools, *, generator=None, horizon=DAY, follow=DAY, seed=5, tolerance=0.05, paths=N_PATHS):
    chosen = PathSettings(n_paths=paths, horizon_s=horizon, follow_s=follow, seed=seed, tolerance=tolerance, threads=1)
    return simulate(pools, generator or market(), chosen)


def coverage(pools, paths, *, tolerance=0.05, horizon=DAY, which="rces"):
    nothing = Provenance(
        version="0",
        as_of="2026-01-01T00:00:00Z",
        input_sha256="",
        seed=5,
        settings={},
        editions=(),
        scenario={},
        warnings=(),
        not_modelled=(),
    )
    return measure(
        pools,
        pool_statuses(pools),
        paths,
        Tolerance(probability=tolerance, horizon_s=horizon, measure=which),
        reconciliation=(),
        provenance=nothing,
    )


@settings(max_examples=20)
@given(holdings=HOLDINGS, cash=st.floats(-1e5, 1e6), added=st.floats(0.0, 1e6))
def test_a_dollar_added_lowers_the_gap_by_a_dollar(holdings, cash, added):
    poor, rich = usdt_pool(holdings, cash=cash), usdt_pool(holdings, cash=cash + added)
    for which in ("rces", "rc"):
        gaps = [coverage([pool], run([pool]), which=which).pools[0].gap_native for pool in (poor, rich)]
        assert gaps[0] - added == pytest.approx(gaps[1], abs=1e-9 * scale_of(rich))


@settings(max_examples=10)
@given(coins=st.floats(-50.0, 50.0).filter(lambda c: abs(c) > 0.01), added=st.floats(0.0, 5.0))
def test_a_coin_added_lowers_the_gap_of_a_coin_margined_pool_by_a_coin(coins, added):
    poor, rich = (inverse_pool(notional_coin=coins, cash=cash) for cash in (1.0, 1.0 + added))
    gaps = [coverage([pool], run([pool])).pools[0].gap_native for pool in (poor, rich)]
    assert gaps[0] - added == pytest.approx(gaps[1], abs=1e-9 * scale_of(rich))


@settings(max_examples=20)
@given(holdings=HOLDINGS, cash=st.floats(-1e5, 1e6))
def test_adding_exactly_the_gap_closes_it(holdings, cash):
    gap = coverage([pool := usdt_pool(holdings, cash=cash)], run([pool])).pools[0].gap_native
    filled = usdt_pool(holdings, cash=cash + gap)
    assert coverage([filled], run([filled])).pools[0].gap_native == pytest.approx(0.0, abs=1e-9 * scale_of(filled))


@settings(max_examples=20)
@given(holdings=HOLDINGS, cash=st.floats(-1e5, 1e6))
def test_requirement_is_ordered_by_measure_tolerance_and_maintenance(holdings, cash):
    pool = usdt_pool(holdings, cash=cash)
    maxima = run([pool], tolerance=0.5).maximum[0]
    tails = (0.5, 0.2, 0.1, 0.05, 0.01, 0.003)
    rc, rces = zip(*(estimates(maxima, tail) for tail in tails), strict=True)
    room = 1e-12 * scale_of(pool)
    for k in range(len(tails)):
        assert rces[k].value >= rc[k].value - room
        assert rc[k].low <= rc[k].value <= rc[k].high
        if k:
            assert rc[k].value >= rc[k - 1].value
            assert rces[k].value >= rces[k - 1].value - room
    result = coverage([pool], run([pool])).pools[0]
    # The start belongs to the path: no requirement is below what maintenance asks for now.
    assert result.required_native >= float(margin.evaluate([pool]).maintenance[0, 0]) - room


@settings(max_examples=10)
@given(holdings=HOLDINGS, cash=st.floats(-1e5, 1e6))
def test_longer_horizons_never_need_less_path_by_path(holdings, cash):
    pool = usdt_pool(holdings, cash=cash)
    runs = [run([pool], horizon=k * DAY, follow=3 * DAY) for k in (1, 2, 3)]
    for short, long in itertools.pairwise(runs):
        assert (long.maximum >= short.maximum).all()
        assert (long.liquidation_step == short.liquidation_step).all()
    # What is followed further does not change what happened before.
    alone = run([pool], horizon=DAY, follow=DAY)
    assert (alone.maximum == runs[0].maximum).all()
    reached = np.where(runs[0].liquidation_step > alone.n_steps, -1, runs[0].liquidation_step)
    assert (alone.liquidation_step == reached).all()


@settings(max_examples=20)
@given(holdings=HOLDINGS, cash=st.floats(0.0, 1e6))
def test_probabilities_rise_with_the_horizon_and_a_call_comes_before_liquidation(holdings, cash):
    pool = usdt_pool(holdings, cash=cash)
    paths = run([pool], follow=5 * DAY)
    rows = coverage([pool], paths).pools[0].probabilities
    assert [row.horizon_s for row in rows] == sorted(row.horizon_s for row in rows)
    for row in rows:
        assert row.margin_call.value >= row.liquidation.value
        assert row.liquidation.low <= row.liquidation.value <= row.liquidation.high
    for early, late in itertools.pairwise(rows):
        assert late.liquidation.value >= early.liquidation.value
        assert late.margin_call.value >= early.margin_call.value
    never = np.iinfo(np.int32).max
    call, liquidation = (
        np.where(steps[0] < 0, never, steps[0]) for steps in (paths.margin_call_step, paths.liquidation_step)
    )
    assert (call <= liquidation).all()
    # Liquidated within the horizon means that the maximum reached zero there, and the reverse.
    assert ((liquidation <= paths.n_horizon_steps) == (paths.maximum[0] >= 0.0)).all()


@settings(max_examples=20)
@given(first=SIGNED, second=SIGNED, cash=st.tuples(st.floats(0.0, 1e5), st.floats(0.0, 1e5)))
def test_one_pool_needs_no_more_than_its_parts_apart(first, second, cash):
    # One coin: all pools see the same low and high of each step, so the inequality holds path by path.
    parts = [linear_pool(notional=first, cash=cash[0], name="one"), linear_pool(notional=second, cash=cash[1])]
    whole = merged(first, second, sum(cash))
    paths = run([*parts, whole], generator=market(("BTC",)))
    room = 1e-9 * scale_of(whole)
    apart, together = paths.maximum[:2].sum(axis=0), paths.maximum[2]
    assert (together <= apart + room).all()
    rces = [estimates(row, 0.05)[1].value for row in paths.maximum]
    assert rces[2] <= rces[0] + rces[1] + room


def merged(first, second, cash):
    """Return one cross pool that holds both positions: longs and shorts as the legs of hedge mode, one flat rate."""
    legs = []
    for bucket, sign in ((Bucket.LONG, 1.0), (Bucket.SHORT, -1.0)):
        size = sum(n for n in (first, second) if n * sign > 0)
        if size:
            legs.append(a_position("BTCUSDT", size / MARKS["BTCUSDT"], bucket=bucket, maintenance_fraction=0.005))
    return build_pools(a_book(an_account("binance", "usdm_single_asset", legs, "whole", USDT=cash)))[0]


@settings(max_examples=10)
@given(holdings=st.lists(HOLDINGS, min_size=2, max_size=2))
def test_requirement_of_several_coins_is_subadditive_within_simulation_error(holdings):
    # Flat pools of several coins draw their bridges apart, so that the inequality holds in law and not path by path.
    def pool(parts, name):
        held = [
            a_position(s, sum(p.get(s, 0.0) for p in parts) / MARKS[s], maintenance_fraction=0.01)
            for s in MAIN
            if sum(p.get(s, 0.0) for p in parts)
        ]
        return build_pools(a_book(an_account("binance", "usdm_single_asset", held, name, USDT=0.0)))[0]

    pools = [pool([holdings[0]], "one"), pool([holdings[1]], "two"), pool(holdings, "whole")]
    rows = [estimates(row, 0.05)[1] for row in run(pools, paths=2048).maximum]
    error = np.sqrt(sum(row.standard_error**2 for row in rows))
    assert rows[2].value <= rows[0].value + rows[1].value + 4.0 * error


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=8)
@given(data=st.data())
def test_contributions_sum_to_rces_in_every_mode(shape, data):
    pools = build_pools(data.draw(books(shape, least=1)))
    factors = tuple(dict.fromkeys(factor for pool in pools for factor in pool.factors))
    paths = run(pools, generator=market(factors), paths=256)
    for pool, result in zip(pools, sorted_like(pools, coverage(pools, paths).pools), strict=True):
        room = 1e-9 * scale_of(pool)
        assert sum(result.contributions.values()) == pytest.approx(result.rces.value, abs=room)
        assert result.contributions["start"] == paths.start_shortfall[pools.index(pool)]
        assert set(result.contributions) == {"start", *pool.factors, "funding", "remainder"}


def sorted_like(pools, results):
    by_id = {result.status.pool_id: result for result in results}
    return [by_id[pool.id] for pool in pools]


@settings(max_examples=10)
@given(holdings=HOLDINGS)
def test_flat_rates_leave_no_remainder(holdings):
    held = [a_position(s, n / MARKS[s], maintenance_fraction=0.01) for s, n in holdings.items()]
    pools = build_pools(a_book(an_account("binance", "usdm_single_asset", held, USDT=1e5)))
    parts = coverage(pools, run(pools)).pools[0].contributions
    # Linear positions at flat rates and no funding: every dollar of the maximum belongs to a factor.
    assert abs(parts["remainder"]) <= 1e-9 * scale_of(pools[0])
    assert abs(parts["funding"]) <= 1e-9 * scale_of(pools[0])


@settings(max_examples=10)
@given(holdings=HOLDINGS)
def test_worst_paths_are_the_largest_maxima_and_the_hour_that_they_came(holdings):
    pool = usdt_pool(holdings, cash=1e5)
    paths = run([pool], horizon=2 * DAY, follow=3 * DAY)
    worst = coverage([pool], paths, horizon=2 * DAY).pools[0].worst_paths
    assert [value for _, value, _ in worst] == sorted(paths.maximum[0], reverse=True)[: len(worst)]
    assert len(worst) == 10
    for path, value, hour in worst:
        assert value == paths.maximum[0, path]
        # Steps of six hours; the maximum lies within the horizon and not in what is only followed.
        assert hour == 6.0 * paths.maximum_step[0, path]
        assert 0.0 <= hour <= 48.0


def test_book_of_nothing_is_covered_and_needs_nothing():
    pools = build_pools(a_book(an_account("binance", "usdm_single_asset", USDT=0.0)))
    result = coverage(pools, run(pools)).pools[0]
    assert (result.required_native, result.available_native, result.gap_native) == (0.0, 0.0, 0.0)
    assert result.verdict == "covered"
    assert result.probabilities[0].liquidation.value == 0.0
