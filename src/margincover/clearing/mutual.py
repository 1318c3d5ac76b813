"""Mutual pools: users who share what their margin calls need, who pays in, what a claim gets, what pooling is worth.

A need is what an account must add on a path so that it is not liquidated: its largest shortfall, >= 0. RCES is the
Expected Shortfall of that need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing.checks import amounts, numbers, probability
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, StepPoolPath, Vector
from margincover.numeric.quantile import expected_shortfall, tail_weights

UserPath = NDArray[np.float64]  # [user, path]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """Size of a mutual pool and who pays in.

    Parameters
    ----------
    pool_usd : float
        RCES of the pool: Expected Shortfall of the sum of needs.
    alone_usd : array [user]
        RCES of each user alone.
    contribution_usd : array [user]
        Marginal RCES: mean of the user's need over the paths of the pool's tail; sums to ``pool_usd``, and no user pays
        more than alone.
    """

    pool_usd: float
    alone_usd: Vector
    contribution_usd: Vector

    @property
    def ratio(self) -> float:
        """Pool RCES over the sum of RCES alone: 1 when pooling saves nothing, 1 too where nobody needs anything."""
        total = float(self.alone_usd.sum())
        return self.pool_usd / total if total > 0.0 else 1.0


def needs_at_pool_peak(shortfall_usd: StepPoolPath) -> UserPath:
    """Return each user's need at the step where the pool needs most, [user, path].

    Parameters
    ----------
    shortfall_usd : array [step, user, path]
        Maintenance minus equity without rescue; negative where an account is safe and counts as 0.

    Notes
    -----
    The pool pays at the worst moment of the sum, not the sum of worst moments. It is the right sample where money comes
    back between users' bad moments; otherwise use the users' own path maxima, which is never less.
    """
    shortfall = numbers(shortfall_usd, name="shortfall_usd")
    if shortfall.ndim != 3 or not shortfall.size:
        raise InputError(f"shape {shortfall.shape}", field="shortfall_usd", allowed="[step, user, path]")
    needs = np.maximum(shortfall, 0.0)
    peak = needs.sum(axis=1).argmax(axis=0)
    return np.ascontiguousarray(needs[peak, :, np.arange(needs.shape[2])].T, dtype=np.float64)


def size_pool(need_usd: UserPath, *, tail: float) -> PoolSize:
    """Return the pool that covers the worst share ``tail`` of paths on average, and Euler contributions.

    Parameters
    ----------
    need_usd : array [user, path]
        >= 0.
    tail : float
        In (0, 1), such as 0.01.

    Notes
    -----
    Contribution of user i = sum over tail paths of weight * need_i, the weights those of Expected Shortfall, the path
    at the boundary in part. Among paths of equal pool need the later in the sample count first.

    References
    ----------
    Tasche (1999), Risk contributions and performance measurement, TU Munich.
    """
    needs = amounts(need_usd, name="need_usd")
    if needs.ndim != 2 or not needs.size:
        raise InputError(f"shape {needs.shape}", field="need_usd", allowed="[user, path]")
    probability(tail, name="tail")
    pooled = needs.sum(axis=0)
    weights = tail_weights(pooled.size, tail)
    worst = np.argsort(pooled, kind="stable")[::-1][: weights.size]
    contribution = needs[:, worst] @ weights
    return PoolSize(
        pool_usd=expected_shortfall(pooled, tail),
        alone_usd=np.array([expected_shortfall(row, tail) for row in needs]),
        contribution_usd=contribution,
    )


def cover_limit_usd(pool_usd: float, *, claims: int = 2) -> float:
    """Return the largest claim per user such that that many at once cannot empty more than the pool: pool / claims."""
    if claims < 1:
        raise InputError(f"was {claims}", field="claims", allowed="at least 1")
    return float(amounts(pool_usd, name="pool_usd")) / claims


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """Claims on a pool.

    Parameters
    ----------
    own_usd, paid_usd, unpaid_usd : array [user, path]
        What the user covers itself, what the pool pays, what nobody pays; they sum to the need.
    over_limit_usd : array [user, path]
        Part of ``unpaid_usd`` that lies above the user's limit and was never a claim.
    left_usd : array [path]
        What the pool has left.
    """

    own_usd: UserPath
    paid_usd: UserPath
    unpaid_usd: UserPath
    over_limit_usd: UserPath
    left_usd: PathVector

    @property
    def paid_fraction(self) -> PathVector:
        """Part of the claims that the pool paid on each path; 1 where there were none."""
        claimed = (self.paid_usd + self.unpaid_usd - self.over_limit_usd).sum(axis=0)
        fraction = np.ones(claimed.shape)
        np.divide(self.paid_usd.sum(axis=0), claimed, out=fraction, where=claimed > 0.0)
        return fraction


def settle_claims(
    need_usd: UserPath, *, pool_usd: float, own_usd: ArrayLike = 0.0, limit_usd: ArrayLike
) -> ClaimResult:
    """Pay claims from a pool, pro rata where it is short.

    Parameters
    ----------
    need_usd : array [user, path]
        >= 0.
    pool_usd : float
        Money in the pool.
    own_usd : float or array [user]
        What each user pays first from what it holds besides.
    limit_usd : float or array [user]
        Largest claim; infinity for none.
    """
    needs = amounts(need_usd, name="need_usd")
    if needs.ndim != 2:
        raise InputError(f"shape {needs.shape}", field="need_usd", allowed="[user, path]")
    money = float(amounts(pool_usd, name="pool_usd"))
    own = np.minimum(needs, _column(amounts(own_usd, name="own_usd"), needs.shape[0], "own_usd"))
    limit = _column(amounts(limit_usd, name="limit_usd", infinite=True), needs.shape[0], "limit_usd")
    wanted = needs - own
    claim = np.minimum(wanted, limit)
    total = claim.sum(axis=0)
    share = np.ones(total.shape)
    np.divide(money, total, out=share, where=total > money)
    paid = claim * share
    return ClaimResult(
        own_usd=own,
        paid_usd=paid,
        unpaid_usd=wanted - paid,
        over_limit_usd=wanted - claim,
        left_usd=np.maximum(money - paid.sum(axis=0), 0.0),
    )


def _column(values: NDArray[np.float64], users: int, name: str) -> NDArray[np.float64]:
    if values.ndim > 1 or (values.ndim == 1 and values.size != users):
        raise InputError(f"shape {values.shape}", field=name, allowed=f"one figure or [{users}]")
    return values[:, np.newaxis] if values.ndim == 1 else values
