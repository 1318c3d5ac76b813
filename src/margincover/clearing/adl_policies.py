"""Who gives up what: policies of auto-deleveraging and of sharing a loss, on arrays.

Every policy takes what each account has to give (``available``: profit in USD, or contracts) and what is needed, and
returns what is taken [account, path], with 0 <= taken <= available and sum taken = min(needed, sum available). What is
not covered stays with the caller as the residual. ``needed`` is [path] or one number; ``available`` is [account] for
the same accounts on every path, or [account, path].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing.checks import amounts
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, Vector

AccountPath = NDArray[np.float64]  # [account, path]
_LIGHTEST = 1e-12


def queue(available: ArrayLike, needed: ArrayLike, *, score: ArrayLike) -> AccountPath:
    """Take in full from the highest score on, until the need is met.

    Parameters
    ----------
    available : array [account] or [account, path]
    needed : float or array [path]
    score : array [account] or [account, path]
        Highest first; +inf is allowed. Equal scores keep the order given.
    """
    have, want = _inputs(available, needed)
    rank = np.asarray(score, dtype=np.float64)
    if rank.shape[0] != have.shape[0] or np.isnan(rank).any():
        raise InputError(f"shape {rank.shape} or NaN", field="score", allowed=f"{have.shape[0]} rows without NaN")
    rank = rank[:, np.newaxis] if rank.ndim == 1 else rank
    order = np.argsort(-rank, axis=0, kind="stable")
    if have.shape[1] == 1 and order.shape[1] == 1:
        taken = np.empty((have.shape[0], want.size))
        line = have[order[:, 0]]
        taken[order[:, 0]] = np.clip(want - (np.cumsum(line, axis=0) - line), 0.0, line)
        return _trimmed(taken, have, want)
    have = np.broadcast_to(have, (have.shape[0], want.size))
    order = np.broadcast_to(order, have.shape)
    line = np.take_along_axis(have, order, axis=0)
    taken = np.empty(have.shape)
    np.put_along_axis(taken, order, np.clip(want - (np.cumsum(line, axis=0) - line), 0.0, line), axis=0)
    return _trimmed(taken, have, want)


def random_start(available: ArrayLike, needed: ArrayLike, *, rng: np.random.Generator) -> AccountPath:
    """Take in full from a random account on, in the order given and around the end (dYdX).

    Parameters
    ----------
    available : array [account]
    needed : float or array [path]
    rng : numpy Generator
        One start is drawn per path, each account with the same chance.
    """
    have, want = _inputs(available, needed)
    if have.shape[1] != 1:
        raise InputError(f"had {have.shape[1]} paths", field="available", allowed="one column: [account]")
    before = np.cumsum(have[:, 0]) - have[:, 0]
    first = rng.integers(have.shape[0], size=want.size)
    offset = before[:, np.newaxis] - before[first]
    # accounts before the start come after the end of the list
    offset += np.where(np.arange(have.shape[0])[:, np.newaxis] < first, have.sum(), 0.0)
    return _trimmed(np.clip(want - np.maximum(offset, 0.0), 0.0, have), have, want)


def pro_rata(available: ArrayLike, needed: ArrayLike) -> AccountPath:
    """Take the same fraction of what each has: h = min(1, needed / sum available).

    Notes
    -----
    With profits it is wealth pro rata and the haircut of variation-margin gains; with the day's winners the socialised
    loss of Deribit; with contributions a mutual fund's rule. Paradex cuts withdrawals by B / (total + B), not by
    B / total: ``venues.paradex.liquidation.socialised_loss_factor``.
    """
    have, want = _inputs(available, needed)
    return have * haircut(have, want)


def haircut(available: ArrayLike, needed: ArrayLike) -> PathVector:
    """Return the fraction of ``pro_rata`` on each path, 0 to 1: 0 where nothing is needed, 1 where nobody has any."""
    have, want = _inputs(available, needed)
    total = np.broadcast_to(have.sum(axis=0), want.shape)
    share = np.ones(want.shape)
    np.divide(want, total, out=share, where=total > want)
    return np.where(want > 0.0, share, 0.0)


def capped_pro_rata(available: ArrayLike, needed: ArrayLike, *, largest_fraction: ArrayLike) -> AccountPath:
    """Take one fraction of each, but from nobody more than its own largest fraction; the rest rises until met.

    Parameters
    ----------
    largest_fraction : float or array [account]
        In [0, 1].
    """
    have, want = _inputs(available, needed)
    limit = amounts(largest_fraction, name="largest_fraction")
    if (limit > 1.0).any():
        raise InputError(f"was {limit.max()}", field="largest_fraction", allowed="0 to 1")
    limit = limit[:, np.newaxis] if limit.ndim == 1 else limit
    return water_fill(have * limit, want, weight=have)


def risk_aware_pro_rata(
    available: ArrayLike, needed: ArrayLike, *, leverage: ArrayLike, largest_fraction: ArrayLike = 1.0
) -> AccountPath:
    """Take fractions proportional to leverage, up to a largest fraction: h = min(cap, tau leverage).

    Parameters
    ----------
    leverage : array [account]
        >= 0; accounts without leverage pay nothing, even where the others cannot pay all.
    largest_fraction : float or array [account]
    """
    have, want = _inputs(available, needed)
    weight = amounts(leverage, name="leverage")
    limit = amounts(largest_fraction, name="largest_fraction")
    if weight.shape != have.shape[:1] or (limit > 1.0).any():
        raise InputError(
            f"leverage {weight.shape}, largest {limit.max()}", field="leverage", allowed="one each; fractions to 1"
        )
    limit = limit[:, np.newaxis] if limit.ndim == 1 else limit
    return water_fill(have * limit, want, weight=have * weight[:, np.newaxis])


def water_fill(limit: ArrayLike, needed: ArrayLike, *, weight: ArrayLike) -> AccountPath:
    """Take min(limit, level * weight), the level such that the need is met.

    Parameters
    ----------
    limit, weight : array [account] or [account, path]
        >= 0. An account of weight 0 gives nothing.
    needed : float or array [path]

    Notes
    -----
    The sum is piecewise linear in the level with a kink at each limit / weight: the kinks are sorted, the sum is known
    at each, and the level follows by one division. No iteration. Weights count relative to the largest on their path;
    one more than 1e12 below it counts as that, so that no level overflows.
    """
    caps, want = _inputs(limit, needed)
    pull = amounts(weight, name="weight")
    pull = pull[:, np.newaxis] if pull.ndim == 1 else pull
    caps = np.where(pull > 0.0, caps, 0.0)
    heaviest = pull.max(axis=0)
    relative = pull / np.where(heaviest > 0.0, heaviest, 1.0)
    pull = np.broadcast_to(np.where(pull > 0.0, np.maximum(relative, _LIGHTEST), 0.0), caps.shape)
    with np.errstate(invalid="ignore"):
        risen = np.where(pull > 0.0, _level(caps, pull, want) * pull, 0.0)
    return _trimmed(np.minimum(caps, np.maximum(risen, 0.0)), caps, want)


def _level(caps: NDArray[np.float64], pull: NDArray[np.float64], want: PathVector) -> PathVector:
    """Return the level at which min(cap, level * pull) sums to the need, infinite where all caps together do not."""
    kink = np.zeros(caps.shape)
    np.divide(caps, pull, out=kink, where=pull > 0.0)
    order = np.argsort(kink, axis=0, kind="stable")
    kinks, full, heavy = (np.take_along_axis(part, order, axis=0) for part in (kink, caps, pull))
    before = np.cumsum(full, axis=0) - full
    open_weight = np.cumsum(heavy[::-1], axis=0)[::-1]
    total = before + kinks * open_weight  # the sum at each kink
    n, one_column = caps.shape[0], caps.shape[1] == 1
    if one_column:
        at = np.searchsorted(np.maximum.accumulate(total[:, 0]), want, side="left")
    else:
        at = (total < want).sum(axis=0)
    inside, at = at < n, np.minimum(at, n - 1)
    column = np.zeros(want.size, dtype=np.intp) if one_column else np.arange(want.size)
    level = np.full(want.shape, np.inf)
    spread = open_weight[at, column]
    np.divide(want - before[at, column], spread, out=level, where=inside & (spread > 0.0))
    return level


def largest_remainders(weight: ArrayLike, total: int) -> NDArray[np.int64]:
    """Return whole numbers proportional to weights that sum to ``total``: floors, then one each to the largest rests.

    Parameters
    ----------
    weight : array [account]
        >= 0, not all 0 where ``total`` is above 0.
    total : int
        >= 0, in the smallest unit: contracts, lots, cents.

    Notes
    -----
    Equal rests go by the order given. Floors alone would leave up to n - 1 units uncovered.

    Examples
    --------
    >>> largest_remainders([5.0, 3.0, 1.0], 4).tolist()
    [2, 1, 1]
    """
    pull = amounts(weight, name="weight")
    if total < 0 or (total > 0 and not pull.sum() > 0.0):
        raise InputError(f"total {total} over weights {pull.sum()}", field="total", allowed=">= 0, weights above 0")
    if total == 0:
        return np.zeros(pull.shape, dtype=np.int64)
    exact = pull / pull.sum() * total
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    rest = int(total - whole.sum())
    if rest < 0:  # shares that binary rounding lifted to the next whole number
        lifted = np.where(whole > 0, exact - whole, np.inf)
        whole[np.argsort(lifted, kind="stable")[:-rest]] -= 1
    else:
        whole[np.argsort(whole - exact, kind="stable")[:rest]] += 1
    return whole


def contract_pro_rata(contracts: ArrayLike, needed: int) -> NDArray[np.int64]:
    """Close whole contracts in proportion to size, finished by largest remainders.

    Parameters
    ----------
    contracts : array [account] of int
        Whole contracts (or lots) that each can close.
    needed : int
        Whole contracts to close; what exceeds the sum stays open.

    Returns
    -------
    array [account] of int
        Sums to min(needed, sum contracts), never above what an account has.
    """
    held = amounts(contracts, name="contracts")
    if (held != np.floor(held)).any():
        raise InputError("held fractions", field="contracts", allowed="whole contracts or lots")
    whole = held.astype(np.int64)
    # a share is at most the size because needed <= sum, and a rounded-up share of a whole size still is
    return np.minimum(largest_remainders(held, min(int(needed), int(whole.sum()))), whole)


def _inputs(available: ArrayLike, needed: ArrayLike) -> tuple[NDArray[np.float64], Vector]:
    have, want = amounts(available, name="available"), np.atleast_1d(amounts(needed, name="needed"))
    have = have[:, np.newaxis] if have.ndim == 1 else have
    if have.ndim != 2 or not have.shape[0] or want.ndim != 1 or have.shape[1] not in (1, want.size):
        raise InputError(
            f"available {have.shape}, needed {want.shape}", field="available", allowed="[account] or [account, path]"
        )
    return have, want


def _trimmed(taken: AccountPath, have: NDArray[np.float64], want: Vector) -> AccountPath:
    """Give back what rounding took beyond the need: a sum of many cents must not exceed the loss."""
    total = have.sum(axis=0)
    missing = np.minimum(want, total) - taken.sum(axis=0)
    top = np.argmax(taken, axis=0)
    column = np.arange(want.size)
    room = np.broadcast_to(have, taken.shape)[top, column]
    # only last digits are moved: a larger difference would be a wrong allocation and stays visible to the tests
    small = np.abs(missing) <= np.maximum(1e-9 * want, 1e-14 * total)
    fixed = np.clip(taken[top, column] + missing, 0.0, room)
    taken[top, column] = np.where(small, fixed, taken[top, column])
    return taken
