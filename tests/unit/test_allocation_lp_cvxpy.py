"""Allocations by decomposition against cvxpy, from the definition, on 200 random instances."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from margincover.allocation.check import recheck
from margincover.allocation.needs import Needs
from margincover.allocation.problem import AllocationProblem, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.numeric.lp_cuts import CutSettings
from tests.unit.allocation_cases import random_problem

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # cvxpy's own imports warn about its optional parts
    cp: Any = pytest.importorskip("cvxpy", reason="cvxpy (extra dev) is not installed")

MILLION = 1e6  # cvxpy's solvers lose digits on amounts in dollars


def covers(problem: AllocationProblem, needs: Needs, amount: Any) -> tuple[list[Any], list[Any]]:
    """Early and total cover by venue as expressions over paths, straight from the definition."""
    pair = []
    for weight in (needs.early_weight, needs.total_weight):
        rows = []
        for venue in range(needs.n_venues):
            mine = np.flatnonzero(problem.placements.venue == venue)
            parts = [amount[p] * (np.ones(needs.n_paths) if weight is None else weight[p]) for p in mine]
            rows.append(sum(parts) if parts else np.zeros(needs.n_paths))
        pair.append(rows)
    return pair[0], pair[1]


def cap(needs: Needs, venue: int) -> np.ndarray:
    assert needs.receivable_usd is not None
    return needs.receivable_usd[venue] / MILLION


def limit_constraints(problem: AllocationProblem, limit: RiskLimit, amount: Any, reserve: Any) -> list[Any]:
    needs = problem.needs if limit.needs is None else limit.needs
    early, total = covers(problem, needs, amount)
    height, sent_sum, constraints = cp.Variable(needs.n_paths), 0, []
    for venue in range(needs.n_venues) if limit.venues is None else limit.venues:
        sent = cp.Variable(needs.n_paths, nonneg=True)
        constraints += [
            height >= needs.early_usd[venue] / MILLION - early[venue],
            height >= needs.total_usd[venue] / MILLION - total[venue] - sent,
            sent <= (cap(needs, venue) if limit.with_reserve else 0.0),
        ]
        sent_sum = sent_sum + sent
    constraints.append(sent_sum <= reserve)
    level = limit.level_usd / MILLION
    if limit.tail == 0.0:
        return [*constraints, height <= level]
    quantile = cp.Variable()
    return [*constraints, quantile + needs.path_probability() @ cp.pos(height - quantile) / limit.tail <= level]


def second_stage(problem: AllocationProblem, amount: Any, reserve: Any) -> tuple[Any, list[Any]]:
    if problem.costs is None:
        return 0.0, []
    needs, cost, sent_sum, constraints = problem.needs, 0.0, 0, []
    early, total = covers(problem, needs, amount)
    for venue in range(needs.n_venues):
        sent, short = cp.Variable(needs.n_paths, nonneg=True), cp.Variable(needs.n_paths, nonneg=True)
        constraints += [
            short >= needs.early_usd[venue] / MILLION - early[venue],
            short >= needs.total_usd[venue] / MILLION - total[venue] - sent,
            sent <= cap(needs, venue),
        ]
        fee, loss = problem.costs.transfer_fee_fraction[venue], problem.costs.liquidation_loss_fraction[venue]
        cost = cost + needs.path_probability() @ (fee * sent + loss * short)
        sent_sum = sent_sum + sent
    return cost, [*constraints, sent_sum <= reserve]


def optimum_by_cvxpy(problem: AllocationProblem, solver: str) -> float:
    places = problem.placements
    amount, reserve = cp.Variable(places.count), cp.Variable()
    cost, constraints = second_stage(problem, amount, reserve)
    cost = cost + places.carry_fraction @ amount + places.reserve_carry_fraction * reserve
    constraints += [amount >= places.lower_usd / MILLION, amount <= places.upper_usd / MILLION]
    constraints += [reserve >= 0.0, reserve <= places.reserve_upper_usd / MILLION]
    if np.isfinite(problem.budget_usd):
        constraints.append(cp.sum(amount) + reserve <= problem.budget_usd / MILLION)
    held = problem.holdings
    if held is not None:
        put, take = cp.Variable(places.count, nonneg=True), cp.Variable(places.count, nonneg=True)
        fresh, back = cp.Variable(nonneg=True), cp.Variable(nonneg=True)
        paid = cp.sum(cp.multiply(1.0 + held.fee_fraction, put)) - cp.sum(cp.multiply(1.0 - held.fee_fraction, take))
        constraints += [
            amount == held.amount_usd / MILLION + put - take,
            reserve == held.reserve_usd / MILLION + fresh - back - paid,
            put <= held.depositable_usd / MILLION,
            take <= held.withdrawable_usd / MILLION,
        ]
        cost = cost + held.fee_fraction @ (put + take)
    for limit in problem.limits:
        constraints += limit_constraints(problem, limit, amount, reserve)
    # In thousandths, so that the objective is near 1 and the solver's tolerance is a relative one.
    model = cp.Problem(cp.Minimize(1e4 * cost), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.solve(solver=solver)
    assert model.status == "optimal"
    return float(model.value) * MILLION / 1e4


@pytest.mark.parametrize("block", range(10))
def test_optimum_equals_cvxpy_on_twenty_random_instances(block: int) -> None:
    # HiGHS and Clarabel in turn: one shares our master's solver but not our decomposition, the other shares nothing.
    for seed in range(20 * block, 20 * block + 20):
        problem = random_problem(seed)
        ours = solve_allocation(problem, CutSettings(gap=1e-9))
        theirs = optimum_by_cvxpy(problem, "CLARABEL" if seed % 2 else "HIGHS")
        assert ours.objective_usd == pytest.approx(theirs, rel=1e-6), f"seed {seed}"
        found = recheck(problem, ours)
        assert found.objective_usd == pytest.approx(ours.objective_usd, rel=1e-9), f"seed {seed}"
        assert found.excess_usd < 0.01, f"seed {seed}"
        assert found.imbalance_usd < 0.01, f"seed {seed}"
