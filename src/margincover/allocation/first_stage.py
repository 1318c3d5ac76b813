"""The linear part of an allocation: amounts, moves between holdings and reserve, budget, in scaled units.

Columns: placements, reserve; with holdings also deposits, withdrawals (one each per placement), fresh and returned
capital.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from margincover.allocation.needs import Placements
from margincover.allocation.problem import AllocationProblem, Holdings
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import INFINITY, LinearProgramme


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What one unit of money and of cost is inside the solver; results are multiplied back."""

    money_usd: float
    cost_fraction: float


def choose_units(problem: AllocationProblem) -> Units:
    """Choose units in which needs and carries are near 1: solvers lose digits on amounts in millions of dollars."""
    money = float(np.quantile(np.abs(problem.needs.total_usd), 0.99))
    carry = max(float(problem.placements.carry_fraction.max()), problem.placements.reserve_carry_fraction)
    return Units(money_usd=money if money > 0.0 else 1.0, cost_fraction=carry if carry > 0.0 else 1.0)


def first_stage(problem: AllocationProblem, units: Units) -> LinearProgramme:
    """Return the linear programme without risk limits, in scaled units."""
    places, holdings = problem.placements, problem.holdings
    bounds = _amount_bounds(places, units)
    if holdings is None:
        cost, lower, upper = _carry(places, units), bounds[0], bounds[1]
        matrix, row_lower, row_upper = np.zeros((0, cost.size)), np.zeros(0), np.zeros(0)
    else:
        fee = holdings.fee_fraction / units.cost_fraction
        cost = np.concatenate([_carry(places, units), fee, fee, [0.0, 0.0]])
        movable = [holdings.depositable_usd / units.money_usd, holdings.withdrawable_usd / units.money_usd]
        lower = np.concatenate([bounds[0], np.zeros(2 * places.count + 2)])
        upper = np.concatenate([bounds[1], *movable, [holdings.fresh_usd / units.money_usd, INFINITY]])
        matrix, row_lower = _balance_rows(holdings, units)
        row_upper = row_lower
    if np.isfinite(problem.budget_usd):
        budget = np.zeros((1, cost.size))
        budget[0, : places.count + 1] = 1.0
        matrix = np.vstack([matrix, budget])
        row_lower = np.append(row_lower, -INFINITY)
        row_upper = np.append(row_upper, problem.budget_usd / units.money_usd)
    return LinearProgramme(
        cost=cost,
        lower=lower,
        upper=upper,
        matrix=sparse.csr_matrix(matrix),
        row_lower=row_lower,
        row_upper=row_upper,
    )


def generous_start(problem: AllocationProblem, units: Units) -> Vector | None:
    """Return amounts that cover the worst of all paths, or None when rows tie the amounts together."""
    if problem.holdings is not None or np.isfinite(problem.budget_usd):
        return None
    worst = np.maximum(problem.needs.total_usd.max(axis=1), 0.0)
    for limit in problem.limits:
        if limit.needs is not None:
            worst = np.maximum(worst, limit.needs.total_usd.max(axis=1))
    amount = 1.05 * worst[problem.placements.venue] / units.money_usd
    lower, upper = _amount_bounds(problem.placements, units)
    return np.asarray(np.clip(np.append(amount, 0.0), lower, upper), dtype=np.float64)


def _carry(places: Placements, units: Units) -> Vector:
    return np.append(places.carry_fraction, places.reserve_carry_fraction) / units.cost_fraction


def _amount_bounds(places: Placements, units: Units) -> tuple[Vector, Vector]:
    lower = np.append(places.lower_usd, places.reserve_lower_usd) / units.money_usd
    upper = np.append(places.upper_usd, places.reserve_upper_usd) / units.money_usd
    return lower, upper


def _balance_rows(holdings: Holdings, units: Units) -> tuple[Vector, Vector]:
    # amount - deposit + withdrawal = held;  reserve + (1 + fee) deposits - (1 - fee) withdrawals - fresh + returned =
    # held.
    count = holdings.amount_usd.size
    identity = np.eye(count)
    zero = np.zeros((count, 1))
    places = np.hstack([identity, zero, -identity, identity, zero, zero])
    fee = holdings.fee_fraction
    reserve = np.concatenate([np.zeros(count), [1.0], 1.0 + fee, -(1.0 - fee), [-1.0, 1.0]])
    held = np.append(holdings.amount_usd, holdings.reserve_usd) / units.money_usd
    return np.vstack([places, reserve]), held
