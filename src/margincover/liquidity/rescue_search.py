"""The cheapest set of actions that keeps every account within the tolerance, on given paths.

Greedy by fewer liquidations for a dollar gives a first plan; then every set of options is tried that could be cheaper.
For each set the amounts are cut, dearest money first, to the smallest that still meets the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from margincover.liquidity.rescue_options import MoneyOption, RescuePlan, RescueProblem
from margincover.paths.arrivals import cash_needed, first_liquidation

Array = NDArray[np.float64]
# Sets are tried one by one; beyond this many options the least useful are left out.
MAX_OPTIONS = 12


class RescueSearch:
    """Evaluates sets of options of one problem and keeps what it has found out about single accounts."""

    def __init__(
        self, problem: RescueProblem, *, allowed: Sequence[int] | None = None, barred: frozenset[int] = frozenset()
    ) -> None:
        self.problem = problem
        # Paths that each account may lose; more than the tolerance only where no plan can keep it.
        self.allowed = tuple(allowed or [problem.max_hits] * len(problem.running))
        self._usable = [number for number in range(len(problem.money)) if number not in barred]
        self._kept: dict[tuple[int, int], Array] = {}
        self._trimmed: dict[tuple[object, ...], tuple[tuple[float, ...], int]] = {}
        self._order = sorted(range(len(problem.running)), key=lambda row: (self._deadline(row), row))

    def best(self) -> RescuePlan:
        """Return the cheapest plan that meets the tolerance, else the best that can be done in time.

        Where an account cannot be kept, the others are kept at the least cost, and that account loses as few paths as
        money that is in time allows.
        """
        found = self._cheapest(self._greedy())
        if found is not None:
            return found
        effort = self.best_effort()
        lost = {row for row, hits in enumerate(effort.hits) if hits > self.problem.max_hits}
        relaxed = RescueSearch(
            self.problem,
            allowed=[max(self.problem.max_hits, hits) for hits in effort.hits],
            barred=frozenset(
                number
                for number, option in enumerate(self.problem.money)
                if option.account in lost and number not in effort.amounts_usd
            ),
        )
        found = relaxed._cheapest(relaxed._greedy())
        if found is None or not self.is_in_time(found):
            return effort
        return self.plan_of(found.trades, found.amounts_usd)

    def is_in_time(self, plan: RescuePlan) -> bool:
        """Whether the first money of every action counts by its deadline, given what comes before it."""
        return all(
            (deadline := self.deadline_of(plan, number)) is None or _first(self.problem.money[number]) <= deadline
            for number in plan.amounts_usd
        )

    def deadline_of(self, plan: RescuePlan, number: int) -> int | None:
        """Return the deadline of one money option of a plan, with the trades and the money that come before it."""
        option = self.problem.money[number]
        before = {
            other: size
            for other, size in plan.amounts_usd.items()
            if _first(self.problem.money[other]) < _first(option) or self.problem.money[other].leaves == option.account
        }
        return self.deadline_step(option.account, plan.trades, self.cash(option.account, before))

    def evaluate(self, trades: Sequence[int], money: Sequence[int]) -> RescuePlan | None:
        """Return the plan of a set with the least amounts; None where it misses the tolerance or wastes an option."""
        left = dict(self.problem.sources_usd)
        amounts: dict[int, float] = {}
        for row in self._order:
            items = [number for number in money if self.problem.money[number].account == row]
            if not items:
                continue
            sizes, hits = self._trim(row, self._trade_of(row, trades), items, left)
            if hits > self.allowed[row] or any(size <= 0.0 for size in sizes):
                return None
            for number, size in zip(items, sizes, strict=True):
                amounts[number] = size
                option = self.problem.money[number]
                left[option.source] -= option.drawn_usd(size)
        plan = self.plan_of(trades, amounts)
        return None if self._excess(plan) else plan

    def plan_of(self, trades: Sequence[int], amounts: Mapping[int, float]) -> RescuePlan:
        """Return the plan of stated trades and amounts."""
        hits = tuple(
            self._hits(row, self._trade_of(row, trades), self.cash(row, amounts))
            for row in range(len(self.problem.running))
        )
        cost = sum(self.problem.trades[number].cost_usd for number in trades)
        cost += sum(self.problem.money[number].cost_usd(size) for number, size in amounts.items())
        return RescuePlan(
            trades=tuple(trades),
            amounts_usd=dict(amounts),
            cost_usd=cost,
            hits=hits,
            meets=max(hits, default=0) <= self.problem.max_hits,
        )

    def cash(self, row: int, amounts: Mapping[int, float]) -> Array:
        """Return the cash of an account by the end of each step: on its way, sent by the plan, less what left."""
        total: Array = self.problem.coming_usd[row].copy()
        for number, size in amounts.items():
            option = self.problem.money[number]
            if option.account == row:
                total += option.cash(size)
            if option.leaves == row:
                total -= option.drawn_usd(size)
        return np.asarray(total, dtype=np.float64)

    def paths_of(self, row: int, trades: Sequence[int]) -> Array:
        """Return the running maximum of an account after trades, [step + 1, path]."""
        number = self._trade_of(row, trades)
        return self.problem.running[row] if number < 0 else self.problem.trades[number].running[row]

    def deadline_step(self, row: int, trades: Sequence[int], cash: Array) -> int | None:
        """Return the last step by whose end at most the accepted paths are lost with this cash.

        None where the tolerance is met up to the horizon; -1 where more are lost at the start.
        """
        steps = first_liquidation(self.paths_of(row, trades), cash)
        lost = np.sort(steps[steps >= 0])
        if lost.size <= self.problem.max_hits:
            return None
        return int(lost[self.problem.max_hits]) - 1

    def best_effort(self) -> RescuePlan:
        """Return the plan that loses the fewest paths beyond the accepted ones, with money that comes in time only."""
        trades = self._fewest_by_trades()
        left, amounts = dict(self.problem.sources_usd), dict[int, float]()
        for row in self._order:
            number = self._trade_of(row, trades)
            before = self._hits(row, number, self.cash(row, amounts))
            if before <= self.problem.max_hits:
                continue
            items = self._in_time(row, trades, left, amounts)
            sizes, hits = self._trim(row, number, items, left) if items else ((), before)
            if hits >= before:
                continue
            for item, size in zip(items, sizes, strict=True):
                if size > 0.0:
                    amounts[item] = size
                    left[self.problem.money[item].source] -= self.problem.money[item].drawn_usd(size)
        return self._without_harm(trades, amounts)

    def _without_harm(self, trades: Sequence[int], amounts: dict[int, float]) -> RescuePlan:
        """Drop money taken from accounts where that costs more paths than it saves."""
        plan = self.plan_of(trades, amounts)
        for number in list(plan.amounts_usd):
            fewer = {other: size for other, size in plan.amounts_usd.items() if other != number}
            other = self.plan_of(trades, fewer)
            if (self._excess(other), other.cost_usd) <= (self._excess(plan), plan.cost_usd):
                plan = other
        return plan

    def _in_time(
        self, row: int, trades: Sequence[int], left: Mapping[str, float], amounts: Mapping[int, float]
    ) -> list[int]:
        """Return the options of a row whose first money comes before its deadline with what came before, in order."""
        cash, chosen = self.cash(row, amounts), list[int]()
        options = [
            (_first(option), number)
            for number, option in enumerate(self.problem.money)
            if option.account == row and option.first_step is not None
        ]
        taken = dict(left)
        for first, number in sorted(options):
            deadline = self.deadline_step(row, trades, cash)
            if deadline is None or first > deadline:
                break
            option = self.problem.money[number]
            size = self._cap(option, taken)
            if size < max(option.least_usd, 1.0):
                continue
            taken[option.source] -= option.drawn_usd(size)
            cash = cash + option.cash(size)
            chosen.append(number)
        return chosen

    def _fewest_by_trades(self) -> tuple[int, ...]:
        """Return trades chosen one by one while they lower the number of paths beyond the accepted ones."""
        chosen: tuple[int, ...] = ()
        best = self._excess(self.plan_of(chosen, {}))
        while best > 0:
            tried = [
                (self._excess(self.plan_of((*chosen, number), {})), option.cost_usd, number)
                for number, option in enumerate(self.problem.trades)
                if self._may_join(number, chosen)
            ]
            if not tried or min(tried)[0] >= best:
                break
            best, _, number = min(tried)
            chosen = (*chosen, number)
        return chosen

    def _greedy(self) -> RescuePlan | None:
        trades, money = tuple[int, ...](), tuple[int, ...]()
        excess, cost = self._excess(self.at_most(trades, money)), 0.0
        while excess > 0:
            steps = [((*trades, n), money) for n in range(len(self.problem.trades)) if self._may_join(n, trades)]
            steps += [(trades, (*money, n)) for n in self._usable if n not in money]
            tried = []
            for step in steps:
                plan = self.at_most(*step)
                gain = excess - self._excess(plan)
                if gain > 0:
                    tried.append((gain / max(plan.cost_usd - cost, 1e-9), step, plan))
            if not tried:
                return None
            _, (trades, money), plan = max(tried, key=lambda each: each[0])
            excess, cost = self._excess(plan), plan.cost_usd
        return self._pruned(trades, money)

    def _pruned(self, trades: tuple[int, ...], money: tuple[int, ...]) -> RescuePlan | None:
        best = self.evaluate(trades, money)
        for number in (*trades,):
            fewer = tuple(other for other in trades if other != number)
            plan = self.evaluate(fewer, money)
            if plan is not None and (best is None or plan.cost_usd < best.cost_usd):
                best, trades = plan, fewer
        for number in (*money,):
            fewer = tuple(other for other in money if other != number)
            plan = self.evaluate(trades, fewer)
            if plan is not None and (best is None or plan.cost_usd < best.cost_usd):
                best, money = plan, fewer
        return best

    def _cheapest(self, first: RescuePlan | None) -> RescuePlan | None:
        """Return the cheapest of all sets, starting from a plan that is known."""
        best = first
        n_trades = len(self.problem.trades)
        options = [*range(n_trades), *(n_trades + number for number in self._usable)]
        for size in range(len(options) + 1):
            for chosen in combinations(options, size):
                trades = tuple(number for number in chosen if number < n_trades)
                money = tuple(number - n_trades for number in chosen if number >= n_trades)
                if not self._is_compatible(trades) or self._least_cost(trades, money) >= _cost(best):
                    continue
                plan = self.evaluate(trades, money)
                if plan is not None and plan.cost_usd < _cost(best):
                    best = plan
        return best

    def _least_cost(self, trades: Sequence[int], money: Sequence[int]) -> float:
        fixed = sum(self.problem.money[n].cost_usd(self.problem.money[n].least_usd) for n in money)
        return fixed + sum(self.problem.trades[n].cost_usd for n in trades)

    def _is_compatible(self, trades: Sequence[int]) -> bool:
        rows = [row for number in trades for row in self.problem.trades[number].accounts]
        return len(rows) == len(set(rows))

    def _may_join(self, number: int, trades: Sequence[int]) -> bool:
        return number not in trades and self._is_compatible((*trades, number))

    def at_most(self, trades: Sequence[int], money: Sequence[int]) -> RescuePlan:
        """Return the plan of a set with all that each option can bring, first come first served at shared sources."""
        left, amounts = dict(self.problem.sources_usd), dict[int, float]()
        for number in money:
            option = self.problem.money[number]
            size = self._cap(option, left)
            if size >= max(option.least_usd, 1.0):
                amounts[number] = size
                left[option.source] -= option.drawn_usd(size)
        return self.plan_of(trades, amounts)

    def _excess(self, plan: RescuePlan) -> int:
        return sum(max(0, hits - most) for hits, most in zip(plan.hits, self.allowed, strict=True))

    def _cap(self, option: MoneyOption, left: Mapping[str, float]) -> float:
        room = (left[option.source] - option.fixed_usd) / option.drawn_per_usd
        return math.floor(max(0.0, min(float(option.arrives_usd[-1]), room)))

    def _trim(
        self, row: int, trade: int, items: Sequence[int], left: Mapping[str, float]
    ) -> tuple[tuple[float, ...], int]:
        """Return the least whole dollars of each item that keep the accepted hits (or the fewest), and the hits."""
        options = [self.problem.money[number] for number in items]
        room, sizes = dict(left), []
        for option in options:
            sizes.append(self._cap(option, room))
            room[option.source] -= option.drawn_usd(sizes[-1])
        key = (row, trade, tuple(items), tuple(sizes))
        if key not in self._trimmed:
            self._trimmed[key] = self._cut(row, trade, options, sizes)
        return self._trimmed[key]

    def _cut(
        self, row: int, trade: int, options: Sequence[MoneyOption], sizes: list[float]
    ) -> tuple[tuple[float, ...], int]:
        if any(size < option.least_usd for size, option in zip(sizes, options, strict=True)):
            return tuple(0.0 for _ in sizes), self._hits(row, trade, self.problem.coming_usd[row])

        def hits_with(amounts: Sequence[float]) -> int:
            cash = self.problem.coming_usd[row] + sum(
                option.cash(amount) for option, amount in zip(options, amounts, strict=True)
            )
            return self._hits(row, trade, cash)

        aim = max(self.allowed[row], hits_with(sizes))
        # Dearest money is cut first, of equally dear money that which comes last.
        for place in sorted(range(len(sizes)), key=lambda at: (-options[at].cost_per_usd, -_first(options[at]))):
            low, high = -1.0, sizes[place]
            while high - low > 1.0:
                middle = math.floor(0.5 * (low + high))
                tried = [*sizes[:place], middle, *sizes[place + 1 :]]
                low, high = (low, middle) if hits_with(tried) <= aim else (middle, high)
            sizes[place] = high if high == 0.0 else max(high, math.ceil(options[place].least_usd))
        return tuple(sizes), hits_with(sizes)

    def _trade_of(self, row: int, trades: Sequence[int]) -> int:
        return next((number for number in trades if row in self.problem.trades[number].running), -1)

    def _hits(self, row: int, trade: int, cash: Array) -> int:
        return int(np.count_nonzero(cash_needed(self._columns(row, trade), cash) >= 0.0))

    def _columns(self, row: int, trade: int) -> Array:
        """Return the paths that any cash at hand could leave to be liquidated: the others never count."""
        key = (row, trade)
        if key not in self._kept:
            table = self.problem.running[row] if trade < 0 else self.problem.trades[trade].running[row]
            gone = sum(o.drawn_usd(float(o.arrives_usd[-1])) for o in self.problem.money if o.leaves == row)
            self._kept[key] = np.ascontiguousarray(table[:, table[-1] >= -gone])
        return self._kept[key]

    def _deadline(self, row: int) -> int:
        step = self.deadline_step(row, (), self.problem.coming_usd[row])
        return self.problem.running[row].shape[0] if step is None else step


def _first(option: MoneyOption) -> int:
    """Return the step by whose end paths may be lost before the first money counts; -1 where it is there at once."""
    step = option.first_step
    return option.arrives_usd.size if step is None else step if step > 0 else -1


def _cost(plan: RescuePlan | None) -> float:
    return math.inf if plan is None else plan.cost_usd


def missing_usd(needed: Array, max_hits: int) -> float:
    """Return the extra cash at the start, rounded up to a cent, that leaves at most the accepted paths; 0 if none.

    Parameters
    ----------
    needed : array [path]
        ``paths.arrivals.cash_needed`` of the account with everything that comes anyway.
    max_hits : int
    """
    if max_hits >= needed.size:
        return 0.0
    worst = float(np.sort(needed)[needed.size - 1 - max_hits])
    # At exactly its need an account is liquidated: a cent more.
    return 0.0 if worst < 0.0 else math.floor(worst * 100.0 + 1.0) / 100.0


__all__ = ["MAX_OPTIONS", "RescueSearch", "missing_usd"]
