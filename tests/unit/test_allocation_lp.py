"""Allocation: hand-worked cases, the whole programme as twin, conservation, monotony, conflicts, prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.allocation import check
from margincover.allocation.cents import in_cents
from margincover.allocation.conflict import BUDGET, find_conflict
from margincover.allocation.first_stage import choose_units
from margincover.allocation.frontier import frontier
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import AllocationProblem, RecourseCosts, RiskLimit
from margincover.allocation.solve import least_relaxation_usd, solve_allocation
from margincover.allocation.value import allocation_information, value_of_less_delay
from margincover.allocation.whole import solve_whole_usd
from margincover.errors import InputError
from margincover.numeric.lp import InfeasibleError
from margincover.numeric.lp_cuts import CutSettings
from margincover.numeric.quantile import expected_shortfall
from tests.unit.allocation_cases import random_needs, random_problem


def two_venues(*, reserve: float | None = 0.02, early: float = 0.0) -> AllocationProblem:
    # One venue needs 100 on path 0, the other on path 1: a reserve of 100 serves either, prefunding must hold both.
    total = np.array([[100.0, 0.0], [0.0, 100.0]])
    return AllocationProblem(
        needs=Needs(early_usd=early * total, total_usd=total),
        placements=Placements.one_per_venue(np.array([0.05, 0.05]), reserve_carry_fraction=reserve),
        limits=(RiskLimit(name="always", tail=0.0),),
    )


def test_reserve_replaces_prefunding_at_both_venues() -> None:
    found = solve_allocation(two_venues())
    assert found.reserve_usd == pytest.approx(100.0)
    assert found.amount_usd == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found.objective_usd == pytest.approx(2.0)


def test_without_reserve_both_venues_are_prefunded() -> None:
    found = solve_allocation(two_venues(reserve=None))
    assert found.amount_usd == pytest.approx([100.0, 100.0])
    assert found.objective_usd == pytest.approx(10.0)
    assert found.marginal_value_usd == pytest.approx([0.05, 0.05])


def test_need_that_comes_before_a_transfer_must_stand_at_the_venue() -> None:
    # 30 of 100 come early: 30 at both venues and 70 in the reserve.
    found = solve_allocation(two_venues(early=0.3))
    assert found.amount_usd == pytest.approx([30.0, 30.0])
    assert found.reserve_usd == pytest.approx(70.0)


def test_frozen_venue_is_prefunded_in_full() -> None:
    problem = two_venues()
    frozen = RiskLimit(name="venue 0 frozen", tail=0.0, needs=problem.needs.with_frozen(0))
    found = solve_allocation(replace(problem, limits=(*problem.limits, frozen)))
    assert found.amount_usd == pytest.approx([100.0, 0.0], abs=1e-6)
    assert found.reserve_usd == pytest.approx(100.0)
    assert "venue 0 frozen" in found.binding


def test_liquidation_is_accepted_where_it_is_cheaper_than_cover() -> None:
    # Mean loss per dollar of cover: 0.5 * 0.06 = 0.03 < 0.05 at the first venue, 0.5 * 0.2 = 0.1 > 0.05 at the second.
    costs = RecourseCosts(transfer_fee_fraction=np.zeros(2), liquidation_loss_fraction=np.array([0.06, 0.2]))
    found = solve_allocation(replace(two_venues(reserve=None), limits=(), costs=costs))
    assert found.amount_usd == pytest.approx([0.0, 100.0], abs=1e-6)
    assert found.objective_usd == pytest.approx(0.5 * 6.0 + 5.0)
    assert found.recourse_usd == pytest.approx(3.0)


def test_single_venue_is_its_required_coverage() -> None:
    loss = np.random.default_rng(3).standard_t(4, 1_000) * 1e6
    problem = AllocationProblem(
        needs=Needs.prefunded(loss[np.newaxis]),
        placements=Placements.one_per_venue(np.array([0.1])),
        limits=(RiskLimit(name="rces", tail=0.01),),
    )
    assert solve_allocation(problem).amount_usd[0] == pytest.approx(expected_shortfall(loss, 0.01), rel=1e-6)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_decomposition_equals_the_whole_programme(seed: int) -> None:
    problem = random_problem(seed + 1_000, n_venues=4, n_paths=120)
    found = solve_allocation(problem, CutSettings(gap=1e-8))
    whole, _ = solve_whole_usd(problem, choose_units(problem))
    assert found.objective_usd == pytest.approx(whole, rel=1e-7)
    assert found.bound_usd <= whole * (1.0 + 1e-9)
    assert found.optimal


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_money_is_conserved_to_the_cent(seed: int) -> None:
    problem = random_problem(4 * seed + 2, n_paths=30)
    assert problem.holdings is not None
    found = solve_allocation(problem)
    moves = in_cents(found, problem.holdings)
    assert moves.imbalance == 0
    assert (moves.amount / 100.0 >= found.amount_usd - 1e-6).all()
    assert (np.abs(moves.amount / 100.0 - found.amount_usd) < 0.02).all()
    assert (moves.amount == moves.held + moves.deposit - moves.withdrawal).all()
    # Fees are paid on rounded amounts, each rounded up: within a few cents of the plan.
    planned = found.fee_usd + found.returned_usd - found.fresh_usd
    ordered = (moves.deposit_fee.sum() + moves.withdrawal_fee.sum() + moves.returned - moves.fresh) / 100.0
    assert abs(planned - ordered) < 0.05 * (found.amount_usd.size + 1)
    assert check.recheck(problem, found).imbalance_usd < 0.01


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), tail=st.floats(0.02, 0.3), share=st.floats(0.2, 0.95))
def test_less_tolerance_never_costs_less(seed: int, tail: float, share: float) -> None:
    problem = replace(random_problem(6 * seed + 1, n_paths=50), limits=(), budget_usd=np.inf)
    costs = [
        solve_allocation(replace(problem, limits=(RiskLimit(name="joint", tail=t),))).objective_usd
        for t in (tail, share * tail)
    ]
    assert costs[1] >= costs[0] * (1.0 - 1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), tail=st.floats(0.02, 0.5))
def test_pooled_venues_never_need_more_than_the_same_venues_apart(seed: int, tail: float) -> None:
    # One pool has the sum of the shortfalls at each time, at most the sum of the maxima; Expected Shortfall is
    # subadditive.
    needs = Needs.prefunded(random_needs(np.random.default_rng(seed), 3, 60).total_usd)
    apart = AllocationProblem(
        needs=needs,
        placements=replace(Placements.one_per_venue(np.ones(3)), lower_usd=np.zeros(3)),
        limits=tuple(RiskLimit(name=f"venue {v}", tail=tail, venues=(v,)) for v in range(3)),
    )
    pool = AllocationProblem(
        needs=Needs.prefunded(needs.total_usd.sum(axis=0, keepdims=True)),
        placements=Placements.one_per_venue(np.ones(1)),
        limits=(RiskLimit(name="pool", tail=tail),),
    )
    assert solve_allocation(pool).capital_usd <= solve_allocation(apart).capital_usd * (1.0 + 1e-6) + 1e-3


def test_joint_expected_shortfall_bounds_the_counted_rate() -> None:
    problem = random_problem(31, n_venues=4, n_paths=2_000)
    found = solve_allocation(replace(problem, limits=(RiskLimit(name="joint", tail=0.05),)))
    rate, _ = check.any_liquidation(problem.needs, problem.placements, found.amount_usd, found.reserve_usd)
    assert 0.0 < rate <= 0.05


def test_marginal_value_is_the_slope_of_the_optimum() -> None:
    # Lower the needs of one venue by a little everywhere: the optimum falls by the marginal value of a dollar there.
    problem = replace(random_problem(7, n_paths=200), limits=(RiskLimit(name="joint", tail=0.1),))
    base, step = solve_allocation(problem, CutSettings(gap=1e-10)), 10.0
    for venue in range(3):
        shift = np.zeros((3, 1))
        shift[venue] = step
        less = replace(
            problem.needs, early_usd=problem.needs.early_usd - shift, total_usd=problem.needs.total_usd - shift
        )
        fall = base.objective_usd - solve_allocation(replace(problem, needs=less), CutSettings(gap=1e-10)).objective_usd
        assert fall / step == pytest.approx(base.marginal_value_usd[venue], rel=0.02)


def test_conflict_names_the_budget_and_the_limit_and_the_least_relaxation() -> None:
    # Both venues need 100 in the mean of all paths where they fall short; 150 in all leave 25 missing at each.
    problem = replace(two_venues(reserve=None), budget_usd=150.0)
    harmless = RiskLimit(name="loose", tail=0.5, level_usd=1e6)
    problem = replace(problem, limits=(*problem.limits, harmless))
    with pytest.raises(InfeasibleError, match="cannot be met together"):
        solve_allocation(problem)
    conflict = find_conflict(problem)
    assert conflict is not None
    assert set(conflict.names) >= {"always", BUDGET}
    assert "loose" not in conflict.names
    assert conflict.relaxation_usd == pytest.approx(25.0, abs=1e-4)
    assert "always; budget" in conflict.in_words()


def test_feasible_problem_has_no_conflict() -> None:
    assert find_conflict(two_venues()) is None
    assert least_relaxation_usd(two_venues()) == 0.0


def test_information_value_by_hand() -> None:
    # Two equally likely paths, needs of 100 at venue 0 or at venue 1, loss 0.2 per dollar, carry 0.05, no reserve.
    # Cover now: 10. Knowing the path: cover one venue, 5. The mean path needs 50 at each: 5 now and 50 * 0.2 later in
    # either case.
    costs = RecourseCosts(transfer_fee_fraction=np.zeros(2), liquidation_loss_fraction=np.full(2, 0.2))
    value = allocation_information(replace(two_venues(reserve=None), costs=costs))
    assert value.recourse == pytest.approx(10.0)
    assert value.evpi == pytest.approx(5.0)
    assert value.vss == pytest.approx(5.0)


def test_value_of_less_delay_is_the_difference_of_two_hand_solved_cases() -> None:
    # 30 early: 60 * 0.05 + 70 * 0.02 = 4.4; nothing early: 100 * 0.02 = 2.
    slow = two_venues(early=0.3)
    assert value_of_less_delay(slow, two_venues().needs) == pytest.approx(2.4)


def test_frontier_points_equal_separate_solves_and_cost_rises() -> None:
    problem = replace(random_problem(13, n_paths=1_500), limits=(), budget_usd=np.inf)
    points = frontier(problem, [0.02, 0.2, 0.05], fresh=Needs.prefunded(problem.needs.total_usd))
    assert [point.tail for point in points] == [0.2, 0.05, 0.02]
    costs = [point.allocation.objective_usd for point in points]
    assert costs == sorted(costs)
    for point in points:
        alone = solve_allocation(replace(problem, limits=(RiskLimit(name="joint", tail=point.tail),)))
        assert point.allocation.objective_usd == pytest.approx(alone.objective_usd, rel=3e-6)
        assert point.probability <= point.tail
        assert point.fresh is not None


def test_needs_that_shrink_are_refused() -> None:
    with pytest.raises(InputError, match="a path maximum only grows"):
        Needs(early_usd=np.array([[2.0]]), total_usd=np.array([[1.0]]))


def test_unknown_needs_are_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        Needs.prefunded(np.array([[np.nan]]))


def test_rounds_that_run_out_are_not_called_optimal() -> None:
    problem = random_problem(13, n_paths=500)
    found = solve_allocation(problem, CutSettings(gap=1e-12, max_rounds=6))
    assert not found.optimal
    assert found.bound_usd < found.objective_usd
