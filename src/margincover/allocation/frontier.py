"""The efficient frontier: least cost and capital against the rate of liquidation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from margincover.allocation import check
from margincover.allocation.needs import Needs
from margincover.allocation.problem import Allocation, AllocationProblem, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.intervals import wilson
from margincover.numeric.lp_cuts import CutSettings, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One point.

    Parameters
    ----------
    tail : float
        Tail of the joint Expected Shortfall.
    allocation : Allocation
    probability : float
        P(any venue falls short) on the planning paths.
    fresh : tuple (estimate, standard error, low, high) or None
        The same on fresh paths with a 95 % interval, if they were given.
    """

    tail: float
    allocation: Allocation
    probability: float
    fresh: tuple[float, float, float, float] | None


def frontier(
    problem: AllocationProblem,
    tails: Sequence[float],
    *,
    fresh: Needs | None = None,
    settings: CutSettings | None = None,
) -> tuple[FrontierPoint, ...]:
    """Return the points of a frontier, from the loosest to the tightest tail.

    Parameters
    ----------
    problem : AllocationProblem
        A joint limit with each tail is added to its limits.
    tails : sequence of float
        In (0, 1), any order.
    fresh : Needs or None
        Equally likely paths that were not used for planning.
    settings : CutSettings, optional
        None means a gap of 1e-6.

    Notes
    -----
    Expected Shortfall rises as the tail gets smaller, so every plane found for a looser tail is true for a tighter
    one: each point starts from the planes of the one before.
    """
    if len(tails) == 0:
        raise InputError("were none", field="tails", allowed="at least one tail probability")
    if fresh is not None and fresh.probability is not None:
        raise InputError("had probabilities", field="fresh", allowed="equally likely paths, which can be counted")
    points: list[FrontierPoint] = []
    planes: tuple[Plane, ...] = ()
    for tail in sorted(set(tails), reverse=True):
        limit = RiskLimit(name="frontier", tail=tail)
        asked = replace(problem, limits=(*problem.limits, limit))
        start = None if not points else _start(asked, limit, points[-1].allocation)
        found = solve_allocation(asked, settings or CutSettings(gap=1e-6), planes=planes, start_usd=start)
        planes = _few(found.planes)
        points.append(_point(problem, tail, found, fresh))
    return tuple(points)


def _point(problem: AllocationProblem, tail: float, found: Allocation, fresh: Needs | None) -> FrontierPoint:
    places = problem.placements
    probability, _ = check.any_liquidation(problem.needs, places, found.amount_usd, found.reserve_usd)
    interval = None
    if fresh is not None:
        _, hits = check.any_liquidation(fresh, places, found.amount_usd, found.reserve_usd)
        interval = wilson(hits, fresh.n_paths)
    return FrontierPoint(tail=tail, allocation=found, probability=probability, fresh=interval)


def _start(problem: AllocationProblem, limit: RiskLimit, last: Allocation) -> Vector:
    # A dollar more at every venue lowers every shortfall by a dollar: the last answer plus what it lacks meets the
    # new limit.
    lacking = check.limit_value(problem, limit, last.amount_usd, last.reserve_usd) - limit.level_usd
    return np.append(last.amount_usd + 1.0001 * max(lacking, 0.0), last.reserve_usd)


def _few(planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
    # The last planes lie nearest the optimum; all of them would make the master of the twentieth point slow.
    return planes[-400:]
