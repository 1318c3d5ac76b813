"""Re-check of an allocation in plain NumPy, without the solver and the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from margincover.allocation import reference
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import Allocation, AllocationProblem, RecourseCosts, RiskLimit
from margincover.numeric.arrays import PathVector, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """What the plain computation found.

    Parameters
    ----------
    objective_usd : float
    limit_usd : dict
        Expected Shortfall (worst path for tail 0) by limit name, to be compared with its level.
    excess_usd : float
        Largest amount by which a limit, bound or budget is exceeded; <= 0 when all are met.
    imbalance_usd : float
        Largest difference between money before and after the moves, at one place or in all.
    """

    objective_usd: float
    limit_usd: dict[str, float]
    excess_usd: float
    imbalance_usd: float


def recheck(problem: AllocationProblem, allocation: Allocation) -> Recheck:
    """Compute cost and limits of an allocation again, from the definitions."""
    values = {
        limit.name: limit_value(problem, limit, allocation.amount_usd, allocation.reserve_usd)
        for limit in problem.limits
    }
    excess = [values[limit.name] - limit.level_usd for limit in problem.limits]
    return Recheck(
        objective_usd=_objective(problem, allocation),
        limit_usd=values,
        excess_usd=max([*excess, _bounds_excess(problem, allocation)]),
        imbalance_usd=_imbalance(problem, allocation),
    )


def limit_value(problem: AllocationProblem, limit: RiskLimit, amount_usd: Vector, reserve_usd: float) -> float:
    """Return the Expected Shortfall that a limit bounds, in dollars."""
    needs = problem.needs if limit.needs is None else limit.needs
    reserve = reserve_usd if limit.with_reserve else 0.0
    venues = range(needs.n_venues) if limit.venues is None else limit.venues
    level = reference.levels(needs, problem.placements, amount_usd, reserve, list(venues))
    return float(level.max()) if limit.tail == 0.0 else weighted_shortfall(level, needs.path_probability(), limit.tail)


def any_liquidation(needs: Needs, placements: Placements, amount_usd: Vector, reserve_usd: float) -> tuple[float, int]:
    """Return the probability that some venue falls short after transfers, and the number of such paths.

    A shortfall below a tenth of a cent is rounding and does not count.
    """
    short = reference.levels(needs, placements, amount_usd, reserve_usd, range(needs.n_venues)) > 1e-3
    return float(needs.path_probability() @ short), int(short.sum())


def recourse_usd(
    needs: Needs, placements: Placements, costs: RecourseCosts, amount_usd: Vector, reserve_usd: float
) -> float:
    """Return the expected cost of transfers and liquidated shortfall, in dollars."""
    fee, loss = costs.transfer_fee_fraction, costs.liquidation_loss_fraction
    sent, short = reference.transfers(needs, placements, amount_usd, reserve_usd, loss - fee)
    return float((fee @ sent + loss @ short) @ needs.path_probability())


def weighted_shortfall(values: PathVector, probability: PathVector, tail: float) -> float:
    """Return the mean of the worst share ``tail`` of a weighted sample, the boundary path in part."""
    left, total = tail, 0.0
    for path in np.argsort(-values, kind="stable"):
        share = min(left, float(probability[path]))
        total += share * float(values[path])
        left -= share
        if left <= 0.0:
            break
    return total / (tail - max(left, 0.0))


def _objective(problem: AllocationProblem, allocation: Allocation) -> float:
    places, amount, reserve = problem.placements, allocation.amount_usd, allocation.reserve_usd
    cost = float(np.sum(places.carry_fraction * amount)) + places.reserve_carry_fraction * reserve
    if problem.holdings is not None:
        cost += float(np.sum(problem.holdings.fee_fraction * (allocation.deposit_usd + allocation.withdrawal_usd)))
    if problem.costs is not None:
        cost += recourse_usd(problem.needs, places, problem.costs, amount, reserve)
    return cost


def _bounds_excess(problem: AllocationProblem, allocation: Allocation) -> float:
    places, amount, reserve = problem.placements, allocation.amount_usd, allocation.reserve_usd
    excess = [
        float(np.max(places.lower_usd - amount)),
        float(np.max(amount - places.upper_usd)),
        places.reserve_lower_usd - reserve,
        reserve - places.reserve_upper_usd,
        allocation.capital_usd - problem.budget_usd,
    ]
    if problem.holdings is not None:
        excess += [
            float(np.max(allocation.deposit_usd - problem.holdings.depositable_usd)),
            float(np.max(allocation.withdrawal_usd - problem.holdings.withdrawable_usd)),
            allocation.fresh_usd - problem.holdings.fresh_usd,
            -float(min(allocation.deposit_usd.min(), allocation.withdrawal_usd.min())),
            -min(allocation.fresh_usd, allocation.returned_usd),
        ]
    return max(excess)


def _imbalance(problem: AllocationProblem, allocation: Allocation) -> float:
    holdings = problem.holdings
    if holdings is None:
        return 0.0
    moved_in, moved_out = allocation.deposit_usd, allocation.withdrawal_usd
    places = np.abs(holdings.amount_usd + moved_in - moved_out - allocation.amount_usd)
    fees = float(holdings.fee_fraction @ (moved_in + moved_out))
    before = float(holdings.amount_usd.sum()) + holdings.reserve_usd + allocation.fresh_usd
    after = allocation.capital_usd + fees + allocation.returned_usd
    return max(float(places.max()), abs(before - after))
