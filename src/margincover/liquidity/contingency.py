"""Run a contingency funding plan along the paths: look every step, start the next action, credit money when it arrives.

Every dollar is at one place: at its source, on its way, or at an account. What an action may bring, what its source
holds and what other accounts have taken from it are counted path by path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

Array = NDArray[np.float64]
# Smaller amounts are rounding, not transfers.
CENT = 0.01


class Failure(IntEnum):
    """Why an account was liquidated although there is a plan."""

    NONE = 0
    AT_START = 1
    NO_ACTION_STARTED = 2
    MONEY_ON_ITS_WAY = 3
    MONEY_USED_UP = 4
    NOT_ENOUGH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action as it is run: rows of its account and source, levels, US dollars, steps of delay.

    ``interest_per_step_fraction`` is paid on what was brought from the start of the action to the horizon;
    ``drawn_per_usd`` leaves the source for a dollar that counts at the end (fees and haircuts on the way), >= 1.
    ``earliest_step`` [step]: end of the step by which money ordered at that step can be there at all, where that
    depends on the hour of the order (opening hours, settlement); empty where ``lead_steps`` says it.
    """

    account: int
    source: int
    trigger: float
    target: float
    capacity_usd: float
    lead_steps: int
    cost_fraction: float = 0.0
    cost_usd: float = 0.0
    interest_per_step_fraction: float = 0.0
    drawn_per_usd: float = 1.0
    earliest_step: tuple[int, ...] = ()

    def arrival_step(self, step: int) -> int:
        """Return the step at whose end money ordered at the end of a step counts."""
        arrives = step + self.lead_steps
        return max(arrives, self.earliest_step[step]) if self.earliest_step else arrives


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPaths:
    """Accounts along joint paths when nobody acts, [step + 1, account, path], US dollars.

    ``running`` is the largest shortfall up to the end of each step (inside the steps included), ``equity`` and
    ``maintenance`` are what a look at the end of each step sees.
    """

    running: Array
    equity: Array
    maintenance: Array

    def __post_init__(self) -> None:
        if not self.running.shape == self.equity.shape == self.maintenance.shape:
            shapes = f"{self.running.shape}, {self.equity.shape}, {self.maintenance.shape}"
            raise InputError(f"shapes were {shapes}", field="account paths", allowed="three arrays of one shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRun:
    """What the plan did.

    Parameters
    ----------
    arrived_usd : array [step + 1, account, path]
        Cash that had arrived by the end of each step.
    on_its_way_usd : array [account, path]
        Started and not arrived by the horizon.
    brought_usd, starts : array [action, path]
        Money that each action has sent, and how often it was started.
    left_usd : array [source, path]
    cost_usd : array [path]
    liquidated_step : array [account, path]
        Step inside which the account is liquidated, 0 the start, -1 never.
    failure : array of Failure numbers [account, path]
    """

    arrived_usd: Array
    on_its_way_usd: Array
    brought_usd: Array
    starts: NDArray[np.int64]
    left_usd: Array
    cost_usd: Array
    liquidated_step: NDArray[np.int64]
    failure: NDArray[np.int8]


def run_plan(
    paths: AccountPaths,
    actions: Sequence[PlannedAction],
    sources_usd: Sequence[float],
    *,
    most_per_step_usd: Sequence[float] | None = None,
) -> PlanRun:
    """Return what a plan does on every path.

    Parameters
    ----------
    paths : AccountPaths
    actions : sequence of PlannedAction
        In the order in which they are taken.
    sources_usd : sequence of float [source]
        What each source can bring in all.
    most_per_step_usd : sequence of float [source] or None
        Most that leaves each source in one step, over all accounts; None and infinite are unbounded.

    Raises
    ------
    InputError
        If an action names a row that is not there.

    Notes
    -----
    At the end of every step each action is looked at in order. It is started where its account still stands and equity
    with all money that has arrived or is on its way is below ``trigger`` times the maintenance; it sends what is
    missing to ``target``, at most what is left of its capacity and of its source. Money arrives ``lead_steps`` later,
    and counts from the end of that step on. The last look is one step before the horizon.
    """
    n_accounts = paths.running.shape[1]
    for action in actions:
        if not (0 <= action.account < n_accounts and 0 <= action.source < len(sources_usd)):
            raise InputError(f"was {action.account}, {action.source}", field="action", allowed="rows that are there")
    desk = _Desk(paths, actions, sources_usd, most_per_step_usd)
    for step in range(paths.running.shape[0] - 1):
        desk.look(step)
        desk.live_through(step + 1)
    return desk.result()


class _Desk:
    """State of the plan at one step, all paths together."""

    def __init__(
        self,
        paths: AccountPaths,
        actions: Sequence[PlannedAction],
        sources_usd: Sequence[float],
        most_per_step_usd: Sequence[float] | None,
    ) -> None:
        n_nodes, n_accounts, n_paths = paths.running.shape
        self.paths, self.actions, self.n_steps = paths, tuple(actions), n_nodes - 1
        # What arrives at each node, then summed as the steps go by.
        self.due = np.zeros((n_nodes, n_accounts, n_paths))
        self.arrived = np.zeros((n_nodes, n_accounts, n_paths))
        self.pending = np.zeros((n_accounts, n_paths))
        self.brought = np.zeros((len(actions), n_paths))
        self.starts = np.zeros((len(actions), n_paths), dtype=np.int64)
        self.left = np.repeat(np.asarray(sources_usd, dtype=np.float64)[:, None], n_paths, axis=1)
        most = [np.inf] * len(sources_usd) if most_per_step_usd is None else most_per_step_usd
        self.most_per_step = np.asarray(most, dtype=np.float64)[:, None]
        self.room = np.empty_like(self.left)
        self.cost = np.zeros(n_paths)
        self.step_of = np.full((n_accounts, n_paths), -1, dtype=np.int64)
        self.failure = np.zeros((n_accounts, n_paths), dtype=np.int8)
        self.started = np.zeros((n_accounts, n_paths), dtype=np.bool_)
        self.short = np.zeros((n_accounts, n_paths), dtype=np.bool_)
        at_start = paths.running[0] >= 0.0
        self.step_of[at_start] = 0
        self.failure[at_start] = Failure.AT_START

    def look(self, step: int) -> None:
        """Credit what arrives and start what is needed at the end of a step."""
        if step:
            self.arrived[step] = self.arrived[step - 1]
        self.arrived[step] += self.due[step]
        self.pending -= self.due[step]
        self.short[:] = False
        self.room[:] = np.minimum(self.left, self.most_per_step)
        for number, action in enumerate(self.actions):
            self._act(step, number, action)

    def _act(self, step: int, number: int, action: PlannedAction) -> None:
        row = action.account
        required = self.paths.maintenance[step, row]
        have = self.paths.equity[step, row] + self.arrived[step, row] + self.pending[row]
        wanted = (self.step_of[row] < 0) & (required > 0.0) & (have < action.trigger * required)
        want = np.where(wanted, action.target * required - have, 0.0)
        room = self.room[action.source] / action.drawn_per_usd
        amount = np.minimum(want, np.minimum(action.capacity_usd - self.brought[number], room))
        amount = np.where(amount > CENT, amount, 0.0)
        # What an earlier action could not bring, a later one may.
        self.short[row] = np.where(wanted, amount < want - CENT, self.short[row] & (have < action.trigger * required))
        sent = amount > 0.0
        self.brought[number] += amount
        self.starts[number] += sent
        self.left[action.source] -= amount * action.drawn_per_usd
        self.room[action.source] -= amount * action.drawn_per_usd
        self.started[row] |= sent
        interest = action.interest_per_step_fraction * (self.n_steps - step)
        self.cost += np.where(sent, amount * (action.cost_fraction + interest) + action.cost_usd, 0.0)
        arrives = action.arrival_step(step)
        if arrives == step:
            self.arrived[step, row] += amount
            return
        self.pending[row] += amount
        if arrives <= self.n_steps:
            self.due[arrives, row] += amount

    def live_through(self, step: int) -> None:
        """Liquidate what the step closes with the cash of its start."""
        closed = (self.step_of < 0) & (self.paths.running[step] >= self.arrived[step - 1])
        self.step_of[closed] = step
        reason = np.full(closed.shape, Failure.NOT_ENOUGH, dtype=np.int8)
        reason[self.short] = Failure.MONEY_USED_UP
        reason[self.pending > CENT] = Failure.MONEY_ON_ITS_WAY
        reason[~self.started] = Failure.NO_ACTION_STARTED
        # A source that was empty when it was first asked has started nothing either.
        reason[~self.started & self.short] = Failure.MONEY_USED_UP
        self.failure[closed] = reason[closed]

    def result(self) -> PlanRun:
        """Return the run; what arrives at the horizon itself has arrived."""
        last = self.n_steps
        self.arrived[last] = self.arrived[last - 1] + self.due[last]
        return PlanRun(
            arrived_usd=self.arrived,
            on_its_way_usd=self.pending - self.due[last],
            brought_usd=self.brought,
            starts=self.starts,
            left_usd=self.left,
            cost_usd=self.cost,
            liquidated_step=self.step_of,
            failure=self.failure,
        )


__all__ = ["AccountPaths", "Failure", "PlanRun", "PlannedAction", "run_plan"]
