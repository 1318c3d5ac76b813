"""Allocation: from a book to a plan - what stands where, what moves now, which rules follow. Nothing is moved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from margincover.allocation import check
from margincover.allocation.problem import Allocation
from margincover.app.allocate_desk import Desk, build_desk
from margincover.app.allocate_more import (
    Resolve,
    comparisons,
    frontier_entries,
    hedge_alternatives,
    hour_values,
    information,
    multiples,
    outage_cells,
    speed_alternatives,
)
from margincover.app.allocate_moves import orders_of
from margincover.app.allocate_paths import DeskPaths, desk_paths
from margincover.app.allocate_plan import Decision, Planner, Sample, fallback
from margincover.app.allocate_settings import AllocateSettings, check_settings, plan_settings
from margincover.app.cover import age_warnings, sample_warnings
from margincover.app.generators import build_generator
from margincover.app.option_volatility import volatility_notes
from margincover.app.provenance import build_provenance, funding_warnings
from margincover.errors import SolverError, UsageError
from margincover.liquidity.ladder import counted
from margincover.model.allocation import AllocationResult, Alternative, PlacedCapital
from margincover.model.book import Book, Tolerance
from margincover.model.provenance import Provenance
from margincover.model.results import Estimate
from margincover.model.scenario import ScenarioGenerator
from margincover.numeric.arrays import Vector
from margincover.numeric.lp import InfeasibleError
from margincover.numeric.lp_two_stage import InformationValue
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.units import SECONDS_PER_DAY, format_duration
from margincover.venues.pools import build_pools

_SIDE_PATHS = 4_096
_YEAR_S = 365.0 * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateReport:
    """A plan, with its exit code."""

    result: AllocationResult

    @property
    def exit_code(self) -> int:
        """2 when what stands there now does not hold the tolerance or no plan can, 1 when nothing is proven, else 0."""
        result = self.result
        if result.status == "infeasible" or result.p_now.value > result.tolerance:
            return 2
        return 1 if result.status == "fallback" or result.message else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_allocate import allocation_to_dict

        return json.dumps(allocation_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the result as one self-contained HTML page."""
        from margincover.report.html_allocate import allocation_html

        return allocation_html(self.result)


