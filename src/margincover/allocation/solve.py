"""Solve an allocation by decomposition: planes of its convex parts on a small master."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from margincover.allocation.first_stage import Units, choose_units, first_stage, generous_start
from margincover.allocation.problem import Allocation, AllocationProblem
from margincover.allocation.risk import ExpectedRecourse, ShortfallAtRisk
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import LinearProgramme, solve_linear
from margincover.numeric.lp_cuts import (
    ConvexLimit,
    ConvexProgramme,
    ConvexTerm,
    CutSettings,
    CutSolution,
    Plane,
    least_relaxation,
    minimise,
)

BLOCKS = 8  # blocks of paths with a plane of their own per round: fewer rounds against a larger master


def solve_allocation(
    problem: AllocationProblem,
    settings: CutSettings | None = None,
    *,
    planes: tuple[Plane, ...] = (),
    start_usd: Vector | None = None,
) -> Allocation:
    """Return the cheapest allocation that meets all limits, with a proven gap.

    Parameters
    ----------
    problem : AllocationProblem
    settings : CutSettings, optional
        Gap relative to the cost; feasibility in units of the 99 % quantile of the needs.
    planes : tuple of Plane
        From a solve with the same needs, placements and names; limits may have had larger tails.
    start_usd : array [placement + 1], optional
        Amounts and reserve near the answer that meet all limits. Used only without holdings and budget.

    Raises
    ------
    InfeasibleError
        If the limits exclude each other; `allocation.conflict` names a minimal set.
    SolverError
        If the master fails.
    """
    units = choose_units(problem)
    start = generous_start(problem, units)
    if start is not None and start_usd is not None:
        start = np.minimum(start_usd / units.money_usd, first_stage(problem, units).upper)
    solution = minimise(convex_programme(problem, units), settings, start=start, planes=planes)
    return _answer(problem, units, solution)


def least_relaxation_usd(problem: AllocationProblem, settings: CutSettings | None = None) -> float:
    """Return by how many dollars the levels of all limits must rise alike to be met; 0 when they can be met.

    Raises
    ------
    InfeasibleError
        If bounds, balances and budget exclude each other even without risk limits.
    """
    units = choose_units(problem)
    programme = convex_programme(replace(problem, costs=None), units)
    if not programme.limits:
        solve_linear(programme.linear)
        return 0.0
    relaxation, _ = least_relaxation(programme, settings, stop_below=0.0)
    return max(0.0, relaxation) * units.money_usd


def convex_programme(problem: AllocationProblem, units: Units) -> ConvexProgramme:
    """Return the problem in scaled units as a convex programme."""
    linear = first_stage(problem, units)
    columns = linear.cost.size
    base = problem.needs.scaled(units.money_usd)
    limits = []
    for limit in problem.limits:
        needs = base if limit.needs is None else limit.needs.scaled(units.money_usd)
        function = ShortfallAtRisk(needs, problem.placements, limit, columns)
        limits.append(ConvexLimit(name=limit.name, function=function, level=limit.level_usd / units.money_usd))
    return ConvexProgramme(linear=linear, limits=tuple(limits), terms=_terms(problem, units, columns))


def _terms(problem: AllocationProblem, units: Units, columns: int) -> tuple[ConvexTerm, ...]:
    if problem.costs is None:
        return ()
    costs = replace(
        problem.costs,
        transfer_fee_fraction=problem.costs.transfer_fee_fraction / units.cost_fraction,
        liquidation_loss_fraction=problem.costs.liquidation_loss_fraction / units.cost_fraction,
    )
    needs = problem.needs.scaled(units.money_usd)
    edges = np.linspace(0, needs.n_paths, min(BLOCKS, needs.n_paths) + 1).astype(int)
    return tuple(
        ConvexTerm(function=ExpectedRecourse(needs, problem.placements, costs, columns, paths=np.arange(start, stop)))
        for start, stop in itertools.pairwise(edges)
    )


def _answer(problem: AllocationProblem, units: Units, solution: CutSolution) -> Allocation:
    count = problem.placements.count
    money = solution.x * units.money_usd
    price = units.cost_fraction
    moves = money[count + 1 :] if problem.holdings is not None else np.zeros(2 * count + 2)
    deposit, withdrawal = moves[:count], moves[count : 2 * count]
    carry = float(problem.placements.carry_fraction @ money[:count]) + (
        problem.placements.reserve_carry_fraction * float(money[count])
    )
    fee = 0.0 if problem.holdings is None else float(problem.holdings.fee_fraction @ (deposit + withdrawal))
    linear = first_stage(problem, units)
    value = (linear.cost - solution.reduced_cost - linear.matrix.T @ solution.row_dual) * price
    objective, bound = (number * units.money_usd * price for number in (solution.objective, solution.bound))
    return Allocation(
        amount_usd=money[:count],
        deposit_usd=deposit,
        withdrawal_usd=withdrawal,
        reserve_usd=float(money[count]),
        fresh_usd=float(moves[-2]),
        returned_usd=float(moves[-1]),
        objective_usd=objective,
        bound_usd=bound,
        gap=max(0.0, objective - bound) / abs(objective) if objective else 0.0,
        carry_usd=carry,
        fee_usd=fee,
        recourse_usd=objective - carry - fee if problem.costs is not None else 0.0,
        marginal_value_usd=value[:count],
        reserve_marginal_value_usd=float(value[count]),
        limit_price_usd={
            limit.name: float(dual) * price for limit, dual in zip(problem.limits, solution.limit_dual, strict=True)
        },
        binding=_binding(problem, linear, solution),
        rounds=solution.rounds,
        optimal=solution.optimal,
        planes=solution.planes,
    )


def _binding(problem: AllocationProblem, linear: LinearProgramme, solution: CutSolution) -> tuple[str, ...]:
    small = 1e-7
    names = [limit.name for limit, dual in zip(problem.limits, solution.limit_dual, strict=True) if dual > small]
    for column in range(problem.placements.count + 1):
        place = f"placement {column}" if column < problem.placements.count else "reserve"
        if solution.reduced_cost[column] > small and linear.lower[column] > 0.0:
            names.append(f"{place} at its lower limit")
        if solution.reduced_cost[column] < -small:
            names.append(f"{place} at its upper limit")
    if np.isfinite(problem.budget_usd) and solution.row_dual[-1] < -small:
        names.append("budget")
    return tuple(names)
