"""Why an allocation is impossible: which limits exclude each other, and the least way out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from margincover.allocation.problem import AllocationProblem
from margincover.allocation.solve import least_relaxation_usd
from margincover.numeric.lp import InfeasibleError
from margincover.numeric.lp_conflict import minimal_conflict

BUDGET, RESERVE, FRESH = "budget", "upper limit of the reserve", "limit on fresh capital"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What excludes what.

    Parameters
    ----------
    names : tuple of str
        A minimal set: without any one of them the others can be met.
    relaxation_usd : float or None
        Dollars by which the levels of the risk limits in the set must rise alike to be met with everything else as it
        is. None if bounds, balances and budget exclude each other without any risk limit.
    """

    names: tuple[str, ...]
    relaxation_usd: float | None

    def in_words(self) -> str:
        """Return one sentence for a person."""
        text = f"cannot be met together: {'; '.join(self.names)}"
        if self.relaxation_usd is None:
            return f"{text}; they conflict without any risk limit"
        return f"{text}; the risk limits among them would have to give way by {self.relaxation_usd:,.2f} USD"


def find_conflict(problem: AllocationProblem) -> Conflict | None:
    """Return the conflict of an infeasible allocation, or None if all limits can be met."""
    if _is_feasible(problem):
        return None
    names = _droppable(problem)
    kept = minimal_conflict(names, lambda chosen: _is_feasible(_with_only(problem, chosen)))
    limits = tuple(limit for limit in problem.limits if limit.name in kept)
    if not limits:
        return Conflict(names=kept, relaxation_usd=None)
    return Conflict(names=kept, relaxation_usd=least_relaxation_usd(replace(problem, limits=limits)))


def _droppable(problem: AllocationProblem) -> list[str]:
    names = [limit.name for limit in problem.limits]
    if np.isfinite(problem.budget_usd):
        names.append(BUDGET)
    if np.isfinite(problem.placements.reserve_upper_usd):
        names.append(RESERVE)
    names += [_upper(place) for place in np.flatnonzero(np.isfinite(problem.placements.upper_usd)).tolist()]
    holdings = problem.holdings
    if holdings is not None:
        if np.isfinite(holdings.fresh_usd):
            names.append(FRESH)
        names += [_deposit(place) for place in np.flatnonzero(np.isfinite(holdings.depositable_usd)).tolist()]
    return names


def _with_only(problem: AllocationProblem, chosen: frozenset[str]) -> AllocationProblem:
    places = problem.placements
    upper = np.array([bound if _upper(place) in chosen else np.inf for place, bound in enumerate(places.upper_usd)])
    reserve = places.reserve_upper_usd if RESERVE in chosen else np.inf
    holdings = problem.holdings
    if holdings is not None:
        movable = [b if _deposit(place) in chosen else np.inf for place, b in enumerate(holdings.depositable_usd)]
        holdings = replace(
            holdings,
            depositable_usd=np.array(movable),
            fresh_usd=holdings.fresh_usd if FRESH in chosen else np.inf,
        )
    return replace(
        problem,
        limits=tuple(limit for limit in problem.limits if limit.name in chosen),
        placements=replace(places, upper_usd=upper, reserve_upper_usd=reserve),
        budget_usd=problem.budget_usd if BUDGET in chosen else np.inf,
        holdings=holdings,
    )


def _is_feasible(problem: AllocationProblem) -> bool:
    # A hundredth of a cent is rounding, not a conflict.
    try:
        return least_relaxation_usd(problem) <= 1e-4
    except InfeasibleError:
        return False


def _upper(place: int) -> str:
    return f"upper limit of placement {place}"


def _deposit(place: int) -> str:
    return f"limit on deposits to placement {place}"
