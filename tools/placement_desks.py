"""Random desks at five venues, and where their hedge legs may stand, for `placement_trial.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.allocation.rebalance_kernel import shortfalls

KINDS = ("directional", "mixed", "part hedged", "hedged")
N_VENUES = 5
MAINTENANCE = 0.005
# a leg that moves is closed at one venue and opened at the other, as taker at both
MOVE_COST = 2 * 0.0005
N_LEGS = 10
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Positions [venue, coin] of a desk: ``net`` signed and ``gross`` notional at the start, in units.

    ``moved`` is the notional of legs that were moved to make it.
    """

    kind: str
    net: Array
    gross: Array
    moved: float = 0.0

    def in_one_pool(self) -> Desk:
        """Return the desk with all positions at one venue."""
        return Desk(kind=self.kind, net=self.net.sum(axis=0)[None, :], gross=self.gross.sum(axis=0)[None, :])

    def with_legs_joined(self) -> Desk:
        """Return the desk with the short leg of every hedge moved to the venue of its long leg.

        The legs remain two instruments (a perpetual and a future, or a perpetual and a coin): maintenance is paid on
        both, their gains and losses offset.
        """
        net, gross, moved = self.net.copy(), self.gross.copy(), 0.0
        for coin in range(net.shape[1]):
            for to in np.flatnonzero(net[:, coin] > 0.0):
                for start in np.flatnonzero(net[:, coin] < 0.0):
                    size = min(net[to, coin], -net[start, coin])
                    if size > 0.0:
                        net[to, coin] -= size
                        net[start, coin] += size
                        gross[start, coin] -= size
                        gross[to, coin] += size
                        moved += size
        # a venue without positions holds no money
        held = gross.sum(axis=1) > 0.0
        return Desk(kind=self.kind, net=net[held], gross=gross[held], moved=moved)


def random_desk(rng: np.random.Generator, kind: str, n_coins: int) -> Desk:
    """Return a desk of ten legs of one unit each; every venue has a leg.

    Directional: all long or all short. Mixed: signs by coin toss. Hedged: five hedges, the long leg at a venue of the
    long side, the short leg of the same coin at one of the short side (two venues against three). Part hedged: three
    such hedges and four legs by coin toss.
    """
    n_hedges = {"directional": 0, "mixed": 0, "part hedged": 3, "hedged": 5}[kind]
    while True:
        legs = []
        venues = rng.permutation(N_VENUES)
        longs = int(rng.integers(2, 4))
        for _ in range(n_hedges):
            coin = int(rng.integers(n_coins))
            legs.append((int(rng.choice(venues[:longs])), coin, 1.0))
            legs.append((int(rng.choice(venues[longs:])), coin, -1.0))
        one_way = float(rng.choice((-1.0, 1.0)))
        while len(legs) < N_LEGS:
            sign = one_way if kind == "directional" else float(rng.choice((-1.0, 1.0)))
            legs.append((int(rng.integers(N_VENUES)), int(rng.integers(n_coins)), sign))
        if len({venue for venue, _, _ in legs}) == N_VENUES:
            break
    net, gross = np.zeros((N_VENUES, n_coins)), np.zeros((N_VENUES, n_coins))
    for venue, coin, sign in legs:
        net[venue, coin] += sign
        gross[venue, coin] += 1.0
    return Desk(kind=kind, net=net, gross=gross)


def shortfall_paths(desk: Desk, low: Array, high: Array, close: Array, sigma: Array) -> tuple[Array, Array, Array]:
    """Return shortfall at the worst prices and at the close, and the sigma of the next step, [step, venue, path].

    Each coin of a venue stands at its own worst price of the hour, though the worst prices of two coins need not come
    at the same minute.
    """
    shape = (low.shape[0], desk.net.shape[0], low.shape[2])
    worst, last, scale = np.empty(shape), np.empty(shape), np.empty(shape)
    slope = MAINTENANCE * desk.gross - desk.net
    shortfalls(desk.gross, slope, desk.net, low, high, close, sigma, worst, last, scale)
    return worst, last, scale
