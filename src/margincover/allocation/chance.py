"""The least cost with P(any venue falls short) <= tail, counted, and a proven lower bound.

Two ways. `solve_by_rate` keeps the convex form and finds the largest tail of its Expected Shortfall at which the
counted rate still holds: fast, any problem, no proof of optimality. `solve_exactly` chooses which paths to give up by
branch and bound; its bound proves how far the other is from the best.

Formulation: for each venue the needs are sorted; going below the largest ones switches on the paths they belong to
(mixing sets; Luedtke, Ahmed and Nemhauser 2010, doi:10.1007/s10107-008-0247-4). Needs up to the venue's own quantile
can never be given up, so they are a plain lower bound, and paths that this bound already covers drop out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from margincover.allocation import check
from margincover.allocation.first_stage import choose_units
from margincover.allocation.needs import Needs
from margincover.allocation.problem import Allocation, AllocationProblem, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.errors import InputError, NotSupportedError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import INFINITY, InfeasibleError, LinearProgramme, solve_linear

RATE = "any liquidation"  # name of the limit that the searches add


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceAllocation:
    """The cheapest amounts found and what is proven.

    Parameters
    ----------
    amount_usd : array [placement]
    given_up : array [n] of int
        Paths on which some venue falls short.
    objective_usd, bound_usd, gap : float
        Carry of the amounts, proven lower bound on the carry of any amounts that meet the limit, relative difference.
    optimal : bool
        False when the limit on nodes stopped the search: then the bound is what is proven.
    """

    amount_usd: Vector
    given_up: NDArray[np.int64]
    objective_usd: float
    bound_usd: float
    gap: float
    optimal: bool


def solve_by_rate(problem: AllocationProblem, tail: float, *, rounds: int = 12) -> tuple[Allocation, float]:
    """Return the loosest joint Expected Shortfall answer whose counted rate holds ``tail``, and its own tail.

    Parameters
    ----------
    problem : AllocationProblem
        A limit on the joint shortfall of all venues, with the reserve, is added to its limits.
    tail : float
        Tolerated P(any venue falls short), in (0, 1).
    rounds : int
        Bisections on the logarithm of the tail.

    Notes
    -----
    Expected Shortfall at the same tail is too strict: it also bounds how deep the worst paths go. The returned
    allocation meets the counted rate on these paths. It is not proven to be the cheapest that does.
    """
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="between 0 and 1")
    low, high = np.log(tail), np.log(min(0.999, 20.0 * tail))
    best, best_tail = solve_allocation(_with_rate(problem, tail)), tail
    for _ in range(rounds):
        middle = 0.5 * (low + high)
        found = solve_allocation(_with_rate(problem, float(np.exp(middle))))
        rate, _count = check.any_liquidation(problem.needs, problem.placements, found.amount_usd, found.reserve_usd)
        if rate <= tail * (1.0 + 1e-12):
            best, best_tail, low = found, float(np.exp(middle)), middle
        else:
            high = middle
    return best, best_tail


def solve_exactly(problem: AllocationProblem, tail: float, *, max_nodes: int = 0) -> ChanceAllocation:
    """Return the cheapest prefunded amounts with P(any venue falls short) <= tail.

    Parameters
    ----------
    problem : AllocationProblem
        One placement per venue in settlement currency; no reserve, second stage, holdings, budget or other limits.
    tail : float
        In (0, 1).
    max_nodes : int
        Limit on branch-and-bound nodes, 0 for none.

    Raises
    ------
    InfeasibleError
        If upper limits leave more paths uncovered than the tail allows.
    NotSupportedError
        If the problem has more than carry and bounds.
    """
    _check_plain(problem, tail)
    units = choose_units(problem)
    needs = problem.needs.scaled(units.money_usd)
    places = problem.placements
    order = np.argsort(places.venue)
    cost = places.carry_fraction[order] / units.cost_fraction
    lower, upper = places.lower_usd[order] / units.money_usd, places.upper_usd[order] / units.money_usd
    model = _Mixing(needs=needs, cost=cost, lower=lower, upper=upper, tail=tail)
    first = model.greedy()
    answer = solve_linear(model.programme(), start=model.start(first), max_nodes=max_nodes)
    found = model.amounts(answer.x[model.paths_at()] > 0.5)
    amount = found if float(cost @ found) <= float(cost @ first) else first
    objective, scale = float(cost @ amount), units.money_usd * units.cost_fraction
    bound = min(answer.bound, objective)
    back = np.empty_like(amount)
    back[order] = amount * units.money_usd
    short = (needs.total_usd > amount[:, np.newaxis] + 1e-9).any(axis=0)
    return ChanceAllocation(
        amount_usd=back,
        given_up=np.flatnonzero(short),
        objective_usd=objective * scale,
        bound_usd=bound * scale,
        gap=(objective - bound) / objective if objective > 0.0 else 0.0,
        optimal=answer.optimal,
    )


class _Mixing:
    """The mixed-integer model: amounts [venue], then one switch per candidate path, then the steps of each venue."""

    def __init__(self, *, needs: Needs, cost: Vector, lower: Vector, upper: Vector, tail: float) -> None:
        self.cost, self.upper, self.tail = cost, upper, tail * (1.0 + 1e-12)
        self.need, self.probability = needs.total_usd, needs.path_probability()
        n_venues = self.need.shape[0]
        self.order = [np.argsort(-self.need[v], kind="stable") for v in range(n_venues)]
        # Venue v may drop only below its largest needs of total probability <= tail: the next one is a lower bound.
        self.depth = [int(np.searchsorted(np.cumsum(self.probability[o]), self.tail, side="right")) for o in self.order]
        quantile = [
            self.need[v, self.order[v][self.depth[v]]] if self.depth[v] < self.need.shape[1] else -np.inf
            for v in range(n_venues)
        ]
        self.lower = np.maximum(lower, quantile)
        if (self.lower > upper).any():
            raise InfeasibleError(
                f"venue {int(np.argmax(self.lower - upper))} alone needs more than its upper limit at tail {tail}"
            )
        self.candidates = np.flatnonzero((self.need > self.lower[:, np.newaxis]).any(axis=0))
        self.steps = [o[: int(np.sum(self.need[v] > self.lower[v]))] for v, o in enumerate(self.order)]

    def paths_at(self) -> slice:
        return slice(self.cost.size, self.cost.size + self.candidates.size)

    def amounts(self, given_up: NDArray[np.bool_]) -> Vector:
        """Return the least amounts [venue] that cover every candidate not given up, within the lower limits."""
        kept = self.candidates[~given_up]
        worst = self.need[:, kept].max(axis=1) if kept.size else np.full(self.cost.size, -np.inf)
        return np.asarray(np.maximum(self.lower, worst), dtype=np.float64)

    def greedy(self) -> Vector:
        """Return feasible amounts: from full cover, always give up the paths that save most per probability."""
        given_up = np.asarray((self.need[:, self.candidates] > self.upper[:, np.newaxis]).any(axis=0))
        weight = self.probability[self.candidates]
        spent = float(weight[given_up].sum())
        if spent > self.tail:
            raise InfeasibleError(
                f"upper limits leave {spent:.6g} of the probability uncovered; allowed: {self.tail:.6g}"
            )
        while True:
            best, chosen = 0.0, None
            for venue in range(self.cost.size):
                saving, paths = self._best_drop(venue, given_up, weight, self.tail - spent)
                if saving > best:
                    best, chosen = saving, paths
            if chosen is None:
                return self.amounts(given_up)
            given_up[chosen] = True
            spent = float(weight[given_up].sum())

    def _best_drop(
        self, venue: int, given_up: NDArray[np.bool_], weight: Vector, room: float
    ) -> tuple[float, NDArray[np.int64] | None]:
        kept = np.flatnonzero(~given_up & (self.need[venue, self.candidates] > self.lower[venue]))
        if kept.size == 0:
            return 0.0, None
        ranked = kept[np.argsort(-self.need[venue, self.candidates[kept]], kind="stable")]
        level = np.append(self.need[venue, self.candidates[ranked]], self.lower[venue])
        price = np.cumsum(weight[ranked])
        saving = np.where(price <= room, self.cost[venue] * (level[0] - level[1:]) / np.maximum(price, 1e-300), 0.0)
        count = int(np.argmax(saving)) + 1
        return float(saving[count - 1]), ranked[:count]

    def start(self, amount: Vector) -> Vector:
        """Return the full vector of columns that belongs to some feasible amounts."""
        short = (self.need[:, self.candidates] > amount[:, np.newaxis] + 1e-12).any(axis=0)
        parts = [amount, short.astype(np.float64)]
        parts += [(self.need[v, s] > amount[v] + 1e-12).astype(np.float64) for v, s in enumerate(self.steps)]
        return np.concatenate(parts)

    def programme(self) -> LinearProgramme:
        """Return the model: minimise cost . amount over switches."""
        n_venues, n_paths = self.cost.size, self.candidates.size
        sizes = [step.size for step in self.steps]
        columns = n_venues + n_paths + sum(sizes)
        column_of = np.full(self.need.shape[1], -1)
        column_of[self.candidates] = np.arange(n_venues, n_venues + n_paths)
        rows: list[tuple[NDArray[np.int64], Vector, float, float]] = []
        rows.append((np.arange(n_venues, n_venues + n_paths), self.probability[self.candidates], -INFINITY, self.tail))
        first = n_venues + n_paths
        for venue, step in enumerate(self.steps):
            rows += self._venue_rows(venue, step, first, column_of)
            first += step.size
        forced = (self.need[:, self.candidates] > self.upper[:, np.newaxis]).any(axis=0).astype(np.float64)
        lower = np.concatenate([self.lower, forced, np.zeros(sum(sizes))])
        start = np.concatenate([[0], np.cumsum([index.size for index, *_ in rows])])
        return LinearProgramme(
            cost=np.concatenate([self.cost, np.zeros(columns - n_venues)]),
            lower=lower,
            upper=np.concatenate([self.upper, np.ones(columns - n_venues)]),
            matrix=sparse.csr_matrix(
                (np.concatenate([row[1] for row in rows]), np.concatenate([row[0] for row in rows]), start),
                shape=(len(rows), columns),
            ),
            row_lower=np.array([row[2] for row in rows]),
            row_upper=np.array([row[3] for row in rows]),
            integer=np.concatenate([np.zeros(n_venues, bool), np.ones(n_paths, bool), np.zeros(sum(sizes), bool)]),
        )

    def _venue_rows(
        self, venue: int, step: NDArray[np.int64], first: int, column_of: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], Vector, float, float]]:
        # amount + sum of (need_j - need_j+1) step_j >= need_1;  step_j >= step_j+1;  switch of path j >= step_j.
        if step.size == 0:
            return []
        level = np.append(self.need[venue, step], self.lower[venue])
        mine = np.arange(first, first + step.size)
        rows = [(np.append(venue, mine), np.append(1.0, level[:-1] - level[1:]), float(level[0]), INFINITY)]
        pair = np.array([1.0, -1.0])
        rows += [(np.array([mine[j], mine[j + 1]]), pair, 0.0, INFINITY) for j in range(step.size - 1)]
        rows += [(np.array([column_of[path], mine[j]]), pair, 0.0, INFINITY) for j, path in enumerate(step)]
        return rows


def _with_rate(problem: AllocationProblem, tail: float) -> AllocationProblem:
    return replace(problem, limits=(*problem.limits, RiskLimit(name=RATE, tail=tail)))


def _check_plain(problem: AllocationProblem, tail: float) -> None:
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="between 0 and 1")
    places = problem.placements
    one_each = np.array_equal(np.sort(places.venue), np.arange(problem.needs.n_venues))
    plain = not problem.limits and problem.costs is None and problem.holdings is None
    if not (one_each and plain and np.isinf(problem.budget_usd) and places.reserve_upper_usd == 0.0):
        raise NotSupportedError(
            "had a reserve, second stage, holdings, budget, limits or several placements at a venue",
            field="problem",
            allowed="one placement per venue with carry and bounds; use solve_by_rate for the rest",
        )
    if problem.needs.total_weight is not None:
        raise NotSupportedError("had collateral weights", field="needs", allowed="settlement currency only")
