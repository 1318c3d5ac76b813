"""Convex programmes by cutting planes on a linear master, with a certified gap.

Minimise cost . x + sum of h_k(x) with linear rows, bounds and g_i(x) <= level_i, all h and g convex and known only by
value and slope at a point. Each evaluation gives a plane below the function, true everywhere, so the master's optimum
is a proven lower bound; each evaluated feasible point gives an upper bound.

Points are taken between the best feasible point and the master's optimum (in-out separation, Ben-Ameur and Neto 2007,
doi:10.1002/net.20190): a feasible one halves the gap of the linear cost, an infeasible one gives a deep plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from margincover.errors import InputError, SolverError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import INFINITY, GrowingProgramme, InfeasibleError, LinearProgramme, LinearSolution

ConvexFunction = Callable[[Vector], tuple[float, Vector]]  # x -> value, slope [column]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexLimit:
    """g(x) <= level, with a name that error messages use."""

    name: str
    function: ConvexFunction
    level: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexTerm:
    """A convex part of the objective and a value that it never falls below."""

    function: ConvexFunction
    floor: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexProgramme:
    """A linear programme with convex limits and convex terms of the objective."""

    linear: LinearProgramme
    limits: tuple[ConvexLimit, ...] = ()
    terms: tuple[ConvexTerm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """value + slope . (x - at) lies below function ``owner`` everywhere (limits first, then terms)."""

    owner: int
    slope: Vector
    constant: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSettings:
    """Relative gap, feasibility tolerance (in the unit of the limits) and the limit on rounds."""

    gap: float = 1e-7
    feasibility: float = 1e-9
    max_rounds: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSolution:
    """The best feasible point and what is proven about it.

    Parameters
    ----------
    x, reduced_cost : array [column]
        Point; change of the optimum per unit of a binding bound.
    objective, bound, gap : float
        Value at x evaluated by the functions, proven lower bound, difference over max(1, |objective|).
    row_dual : array [row]
        Change of the optimum per unit of a binding linear row.
    limit_dual : array [limit]
        Fall of the optimum per unit by which a limit's level is raised, >= 0.
    planes : tuple of Plane
        All planes found; they stay true when only levels, costs or bounds change.
    rounds : int
        Number of evaluated points.
    optimal : bool
        Whether the gap was closed; False when the rounds ran out.
    """

    x: Vector
    reduced_cost: Vector
    objective: float
    bound: float
    gap: float
    row_dual: Vector
    limit_dual: Vector
    planes: tuple[Plane, ...]
    rounds: int
    optimal: bool


@dataclass(slots=True)
class _State:
    """The growing master and the best point so far."""

    programme: ConvexProgramme
    settings: CutSettings
    master: GrowingProgramme
    rows: list[int] = field(default_factory=list)
    planes: list[Plane] = field(default_factory=list)
    best: Vector | None = None
    objective: float = INFINITY
    rounds: int = 0

    def add(self, plane: Plane) -> None:
        limits = self.programme.limits
        extra = np.zeros(len(self.programme.terms))
        upper = -plane.constant
        if plane.owner < len(limits):
            upper += limits[plane.owner].level
        else:
            extra[plane.owner - len(limits)] = -1.0
        self.master.add_row(np.concatenate([plane.slope, extra]), -INFINITY, upper)
        self.planes.append(plane)
        self.rows.append(plane.owner)

    def evaluate(self, x: Vector) -> float:
        """Add the planes at x, update the best point; return the largest violation."""
        self.rounds += 1
        limits, worst = self.programme.limits, -INFINITY
        for owner, limit in enumerate(limits):
            value, slope = limit.function(x)
            if value - limit.level > -self.settings.feasibility:
                self.add(Plane(owner=owner, slope=slope, constant=value - float(slope @ x)))
            worst = max(worst, value - limit.level)
        if worst <= self.settings.feasibility:
            self._offer(x)
        return worst

    def _offer(self, x: Vector) -> None:
        objective = float(self.programme.linear.cost @ x)
        for number, term in enumerate(self.programme.terms):
            value, slope = term.function(x)
            owner = len(self.programme.limits) + number
            self.add(Plane(owner=owner, slope=slope, constant=value - float(slope @ x)))
            objective += value
        if objective < self.objective:
            self.best, self.objective = x, objective


def minimise(
    programme: ConvexProgramme,
    settings: CutSettings | None = None,
    *,
    start: Vector | None = None,
    planes: tuple[Plane, ...] = (),
) -> CutSolution:
    """Solve a convex programme to a proven gap.

    Parameters
    ----------
    programme : ConvexProgramme
    settings : CutSettings, optional
    start : array [column], optional
        A point inside the linear rows and bounds, best one that meets the limits with room. None means: search one.
    planes : tuple of Plane
        Planes known to lie below the functions, from an earlier solve.

    Raises
    ------
    InfeasibleError
        If the limits cannot be met together; proven by the planes.
    UnboundedError, SolverError
        As the master gives them.
    """
    chosen = settings or CutSettings()
    state = _State(programme=programme, settings=chosen, master=GrowingProgramme(_with_term_columns(programme)))
    for plane in planes:
        state.add(plane)
    _first_point(state, start)
    return _close_the_gap(state)


def least_relaxation(
    programme: ConvexProgramme,
    settings: CutSettings | None = None,
    *,
    stop_below: float = -INFINITY,
    floor: float = -1.0,
) -> tuple[float, Vector]:
    """Return the smallest t with g_i(x) <= level_i + t for all limits at some x within rows and bounds, and that x.

    Parameters
    ----------
    programme : ConvexProgramme
    settings : CutSettings, optional
    stop_below : float
        Stop as soon as a point with t at most this is known; then t is not minimal.
    floor : float
        Smallest t looked for; it keeps the search near the limits.

    Raises
    ------
    InfeasibleError
        If rows and bounds alone exclude each other.
    SolverError
        If the rounds end before the answer is known.
    """
    chosen = settings or CutSettings()
    columns = programme.linear.cost.size

    def worst(x: Vector) -> tuple[float, Vector]:
        value, slope = -INFINITY, np.zeros(columns)
        for limit in programme.limits:
            candidate, candidate_slope = limit.function(x)
            if candidate - limit.level > value:
                value, slope = candidate - limit.level, candidate_slope
        return value, slope

    if not programme.limits:
        raise InputError("there was none", field="limits", allowed="at least one convex limit")
    linear = _replace_cost(programme.linear, np.zeros(columns))
    relaxed = ConvexProgramme(linear=linear, terms=(ConvexTerm(function=worst, floor=floor),))
    state = _State(programme=relaxed, settings=chosen, master=GrowingProgramme(_with_term_columns(relaxed)))
    found = _close_the_gap(state, stop_below=stop_below)
    if not found.optimal:
        # an upper end that was not closed says nothing of whether the limits can be met
        raise SolverError(f"the least relaxation was not found in {chosen.max_rounds} rounds")
    return found.objective, found.x


def _first_point(state: _State, start: Vector | None) -> None:
    programme, settings = state.programme, state.settings
    if start is not None and state.evaluate(start) <= settings.feasibility:
        return
    if not programme.limits:
        return
    relaxation, point = least_relaxation(programme, settings, stop_below=-1e3 * settings.feasibility)
    if relaxation > settings.feasibility:
        names = ", ".join(limit.name for limit in programme.limits)
        raise InfeasibleError(
            f"the limits {names} cannot be met together; the least relaxation of all of them alike is {relaxation:.9g}"
        )
    state.evaluate(point)
    if state.best is None:
        raise SolverError("a point that met all limits no longer did when evaluated again")


def _close_the_gap(state: _State, *, stop_below: float = -INFINITY) -> CutSolution:
    columns = state.programme.linear.cost.size
    weight, last_bound = 0.5, -INFINITY
    while True:
        answer = state.master.solve()
        outer = answer.x[:columns]
        difference = state.objective - answer.objective
        gap = max(0.0, difference) / max(1.0, abs(state.objective)) if state.best is not None else INFINITY
        near = difference <= max(state.settings.gap * abs(state.objective), 0.5 * state.settings.feasibility)
        done = state.best is not None and (near or state.objective <= stop_below)
        if done or state.rounds >= state.settings.max_rounds:
            return _finish(state, answer, gap, optimal=done)
        stalled = answer.objective <= last_bound + 0.01 * abs(difference)
        weight = min(1.0, weight * 1.3) if stalled else max(0.3, weight * 0.8)
        last_bound = answer.objective
        state.evaluate(outer if state.best is None else state.best + weight * (outer - state.best))


def _finish(state: _State, answer: LinearSolution, gap: float, *, optimal: bool) -> CutSolution:
    if state.best is None:
        raise SolverError(f"no feasible point was found in {state.rounds} rounds")
    columns, first = state.programme.linear.cost.size, state.programme.linear.matrix.shape[0]
    owners = np.array(state.rows, dtype=np.int64)
    duals = -answer.row_dual[first:]
    limits = len(state.programme.limits)
    mine = owners < limits
    return CutSolution(
        x=state.best,
        reduced_cost=answer.reduced_cost[:columns],
        objective=state.objective,
        bound=answer.objective,
        gap=gap,
        row_dual=answer.row_dual[:first],
        limit_dual=np.bincount(owners[mine], weights=duals[mine], minlength=limits)[:limits].astype(np.float64),
        planes=tuple(state.planes),
        rounds=state.rounds,
        optimal=optimal,
    )


def _with_term_columns(programme: ConvexProgramme) -> LinearProgramme:
    linear, count = programme.linear, len(programme.terms)
    return LinearProgramme(
        cost=np.concatenate([linear.cost, np.ones(count)]),
        lower=np.concatenate([linear.lower, [term.floor for term in programme.terms]]),
        upper=np.concatenate([linear.upper, np.full(count, INFINITY)]),
        matrix=sparse.hstack([linear.matrix, sparse.csr_matrix((linear.matrix.shape[0], count))], format="csr"),
        row_lower=linear.row_lower,
        row_upper=linear.row_upper,
    )


def _replace_cost(linear: LinearProgramme, cost: Vector) -> LinearProgramme:
    return LinearProgramme(
        cost=cost,
        lower=linear.lower,
        upper=linear.upper,
        matrix=linear.matrix,
        row_lower=linear.row_lower,
        row_upper=linear.row_upper,
    )
