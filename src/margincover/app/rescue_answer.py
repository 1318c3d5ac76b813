"""From the chosen plan to the answer: actions in order with deadlines, accounts before and after, a fresh check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.app.cover import age_warnings
from margincover.app.option_volatility import volatility_notes
from margincover.app.provenance import RESOURCES_NOT_MODELLED, build_provenance, funding_warnings
from margincover.app.rescue_contingency import ContingencyRun, counted
from margincover.app.rescue_money import MoneyTable, MoneyWay
from margincover.app.rescue_run import Candidates, RescueRun, candidates
from margincover.liquidity.rescue_options import RescuePlan
from margincover.liquidity.rescue_search import RescueSearch, missing_usd
from margincover.model.provenance import Provenance
from margincover.model.rescue import (
    ContingencyResult,
    RejectedAction,
    RescueAccount,
    RescueAction,
    RescueResult,
)
from margincover.model.results import Estimate
from margincover.paths.arrivals import StepPaths, cash_needed, first_liquidation, node_states
from margincover.units import format_duration

Array = NDArray[np.float64]
_PARTS = 4
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueAnswer:
    """The plan of a run with everything that it was chosen from; ``fresh_needed`` [row][path] on other paths."""

    run: RescueRun
    money: MoneyTable
    options: Candidates
    search: RescueSearch
    plan: RescuePlan
    needed: tuple[Array, ...]
    fresh_needed: tuple[Array, ...]
    contingency: ContingencyResult | None

    @classmethod
    def of(cls, run: RescueRun, progress: Callable[[int, int], None] | None) -> RescueAnswer:
        """Follow the paths, choose the plan, check it on fresh paths, and run the standing plan of the book."""

        def done(part: int) -> None:
            if progress is not None:
                progress(part, _PARTS)

        paths = run.follow(run.pools, run.settings.seed)
        done(1)
        money = run.money()
        options = candidates(run, run.running_usd(paths), money)
        done(2)
        search = RescueSearch(options.problem)
        plan = search.best()
        assert search.is_in_time(plan), "Invariant: no money of a plan arrives after its deadline"
        needed = _needed(search, plan, options.problem.running)
        fresh = _needed(search, plan, _fresh(run, options, plan))
        done(3)
        standing = _standing(run, paths, money)
        done(4)
        return cls(
            run=run, money=money, options=options, search=search, plan=plan, needed=needed, fresh_needed=fresh,
            contingency=standing,
        )  # fmt: skip

    def result(self) -> RescueResult:
        """Return the answer."""
        run, before = self.run, self.search.plan_of((), {})
        rows = range(len(run.pools))
        nobody = [cash_needed(self.options.problem.running[row], self.search.cash(row, {})) >= 0.0 for row in rows]
        accounts = [self._account(row, nobody[row]) for row in rows]
        worst = sorted(rows, key=lambda row: (-before.hits[row], run.pools[row].id))
        return RescueResult(
            state=run.state.text,
            as_of=run.state.book.as_of,
            tolerance=run.tolerance,
            horizon_s=run.horizon_s,
            n_paths=run.n_paths,
            accounts=tuple(accounts[row] for row in worst),
            actions=self._actions(),
            rejected=self._rejected(),
            any_before=counted(np.logical_or.reduce(nobody)),
            any_after=_any(self.needed),
            any_check=_any(self.fresh_needed),
            contingency=self.contingency,
            provenance=self._provenance(),
        )

    def _account(self, row: int, lost_before: NDArray[np.bool_]) -> RescueAccount:
        pool, step_s = self.run.pools[row], self.run.step_s
        table = self.search.paths_of(row, self.plan.trades)
        steps = first_liquidation(table, self.search.cash(row, self.plan.amounts_usd))
        lost = steps[steps >= 0]
        deadline = self.search.deadline_step(row, (), self.search.cash(row, {}))
        return RescueAccount(
            id=pool.id,
            account_id=pool.account_id,
            venue=pool.venue,
            p_before=counted(lost_before),
            p_after=counted(self.needed[row] >= 0.0),
            p_check=counted(self.fresh_needed[row] >= 0.0),
            deadline_s=None if deadline is None else max(deadline * step_s, -1),
            lost_p50_s=float(np.median(lost)) * step_s if lost.size else None,
            extra_buffer_usd=missing_usd(self.needed[row], self.run.max_hits),
        )

    def _actions(self) -> tuple[RescueAction, ...]:
        """Trades first, then money in the order of its deadlines and arrivals; each with what it buys at that point."""
        trades = sorted(self.plan.trades, key=lambda number: self._deadline_of_trade(number))
        options = self.options.problem.money
        sent = sorted(
            self.plan.amounts_usd, key=lambda number: (self._money_deadline(number), options[number].first_step or 0)
        )
        found: list[RescueAction] = []
        for count, number in enumerate(trades):
            found.append(self._trade_action(number, trades[:count]))
        for count, number in enumerate(sent):
            found.append(self._money_action(number, trades, sent[:count]))
        return tuple(found)

    def _trade_action(self, number: int, before: Sequence[int]) -> RescueAction:
        idea = self.options.ideas[number]
        row = next(row for row, pool in enumerate(self.run.pools) if pool.id == idea.account)
        deadline = self.search.deadline_step(row, (), self.search.cash(row, {}))
        seconds = None if deadline is None else max(deadline, 0) * self.run.step_s
        return RescueAction(
            kind=idea.kind,
            account=idea.account,
            text=idea.text,
            amount_usd=idea.notional_usd,
            asset=idea.symbol,
            arrives_s=0,
            deadline_s=seconds,
            order_by_s=seconds,
            cost=idea.cost,
            p_before=self._share(row, before, {}),
            p_after=self._share(row, (*before, number), {}),
        )

    def _money_action(self, number: int, trades: Sequence[int], before: Sequence[int]) -> RescueAction:
        way = self._way(number)
        row, amount = way.option.account, self.plan.amounts_usd[number]
        amounts = {other: self.plan.amounts_usd[other] for other in before}
        arrives = (way.option.first_step or 0) * self.run.step_s
        deadline = self.search.deadline_of(self.plan, number)
        by = None if deadline is None else max(deadline, 0) * self.run.step_s
        return RescueAction(
            kind=way.kind,
            account=self.run.pools[row].id,
            text=way.text(amount),
            amount_usd=amount,
            asset=way.route.asset,
            arrives_s=arrives,
            deadline_s=by,
            order_by_s=None if by is None else by - arrives,
            cost=way.cost(amount),
            p_before=self._share(row, trades, amounts),
            p_after=self._share(row, trades, {**amounts, number: amount}),
        )

    def _share(self, row: int, trades: Sequence[int], amounts: Mapping[int, float]) -> Estimate:
        return counted(cash_needed(self.search.paths_of(row, trades), self.search.cash(row, amounts)) >= 0.0)

    def _deadline_of_trade(self, number: int) -> int:
        rows = [row for row, pool in enumerate(self.run.pools) if pool.id == self.options.ideas[number].account]
        step = self.search.deadline_step(rows[0], (), self.search.cash(rows[0], {}))
        return len(self.run.times_s) if step is None else step

    def _money_deadline(self, number: int) -> int:
        step = self.search.deadline_of(self.plan, number)
        return len(self.run.times_s) if step is None else step

    def _way(self, number: int) -> MoneyWay:
        return self.money.ways[self.options.ways[number]]

    def _rejected(self) -> tuple[RejectedAction, ...]:
        """Return what could be thought of for accounts at risk and is not in the plan, and why."""
        found = [*self.money.rejected, *self.options.rejected]
        for number, option in enumerate(self.options.problem.money):
            if number not in self.plan.amounts_usd:
                pool = self.run.pools[option.account].id
                found.append(RejectedAction(text=option.id, account=pool, reason=self._why_not(number)))
        for number, idea in enumerate(self.options.ideas):
            if number not in self.plan.trades:
                reason = f"not in the cheapest plan; alone it costs {idea.cost.total_usd:,.0f} USD"
                found.append(RejectedAction(text=idea.text, account=idea.account, reason=reason))
        before = self.search.plan_of((), {})
        at_risk = [pool for row, pool in enumerate(self.run.pools) if before.hits[row] > self.run.max_hits]
        names = {name for pool in at_risk for name in (pool.id, pool.account_id)}
        return tuple(dict.fromkeys(row for row in found if row.account in names))

    def _why_not(self, number: int) -> str:
        option = self.options.problem.money[number]
        deadline = self.search.deadline_step(
            option.account, self.plan.trades, self.search.cash(option.account, self.plan.amounts_usd)
        )
        alone = self.search.deadline_step(option.account, (), self.search.cash(option.account, {}))
        first = option.first_step or 0
        step_s = self.run.step_s
        if deadline is not None and first > deadline:
            left = self.search.at_most(self.plan.trades, (*self.plan.amounts_usd, number)).hits[option.account]
            return (
                f"too late: arrives after {format_duration(first * step_s)}, the deadline is "
                f"{format_duration(max(deadline, 0) * step_s)}; P(liquidation) would still be "
                f"{left / self.run.n_paths:.2%}"
            )
        if deadline is None and alone is not None and first > alone:
            return (
                f"too late alone: arrives after {format_duration(first * step_s)}, the deadline is "
                f"{format_duration(max(alone, 0) * step_s)}; with the plan not needed"
            )
        if deadline is None:
            return "in time, not in the cheapest plan"
        return "in time, but what it can bring changes nothing"

    def _provenance(self) -> Provenance:
        run = self.run
        info = run.generator.info
        made = build_provenance(
            run.state.book,
            run.pools,
            seed=run.settings.seed,
            settings={
                "tolerance": f"{run.tolerance:g}",
                "horizon": format_duration(run.horizon_s),
                "paths": str(run.n_paths),
                "state": run.state.text,
                "delays": "99 %",
                "seed of the check": str(check_seed(run.settings.seed)),
            },
            scenario={"method": info.method, "label": info.label, "as_of": info.as_of, **info.params},
            warnings=[
                *funding_warnings(run.state.book, run.calibration.pessimistic_funding_per_hour),
                *info.warnings,
                *run.state.notes,
                *age_warnings(run.state.book, run.generator),
            ],
            not_modelled=[
                "the time that a trade takes: trades are done at as_of, at the mark less taker fee and stressed impact",
                "price moves of a coin between the order and its sale beyond the stated haircut",
                "ways and venues that shut after as_of; what a lender refuses although the line is committed",
                "the volatility of the moved state: paths start with the volatility of the scenarios",
                *volatility_notes(run.pools),
                *info.not_modelled,
            ],
        )
        left_out = tuple(text for text in made.not_modelled if text != RESOURCES_NOT_MODELLED)
        return replace(made, not_modelled=left_out)


def check_seed(seed: int) -> int:
    """Return the seed of the fresh paths on which a plan is checked."""
    return seed + 1 if seed < _LARGEST_SEED else seed - 1


def _needed(search: RescueSearch, plan: RescuePlan, running: Sequence[Array]) -> tuple[Array, ...]:
    """Return by row what each path would have needed on top of the plan; ``running`` before trades or after them."""
    return tuple(
        cash_needed(
            search.paths_of(row, plan.trades) if table is search.problem.running[row] else table,
            search.cash(row, plan.amounts_usd),
        )
        for row, table in enumerate(running)
    )


def _fresh(run: RescueRun, options: Candidates, plan: RescuePlan) -> list[Array]:
    """Follow the pools as the plan leaves them along fresh paths, in US dollars by row."""
    pools = list(run.pools)
    for number in plan.trades:
        for row, pool in options.ideas[number].pools.items():
            pools[row] = pool
    return run.running_usd(run.follow(pools, check_seed(run.settings.seed)))


def _any(needed: Sequence[Array]) -> Estimate:
    return counted(np.logical_or.reduce([row >= 0.0 for row in needed]))


def _standing(run: RescueRun, paths: StepPaths, money: MoneyTable) -> ContingencyResult | None:
    if not run.state.book.contingency:
        return None
    states = node_states(
        run.pools, run.generator, horizon_s=run.horizon_s, n_paths=run.settings.paths, seed=run.settings.seed
    )
    return ContingencyRun(
        book=run.state.book, pools=run.pools, paths=paths, states=states, money=money, times_s=run.times_s
    ).result()
