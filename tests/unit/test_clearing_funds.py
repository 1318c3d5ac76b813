"""Insurance funds, mutual pools and liquidation slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import genpareto

from margincover.clearing import flow, fund, fund_paths, liquidation_slice, mutual
from margincover.errors import InputError
from margincover.numeric.quantile import expected_shortfall

CENT = 0.01
money = st.floats(0.0, 1e8, allow_nan=False)


def tables(fewest_paths=1):
    return st.tuples(st.integers(1, 6), st.integers(fewest_paths, 12)).flatmap(
        lambda shape: st.lists(
            st.lists(money, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
        )
    )


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pareto_deficits():
    """60 % of paths without a deficit; the others 1,000 plus a generalised Pareto law, shape 0.25 and scale 2,000."""
    rng = np.random.default_rng(3)
    deficits = np.zeros(40_000)
    deficits[:16_000] = 1000.0 + genpareto.rvs(0.25, scale=2000.0, size=16_000, random_state=rng)
    return deficits


@pytest.mark.parametrize("tail", [0.005, 0.001])
def test_the_tail_of_a_known_law_lies_in_its_interval(pareto_deficits, tail):
    # VaR: P(deficit > x) = 0.4 (1 + 0.25 (x - 1000) / 2000)^-4; ES = VaR + (scale + shape (VaR - 1000)) / (1 - shape)
    var = 1000.0 + 2000.0 / 0.25 * ((tail / 0.4) ** -0.25 - 1.0)
    es = var + (2000.0 + 0.25 * (var - 1000.0)) / 0.75
    found = fund.deficit_tail(pareto_deficits, tail=tail)
    assert found.var.low < var < found.var.high
    assert found.es is not None
    assert found.es.low < es < found.es.high
    assert found.es.value >= found.var.value


def test_the_recommended_fund_is_the_largest_of_the_methods(pareto_deficits):
    exposures = np.array([[50_000.0, 0.0], [20_000.0, 60_000.0], [0.0, 30_000.0]])
    found = fund.size_fund(pareto_deficits, capital_cost=0.05, loss_cost=1.0, exposure_usd=exposures)
    assert found.cover_usd == {1: 60_000.0, 2: 90_000.0, 3: 90_000.0}
    assert (found.binding, found.recommended_usd) == ("Cover-2", 90_000.0)
    low, high = found.newsvendor_interval_usd
    assert low <= found.newsvendor_usd <= high
    alone = fund.size_fund(pareto_deficits, capital_cost=0.05, loss_cost=1.0)
    assert alone.binding == "99.9000% quantile"
    assert alone.recommended_usd == alone.tails[0.001].var.value
    assert any("Cover-N" in note for note in alone.notes)


def test_the_newsvendor_size_minimises_its_cost(pareto_deficits):
    def cost(size):
        return 0.02 * size + np.maximum(pareto_deficits - size, 0.0).mean()

    best = fund.newsvendor_size(pareto_deficits, capital_cost=0.02, loss_cost=1.0)
    assert cost(best) <= min(cost(best * 0.98), cost(best * 1.02))


def test_no_fund_is_worth_its_cost_where_capital_costs_as_much_as_loss():
    assert fund.newsvendor_size([1.0, 2.0], capital_cost=1.0, loss_cost=1.0) == 0.0


def test_a_tail_is_not_fitted_from_a_handful_of_deficits():
    deficits = np.zeros(10_000)
    deficits[:30] = np.arange(1.0, 31.0)
    with pytest.raises(InputError, match="29 paths with a deficit"):
        fund.deficit_tail(deficits, tail=0.001)


@given(table=tables(), n=st.integers(1, 7))
def test_cover_n_is_the_sum_of_the_largest(table, n):
    exposures = np.array(table)
    expected = np.sort(exposures, axis=0)[::-1][:n].sum(axis=0)
    assert fund.cover_n(exposures, n=n) == pytest.approx(expected)


# --- over time -------------------------------------------------------------------------------------------------------


@given(table=tables(), start=money, inflow=st.floats(0.0, 1e6), coins=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_money_of_a_fund_is_conserved_to_a_cent(table, start, inflow, coins, seed):
    claims = np.array(table)
    moves = np.random.default_rng(seed).uniform(-1.0, 1.0, claims.shape)
    found = fund_paths.run_fund(
        start_usd=start, deficit_usd=claims, inflow_usd=inflow, asset_return=moves, coin_fraction=coins
    )
    assert np.abs(found.paid_usd + found.residual_usd - claims).max() < CENT
    booked = start + (found.revaluation_usd + found.inflow_usd - found.paid_usd).sum(axis=0)
    assert np.abs(booked - found.level_usd[-1]).max() < CENT
    assert (found.level_usd >= 0.0).all()
    assert (found.level_usd[1:][found.residual_usd > 0.0] == 0.0).all()


def test_depletion_and_refill_of_three_paths():
    # 100 to start, 10 a step. Path 0: 45 out at step 1, so 75 after it and back at 110 with step 5. Path 1: 500 out.
    # Path 2: nothing.
    claims = np.zeros((6, 3))
    claims[1, 0], claims[1, 1] = 45.0, 500.0
    found = fund_paths.run_fund(start_usd=100.0, deficit_usd=claims, inflow_usd=10.0)
    assert found.level_usd[:, 0].tolist() == [100.0, 110.0, 75.0, 85.0, 95.0, 105.0, 115.0]
    assert found.first_paid_at.tolist() == [1, 1, -1]
    assert found.depleted_at.tolist() == [-1, 1, -1]
    assert found.refilled_after.tolist() == [4, -1, -1]
    assert found.residual_usd[1, 1] == 380.0
    estimate, low, high = found.depletion
    assert estimate == pytest.approx(1 / 3)
    assert low < 1 / 3 < high
    assert found.refill_quantile(0.5) == 4.0
    assert found.refill_quantile(0.9) == np.inf


def test_a_fund_in_coins_is_small_when_it_is_needed():
    rng = np.random.default_rng(5)
    moves = 0.05 * rng.standard_t(4, (60, 4000)).clip(-10, 10)
    claims = np.maximum(-moves - 0.10, 0.0) * 800.0
    in_cash = fund_paths.run_fund(start_usd=100.0, deficit_usd=claims, inflow_usd=0.1)
    in_coins = fund_paths.run_fund(
        start_usd=100.0, deficit_usd=claims, inflow_usd=0.1, asset_return=moves, coin_fraction=1.0
    )
    assert in_coins.depletion[1] > in_cash.depletion[2]


def test_a_fund_that_was_never_drawn_has_no_time_to_refill():
    found = fund_paths.run_fund(start_usd=1.0, deficit_usd=np.zeros((2, 2)), inflow_usd=0.0)
    with pytest.raises(InputError, match="never drawn"):
        found.refill_quantile(0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coin_fraction": 0.5}, "returns missing"),
        ({"coin_fraction": 1.5, "asset_return": np.zeros((2, 2))}, "coin_fraction"),
        ({"coin_fraction": 0.5, "asset_return": np.full((2, 2), -1.5)}, "asset_return"),
        ({"inflow_usd": -1.0}, "inflow_usd"),
        ({"inflow_usd": np.zeros(2)}, "inflow_usd"),
        ({"start_usd": np.nan}, "start_usd"),
        ({"deficit_usd": np.zeros(2)}, "deficit_usd"),
    ],
)
def test_bad_inputs_of_a_fund_are_named(changes, message):
    arguments = {"start_usd": 1.0, "deficit_usd": np.zeros((2, 2)), "inflow_usd": 0.0} | changes
    with pytest.raises(InputError, match=message):
        fund_paths.run_fund(**arguments)


# --- mutual pools ----------------------------------------------------------------------------------------------------


@given(table=tables(fewest_paths=2), tail=st.sampled_from([0.1, 0.25, 0.5]))
def test_contributions_sum_to_the_pool_and_nobody_pays_more_than_alone(table, tail):
    needs = np.array(table)
    found = mutual.size_pool(needs, tail=tail)
    assert found.contribution_usd.sum() == pytest.approx(found.pool_usd, rel=1e-9, abs=CENT)
    assert (found.contribution_usd <= found.alone_usd + CENT).all()
    assert 0.0 <= found.ratio <= 1.0 + 1e-9


def test_a_pool_of_one_bet_saves_nothing_and_one_of_opposite_bets_half():
    needs = np.arange(100.0)
    assert mutual.size_pool(np.array([needs, needs]), tail=0.05).ratio == pytest.approx(1.0)
    opposite = np.zeros((2, 100))
    opposite[0, :5], opposite[1, 50:55] = 10.0, 10.0
    assert mutual.size_pool(opposite, tail=0.05).ratio == pytest.approx(0.5)


def test_contributions_are_the_derivative_of_the_pool():
    rng = np.random.default_rng(9)
    needs = rng.pareto(2.5, (3, 20_000))
    base = mutual.size_pool(needs, tail=0.02)
    for user in range(3):
        scaled = needs.copy()
        scaled[user] *= 1.0 + 1e-6
        slope = (expected_shortfall(scaled.sum(axis=0), 0.02) - base.pool_usd) / 1e-6
        assert slope == pytest.approx(base.contribution_usd[user], rel=1e-3)


def test_the_pool_pays_at_the_worst_moment_of_the_sum():
    # two users short at different steps: 10 and 8, never together
    shortfall = np.array([[[10.0], [-5.0]], [[-1.0], [8.0]]])
    assert mutual.needs_at_pool_peak(shortfall).tolist() == [[10.0], [0.0]]


@given(table=tables(), pool=money, own=st.floats(0.0, 1e6), limit=st.floats(0.0, 1e8))
def test_own_money_payment_and_rest_are_the_need_to_a_cent(table, pool, own, limit):
    needs = np.array(table)
    found = mutual.settle_claims(needs, pool_usd=pool, own_usd=own, limit_usd=limit)
    assert np.abs(found.own_usd + found.paid_usd + found.unpaid_usd - needs).max() < CENT
    assert np.abs(found.paid_usd.sum(axis=0) + found.left_usd - pool).max() < CENT
    assert (found.paid_usd <= limit + CENT).all()
    assert (found.paid_fraction >= 0.0).all()


def test_claims_on_a_short_pool_are_paid_pro_rata():
    needs = np.array([[30.0, 5.0], [90.0, 0.0]])
    found = mutual.settle_claims(needs, pool_usd=40.0, own_usd=[10.0, 10.0], limit_usd=mutual.cover_limit_usd(120.0))
    # path 0: claims 20 and min(80, 60) = 60, half paid; path 1: no claim
    assert found.paid_usd.tolist() == [[10.0, 0.0], [30.0, 0.0]]
    assert found.over_limit_usd.tolist() == [[0.0, 0.0], [20.0, 0.0]]
    assert found.paid_fraction.tolist() == [0.5, 1.0]
    assert found.left_usd.tolist() == [0.0, 40.0]


def test_bad_inputs_of_a_pool_are_named():
    with pytest.raises(InputError, match=r"need_usd\[0, 1\]"):
        mutual.size_pool(np.array([[1.0, -1.0]]), tail=0.1)
    with pytest.raises(InputError, match="tail"):
        mutual.size_pool(np.array([[1.0, 1.0]]), tail=1.0)
    with pytest.raises(InputError, match="own_usd"):
        mutual.settle_claims(np.ones((2, 2)), pool_usd=1.0, own_usd=[1.0, 1.0, 1.0], limit_usd=1.0)


# --- slices and flow -------------------------------------------------------------------------------------------------


@given(quantity=st.floats(0.1, 100.0), equity=st.floats(0.0, 5.0), side=st.sampled_from([-1.0, 1.0]))
def test_a_slice_below_the_whole_restores_maintenance_exactly(quantity, equity, side):
    mark, execution, maintenance, fee = 10.0, 10.0 - side * 0.1, 0.10, 0.003
    found = liquidation_slice.restoring_slice(
        quantity=quantity, side=side, equity_usd=equity, mark=mark, execution=execution, terms=(maintenance, fee)
    )
    size = float(found.size)
    after = equity - size * (side * (mark - execution) + fee * mark)
    required = maintenance * mark * (quantity - size)
    if size == 0.0:
        assert equity >= maintenance * mark * quantity - 1e-9
    elif size < quantity:
        assert after == pytest.approx(required, abs=1e-9)


def test_where_slippage_eats_the_margin_freed_the_whole_position_goes():
    found = liquidation_slice.restoring_slice(
        quantity=3.0, side=1.0, equity_usd=1.0, mark=10.0, execution=8.0, terms=(0.10, 0.0)
    )
    assert (float(found.wanted), float(found.size)) == (np.inf, 3.0)


def test_bad_inputs_of_a_slice_are_named():
    with pytest.raises(InputError, match="side"):
        liquidation_slice.slice_bad_debt(size=1.0, side=0.0, bankruptcy=1.0, execution=1.0)
    with pytest.raises(InputError, match="quantity"):
        liquidation_slice.bankruptcy_price(quantity=0.0, side=1.0, equity_usd=1.0, mark=1.0)


def test_the_worst_window_is_the_first_of_the_largest():
    found = flow.worst_window([1.0, 5.0, 1.0, 3.0, 3.0], steps=2, step_s=60.0)
    assert (found.first_step, found.amount_usd, found.share) == (0, 6.0, pytest.approx(6 / 13))
    assert flow.worst_window([0.0, 0.0], steps=1, step_s=60.0).share == 0.0
    with pytest.raises(InputError, match="window"):
        flow.worst_window([1.0], steps=2, step_s=60.0)
    with pytest.raises(InputError, match="nothing was liquidated"):
        flow.long_share([0.0], [0.0])
