"""The standing contingency funding plan of a book, run along the paths of a rescue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from margincover.app.rescue_money import MoneyTable, MoneyWay
from margincover.liquidity.arrival import reserve_ready_at
from margincover.liquidity.contingency import CENT, AccountPaths, Failure, PlannedAction, PlanRun, run_plan
from margincover.liquidity.conversion import price_usd
from margincover.model.book import Book
from margincover.model.contingency import ContingencyAction
from margincover.model.pool import MarginPool
from margincover.model.rescue import ContingencyAccount, ContingencyResult, ContingencyUse
from margincover.model.resources import Reserve
from margincover.model.results import Estimate
from margincover.numeric.intervals import wilson
from margincover.paths.arrivals import NodeStates, StepPaths
from margincover.units import SECONDS_PER_HOUR

Array = NDArray[np.float64]
_Z95 = 1.959963984540054
REASONS = {
    Failure.AT_START: "liquidatable at the start",
    Failure.NO_ACTION_STARTED: "lost before an action was started",
    Failure.MONEY_ON_ITS_WAY: "money was on its way",
    Failure.MONEY_USED_UP: "the action or its source was used up",
    Failure.NOT_ENOUGH: "what had come was not enough",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyRun:
    """What the plan is run on: the pools with their paths and states, the money of the book, the looks in seconds."""

    book: Book
    pools: tuple[MarginPool, ...]
    paths: StepPaths
    states: NodeStates
    money: MoneyTable
    times_s: tuple[int, ...]

    def result(self) -> ContingencyResult:
        """Return the plan with and without, its use, and why it failed where it did."""
        planned, notes, rows = self._planned()
        unit = np.array([pool.unit_usd for pool in self.pools])[:, None]
        coming = self.money.coming_usd.T[:, :, None]
        # Money that is coming anyway is equity from its arrival on, and cannot have been part of a maximum before it.
        paths = AccountPaths(
            running=_with_coming(self.paths.running * unit, self.money.coming_usd),
            equity=self.states.equity * unit + coming,
            maintenance=self.states.maintenance * unit,
        )
        names = tuple(self.money.sources_usd)
        run = run_plan(
            paths,
            [action for action in planned if action],
            [self.money.sources_usd[name] for name in names],
            most_per_step_usd=[self._most_per_step(name) for name in names],
        )
        nothing = run_plan(paths, [], [])
        with_plan, without = run.liquidated_step >= 0, nothing.liquidated_step >= 0
        touched = [row for row in range(len(self.pools)) if row in rows or without[row].any()]
        return ContingencyResult(
            uses=tuple(self._uses(planned, notes, run)),
            accounts=tuple(
                ContingencyAccount(
                    id=self.pools[row].id,
                    p_without=counted(without[row]),
                    p_with=counted(with_plan[row]),
                    failures={
                        text: share
                        for reason, text in REASONS.items()
                        if (share := float((run.failure[row] == reason).mean())) > 0.0
                    }
                    if row in rows
                    else {"no action serves it": float(with_plan[row].mean())},
                )
                for row in touched
            ),
            any_without=counted(np.asarray(without.any(axis=0))),
            any_with=counted(np.asarray(with_plan.any(axis=0))),
            saved=_difference(np.asarray(without.any(axis=0)), np.asarray(with_plan.any(axis=0))),
            mean_cost_usd=float(run.cost_usd.mean()),
            notes=tuple(note for note in notes if note),
        )

    def _planned(self) -> tuple[list[PlannedAction | None], list[str], set[int]]:
        planned: list[PlannedAction | None] = []
        notes: list[str] = []
        rows: set[int] = set()
        for action in self.book.contingency:
            ways = [way for way in self.money.ways if _serves(way, action, self.pools)]
            if not ways:
                planned.append(None)
                notes.append(f"{action.id}: cannot be run: no usable way from {action.source} to {action.account}")
                continue
            way = min(ways, key=lambda each: (each.option.first_step or 0, each.option.cost_per_usd))
            planned.append(self._run_as(action, way))
            rows.add(way.option.account)
            notes.append(self._note(action, way))
        return planned, notes, rows

    def _run_as(self, action: ContingencyAction, way: MoneyWay) -> PlannedAction:
        option, n_steps = way.option, len(self.times_s) - 1
        step_s = self.times_s[1] - self.times_s[0]
        return PlannedAction(
            account=option.account,
            source=list(self.money.sources_usd).index(option.source),
            trigger=action.trigger_coverage_ratio,
            target=action.target_coverage_ratio,
            capacity_usd=min(action.capacity_usd, self._day_limit(way), float(option.arrives_usd[-1])),
            # The desk's own time, and never less than what source and way take at 99 %.
            lead_steps=max(math.ceil(action.lead_time_s / step_s), option.first_step or 0),
            cost_fraction=action.cost_fraction + way.fee_per_usd + way.conversion_per_usd,
            cost_usd=action.cost_usd + option.fixed_usd,
            interest_per_step_fraction=way.interest_per_usd / n_steps,
            drawn_per_usd=option.drawn_per_usd,
            earliest_step=self._earliest(way),
        )

    def _reserve(self, name: str) -> Reserve | None:
        return next((row for row in self.book.reserves if row.id == name), None)

    def _earliest(self, way: MoneyWay) -> tuple[int, ...]:
        """Return the step by whose end money ordered at each step is there: hours and settlements go by the clock."""
        reserve = self._reserve(way.route.origin)
        if reserve is None or (reserve.hours is None and reserve.settlement_cycle_s is None):
            return ()
        step_s, found = self.times_s[1] - self.times_s[0], []
        for at_s in self.times_s[:-1]:
            ready = reserve_ready_at(reserve, self.book.as_of + timedelta(seconds=at_s), slow=True)
            there_s = (ready - self.book.as_of).total_seconds() + way.route.p99_s
            found.append(math.ceil(there_s / step_s))
        return tuple(found)

    def _day_limit(self, way: MoneyWay) -> float:
        """Return the smallest limit of a day, in US dollars that count; it is taken for the whole horizon."""
        option, reserve = way.option, self._reserve(way.route.origin)
        limits = [math.inf]
        if way.route.daily_limit_native is not None:
            limits.append(way.route.daily_limit_native * way.asset_usd)
        if reserve is not None and reserve.daily_limit_native is not None:
            price = price_usd(self.book, reserve.asset, f"reserves.{reserve.id}.asset")
            limits.append(reserve.daily_limit_native * price * way.usable_fraction)
        return max(0.0, (min(limits) - option.fixed_usd) / option.drawn_per_usd)

    def _most_per_step(self, source: str) -> float:
        """Return the most that leaves a source in a step, in US dollars."""
        reserve = self._reserve(source)
        if reserve is None or reserve.capacity_per_hour_native is None:
            return math.inf
        way = next(each for each in self.money.ways if each.option.source == source)
        hours = (self.times_s[1] - self.times_s[0]) / SECONDS_PER_HOUR
        price = price_usd(self.book, reserve.asset, f"reserves.{reserve.id}.asset")
        return reserve.capacity_per_hour_native * hours * price * way.usable_fraction

    def _note(self, action: ContingencyAction, way: MoneyWay) -> str:
        arrives = self.times_s[way.option.first_step or 0]
        found = []
        if arrives > action.lead_time_s:
            found.append(f"source and way take {arrives // 3600} h at 99 %, longer than the stated lead time")
        if action.tested_at is None:
            found.append("never tested")
        return f"{action.id}: {'; '.join(found)}" if found else ""

    def _uses(
        self, planned: Sequence[PlannedAction | None], notes: Sequence[str], run: PlanRun
    ) -> list[ContingencyUse]:
        uses, number = [], 0
        n_paths = run.brought_usd.shape[1] if run.brought_usd.size else run.liquidated_step.shape[1]
        never = np.zeros(n_paths, dtype=np.bool_)
        step_s = self.times_s[1] - self.times_s[0]
        for action, plan, note in zip(self.book.contingency, planned, notes, strict=True):
            used, exhausted, usd, starts = never, never, 0.0, 0.0
            if plan is not None:
                used = run.starts[number] > 0
                exhausted = run.brought_usd[number] >= plan.capacity_usd - CENT
                usd = float(run.brought_usd[number][used].mean()) if used.any() else 0.0
                starts = float(run.starts[number][used].mean()) if used.any() else 0.0
                number += 1
            uses.append(
                ContingencyUse(
                    id=action.id,
                    account=action.account,
                    source=action.source,
                    trigger_coverage_ratio=action.trigger_coverage_ratio,
                    target_coverage_ratio=action.target_coverage_ratio,
                    capacity_usd=action.capacity_usd,
                    lead_s=action.lead_time_s if plan is None else plan.lead_steps * step_s,
                    approver=action.approver,
                    tested_at=action.tested_at,
                    p_used=counted(used),
                    mean_usd=usd,
                    mean_starts=starts,
                    p_exhausted=counted(exhausted),
                    note=note,
                )
            )
        return uses


def _serves(way: MoneyWay, action: ContingencyAction, pools: Sequence[MarginPool]) -> bool:
    return way.route.origin == action.source and pools[way.option.account].account_id == action.account


def _with_coming(running: Array, coming: Array) -> Array:
    """Return running maxima whose crossing of zero is that with the money that is coming, [step + 1, account, path].

    The maximum so far less what had come before it: a path that is lost stays lost, one that is saved is at the
    shortfall that it would have at its worst.
    """
    found = running.copy()
    found[0] -= coming[:, 0, None]
    found[1:] -= coming[:, :-1].T[:, :, None]
    return found


def counted(hits: NDArray[np.bool_]) -> Estimate:
    """Return the share of paths with its 95 % Wilson interval."""
    value, error, low, high = wilson(int(np.count_nonzero(hits)), hits.size)
    return Estimate(value=value, standard_error=error, low=low, high=high)


def _difference(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Estimate:
    """Return the mean of a paired difference with its normal 95 % interval."""
    change = before.astype(np.float64) - after
    error = float(change.std(ddof=1)) / math.sqrt(change.size)
    value = float(change.mean())
    return Estimate(value=value, standard_error=error, low=value - _Z95 * error, high=value + _Z95 * error)
