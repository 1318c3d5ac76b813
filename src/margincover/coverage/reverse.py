"""Reverse stress: the least extreme joint move that liquidates each account and each set of accounts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.coverage.analogue import nearest_analogue
from margincover.coverage.nearest import SearchSettings, nearest_failure
from margincover.model.pool import MarginPool
from margincover.model.stress import ReverseStress, StressScenario
from margincover.numeric.arrays import Vector
from margincover.numeric.rng import stream
from margincover.scenarios.joint_moves import VOLATILITY, JointLaw
from margincover.venues import margin

# Pairs grow with the square of the accounts; beyond this only single accounts and all together are searched.
MAX_ACCOUNTS_IN_PAIRS = 8
# Combinations of pools, one an account; an account with isolated positions has several ways to be liquidated.
MAX_COMBINATIONS = 16
MAX_DISTANCE = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseSettings:
    """``horizon_s`` is that of the law; ``seed`` draws the directions of the search: same seed, same bits."""

    law: JointLaw
    episodes: Sequence[StressScenario] = ()
    seed: int = 1
    search: SearchSettings = field(default_factory=lambda: SearchSettings(max_distance=MAX_DISTANCE))


def reverse_stress(pools: Sequence[MarginPool], settings: ReverseSettings) -> tuple[ReverseStress, ...]:
    """Return the nearest liquidating move of every account, every pair and all accounts, nearest first.

    Parameters
    ----------
    pools : sequence of MarginPool
        Pools without positions are left out: no move of the market liquidates them.
    settings : ReverseSettings

    Notes
    -----
    An account is liquidated when one of its pools is: headroom (equity minus maintenance) at or below 0. The distance
    is sqrt(x' C^-1 x) of the log moves x under the covariance C over the horizon; prices of stable coins, funding and
    time stand still. Of several separate regions the nearest is kept. Every move is replayed: its headroom is <= 0.
    """
    by_account: dict[str, list[MarginPool]] = {}
    for pool in pools:
        if not pool.is_flat:
            by_account.setdefault(pool.account_id, []).append(pool)
    names = list(by_account)
    sets: list[tuple[str, ...]] = [(name,) for name in names]
    if len(names) <= MAX_ACCOUNTS_IN_PAIRS:
        sets += list(itertools.combinations(names, 2))
    if len(names) > 2:
        sets.append(tuple(names))
    found = [_nearest_of([by_account[name] for name in group], group, settings) for group in sets]
    return tuple(sorted(found, key=lambda each: (_order(each), len(each.accounts), each.accounts)))


def _order(each: ReverseStress) -> float:
    return math.inf if each.distance is None else each.distance


def _nearest_of(groups: list[list[MarginPool]], accounts: tuple[str, ...], settings: ReverseSettings) -> ReverseStress:
    """Return the nearest over the ways in which a set may be liquidated: one pool of every account.

    Where there are too many ways, one search looks for any of them: exact too, but with more kinks to get round.
    """
    ways: list[tuple[tuple[MarginPool, ...], ...]] = [tuple(tuple(group) for group in groups)]
    if math.prod(len(group) for group in groups) <= MAX_COMBINATIONS:
        ways = [tuple((pool,) for pool in chosen) for chosen in itertools.product(*groups)]
    best: tuple[float, ReverseStress] | None = None
    for way in ways:
        found = _nearest_way(way, accounts, settings)
        if best is None or _order(found) < best[0]:
            best = (_order(found), found)
    assert best is not None, "Invariant: every account of a set has a pool"
    return best[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveSpace:
    """Standardised coordinates of the factors that move some pools; coordinates 0 are the market as it is.

    ``groups`` holds pools by account: an account is liquidated when one pool of its group is.
    """

    groups: tuple[tuple[MarginPool, ...], ...]
    factors: tuple[str, ...]
    root: NDArray[np.float64]
    maintenance_now: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[MarginPool]], law: JointLaw) -> MoveSpace:
        """Return the space of the coins of the pools, and of implied volatility where a pool holds options."""
        pools = [pool for group in groups for pool in group]
        factors = tuple(dict.fromkeys(factor for pool in pools for factor in pool.factors))
        if VOLATILITY in law.factors and any(pool.options.count for pool in pools):
            factors = (*factors, VOLATILITY)
        return cls(
            groups=tuple(tuple(group) for group in groups),
            factors=factors,
            root=np.asarray(np.linalg.cholesky(law.part(factors)), dtype=np.float64),
            maintenance_now=tuple(tuple(_maintenance_now(pool) for pool in group) for group in groups),
        )

    def log_moves(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log moves [factor, point] of standardised points, with bits that depend on no number of points."""
        moves = np.zeros(points.shape)
        for column in range(points.shape[0]):
            moves += self.root[:, column, None] * points[column]
        return moves

    def headroom_ratio(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smallest headroom over present maintenance of each group, [group, point], at some points."""
        return np.stack([rows.min(axis=0) for rows in self._by_pool(points)])

    def nearest_pools(self, point: Vector) -> tuple[str, ...]:
        """Return the pool of each group with the smallest headroom at one point."""
        rows = self._by_pool(point[:, None])
        return tuple(group[int(row.argmin())].id for group, row in zip(self.groups, rows, strict=True))

    def _by_pool(self, points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        moves = self.log_moves(points)
        return [
            np.stack([self._headroom(pool, moves) / now for pool, now in zip(group, scales, strict=True)])
            for group, scales in zip(self.groups, self.maintenance_now, strict=True)
        ]

    def _headroom(self, pool: MarginPool, log_moves: NDArray[np.float64]) -> Vector:
        rows = [self.factors.index(factor) for factor in pool.factors]
        volatility = np.exp(log_moves[self.factors.index(VOLATILITY)]) if VOLATILITY in self.factors else 1.0
        equity, maintenance, _ = margin.evaluate_pool(pool, np.exp(log_moves[rows]), volatility_ratio=volatility)
        return np.asarray(equity - maintenance, dtype=np.float64)


def _maintenance_now(pool: MarginPool) -> float:
    now = float(margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))[1][0])
    # A pool that requires nothing now is measured in its own unit.
    return now if now > 0.0 else 1.0


def _nearest_way(
    groups: tuple[tuple[MarginPool, ...], ...], accounts: tuple[str, ...], settings: ReverseSettings
) -> ReverseStress:
    space = MoveSpace.of(groups, settings.law)
    n = len(space.factors)
    # One coin alone, and all coins by their own standard deviations, are the moves that a reader expects.
    known = np.linalg.solve(
        space.root, np.concatenate([np.eye(n), np.sqrt(np.diag(space.root @ space.root.T))[:, None]], axis=1)
    )
    search = SearchSettings(
        max_distance=settings.search.max_distance,
        directions=min(settings.search.directions, 64 * 4 ** (n - 1)),
        known=known,
    )
    names = ", ".join(pool.id for group in groups for pool in group)
    rng = stream(settings.seed, f"reverse stress of {names}")
    point = nearest_failure(space.headroom_ratio, n, rng, search)
    if point is None:
        return ReverseStress(
            accounts=accounts,
            pools=(),
            distance=None,
            moves={},
            volatility_fraction=None,
            headroom_ratio=None,
            tail_normal=None,
            tail_student=None,
            half_space_student=None,
        )
    return _reported(space, point, accounts, settings)


def _reported(space: MoveSpace, point: Vector, accounts: tuple[str, ...], settings: ReverseSettings) -> ReverseStress:
    distance = float(np.linalg.norm(point))
    logs = dict(zip(space.factors, space.log_moves(point[:, None])[:, 0].tolist(), strict=True))
    volatility = logs.pop(VOLATILITY, None)
    normal, student, half = tail_probabilities(distance, len(space.factors), settings.law.nu)
    return ReverseStress(
        accounts=accounts,
        pools=space.nearest_pools(point),
        distance=distance,
        moves={factor: math.expm1(move) for factor, move in logs.items()},
        volatility_fraction=None if volatility is None else math.expm1(volatility),
        # Replay: the move itself, through the pools' own rules.
        headroom_ratio=float(space.headroom_ratio(point[:, None]).max()),
        tail_normal=normal,
        tail_student=student,
        half_space_student=half,
        analogue=nearest_analogue(logs, settings.law, settings.episodes),
    )


def tail_probabilities(distance: float, n_factors: int, nu: float) -> tuple[float, float, float]:
    """Return the chances of a move at least this far: normal and Student-t in any direction, Student-t in this one.

    Notes
    -----
    With d the distance under the covariance, P = chi2_n.sf(d^2) for normal moves. A Student-t law of the same
    covariance has d^2 nu / (nu - 2) / n distributed as F(n, nu); along one direction d sqrt(nu / (nu - 2)) is t(nu).
    """
    from scipy.stats import chi2, f, t

    scaled = distance**2 * nu / (nu - 2.0)
    return (
        float(chi2.sf(distance**2, n_factors)),
        float(f.sf(scaled / n_factors, n_factors, nu)),
        float(t.sf(math.sqrt(scaled), nu)),
    )
