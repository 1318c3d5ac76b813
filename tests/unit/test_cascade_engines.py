"""The engines of a cascade: against their plain twins, against each other, and against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margincover.clearing.cascade import CascadeSettings, Feedback, Remainder, SliceRule
from margincover.clearing.cascade_cross import run_cross
from margincover.clearing.cascade_cross_reference import run_plain
from margincover.clearing.cascade_isolated import liquidation_price, run_isolated, run_isolated_paths, sort_book
from margincover.clearing.cascade_reference import FullScan, full_scan
from margincover.clearing.impact import Impact, ImpactLaw
from margincover.clearing.liquidation_slice import restoring_slice
from margincover.errors import NotSupportedError
from tests.unit.cascade_cases import isolated, random_cross, random_isolated, stage

FALL_AND_RISE = np.concatenate([np.linspace(1.0, 0.88, 15), np.linspace(0.88, 1.12, 20)])
NO_THINNING = Impact(law=ImpactLaw.LINEAR, thinning_move_fraction=None)


@pytest.mark.parametrize("law", list(ImpactLaw))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sorted_book_equals_the_full_scan(law, seed):
    population = random_isolated(np.random.default_rng(seed), 3_000)
    rules = CascadeSettings(impact=Impact(law=law))
    on = stage(population, FALL_AND_RISE)
    fast, slow = run_isolated(population, on, rules), full_scan(FullScan.of(population), on, rules)
    np.testing.assert_allclose(fast.record.price[:, 0], slow.price, rtol=1e-12)
    assert fast.record.rounds.sum() == slow.rounds > 10
    assert fast.record.shortfall.sum() == pytest.approx(slow.shortfall_usd, rel=1e-9)
    assert fast.liquidated_usd.sum() == pytest.approx(slow.liquidated_usd, rel=1e-9)


@pytest.mark.parametrize("law", list(ImpactLaw))
@pytest.mark.parametrize("remainder", list(Remainder))
def test_the_two_engines_agree_on_isolated_accounts(law, remainder):
    population = random_isolated(np.random.default_rng(4), 2_000)
    rules = CascadeSettings(impact=Impact(law=law), remainder=remainder)
    on = stage(population, FALL_AND_RISE)
    one, other = run_isolated(population, on, rules), run_cross(population, on, rules)
    np.testing.assert_allclose(one.record.price, other.record.price, rtol=1e-12)
    for name in ("market_loss_usd", "fees_usd", "forfeited_usd", "taken_usd", "paid_usd", "residual_usd"):
        assert getattr(one.ledger, name) == pytest.approx(getattr(other.ledger, name), rel=1e-9, abs=1e-6)
    assert one.record.n_closed.sum() == other.record.n_closed.sum() > 100


@pytest.mark.parametrize("slices", [None, SliceRule(least_fraction=0.2, whole_below_usd=50.0)])
@pytest.mark.parametrize("remainder", list(Remainder))
@pytest.mark.parametrize("feedback", list(Feedback))
def test_cross_engine_equals_its_plain_twin(slices, remainder, feedback):
    population = _one_row_per_market(random_cross(np.random.default_rng(5), 300))
    rules = CascadeSettings(slices=slices, remainder=remainder, feedback=feedback)
    on = stage(population, FALL_AND_RISE[:25], depth_fraction=0.01)
    fast, slow = run_cross(population, on, rules), run_plain(population, on, rules)
    np.testing.assert_allclose(fast.record.price, np.array(slow.price), rtol=1e-10)
    assert fast.record.n_closed.sum() > 20
    assert fast.record.fees.sum() == pytest.approx(slow.fees, rel=1e-8)
    assert fast.record.forfeited.sum() == pytest.approx(slow.forfeited, rel=1e-8, abs=1e-6)
    assert fast.record.shortfall.sum() == pytest.approx(slow.shortfall, rel=1e-8)
    assert fast.record.paid.sum() == pytest.approx(slow.paid, rel=1e-8)


def _one_row_per_market(population):
    """Return the accounts whose positions are in different markets: the twin keeps one position per market."""
    from margincover.clearing.population import Population
    from tests.unit.cascade_cases import fields

    rows, start, collateral = [], [0], []
    for k in range(population.n_accounts):
        own = range(population.start[k], population.start[k + 1])
        if len({int(population.market[row]) for row in own}) == len(own):
            rows += list(own)
            start.append(len(rows))
            collateral.append(population.collateral_usd[k])
    cut = {name: getattr(population, name)[rows] for name in ("market", "quantity", "entry", "table")}
    return Population(**{**fields(population), **cut, "start": np.array(start), "collateral_usd": np.array(collateral)})


def test_one_long_falls_and_leaves_the_debt_of_the_gap():
    # 1 coin at 100 on 10 USD: bankrupt at 90, liquidated at (100 - 10) / (1 - 0.01) = 90.909. The index gaps to 85.
    # Depth is so large that nothing moves: closed at 85, which leaves 85 - 90 = -5; the fund has 2, so 3 stay open.
    population = isolated([(1.0, 100.0, 10.0)])
    on = stage(population, [1.0, 0.85], depth_fraction=1e12, fund_fraction=0.02)
    result = run_isolated(population, on, CascadeSettings())
    assert liquidation_price(population)[0] == pytest.approx(90.0 / 0.99)
    ledger = result.ledger
    assert (ledger.market_loss_usd, ledger.taken_usd) == pytest.approx((15.0, 10.0))
    assert (ledger.paid_usd, ledger.residual_usd, ledger.fees_usd) == pytest.approx((2.0, 3.0, 0.0))


def test_one_short_pays_its_fee_and_keeps_the_rest():
    # Short 1 at 100 on 10 USD: liquidated at (10 + 100) / 1.01 = 108.91; at 109 equity is 1, the fee 0.5 % of 109.
    population = isolated([(-1.0, 100.0, 10.0)])
    on = stage(population, [1.0, 1.09], depth_fraction=1e12)
    result = run_isolated(population, on, CascadeSettings(fee_fraction=0.005))
    assert result.ledger.fees_usd == pytest.approx(0.545)
    assert result.record.returned.sum() == pytest.approx(1.0 - 0.545)
    assert result.ledger.taken_usd == pytest.approx(10.0 - 0.455)


def test_first_sale_of_a_linear_book_moves_the_price_by_hand():
    # Two longs of 1: the first goes at 95 / 0.99 = 95.96, the index stands at 95. Selling 95 USD into a depth of 95 USD
    # moves by 1 %: 94.05, which is above 90 / 0.99 = 90.91, so the second stays.
    population = isolated([(1.0, 100.0, 5.0), (1.0, 100.0, 10.0)])
    rules = CascadeSettings(impact=NO_THINNING, recovery_half_life_s=None)
    result = run_isolated(population, stage(population, [0.95], depth_fraction=95.0 / 200.0), rules)
    assert result.record.price[0, 0] == pytest.approx(95.0 * 0.99)
    assert result.record.n_closed.sum() == 1
    # Simpson's rule is exact for a straight line: the mean price of the walk is half way.
    assert result.record.sold_usd.sum() == pytest.approx(95.0 * 0.995)


def test_slice_is_the_published_formula():
    # Long 10 at 100 with 8.90 USD of equity at 99: maintenance 9.90 is short by 1. The book is deep, so p_exec = p.
    # Rounding may leave it a hair short, which costs one more least slice of 1e-6: hence the tolerance.
    population = isolated([(10.0, 100.0, 18.9)])
    rules = CascadeSettings(slices=SliceRule(least_fraction=1e-6, whole_below_usd=0.0), fee_fraction=0.005)
    result = run_cross(population, stage(population, [0.99], depth_fraction=1e12), rules)
    wanted = restoring_slice(
        quantity=10.0, side=1.0, equity_usd=8.9, mark=99.0, execution=99.0, terms=(0.01, 0.005)
    ).size
    assert result.liquidated_usd.sum() == pytest.approx(float(wanted) * 99.0, rel=1e-5)
    assert result.record.n_closed.sum() == 0


def test_thin_venue_detaches_and_arbitrage_closes_the_gap():
    population = random_cross(np.random.default_rng(6), 3_000)
    path = np.concatenate([[1.0, 0.9], np.full(30, 0.9)])
    gross = float((np.abs(population.quantity) * population.mark_of_position()).sum())
    from dataclasses import replace

    thin = np.array([0.02 if market.venue == "deep" else 0.001 for market in population.markets]) * gross
    on = replace(stage(population, path), depth_usd=thin)
    result = run_cross(population, on, CascadeSettings(arbitrage_half_life_s=60.0, recovery_half_life_s=600.0))
    low = result.record.low.min(axis=0) / np.array([market.mark for market in population.markets])
    assert (low[1::2] < low[::2] - 0.05).all()
    gap = np.abs(result.record.price[:, 0] - result.record.price[:, 1]) / result.record.price[:, 0]
    assert gap[-1] < 0.05 * gap.max()


def test_paths_equal_single_runs():
    rng = np.random.default_rng(7)
    population = random_isolated(rng, 2_000)
    book, rules = sort_book(population), CascadeSettings()
    paths = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (20, 8)), axis=0))
    out = run_isolated_paths(population, paths, stage(population, [1.0]), rules, book, threads=2)
    for k in range(paths.shape[1]):
        one = run_isolated(population, stage(population, paths[:, k] / 100.0), rules, book)
        assert out.last_price[k] == one.record.price[-1, 0]
        assert out.lowest_price[k] == one.record.low.min()
        assert out.liquidated_usd[k] == pytest.approx(one.liquidated_usd.sum(), rel=1e-12)
        assert out.residual_usd[k] == pytest.approx(one.ledger.residual_usd, rel=1e-9, abs=1e-9)


def test_bound_on_rounds_is_reported_and_the_run_goes_on():
    population = random_isolated(np.random.default_rng(8), 2_000)
    result = run_isolated(
        population, stage(population, [0.9, 0.9], depth_fraction=0.005), CascadeSettings(max_rounds=2)
    )
    assert result.is_cut
    assert "bound of 2 rounds" in result.notes[0]
    assert abs(result.ledger.difference_usd) < 0.01


def test_isolated_engine_refuses_slices_and_cross_accounts():
    population = random_isolated(np.random.default_rng(9), 10)
    with pytest.raises(NotSupportedError, match="slices"):
        run_isolated(population, stage(population, [1.0]), CascadeSettings(slices=SliceRule()))
    with pytest.raises(NotSupportedError, match="one position per account"):
        sort_book(random_cross(np.random.default_rng(9), 10))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    path=st.lists(st.floats(0.5, 1.6), min_size=1, max_size=6),
    depth=st.floats(1e-4, 1.0),
    fund=st.floats(0.0, 0.05),
    law=st.sampled_from(list(ImpactLaw)),
    slices=st.sampled_from([None, SliceRule(least_fraction=0.1, whole_below_usd=20.0)]),
    remainder=st.sampled_from(list(Remainder)),
    feedback=st.sampled_from(list(Feedback)),
)
def test_money_is_conserved_to_a_cent_and_none_comes_from_nowhere(
    seed, path, depth, fund, law, slices, remainder, feedback
):
    rules = CascadeSettings(impact=Impact(law=law), slices=slices, remainder=remainder, feedback=feedback)
    population = random_cross(np.random.default_rng(seed), 60)
    on = stage(population, path, depth_fraction=depth, fund_fraction=fund)
    result = run_cross(population, on, rules)
    ledger, record = result.ledger, result.record
    assert abs(ledger.difference_usd) < 0.01
    for name in ("fees", "forfeited", "returned", "shortfall", "paid", "fund", "sold_usd", "bought_usd"):
        assert (getattr(record, name) >= 0.0).all()
    # The fund: what was in it, what came in, what went out, what is left.
    inflow = rules.fee_to_fund_fraction * ledger.fees_usd + ledger.forfeited_usd
    assert record.fund[-1].sum() == pytest.approx(on.fund_usd.sum() + inflow - ledger.paid_usd, abs=0.01)
    # The fund pays all it has before anything stays open, venue by venue; one venue's money never pays another's debt.
    unpaid = record.shortfall - record.paid > 0.005
    assert (record.fund[unpaid].min(axis=1) < 0.01).all()
    assert (record.price > 0.0).all()
    gap = np.abs(record.low / (on.index[:, [0, 0, 1, 1, 2, 2]]) - 1.0)
    assert (gap <= 0.5 + 1e-9).all()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    path=st.lists(st.floats(0.5, 1.6), min_size=1, max_size=6),
    depth=st.floats(1e-4, 1.0),
    fund=st.floats(0.0, 0.05),
    law=st.sampled_from(list(ImpactLaw)),
    remainder=st.sampled_from(list(Remainder)),
    feedback=st.sampled_from(list(Feedback)),
)
def test_sorted_book_conserves_money_and_equals_the_cross_engine(seed, path, depth, fund, law, remainder, feedback):
    rules = CascadeSettings(impact=Impact(law=law), remainder=remainder, feedback=feedback)
    population = random_isolated(np.random.default_rng(seed), 300)
    on = stage(population, path, depth_fraction=depth, fund_fraction=fund)
    one, other = run_isolated(population, on, rules), run_cross(population, on, rules)
    assert abs(one.ledger.difference_usd) < 0.01
    np.testing.assert_allclose(one.record.price, other.record.price, rtol=1e-9)
    assert one.ledger.residual_usd == pytest.approx(other.ledger.residual_usd, rel=1e-6, abs=0.01)
    assert one.record.fund[-1, 0] == pytest.approx(other.record.fund[-1, 0], rel=1e-6, abs=0.01)


def test_equal_liquidation_prices_keep_the_order_of_the_file():
    population = isolated([(float(k % 7 + 1), 100.0, 10.0 * (k % 7 + 1)) for k in range(500)])
    book = sort_book(population)
    level = liquidation_price(population)
    order = np.argsort(-level, kind="stable")
    np.testing.assert_array_equal(book.longs.quantity, np.abs(population.quantity)[order])
