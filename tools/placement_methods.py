"""The ways of sizing capital that `placement_trial.py` compares, for one desk on one set of joint paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from placement_desks import MOVE_COST, Desk, shortfall_paths
from placement_model import Paths

from margincover.allocation.rebalance import RebalanceRule, VenuePaths, critical_capital, follow, least_capital

TOLERANCE = 0.01
# hours of the near need: what a venue must survive before money that is called now can be there, and one more
NEAR_HOURS = 3
GUESS_SHARE = 0.6
PROBES = np.array([0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0])
ALONE, RESERVE_ONLY, RULE = "each venue alone", "reserve of 10 %, sent by rule", "rule"
WITH_RESERVE, INSTANT, JOINED, POOL = "rule, reserve of 10 %", "rule, no delay", "rule, hedge legs joined", "one pool"
# shown by kind of desk
BY_KIND = (ALONE, RULE, WITH_RESERVE, JOINED)
METHODS = (
    ALONE,
    "pro rata",
    "equal levels",
    "unequal levels",
    RESERVE_ONLY,
    RULE,
    WITH_RESERVE,
    INSTANT,
    JOINED,
    POOL,
)
Array = NDArray[np.float64]


def least_amount(maximum: Array, tolerance: float) -> float:
    """Return the least amount that at most ``tolerance`` of the maxima [path] exceed."""
    return float(np.sort(maximum)[maximum.size - 1 - int(tolerance * maximum.size + 1e-9)])


def bonferroni(maximum: Array, tolerance: float) -> Array:
    """Return amounts [venue], each venue alone at tolerance / number of venues; ``maximum`` is [venue, path]."""
    return np.array([least_amount(row, tolerance / maximum.shape[0]) for row in maximum])


def pro_rata(maximum: Array, shares: Array, tolerance: float) -> Array:
    """Return amounts [venue] in proportion to ``shares`` that hold the joint tolerance."""
    return least_amount((maximum / shares[:, None]).max(axis=0), tolerance) * shares


def equal_levels(maximum: Array, tolerance: float) -> Array:
    """Return amounts [venue] that each venue alone exceeds equally often, at the joint tolerance."""
    n = maximum.shape[1]
    rank = maximum.argsort(axis=1).argsort(axis=1)
    worst = np.sort(rank.max(axis=0))
    level = worst[n - 1 - int(tolerance * n + 1e-9)]
    return np.sort(maximum, axis=1)[:, level]


def unequal_levels(maximum: Array, tolerance: float) -> Array:
    """Return amounts [venue] of least sum at the joint tolerance, by local search from equal levels.

    Amounts are order statistics. In turn each venue is lowered by some ranks, and the others are raised where that
    costs least until the tolerance holds again; what saves is kept, until nothing saves.
    """
    n_venues, n = maximum.shape
    allowed = int(tolerance * n + 1e-9)
    order = np.argsort(-maximum, axis=1)
    start = equal_levels(maximum, tolerance)
    depth = np.array([int((maximum[v] > start[v]).sum()) for v in range(n_venues)])
    levels = np.take_along_axis(maximum, order, axis=1)
    best = _raised(levels, order, depth, allowed, n)
    for stride in (16, 8, 4, 2, 1, 8, 4, 2, 1):
        for v in range(n_venues):
            while True:
                trial = best.copy()
                trial[v] += stride
                if trial[v] > 4 * allowed + stride:
                    break
                trial = _raised(levels, order, trial, allowed, n, keep=v)
                if _cost(levels, trial) >= _cost(levels, best) - 1e-12:
                    break
                best = trial
    return np.array([levels[v, best[v]] for v in range(n_venues)])


def _cost(levels: Array, depth: NDArray[np.int64]) -> float:
    return float(sum(levels[v, depth[v]] for v in range(depth.size)))


def _raised(
    levels: Array, order: NDArray[np.int64], depth: NDArray[np.int64], allowed: int, n: int, keep: int = -1
) -> NDArray[np.int64]:
    """Raise amounts, cheapest per path saved first, until at most ``allowed`` paths fail; ``keep`` stays if it can."""
    depth = depth.copy()
    count = np.zeros(n, dtype=np.int64)
    for v in range(depth.size):
        count[order[v, : depth[v]]] += 1
    failing = int((count > 0).sum())
    while failing > allowed:
        best, price, steps = -1, np.inf, 0
        for v in range(depth.size):
            if v == keep and depth.sum() > depth[v]:
                continue
            for step in range(1, min(depth[v], 12) + 1):
                if count[order[v, depth[v] - step]] == 1:
                    saved = sum(count[order[v, depth[v] - k]] == 1 for k in range(1, step + 1))
                    paid = (levels[v, depth[v] - step] - levels[v, depth[v]]) / saved
                    if paid < price:
                        best, price, steps = v, paid, step
                    break
        if best < 0:
            keep = -1
            best, steps = int(np.argmax(depth)), 1
        for _ in range(steps):
            depth[best] -= 1
            path = order[best, depth[best]]
            count[path] -= 1
            failing -= int(count[path] == 0)
    return depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """Capital that a method plans, what getting there costs, and the capital that what came would have needed.

    ``is_steady`` is False where some capital above ``critical`` fails too, or some below holds.
    """

    capital: float
    critical: float
    cost: float = 0.0
    is_steady: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One desk at one plan: its venues along the drawn paths and along what came.

    ``far`` [venue] are amounts of unequal levels over the horizon, ``share`` the shares in which a rule starts.
    """

    desk: Desk
    drawn: VenuePaths
    came: VenuePaths
    far: Array
    share: Array

    @classmethod
    def of(cls, desk: Desk, drawn: Paths, came: Paths) -> Window:
        """Return the window, with the need of each venue and the shares in which money starts.

        The share of a venue is the mean of its shares in two sets of amounts: unequal levels over the whole horizon,
        and the quantile of the first hours alone. Its need is that amount times its sigma of the next hour over the
        sigma at the start.
        """
        worst, close, sigma = shortfall_paths(desk, drawn.low, drawn.high, drawn.close, drawn.sigma)
        far = unequal_levels(worst.max(axis=0), TOLERANCE)
        near = bonferroni(worst[:NEAR_HOURS].max(axis=0), TOLERANCE)
        share = (far / far.sum() + near / near.sum()) / 2.0
        weight = share / sigma[0, :, 0]
        real_worst, real_close, real_sigma = shortfall_paths(desk, came.low, came.high, came.close, came.sigma)
        return cls(
            desk=desk,
            drawn=VenuePaths(worst_usd=worst, close_usd=close, need_usd=sigma * weight[:, None]),
            came=VenuePaths(worst_usd=real_worst, close_usd=real_close, need_usd=real_sigma * weight[:, None]),
            far=far,
            share=share / share.sum(),
        )

    def fixed(self) -> dict[str, Sized]:
        """Return the methods that place money once and never move it."""
        maximum, came = self.drawn.worst_usd.max(axis=0), self.came.worst_usd.max(axis=0)[:, 0]
        notional = self.desk.gross.sum(axis=1)
        amounts = {
            ALONE: bonferroni(maximum, TOLERANCE),
            "pro rata": pro_rata(maximum, notional / notional.sum(), TOLERANCE),
            "equal levels": equal_levels(maximum, TOLERANCE),
            "unequal levels": self.far,
        }
        return {
            name: Sized(capital=float(each.sum()), critical=float(each.sum() * (came / each).max()))
            for name, each in amounts.items()
        }

    def ruled(self, **settings: float) -> Sized:
        """Return the capital of a rule that moves money."""
        # a search that starts too low is quick: it goes on with the paths that fail
        guess = GUESS_SHARE * float(self.far.sum())
        rule = RebalanceRule(share=self.share, **settings)
        capital = least_capital(self.drawn, rule, tolerance=TOLERANCE, guess_usd=guess)
        critical = critical_capital(self.came, rule, path=0, low_usd=capital / 50.0, high_usd=capital * 50.0)
        probes = capital * PROBES
        failed = follow(self.came, rule, probes, paths=np.zeros(PROBES.size, dtype=np.int64)).is_liquidated
        # a capital just at the critical one may go either way
        clear = np.abs(probes / max(critical, 1e-9) - 1.0) > 0.002
        steady = bool((failed == (probes < critical))[clear].all())
        return Sized(capital=capital, critical=critical, cost=self.desk.moved * MOVE_COST, is_steady=steady)


def sized(desk: Desk, drawn: Paths, came: Paths, *, all_methods: bool) -> dict[str, Sized]:
    """Return the capital of every method for one desk; two that are for information only if all are wanted."""
    window = Window.of(desk, drawn, came)
    found = window.fixed()
    found[RULE] = window.ruled()
    found[WITH_RESERVE] = window.ruled(reserve_share=0.1)
    if all_methods:
        found[RESERVE_ONLY] = window.ruled(reserve_share=0.1, takes_back=False)
        found[INSTANT] = window.ruled(delay_steps=0)
    joined = desk.with_legs_joined()
    found[JOINED] = found[RULE]
    if joined.moved > 0.0:
        found[JOINED] = Window.of(joined, drawn, came).ruled()
    pool = desk.in_one_pool()
    maximum = shortfall_paths(pool, drawn.low, drawn.high, drawn.close, drawn.sigma)[0].max(axis=0)
    real = shortfall_paths(pool, came.low, came.high, came.close, came.sigma)[0].max(axis=0)
    found[POOL] = Sized(capital=float(pro_rata(maximum, np.ones(1), TOLERANCE)[0]), critical=float(real[0, 0]))
    return found
