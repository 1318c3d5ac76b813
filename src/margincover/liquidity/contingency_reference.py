"""Plain twin of ``liquidity.contingency``: one path, one account and one action at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from margincover.liquidity.contingency import CENT, PlannedAction

Table = Sequence[Sequence[float]]


@dataclass(slots=True, kw_only=True)
class PathRun:
    """What the plan did on one path; transfers are (action, step of the start, step of the arrival, US dollars)."""

    transfers: list[tuple[int, int, int, float]] = field(default_factory=list)
    liquidated_step: list[int] = field(default_factory=list)
    left_usd: list[float] = field(default_factory=list)
    cost_usd: float = 0.0


def run_path(
    running: Table,
    equity: Table,
    maintenance: Table,
    actions: Sequence[PlannedAction],
    sources_usd: Sequence[float],
    *,
    most_per_step_usd: Sequence[float],
) -> PathRun:
    """Return what a plan does on one path; tables are [step + 1][account], otherwise as in ``run_plan``."""
    n_accounts, n_steps = len(running[0]), len(running) - 1
    run = PathRun(left_usd=list(sources_usd))
    run.liquidated_step = [0 if running[0][row] >= 0.0 else -1 for row in range(n_accounts)]
    for step in range(n_steps):
        room = [min(left, most) for left, most in zip(run.left_usd, most_per_step_usd, strict=True)]
        for number, action in enumerate(actions):
            row = action.account
            if run.liquidated_step[row] >= 0 or maintenance[step][row] <= 0.0:
                continue
            coming = sum(usd for other, _, _, usd in run.transfers if actions[other].account == row)
            have = equity[step][row] + coming
            if have >= action.trigger * maintenance[step][row]:
                continue
            used = sum(usd for other, _, _, usd in run.transfers if other == number)
            want = action.target * maintenance[step][row] - have
            amount = min(want, action.capacity_usd - used, room[action.source] / action.drawn_per_usd)
            if amount <= CENT:
                continue
            run.left_usd[action.source] -= amount * action.drawn_per_usd
            room[action.source] -= amount * action.drawn_per_usd
            interest = action.interest_per_step_fraction * (n_steps - step)
            run.cost_usd += amount * (action.cost_fraction + interest) + action.cost_usd
            run.transfers.append((number, step, action.arrival_step(step), amount))
        for row in range(n_accounts):
            there = sum(u for n, _, at, u in run.transfers if actions[n].account == row and at <= step)
            if run.liquidated_step[row] < 0 and running[step + 1][row] >= there:
                run.liquidated_step[row] = step + 1
    return run
