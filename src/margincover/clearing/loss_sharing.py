"""Ways to fill a shortfall after the fund: haircut of gains, assessments, partial tear-up, the close of a winner.

Amounts are >= 0. Each returns who pays what and what stays unpaid; paid + residual = loss on every path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing import adl_policies
from margincover.clearing.checks import amounts
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLoss:
    """``paid_usd`` [account, path] and ``residual_usd`` [path]; their sum is the loss."""

    paid_usd: NDArray[np.float64]
    residual_usd: PathVector


def gains_haircut(gain_usd: ArrayLike, loss_usd: ArrayLike) -> SharedLoss:
    """Cut the payout of all winners by one fraction, h = min(1, loss / sum of gains).

    Parameters
    ----------
    gain_usd : array [account] or [account, path]
        Signed change of value in the period; losers (<= 0) pay nothing here, they already paid.
    loss_usd : float or array [path]
    """
    gains = np.maximum(np.asarray(gain_usd, dtype=np.float64), 0.0)
    return shared(adl_policies.pro_rata(gains, loss_usd), loss_usd)


def assessment(
    contribution_usd: ArrayLike, loss_usd: ArrayLike, *, multiple: float, survives: ArrayLike | None = None
) -> SharedLoss:
    """Call surviving members in proportion to their contributions, each up to a multiple of its own.

    Parameters
    ----------
    contribution_usd : array [account]
    loss_usd : float or array [path]
        What prefunded resources left.
    multiple : float
        >= 0: limit of the call as a multiple of the contribution.
    survives : array [account] of bool or None
        Members not in default; None means all.
    """
    own = amounts(contribution_usd, name="contribution_usd")
    limit = own * float(amounts(multiple, name="multiple"))
    if survives is not None:
        alive = np.asarray(survives)
        if alive.dtype != np.bool_ or alive.shape != own.shape:
            raise InputError(f"{alive.dtype} {alive.shape}", field="survives", allowed=f"true or false, {own.shape}")
        limit = np.where(alive, limit, 0.0)
    # every limit is the same multiple of a contribution, so pro rata to limits is pro rata to contributions
    return shared(adl_policies.pro_rata(limit, loss_usd), loss_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class TearUp:
    """Contracts torn up by holder, what each gives up against the mark (negative: gains), what stays open."""

    contracts: NDArray[np.int64]
    given_up_usd: NDArray[np.float64]
    still_open: int


def tear_up(
    opposite_contracts: ArrayLike, contracts: int, *, side: int, mark: float, price: float, multiplier: float = 1.0
) -> TearUp:
    """Cancel a defaulter's contracts against those who hold the other side, pro rata in whole contracts.

    Parameters
    ----------
    opposite_contracts : array [account] of int
        What each holder on the other side has open.
    contracts : int
        What the defaulter's book still holds.
    side : int
        Of the holders: +1 they are long, -1 short.
    mark, price : float
        The market's price and the price of the tear-up, > 0.
    multiplier : float
        Coins per contract.

    Notes
    -----
    A long torn up below the mark gives up (mark - price) per coin; that is what the house no longer has to find.
    """
    if side not in (-1, 1):
        raise InputError(f"was {side}", field="side", allowed="+1 for long, -1 for short")
    terms = amounts([mark, price, multiplier], name="mark, price, multiplier")
    closed = adl_policies.contract_pro_rata(opposite_contracts, contracts)
    return TearUp(
        contracts=closed,
        given_up_usd=closed.astype(np.float64) * float(side * (terms[0] - terms[1]) * terms[2]),
        still_open=int(contracts) - int(closed.sum()),
    )


def given_up_at(
    contracts: ArrayLike, *, side: ArrayLike, mark: ArrayLike, close: ArrayLike, multiplier: float = 1.0
) -> NDArray[np.float64]:
    """Return what winners give up when closed at ``close`` and not at the mark: side (mark - close) contracts.

    Negative where the close is better for them than the mark.
    """
    better = np.asarray(side, dtype=np.float64) * (amounts(mark, name="mark") - amounts(close, name="close"))
    return np.asarray(amounts(contracts, name="contracts") * better * multiplier, dtype=np.float64)


def shared(paid_usd: NDArray[np.float64], loss_usd: ArrayLike) -> SharedLoss:
    """Return what was paid [account, path] with what of the loss stays, never below 0."""
    loss = np.atleast_1d(amounts(loss_usd, name="loss_usd"))
    return SharedLoss(paid_usd=paid_usd, residual_usd=np.maximum(loss - paid_usd.sum(axis=0), 0.0))
