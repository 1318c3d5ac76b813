"""The exact chance constraint against enumeration, the fast search, and tightening on fresh paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from margincover.allocation import check
from margincover.allocation.chance import solve_by_rate, solve_exactly
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import AllocationProblem, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.allocation.tolerance import tighten
from margincover.errors import NotSupportedError, SolverError
from margincover.numeric.lp import InfeasibleError
from tests.unit.allocation_cases import random_needs, random_problem


def prefunded(seed: int, n_venues: int, n_paths: int, *, weighted: bool = False) -> AllocationProblem:
    rng = np.random.default_rng(seed)
    total = random_needs(rng, n_venues, n_paths).total_usd + 1e6
    probability = rng.dirichlet(np.ones(n_paths)) if weighted else None
    return AllocationProblem(
        needs=Needs.prefunded(total, probability=probability),
        placements=Placements.one_per_venue(rng.uniform(0.05, 0.15, n_venues)),
    )


def least_by_enumeration(problem: AllocationProblem, tail: float) -> float:
    needs, best = problem.needs, np.inf
    for count in range(needs.n_paths):
        for given_up in itertools.combinations(range(needs.n_paths), count):
            if needs.path_probability()[list(given_up)].sum() <= tail + 1e-12:
                kept = np.delete(needs.total_usd, given_up, axis=1)
                best = min(best, float(problem.placements.carry_fraction @ np.maximum(kept.max(axis=1), 0.0)))
    return best


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_exact_answer_equals_enumeration(seed: int, weighted: bool) -> None:
    problem = prefunded(seed, 3, 11, weighted=weighted)
    found = solve_exactly(problem, 0.3)
    assert found.objective_usd == pytest.approx(least_by_enumeration(problem, 0.3), rel=1e-9)
    assert found.optimal
    assert found.gap < 1e-9


def test_exact_answer_holds_the_rate_and_costs_no_more_than_the_search() -> None:
    problem = prefunded(2, 5, 3_000)
    exact = solve_exactly(problem, 0.01)
    searched, tail = solve_by_rate(problem, 0.01)
    strict = solve_allocation(
        AllocationProblem(
            needs=problem.needs, placements=problem.placements, limits=(RiskLimit(name="joint", tail=0.01),)
        )
    )
    for amount in (exact.amount_usd, searched.amount_usd):
        assert check.any_liquidation(problem.needs, problem.placements, amount, 0.0)[1] <= 30
    assert exact.given_up.size <= 30
    assert exact.objective_usd <= searched.objective_usd * (1.0 + 1e-9) <= strict.objective_usd * (1.0 + 2e-9)
    assert tail >= 0.01


def test_node_limit_gives_a_bound_and_never_more_than_is_proven() -> None:
    problem = prefunded(5, 6, 2_000)
    full, limited = solve_exactly(problem, 0.05), solve_exactly(problem, 0.05, max_nodes=1)
    assert limited.bound_usd <= full.objective_usd * (1.0 + 1e-9)
    assert limited.objective_usd >= full.objective_usd * (1.0 - 1e-9)


def test_upper_limits_below_too_many_needs_are_infeasible() -> None:
    needs = Needs.prefunded(np.arange(1.0, 101.0)[np.newaxis])
    places = Placements(
        venue=np.array([0]), carry_fraction=np.ones(1), lower_usd=np.zeros(1), upper_usd=np.array([90.0])
    )
    with pytest.raises(InfeasibleError):
        solve_exactly(AllocationProblem(needs=needs, placements=places), 0.05)
    held = solve_exactly(AllocationProblem(needs=needs, placements=places), 0.10)
    assert held.amount_usd == pytest.approx([90.0])


def test_exact_search_refuses_what_it_does_not_model() -> None:
    with pytest.raises(NotSupportedError, match="solve_by_rate"):
        solve_exactly(random_problem(1), 0.05)


def test_tightened_answer_holds_the_tolerance_on_paths_never_seen() -> None:
    # Seeded. The paths of one problem are independent of each other, so three blocks are three independent samples.
    whole = prefunded(11, 4, 18_000)
    plan, judge, fresh = (whole.needs.only(slice(start, start + 6_000)) for start in (0, 6_000, 12_000))
    places = whole.placements

    def solve(tail: float) -> np.ndarray:
        return solve_exactly(AllocationProblem(needs=plan, placements=places), tail).amount_usd

    def hits(amount: np.ndarray) -> tuple[int, int]:
        return check.any_liquidation(judge, places, amount, 0.0)[1], judge.n_paths

    found = tighten(solve, hits, tolerance=0.02)
    assert found.upper_bound <= 0.02
    assert 0.005 <= found.tail < 0.02
    assert check.any_liquidation(fresh, places, found.decision, 0.0)[0] <= 0.02
    tails = [tail for tail, _, _ in found.tried]
    assert tails == sorted(tails)


def test_too_few_validation_paths_are_an_error() -> None:
    with pytest.raises(SolverError, match="more validation paths"):
        tighten(lambda tail: tail, lambda _: (0, 100), tolerance=0.01)
