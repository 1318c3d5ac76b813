"""What a way delivers: the delay, its daily limit, its fees, the least amount it takes, and what counts at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from margincover.liquidity.arrival import within_limit
from margincover.model.resources import TransferTime
from margincover.units import SECONDS_PER_DAY

# Delays of the slow view are not exceeded in 99 of 100 transfers; a way that is shut more often is not such a way.
LARGEST_OUTAGE_PROBABILITY = 0.01

Release = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way that can be used: ``price_usd`` of the asset it carries, ``weight`` of a dollar of it at the end."""

    route: TransferTime
    duration_s: int
    price_usd: float
    weight: float = 1.0


def delivered_usd(way: Way, released: Release, at_s: float) -> float:
    """Return the US dollars that count at the end of a way by ``at_s``.

    Parameters
    ----------
    way : Way
    released : callable
        US dollars released at the origin by a time, cumulative.
    at_s : float
    """
    route = way.route
    limit = None if route.daily_limit_native is None else route.daily_limit_native * way.price_usd
    sent = within_limit(released, at_s - way.duration_s, limit=limit, window_s=SECONDS_PER_DAY)
    if sent <= 0.0 or sent < route.minimum_native * way.price_usd:
        return 0.0
    return way.weight * max(0.0, sent * (1.0 - route.fee_fraction) - route.fee_native * way.price_usd)


def delivered_by_all_usd(ways: Sequence[Way], released: Release, at_s: float) -> float:
    """Return what several ways between the same two places deliver together: each has its limit, they share the source.

    At most what is released less the smallest fees and at the largest weight among them.
    """
    if not ways:
        return 0.0
    reached = sum(delivered_usd(way, released, at_s) for way in ways)
    if len(ways) == 1:
        return reached
    there = released(at_s)
    best = max(
        way.weight * (there * (1.0 - way.route.fee_fraction) - way.route.fee_native * way.price_usd) for way in ways
    )
    return max(0.0, min(reached, best))
