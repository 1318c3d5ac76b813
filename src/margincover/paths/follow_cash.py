"""Plain twin of ``paths.arrivals``: one path, state by state, with the cash that is there at the moment."""

from __future__ import annotations

from collections.abc import Sequence


def liquidated_step_by_step(start: float, states: Sequence[Sequence[float]], arrived: Sequence[float]) -> int:
    """Return the step inside which one path is liquidated, 0 the start, -1 never.

    Parameters
    ----------
    start : float
        Shortfall at the start.
    states : [step][state]
        Shortfalls seen inside each step, in the order of time.
    arrived : [step + 1]
        Cash that has arrived by the end of each step; a step is lived through with what was there at its start.
    """
    if start - arrived[0] >= 0.0:
        return 0
    for step, inside in enumerate(states):
        for shortfall in inside:
            if shortfall - arrived[step] >= 0.0:
                return step + 1
    return -1
