"""When money arrives: a delay that runs only in opening hours, settlement cycles, and the way to the account."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from margincover.errors import InputError
from margincover.model.resources import OpeningHours, Reserve
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

# No bank is shut for longer than this; a calendar that is has a mistyped year.
_LONGEST_CLOSURE_DAYS = 60


def is_open(hours: OpeningHours | None, at: datetime) -> bool:
    """Whether a place pays out at an instant (UTC)."""
    if hours is None:
        return True
    moment = at.astimezone(UTC)
    if moment.date().isoformat() in hours.closed_dates:
        return False
    return hours.is_open[moment.weekday() * 24 + moment.hour]


def ready_at(start: datetime, delay_s: float, hours: OpeningHours | None) -> datetime:
    """Return when a delay that runs only in opening hours has run from ``start``.

    Parameters
    ----------
    start : datetime
    delay_s : float
        Working time needed, >= 0. A delay of 0 still waits for the place to open.
    hours : OpeningHours or None
        None is always open.

    Raises
    ------
    InputError
        If the place does not open within 60 days.
    """
    if hours is None:
        return start + timedelta(seconds=delay_s)
    left, now = float(delay_s), start
    last = start + timedelta(days=_LONGEST_CLOSURE_DAYS, seconds=10 * delay_s)
    while now <= last:
        next_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        if is_open(hours, now):
            span = (next_hour - now).total_seconds()
            if left <= span:
                return now + timedelta(seconds=left)
            left -= span
        now = next_hour
    raise InputError(
        f"was not open for {delay_s:.0f} s by {last.date().isoformat()}", field="hours", allowed="hours that come"
    )


def next_settlement(at: datetime, cycle_s: int | None) -> datetime:
    """Return the first settlement at or after an instant: multiples of the cycle after midnight UTC."""
    if cycle_s is None:
        return at
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if cycle_s > SECONDS_PER_DAY:
        # cycles of several days count from the first of 1970, so that every book sees the same dates
        seconds = at.timestamp()
        return datetime.fromtimestamp(-(-seconds // cycle_s) * cycle_s, tz=UTC)
    passed = (at - midnight).total_seconds()
    cycles = -(-passed // cycle_s)
    return min(midnight + timedelta(seconds=cycles * cycle_s), midnight + timedelta(days=1))


def reserve_ready_at(reserve: Reserve, start: datetime, *, slow: bool) -> datetime:
    """Return when a reserve called at ``start`` is cash that can be sent on; ``slow`` takes the 99 % delay."""
    delay = reserve.time_to_cash_p99_s if slow else reserve.time_to_cash_p50_s
    try:
        done = ready_at(start, delay, reserve.hours)
    except InputError as error:
        raise InputError(error.found, field=f"reserves.{reserve.id}.hours", allowed=error.allowed) from None
    return next_settlement(done, reserve.settlement_cycle_s)


def flow_limit(
    elapsed_s: float, ready_s: float, *, capacity_per_hour: float | None, daily_limit: float | None
) -> float:
    """Return the most that can have flowed out by ``elapsed_s`` after the call, in units of the asset.

    What needs ``ready_s`` to be cash flows from then on at the capacity of an hour, the first hour's worth at once, and
    within any 24 hours no more than the daily limit.
    """

    def by_capacity(at_s: float) -> float:
        if at_s < ready_s:
            return 0.0
        if capacity_per_hour is None:
            return math.inf
        return capacity_per_hour * (1.0 + (at_s - ready_s) // SECONDS_PER_HOUR)

    return within_limit(by_capacity, elapsed_s, limit=daily_limit, window_s=SECONDS_PER_DAY)


def within_limit(released: Callable[[float], float], at_s: float, *, limit: float | None, window_s: int) -> float:
    """Return the most that can have passed by ``at_s`` when no window of time may carry more than the limit.

    Parameters
    ----------
    released : callable
        Cumulative amount that is there to pass by a time in seconds; never falls, 0 before the start.
    at_s : float
    limit : float or None
        None is unbounded.
    window_s : int

    Notes
    -----
    By time t at most min over n = 0, 1, ... of [released(t - n windows) + n limit]: what was there n windows ago, and n
    windows since. A limit that was not used in one window is not carried over to the next.
    """
    most = released(at_s)
    if limit is None:
        return most
    before, windows = at_s, 0
    while most > 0.0 and (windows + 1) * limit < most:
        windows += 1
        before -= window_s
        most = min(most, released(before) + windows * limit)
    return most
