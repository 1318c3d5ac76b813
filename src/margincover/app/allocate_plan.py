"""Solve an allocation: needs from paths, limits, the tightened joint tail, and the rules that go with the amounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.allocation import tolerance as tightening
from margincover.allocation.conflict import find_conflict
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import Allocation, AllocationProblem, Holdings, RecourseCosts, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.allocation.standing_rule import RuleRun, RuleSetting, arrived_rows, early_needs, run_rules
from margincover.app.allocate_desk import Desk, way_limit_usd
from margincover.app.allocate_paths import DeskPaths
from margincover.errors import SolverError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import InfeasibleError
from margincover.numeric.lp_cuts import CutSettings
from margincover.numeric.quantile import tail_quantile
from margincover.numeric.rng import stream
from margincover.units import SECONDS_PER_DAY
from margincover.venues.assets import is_pegged

JOINT = "joint liquidation"
# Tails of the joint Expected Shortfall as multiples of the tolerance, tightest first. At the same tail it is much
# stricter than a count, so the counted rate meets the tolerance at a tail above it.
TAILS = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.65, 1.9, 2.2, 2.5, 2.9, 3.5, 4.5)
_TRIGGERS = (0.25, 0.5, 0.75, 1.0)
_YEAR_S = 365.0 * SECONDS_PER_DAY

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """Limits and costs of a plan; None is no limit.

    ``limits_usd`` bounds capital by pool id; ``fresh_usd`` new capital; ``reserve_limit_usd`` the reserve;
    ``budget_usd`` all of it. ``only_ways``: nothing gets to a pool to which the book names no way. ``n_minus_1``: every
    frozen venue is a hard case. ``is_rces``: each pool's Expected Shortfall form is a limit of its own.
    ``minimise`` is ``"capital"`` (its carry alone, with fees) or ``"cost"`` (also expected liquidation loss).
    """

    tolerance: float
    horizon_s: int
    cost_of_capital: float
    liquidation_cost: float
    limits_usd: dict[str, float]
    fresh_usd: float | None = None
    reserve_limit_usd: float | None = None
    budget_usd: float | None = None
    only_ways: bool = False
    n_minus_1: bool = False
    is_rces: bool = True
    minimise: str = "capital"
    gap: float = 1e-6
    max_rounds: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One set of joint paths: needs [time, pool, path] of capital, and whether the way is open [pool, path]."""

    need_usd: Array
    is_open: NDArray[np.bool_]

    def first(self, count: int) -> Sample:
        """Return the sample of the first paths."""
        return Sample(need_usd=self.need_usd[:, :, :count], is_open=self.is_open[:, :count])


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Amounts and the triggers [pool] of the standing rules, with the multiple of first headroom that they are."""

    allocation: Allocation
    trigger_usd: Vector
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Everything that stays the same between the solves of one run."""

    desk: Desk
    settings: PlanSettings
    times_s: tuple[int, ...]
    delays_s: tuple[float, ...]
    later: tuple[bool, ...]

    @classmethod
    def of(cls, desk: Desk, settings: PlanSettings, times_s: tuple[int, ...]) -> Planner:
        """Make the planner of a desk as it is."""
        return cls(
            desk=desk,
            settings=settings,
            times_s=times_s,
            delays_s=desk.delays_s(),
            later=tuple(way is not None for way in desk.later),
        )

    def with_delay(self, delay_s: float, pools: tuple[int, ...] | None = None) -> Planner:
        """Return the planner with another delay: of some pools that are served, or of all cross pools in US dollars."""
        delays, later = list(self.delays_s), list(self.later)
        for number, pool in enumerate(self.desk.pools):
            is_money = pool.margin_mode == "cross" and (pool.unit == "USD" or is_pegged(pool.unit))
            is_meant = is_money if pools is None else number in pools
            if is_meant:
                delays[number], later[number] = delay_s, True
        return replace(self, delays_s=tuple(delays), later=tuple(later))

    def sample(self, paths: DeskPaths, *, seed: int, purpose: str) -> Sample:
        """Return needs and open ways of a set of paths."""
        need = paths.running_usd + self.desk.base_usd[:, np.newaxis]
        chance = np.array([0.0 if way is None else way.route.outage_probability for way in self.desk.later])
        drawn = stream(seed, f"allocate.outages.{purpose}").random((len(self.desk.pools), need.shape[2]))
        return Sample(need_usd=need, is_open=drawn >= chance[:, np.newaxis])

    def receivable(self, sample: Sample) -> Array:
        """Return the most that later money can bring, [pool, path]."""
        limit = self.desk.limits_usd(self.settings.horizon_s)
        may = np.array(self.later)[:, np.newaxis] & sample.is_open
        return np.where(may, limit[:, np.newaxis], 0.0)

    def arrived(self) -> NDArray[np.int64]:
        """Return which look's orders are there in each interval, [time, pool]."""
        return arrived_rows(self.times_s, self.delays_s)

    def needs(self, sample: Sample) -> Needs:
        """Return the two-stage needs: what must stand there because orders come late, and all of it."""
        early = early_needs(sample.need_usd, self.arrived())
        return Needs(
            early_usd=np.minimum(early, sample.need_usd[-1]),
            total_usd=sample.need_usd[-1],
            receivable_usd=self.receivable(sample),
        )

    def placements(self, *, line_usd: float) -> Placements:
        """Return one placement per pool, and the reserve if some pool takes later money."""
        settings, years = self.settings, self.settings.horizon_s / _YEAR_S
        upper = np.array([self._limit(number) for number in range(len(self.desk.pools))])
        most = 0.0 if not any(self.later) else np.inf
        if settings.reserve_limit_usd is not None:
            most = min(most, settings.reserve_limit_usd + line_usd)
        return Placements(
            venue=np.arange(len(self.desk.pools)),
            carry_fraction=np.full(len(self.desk.pools), settings.cost_of_capital * years),
            lower_usd=np.zeros(len(self.desk.pools)),
            upper_usd=upper,
            reserve_carry_fraction=self.desk.reserve_carry_per_year * years,
            reserve_lower_usd=min(line_usd, most),
            reserve_upper_usd=most,
        )

    def _limit(self, number: int) -> float:
        pool = self.desk.pools[number]
        limits = self.settings.limits_usd
        return limits.get(pool.id, limits.get(pool.account_id, np.inf))

    def holdings(self) -> Holdings:
        """Return what stands where and what can be moved now."""
        desk, settings = self.desk, self.settings
        fresh = np.inf if settings.fresh_usd is None else settings.fresh_usd
        without = 0.0 if settings.only_ways else fresh
        movable = [
            sum(way_limit_usd(desk.book, way, way.p99_s) for way in ways) if ways else without for ways in desk.ways
        ]
        return Holdings(
            amount_usd=desk.base_usd,
            reserve_usd=desk.reserve_usd + desk.line_usd + sum(desk.elsewhere_usd.values()),
            fee_fraction=np.array([max((way.route.fee_fraction for way in ways), default=0.0) for ways in desk.ways]),
            depositable_usd=np.array(movable),
            withdrawable_usd=desk.free_usd,
            fresh_usd=fresh,
        )

    def problem(self, needs: Needs, *, tail: float | None, with_holdings: bool, with_costs: bool) -> AllocationProblem:
        """Return the problem with its limits; ``tail`` None leaves the joint limit out."""
        settings = self.settings
        limits: list[RiskLimit] = []
        if tail is not None:
            limits.append(RiskLimit(name=JOINT, tail=tail))
        if settings.is_rces and tail is not None:
            limits += [
                RiskLimit(name=f"RCES of {pool.id}", tail=settings.tolerance, venues=(number,))
                for number, pool in enumerate(self.desk.pools)
            ]
        if settings.n_minus_1 and tail is not None:
            limits += self._frozen_limits(needs)
        count = len(self.desk.pools)
        costs = RecourseCosts(
            transfer_fee_fraction=self.holdings().fee_fraction,
            liquidation_loss_fraction=np.full(count, settings.liquidation_cost),
        )
        return AllocationProblem(
            needs=needs,
            placements=self.placements(line_usd=self.desk.line_usd if with_holdings else 0.0),
            limits=tuple(limits),
            costs=costs if with_costs else None,
            holdings=self.holdings() if with_holdings else None,
            budget_usd=np.inf if settings.budget_usd is None or not with_holdings else settings.budget_usd,
        )

    def _frozen_limits(self, needs: Needs) -> list[RiskLimit]:
        limits = []
        for venue in dict.fromkeys(pool.venue for pool in self.desk.pools):
            case = needs
            for number in self.pools_at(venue):
                case = case.with_frozen(number)
            limits.append(RiskLimit(name=f"{venue} frozen", tail=self.settings.tolerance, needs=case))
        return limits

    def pools_at(self, venue: str) -> tuple[int, ...]:
        """Return the numbers of the pools at a venue."""
        return tuple(number for number, pool in enumerate(self.desk.pools) if pool.venue == venue)

    def cuts(self) -> CutSettings:
        """Return the settings of the solver."""
        return CutSettings(gap=self.settings.gap, max_rounds=self.settings.max_rounds)

    def rules(self, decision: Decision, sample: Sample) -> RuleRun:
        """Run the standing rules of a decision along a sample."""
        return run_rules(
            sample.need_usd,
            RuleSetting(
                amount_usd=decision.allocation.amount_usd,
                trigger_usd=decision.trigger_usd,
                reserve_usd=decision.allocation.reserve_usd,
                receivable_usd=self.receivable(sample),
                arrived=self.arrived(),
            ),
        )

    def with_rules(self, allocation: Allocation, sample: Sample) -> Decision:
        """Return the decision whose triggers lose fewest paths of the planning sample."""
        room = np.maximum(allocation.amount_usd - sample.need_usd[0, :, 0], 0.0) * np.array(self.later)
        best: tuple[int, Decision] | None = None
        for share in _TRIGGERS:
            decision = Decision(allocation=allocation, trigger_usd=share * room, share=share)
            hits = int(self.rules(decision, sample).any_liquidated.sum())
            if best is None or hits < best[0]:
                best = hits, decision
            if not any(self.later):
                break
        assert best is not None, "Invariant: some trigger was tried"
        return best[1]

    def plan(
        self,
        planning: Sample,
        validation: Sample,
        *,
        with_holdings: bool = True,
        progress: Callable[[str], None] | None = None,
    ) -> tightening.Tightened[Decision]:
        """Return the decision at the loosest tail whose rules hold the tolerance on the validation paths.

        Raises
        ------
        InfeasibleError
            If no tail that the limits allow holds the tolerance.
        SolverError
            If the solver fails, or no tail holds the tolerance for sure.
        """
        needs = self.needs(planning)
        with_costs = with_holdings and self.settings.minimise == "cost"

        def solve(tail: float) -> Decision:
            if progress:
                progress(f"solving at tail {tail:.3g}")
            asked = self.problem(needs, tail=min(tail, 0.9), with_holdings=with_holdings, with_costs=with_costs)
            return self.with_rules(solve_allocation(asked, self.cuts()), planning)

        def count(decision: Decision) -> tuple[int, int]:
            lost = self.rules(decision, validation).any_liquidated
            return int(lost.sum()), lost.size

        for first in range(len(TAILS)):
            try:
                return tightening.tighten(solve, count, tolerance=self.settings.tolerance, factors=TAILS[first:])
            except InfeasibleError:
                # Limits of the desk may exclude a tighter tail than the tolerance asks for.
                continue
            except SolverError as error:
                if first and "validation paths" in str(error):
                    raise InfeasibleError("no tail that the limits allow holds the tolerance") from error
                raise
        raise InfeasibleError("the limits cannot be met at any tail")

    def unlimited(self) -> Planner:
        """Return the planner without limits of the desk and with one price of capital: what the book itself needs."""
        free = replace(self.settings, limits_usd={}, reserve_limit_usd=None, budget_usd=None, n_minus_1=False)
        desk = replace(self.desk, reserve_carry_per_year=self.settings.cost_of_capital)
        return replace(self, settings=free, desk=desk)

    def from_nothing(self, sample: Sample, *, tail: float) -> Allocation:
        """Return the cheapest allocation when nothing is held, at a tail of the joint limit."""
        asked = self.problem(self.needs(sample), tail=min(tail, 0.9), with_holdings=False, with_costs=False)
        return solve_allocation(asked, self.cuts())

    def alone(self, sample: Sample) -> Vector:
        """Return the capital of each pool sized alone so that the sum of probabilities keeps the tolerance."""
        used = (sample.need_usd[-1] > 0.0).any(axis=1)
        share = self.settings.tolerance / max(int(used.sum()), 1)
        return np.array([max(0.0, float(tail_quantile(row, share))) for row in sample.need_usd[-1]])

    def pro_rata(self, sample: Sample) -> Vector:
        """Return capital in proportion to maintenance now, the least whose joint rate keeps the tolerance."""
        weight = np.array([status.maintenance_usd for status in self.desk.statuses])
        need = np.maximum(sample.need_usd[-1], 0.0)
        # A pool without maintenance gets nothing by weight: what it needs it keeps.
        apart = np.where(weight > 0.0, 0.0, need.max(axis=1))
        scale = np.where(weight[:, np.newaxis] > 0.0, need / np.maximum(weight, 1e-300)[:, np.newaxis], 0.0).max(axis=0)
        return apart + weight * float(tail_quantile(scale, self.settings.tolerance))

    def conflict_words(self, sample: Sample) -> str | None:
        """Return which limits exclude each other at the loosest tail where some do; None for none at any tail."""
        needs = self.needs(sample)
        for factor in reversed(TAILS):
            tail = min(factor * self.settings.tolerance, 0.9)
            found = find_conflict(self.problem(needs, tail=tail, with_holdings=True, with_costs=False))
            if found is not None:
                return self.named(found.in_words())
        return None

    def named(self, text: str) -> str:
        """Return a text of the solver with the names of the pools in place of their numbers."""
        for number in reversed(range(len(self.desk.pools))):
            text = text.replace(f"placement {number}", self.desk.pools[number].id)
        return text


def fallback(planner: Planner, sample: Sample) -> Allocation:
    """Return each pool sized alone, all of it prefunded: used when the solver fails, proven by nothing."""
    amount = planner.alone(sample)
    held = planner.desk.base_usd
    amount = np.maximum(amount, held - planner.desk.free_usd)
    zero = np.zeros_like(amount)
    reserve = planner.desk.reserve_usd + planner.desk.line_usd
    carry = float(planner.placements(line_usd=0.0).carry_fraction @ amount)
    return Allocation(
        amount_usd=amount,
        deposit_usd=np.maximum(amount - held, 0.0),
        withdrawal_usd=np.maximum(held - amount, 0.0),
        reserve_usd=reserve,
        fresh_usd=0.0,
        returned_usd=0.0,
        objective_usd=carry,
        bound_usd=0.0,
        gap=1.0,
        carry_usd=carry,
        fee_usd=0.0,
        recourse_usd=0.0,
        marginal_value_usd=zero,
        reserve_marginal_value_usd=0.0,
        limit_price_usd={},
        binding=(),
        rounds=0,
        optimal=False,
        planes=(),
    )


__all__ = ["Decision", "InfeasibleError", "PlanSettings", "Planner", "Sample", "fallback"]
