"""What information, the stochastic model and speed are worth: EVPI, VSS, an hour less delay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from margincover.allocation import check
from margincover.allocation.first_stage import choose_units
from margincover.allocation.needs import Needs
from margincover.allocation.problem import AllocationProblem
from margincover.allocation.solve import solve_allocation
from margincover.allocation.whole import whole_programme
from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import LinearProgramme, solve_linear
from margincover.numeric.lp_cuts import CutSettings
from margincover.numeric.lp_two_stage import InformationValue

BLOCK = 100  # paths whose separate programmes are handed to the solver together


def allocation_information(problem: AllocationProblem, settings: CutSettings | None = None) -> InformationValue:
    """Return RP, WS and EEV of the cost of an allocation in dollars, risk limits left out.

    Parameters
    ----------
    problem : AllocationProblem
        With `costs`. A risk limit bounds the whole distribution and has no meaning on one path, so limits are
        dropped: the liquidation loss alone says what falling short costs.
    settings : CutSettings, optional

    Notes
    -----
    Some milliseconds per path, because each path's own optimum is solved. Thin out the paths before, not after.
    """
    if problem.costs is None:
        raise InputError("were None", field="costs", allowed="the costs of the second stage")
    free = replace(problem, limits=())
    recourse = solve_allocation(free, settings).objective_usd
    mean = replace(free, needs=problem.needs.mean())
    decision = solve_allocation(mean, settings)
    places = problem.placements
    expected = check.recourse_usd(problem.needs, places, problem.costs, decision.amount_usd, decision.reserve_usd)
    return InformationValue(
        recourse=recourse,
        wait_and_see=_wait_and_see(free),
        expected_value_decision=decision.carry_usd + decision.fee_usd + expected,
    )


def value_of_less_delay(problem: AllocationProblem, faster: Needs, settings: CutSettings | None = None) -> float:
    """Return by how many dollars the optimum falls when transfers arrive sooner.

    Parameters
    ----------
    problem : AllocationProblem
    faster : Needs
        The same paths with the early needs of the shorter delay. Limits with needs of their own keep them.
    settings : CutSettings, optional
    """
    if not np.array_equal(faster.total_usd, problem.needs.total_usd):
        raise InputError("had other total needs", field="faster", allowed="the same paths with smaller early needs")
    slow = solve_allocation(problem, settings)
    return slow.objective_usd - solve_allocation(replace(problem, needs=faster), settings).objective_usd


def _wait_and_see(problem: AllocationProblem) -> float:
    units = choose_units(problem)
    probability = problem.needs.path_probability()
    total = 0.0
    for start in range(0, problem.needs.n_paths, BLOCK):
        block = np.arange(start, min(start + BLOCK, problem.needs.n_paths))
        pieces = [
            whole_programme(replace(problem, needs=problem.needs.only(np.array([path]))), units) for path in block
        ]
        total += solve_linear(_side_by_side(pieces, probability[block])).objective
    return total * units.money_usd * units.cost_fraction


def _side_by_side(pieces: list[LinearProgramme], weight: Vector) -> LinearProgramme:
    return LinearProgramme(
        cost=np.concatenate([share * piece.cost for share, piece in zip(weight, pieces, strict=True)]),
        lower=np.concatenate([piece.lower for piece in pieces]),
        upper=np.concatenate([piece.upper for piece in pieces]),
        matrix=sparse.block_diag([piece.matrix for piece in pieces], format="csr"),
        row_lower=np.concatenate([piece.row_lower for piece in pieces]),
        row_upper=np.concatenate([piece.row_upper for piece in pieces]),
    )
