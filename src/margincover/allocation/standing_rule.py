"""Standing rules run along paths: keep headroom at a trigger level out of the reserve, with the delay of the ways.

A rule knows only what has happened so far. Whenever the headroom of a venue, money on its way included, is below its
trigger, the rule orders what brings it back; what was ordered counts after the delay. The solver's transfers know the
whole path instead: a plan is judged by its rules, never by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

NeedPath = NDArray[np.float64]  # [time, venue, path]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSetting:
    """What the rules of all venues work with.

    Parameters
    ----------
    amount_usd, trigger_usd : array [venue]
        Capital that stands there at the start; headroom below which money is ordered, >= 0.
    reserve_usd : float
    receivable_usd : array [venue, path]
        Most that can be brought to the venue; 0 where venue or way is down.
    arrived : array [time, venue] of int
        Row of the last look whose orders are there during the interval that ends at this time; -1 for none.
    """

    amount_usd: Vector
    trigger_usd: Vector
    reserve_usd: float
    receivable_usd: NDArray[np.float64]
    arrived: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRun:
    """Outcome: ``is_liquidated`` [venue, path], ``sent_usd`` [venue, path] ordered until the last look."""

    is_liquidated: NDArray[np.bool_]
    sent_usd: NDArray[np.float64]

    @property
    def any_liquidated(self) -> NDArray[np.bool_]:
        """Whether some venue is liquidated, [path]."""
        return np.asarray(self.is_liquidated.any(axis=0))


def arrived_rows(times_s: Sequence[int], delays_s: Sequence[float]) -> NDArray[np.int64]:
    """Return which look's orders are there in the interval before each time, [time, venue]; -1 for none.

    Parameters
    ----------
    times_s : sequence of int
        Looks, rising from 0.
    delays_s : sequence of float
        By venue; infinite where no way leads.

    Notes
    -----
    The need inside an interval may come at its very start, so an order counts there only if it had arrived by then.

    Examples
    --------
    >>> arrived_rows([0, 3600, 7200, 10800], [3600.0])[:, 0].tolist()
    [-1, -1, 0, 1]
    """
    times = np.asarray(times_s, dtype=np.float64)
    if times.size < 2 or times[0] != 0.0 or (np.diff(times) <= 0.0).any():
        raise InputError(f"was {list(times_s)}", field="times_s", allowed="0 and at least one later time, rising")
    found = np.full((times.size, len(delays_s)), -1, dtype=np.int64)
    for venue, delay in enumerate(delays_s):
        if not np.isfinite(delay):
            continue
        for row in range(1, times.size):
            found[row, venue] = int(np.searchsorted(times, times[row - 1] - delay + 1e-9, side="right")) - 1
    return found


def early_needs(need_usd: NeedPath, arrived: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what must stand at each venue whatever is sent later, [venue, path].

    Parameters
    ----------
    need_usd : array [time, venue, path]
        Running maximum of the need; row 0 is now.
    arrived : array [time, venue] of int

    Notes
    -----
    Rise of the running maximum over the longest stretch in which no order can arrive, on top of the need now. A venue
    that starts with this much keeps its headroom by ordering every rise at once; this needs no foresight.
    """
    early: NDArray[np.float64] = need_usd[0].copy()
    for row in range(1, need_usd.shape[0]):
        for venue in range(need_usd.shape[1]):
            seen = need_usd[max(int(arrived[row, venue]), 0), venue]
            np.maximum(early[venue], need_usd[0, venue] + need_usd[row, venue] - seen, out=early[venue])
    return early


def run_rules(need_usd: NeedPath, setting: RuleSetting) -> RuleRun:
    """Return what happens on each path when the rules are followed.

    Parameters
    ----------
    need_usd : array [time, venue, path]
        Running maximum of the capital that the venue must have, row 0 now.
    setting : RuleSetting

    Notes
    -----
    When the reserve does not suffice for all orders of a look, each gets the same share of its own. An order of a
    venue that is already liquidated still takes from the reserve: that is on the safe side.
    """
    amount, trigger = setting.amount_usd[:, np.newaxis], setting.trigger_usd[:, np.newaxis]
    n_times = need_usd.shape[0]
    left = np.full(need_usd.shape[2], setting.reserve_usd)
    ordered = np.zeros(need_usd.shape)
    for row in range(n_times):
        before = ordered[row - 1] if row else np.zeros(need_usd.shape[1:])
        wanted = np.clip(need_usd[row] - amount + trigger, 0.0, setting.receivable_usd)
        more = np.maximum(wanted - before, 0.0)
        total = more.sum(axis=0)
        share = np.minimum(1.0, left / np.maximum(total, 1e-9))
        more = more * share
        left = np.maximum(left - more.sum(axis=0), 0.0)
        ordered[row] = before + more
    short = need_usd[0] > amount + 1e-3
    for row in range(1, n_times):
        for venue in range(need_usd.shape[1]):
            look = int(setting.arrived[row, venue])
            there = setting.amount_usd[venue] + (ordered[look, venue] if look >= 0 else 0.0)
            short[venue] |= (need_usd[row, venue] > there + 1e-3) & (need_usd[row, venue] > need_usd[row - 1, venue])
    return RuleRun(is_liquidated=short, sent_usd=ordered[-1])