def allocate(
    book: Book,
    settings: AllocateSettings | None = None,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[str], None] | None = None,
) -> AllocateReport:
    """Return the least capital that holds the tolerance, placed where it is needed, and the moves that get there.

    Parameters
    ----------
    book : Book
    settings : AllocateSettings or None
    generator : ScenarioGenerator or None
        Own generator; then ``scenarios`` and ``history`` must be left out.
    progress : callable or None
        Called with what is being done.

    Raises
    ------
    UsageError, InputError, RulebookError, StaleDataError
        Naming file, account or field.
    SolverError
        If the paths are too few to show that the tolerance holds.

    Notes
    -----
    The plan is chosen on planning paths, its tail on validation paths, and what is stated of it comes from fresh paths
    on which the standing rules are run, without the solver. Nothing is moved, borrowed or traded.
    """
    run = _Run.of(book, settings or AllocateSettings(), generator, progress or (lambda text: None))
    return AllocateReport(result=run.result())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run: the desk, its three sets of paths and the planner."""

    book: Book
    settings: AllocateSettings
    planner: Planner
    generator: ScenarioGenerator
    calibration: Calibration
    planning: Sample
    validation: Sample
    fresh: Sample
    hourly: DeskPaths
    say: Callable[[str], None]
    not_compared: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        book: Book,
        settings: AllocateSettings,
        generator: ScenarioGenerator | None,
        say: Callable[[str], None],
    ) -> _Run:
        check_settings(settings, book)
        calibration = load_packaged()
        pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
        chosen = _generator(book, settings, sorted({f for pool in pools for f in pool.factors}), generator, calibration)
        plan = plan_settings(book, settings)
        desk = build_desk(book, pools, horizon_s=plan.horizon_s, cost_of_capital=settings.cost_of_capital)
        sets = []
        for number, purpose in enumerate(("planning", "validation", "fresh")):
            say(f"{purpose} paths")
            seed = (settings.seed + number * 1_000_003) % 2**63
            sets.append(
                desk_paths(
                    pools, chosen, horizon_s=plan.horizon_s, paths=settings.paths, seed=seed, threads=settings.threads
                )
            )
        planner = Planner.of(desk, plan, sets[0].times_s)
        samples = [
            planner.sample(paths, seed=settings.seed, purpose=purpose)
            for paths, purpose in zip(sets, ("planning", "validation", "fresh"), strict=True)
        ]
        return cls(
            book=book,
            settings=settings,
            planner=planner,
            generator=chosen,
            calibration=calibration,
            planning=samples[0],
            validation=samples[1],
            fresh=samples[2],
            hourly=sets[0],
            say=say,
        )

    def result(self) -> AllocationResult:
        """Solve, fall back or explain, and put the answer together."""
        try:
            found = self.planner.plan(self.planning, self.validation, progress=self.say)
        except InfeasibleError:
            self.say("looking for the limits in conflict")
            words = self.planner.conflict_words(self.planning)
            if words is not None:
                return self._assembled(None, "infeasible", words, 0.0, 1.0)
            # A solver that stopped early took its own unfinished search for a conflict.
            return self._fallen_back("no point was found before it stopped, yet the limits can be met")
        except SolverError as error:
            if "validation paths" in str(error):
                raise
            return self._fallen_back(str(error))
        words = self._over_fresh(found.decision.allocation)
        if words:
            return self._assembled(None, "infeasible", words, 0.0, 1.0)
        best = found.decision.allocation
        text = "" if best.optimal else f"the solver stopped early: at most {best.gap:.2%} above the least cost"
        return self._assembled(found.decision, "planned", text, found.tail, found.upper_bound)

    def _fallen_back(self, why: str) -> AllocationResult:
        decision = self.planner.with_rules(fallback(self.planner, self.planning), self.planning)
        text = f"the solver failed ({why}): each pool sized alone instead; nothing is proven"
        return self._assembled(decision, "fallback", text, 0.0, 1.0)

    def _over_fresh(self, allocation: Allocation) -> str:
        """Return why a limit on new capital does not hold, counting money for pools that no way reaches; else empty."""
        limit = self.settings.fresh_usd
        if limit is None:
            return ""
        need = orders_of(self.planner, allocation).fresh / 100.0
        # Rounding up, and fixed fees that the linear problem does not know.
        if need <= limit + 1.0 + 0.02 * len(self.planner.desk.pools):
            return ""
        return (
            "cannot be met together: limit on fresh capital; joint liquidation; ways of the own money to the pools; "
            f"{need - limit:,.2f} USD more new capital would do"
        )

    def _assembled(
        self, decision: Decision | None, status: str, message: str, tail: float, bound: float
    ) -> AllocationResult:
        planner = self.planner
        free = planner.unlimited()
        joint, joint_tail = self._joint(free) if status == "planned" else (None, 0.0)
        entries = frontier_entries(free, self.planning, self.fresh, points=self._points(status))
        alternatives, notes = self._alternatives(free, joint_tail)
        known = self._information(free) if status == "planned" else None
        orders = None if decision is None else orders_of(planner, decision.allocation)
        best = None if decision is None else decision.allocation
        years = planner.settings.horizon_s / _YEAR_S
        now = (self.fresh.need_usd[-1] > planner.desk.base_usd[:, np.newaxis]).any(axis=0)
        rates = now if decision is None else planner.rules(decision, self.fresh).any_liquidated
        return AllocationResult(
            status=status,
            message=message,
            tolerance=planner.settings.tolerance,
            horizon_s=planner.settings.horizon_s,
            n_paths=self.fresh.need_usd.shape[2],
            joint_tail=tail,
            validation_bound=bound,
            pools=self._pools(decision, self._hours(free, joint_tail)),
            transfers=() if orders is None else orders.transfers,
            reserve_before_cents=0 if orders is None else orders.reserve_before,
            reserve_cents=0 if orders is None else orders.reserve,
            fresh_cents=0 if orders is None else orders.fresh,
            returned_cents=0 if orders is None else orders.returned,
            imbalance_cents=0 if orders is None else orders.imbalance,
            line_usd=planner.desk.line_usd,
            cost_per_year_usd=0.0 if best is None else best.carry_usd / years,
            objective_usd=0.0 if best is None else best.objective_usd,
            bound_usd=0.0 if best is None else best.bound_usd,
            gap=1.0 if best is None else best.gap,
            recheck_excess_usd=0.0 if best is None or status != "planned" else self._excess(best, tail),
            p_now=counted(now),
            p_planned=counted(rates),
            binding=() if best is None else tuple(planner.named(name) for name in best.binding),
            frontier=entries,
            comparisons=comparisons(free, joint, self.planning, self.fresh),
            outages=() if decision is None else outage_cells(planner, decision, self.fresh),
            alternatives=tuple(alternatives),
            evpi_usd=None if known is None else known.evpi,
            vss_usd=None if known is None else known.vss,
            notes=(*planner.desk.notes, *notes, *self.not_compared),
            provenance=self._provenance(planner.desk),
        )

    def _points(self, status: str) -> int:
        return self.settings.frontier_points if status == "planned" else 0

    def _joint(self, free: Planner) -> tuple[Decision | None, float]:
        self.say("comparing")
        try:
            found = free.plan(self.planning, self.validation, with_holdings=False)
        except SolverError as error:
            self.not_compared.append(f"joint sizing from nothing held is left out: {error}")
            return None, 0.0
        return found.decision, found.tail

    def _alternatives(self, free: Planner, tail: float) -> tuple[list[Alternative], list[str]]:
        if tail <= 0.0 or not self.settings.with_alternatives:
            return [], []
        self.say("weighing hedges and faster ways")
        count = min(_SIDE_PATHS, self.planning.need_usd.shape[2])
        sample = self.planning.first(count)
        resolve = Resolve(
            generator=self.generator,
            funding=self.calibration.pessimistic_funding_per_hour,
            paths=count,
            seed=self.settings.seed,
            threads=self.settings.threads,
        )
        netted, notes = hedge_alternatives(free, sample, resolve, tail=tail)
        found = [*netted, *speed_alternatives(free, sample, tail=tail)]
        return sorted(found, key=lambda row: row.capital_after_usd - row.capital_before_usd), notes

    def _hours(self, free: Planner, tail: float) -> list[float | None]:
        if tail <= 0.0:
            return [None] * len(free.desk.pools)
        return hour_values(free, self.planning.first(_SIDE_PATHS), tail=tail)

    def _information(self, free: Planner) -> InformationValue:
        self.say("pricing information")
        return information(free, self.planning)

    def _excess(self, best: Allocation, tail: float) -> float:
        asked = self.planner.problem(
            self.planner.needs(self.planning),
            tail=min(tail, 0.9),
            with_holdings=True,
            with_costs=self.settings.minimise == "cost",
        )
        return check.recheck(asked, best).excess_usd

    def _pools(self, decision: Decision | None, hours: list[float | None]) -> tuple[PlacedCapital, ...]:
        planner, desk = self.planner, self.planner.desk
        count = len(desk.pools)
        amount = desk.base_usd if decision is None else decision.allocation.amount_usd
        trigger = np.zeros(count) if decision is None else decision.trigger_usd
        marginal = np.zeros(count) if decision is None else decision.allocation.marginal_value_usd
        before = self._before_arrival(
            amount, {} if decision is None else orders_of(planner, decision.allocation).slowest_s
        )
        rates = None if decision is None else planner.rules(decision, self.fresh).is_liquidated
        years = planner.settings.horizon_s / _YEAR_S
        ratio = multiples(trigger, self.hourly.hourly_usd)
        rows = []
        for number, pool in enumerate(desk.pools):
            status, held = desk.statuses[number], float(desk.base_usd[number])
            now = counted(self.fresh.need_usd[-1, number] > held + 1e-3)
            is_served = planner.later[number] and decision is not None
            rows.append(
                PlacedCapital(
                    pool_id=pool.id,
                    account_id=pool.account_id,
                    venue=pool.venue,
                    asset=desk.assets()[number],
                    held_usd=held,
                    planned_usd=float(amount[number]),
                    maintenance_usd=status.maintenance_usd,
                    hourly_usd=float(self.hourly.hourly_usd[number]),
                    trigger_usd=float(trigger[number]),
                    target_usd=float(trigger[number]),
                    trigger_multiple=ratio[number] if is_served else None,
                    trigger_of_maintenance=_over(trigger[number], status.maintenance_usd) if is_served else None,
                    delay_s=planner.delays_s[number] if is_served else None,
                    p_now=now,
                    p_before_arrival=before[number],
                    p_planned=now if rates is None else counted(rates[number]),
                    marginal_value=float(marginal[number]) / years,
                    hour_value_usd=hours[number],
                )
            )
        return tuple(sorted(rows, key=lambda row: (row.held_usd - row.planned_usd, row.pool_id)))

    def _before_arrival(self, amount: Vector, slowest_s: dict[str, float]) -> list[Estimate]:
        """P(liquidation) until money sent now is there at 99 %; over the whole horizon for money from outside."""
        desk, times = self.planner.desk, self.planner.times_s
        found = []
        for number, held in enumerate(desk.base_usd):
            row = len(times) - 1
            if amount[number] <= held + 0.01:
                row = 0
            else:
                row = min(int(np.searchsorted(times, slowest_s.get(desk.pools[number].id, np.inf))), row)
            found.append(counted(self.fresh.need_usd[row, number] > held + 1e-3))
        return found

    def _provenance(self, desk: Desk) -> Provenance:
        info, settings, plan = self.generator.info, self.settings, self.planner.settings
        stated = Tolerance(probability=plan.tolerance, horizon_s=plan.horizon_s)
        found = build_provenance(
            self.book,
            desk.pools,
            seed=settings.seed,
            settings={
                "tolerance": f"{plan.tolerance:g}",
                "horizon": format_duration(plan.horizon_s),
                "paths": f"{settings.paths} planning, as many validation and fresh",
                "cost of capital": f"{settings.cost_of_capital:g} a year",
                "liquidation cost": f"{settings.liquidation_cost:g} per dollar short",
                "minimise": settings.minimise,
                "n-1": "hard" if settings.n_minus_1 else "reported",
            },
            scenario={"method": info.method, "label": info.label, "as_of": info.as_of, **info.params},
            warnings=[
                *funding_warnings(self.book, self.calibration.pessimistic_funding_per_hour),
                *info.warnings,
                *sample_warnings(stated, settings.paths),
                *age_warnings(self.book, self.generator),
            ],
            not_modelled=[
                "loans and other obligations: see `margincover liquidity`",
                "margin of one account sent to another along the paths; a pool in a coin is valued at today's price",
                *volatility_notes(desk.pools),
                *info.not_modelled,
            ],
        )
        # What other commands leave out is the subject of this one.
        left_out = tuple(text for text in found.not_modelled if not text.startswith("outages, transfer delays"))
        return replace(found, not_modelled=left_out)


def _over(value: float, base: float) -> float | None:
    return float(value) / base if base > 0.0 else None


def _generator(
    book: Book,
    settings: AllocateSettings,
    factors: list[str],
    own: ScenarioGenerator | None,
    calibration: Calibration,
) -> ScenarioGenerator:
    if own is not None:
        if settings.scenarios is not None or settings.history is not None:
            raise UsageError("a generator with scenarios or history", field="generator", allowed="one of them")
        return own
    return build_generator(
        book,
        factors or [calibration.names[0]],
        method=settings.scenarios,
        history=settings.history,
        calibration=calibration,
    )


__all__ = ["AllocateReport", "AllocateSettings", "allocate"]
