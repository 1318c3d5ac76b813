"""The whole allocation as one linear programme: the twin that the decomposition is tested and timed against.

Columns after those of `first_stage`: per risk limit its quantile, excess, level and transfers per path; then
transfers and liquidated shortfall of the second stage per venue and path.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from margincover.allocation.first_stage import Units, first_stage
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import AllocationProblem, RecourseCosts, RiskLimit
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import INFINITY, LinearProgramme, solve_linear


class _Builder:
    """Collects columns and rows; each row is a list of (columns, value) parts over all paths at once."""

    def __init__(self, linear: LinearProgramme) -> None:
        self.cost, self.lower, self.upper = [linear.cost], [linear.lower], [linear.upper]
        self.columns, self.rows = linear.cost.size, linear.matrix.shape[0]
        self.row_lower, self.row_upper = [linear.row_lower], [linear.row_upper]
        held = linear.matrix.tocoo()
        self.parts = [(held.row, held.col, held.data)]

    def add_columns(self, cost: Vector, lower: Vector | float, upper: Vector | float) -> np.ndarray:
        count = cost.size
        self.cost.append(cost)
        self.lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), (count,)))
        self.upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (count,)))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def add_rows(self, parts: list[tuple[np.ndarray, Vector | float]], lower: Vector) -> None:
        rows = np.arange(self.rows, self.rows + lower.size)
        for columns, values in parts:
            wide = np.broadcast_to(columns, (lower.size,))
            self.parts.append((rows, wide, np.broadcast_to(np.asarray(values, dtype=np.float64), (lower.size,))))
        self.row_lower.append(lower)
        self.row_upper.append(np.full(lower.size, INFINITY))
        self.rows += lower.size

    def build(self) -> LinearProgramme:
        row, column, value = (np.concatenate(piece) for piece in zip(*self.parts, strict=True))
        return LinearProgramme(
            cost=np.concatenate(self.cost),
            lower=np.concatenate(self.lower),
            upper=np.concatenate(self.upper),
            matrix=sparse.coo_matrix((value, (row, column)), shape=(self.rows, self.columns)).tocsr(),
            row_lower=np.concatenate(self.row_lower),
            row_upper=np.concatenate(self.row_upper),
        )


def whole_programme(problem: AllocationProblem, units: Units) -> LinearProgramme:
    """Write the allocation as one linear programme in scaled units."""
    builder = _Builder(first_stage(problem, units))
    for limit in problem.limits:
        needs = (problem.needs if limit.needs is None else limit.needs).scaled(units.money_usd)
        _add_limit(builder, needs, problem.placements, limit, limit.level_usd / units.money_usd)
    if problem.costs is not None:
        _add_second_stage(builder, problem.needs.scaled(units.money_usd), problem, units)
    return builder.build()


def solve_whole_usd(problem: AllocationProblem, units: Units) -> tuple[float, Vector]:
    """Return the optimum in dollars and the amounts with the reserve last, solved as one programme."""
    answer = solve_linear(whole_programme(problem, units))
    money = answer.x[: problem.placements.count + 1] * units.money_usd
    return answer.objective * units.money_usd * units.cost_fraction, money


def _amount_parts(
    needs: Needs, places: Placements, venue: int, weight: np.ndarray | None
) -> list[tuple[np.ndarray, Vector | float]]:
    mine = np.flatnonzero(places.venue == venue)
    return [(np.array(place), 1.0 if weight is None else weight[place]) for place in mine]


def _add_limit(builder: _Builder, needs: Needs, places: Placements, limit: RiskLimit, level: float) -> None:
    n_paths = needs.n_paths
    reserve = np.array(places.count)
    probability = needs.path_probability()
    height = builder.add_columns(np.zeros(n_paths), -INFINITY, INFINITY)
    venues = range(needs.n_venues) if limit.venues is None else limit.venues
    shared = limit.with_reserve and places.reserve_upper_usd > 0.0
    sent_columns = []
    for venue in venues:
        early, total = (
            _amount_parts(needs, places, venue, weight) for weight in (needs.early_weight, needs.total_weight)
        )
        builder.add_rows([(height, 1.0), *early], needs.early_usd[venue])
        cap = 0.0 if not shared else (INFINITY if needs.receivable_usd is None else needs.receivable_usd[venue])
        sent = builder.add_columns(np.zeros(n_paths), 0.0, cap)
        sent_columns.append(sent)
        builder.add_rows([(height, 1.0), (sent, 1.0), *total], needs.total_usd[venue])
    if shared:
        builder.add_rows([(reserve, 1.0), *((sent, -1.0) for sent in sent_columns)], np.zeros(n_paths))
    if limit.tail == 0.0:
        builder.add_rows([(height, -1.0)], np.full(n_paths, -level))
        return
    quantile = builder.add_columns(np.zeros(1), -INFINITY, INFINITY)
    excess = builder.add_columns(np.zeros(n_paths), 0.0, INFINITY)
    builder.add_rows([(excess, 1.0), (quantile, 1.0), (height, -1.0)], np.zeros(n_paths))
    # One row: quantile + sum of p * excess / tail <= level.
    row = np.full(n_paths, builder.rows)
    builder.parts.append((row, excess, -probability / limit.tail))
    builder.add_rows([(quantile, -1.0)], np.array([-level]))


def _add_second_stage(builder: _Builder, needs: Needs, problem: AllocationProblem, units: Units) -> None:
    costs: RecourseCosts | None = problem.costs
    assert costs is not None, "Invariant: only called with costs"
    places, probability = problem.placements, needs.path_probability()
    sent_columns = []
    for venue in range(needs.n_venues):
        early, total = (
            _amount_parts(needs, places, venue, weight) for weight in (needs.early_weight, needs.total_weight)
        )
        cap = INFINITY if needs.receivable_usd is None else needs.receivable_usd[venue]
        fee = costs.transfer_fee_fraction[venue] / units.cost_fraction
        loss = costs.liquidation_loss_fraction[venue] / units.cost_fraction
        sent = builder.add_columns(probability * fee, 0.0, cap)
        short = builder.add_columns(probability * loss, 0.0, INFINITY)
        sent_columns.append(sent)
        builder.add_rows([(short, 1.0), *early], needs.early_usd[venue])
        builder.add_rows([(short, 1.0), (sent, 1.0), *total], needs.total_usd[venue])
    builder.add_rows([(np.array(places.count), 1.0), *((sent, -1.0) for sent in sent_columns)], np.zeros(needs.n_paths))
