"""Moves in whole cents, conserving money exactly; no place gets less than planned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.allocation.problem import Allocation, Holdings
from margincover.numeric.arrays import Vector

Cents = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Orders in whole cents.

    Parameters
    ----------
    held, deposit, withdrawal, deposit_fee, withdrawal_fee, amount : array [placement] of int
        ``amount = held + deposit - withdrawal``. Fees are paid by the reserve, rounded up.
    reserve_before, fresh, returned, reserve : int
        ``reserve = reserve_before + fresh - returned - deposits - fees + withdrawals``.
    """

    held: Cents
    deposit: Cents
    withdrawal: Cents
    deposit_fee: Cents
    withdrawal_fee: Cents
    amount: Cents
    reserve_before: int
    fresh: int
    returned: int
    reserve: int

    @property
    def imbalance(self) -> int:
        """Cents that appeared or vanished: 0 in every correct set of moves."""
        before = int(self.held.sum()) + self.reserve_before + self.fresh
        fees = int(self.deposit_fee.sum() + self.withdrawal_fee.sum())
        return before - int(self.amount.sum()) - self.reserve - self.returned - fees


def in_cents(allocation: Allocation, holdings: Holdings) -> Moves:
    """Round the moves of an allocation to cents.

    Parameters
    ----------
    allocation : Allocation
    holdings : Holdings
        The same that the allocation was solved with.

    Notes
    -----
    Holdings are rounded down, planned amounts up. What rounding takes from the reserve comes out of the returned
    capital first and else is fresh: at most about two cents per placement.
    """
    held = _down(holdings.amount_usd)
    target = _up(allocation.amount_usd)
    # Money that goes in and out of one place in the same plan would only pay fees: net moves are enough.
    deposit, withdrawal = np.maximum(target - held, 0), np.maximum(held - target, 0)
    deposit_fee = _up(holdings.fee_fraction * deposit / 100.0)
    withdrawal_fee = _up(holdings.fee_fraction * withdrawal / 100.0)
    before = int(_down(np.array([holdings.reserve_usd]))[0])
    planned = int(_up(np.array([allocation.reserve_usd]))[0])
    paid = int((deposit + deposit_fee + withdrawal_fee - withdrawal).sum())
    missing = planned + paid - before
    return Moves(
        held=held,
        deposit=deposit,
        withdrawal=withdrawal,
        deposit_fee=deposit_fee,
        withdrawal_fee=withdrawal_fee,
        amount=target,
        reserve_before=before,
        fresh=max(missing, 0),
        returned=max(-missing, 0),
        reserve=planned,
    )


def _up(values: Vector) -> Cents:
    # A millionth of a cent is the solver's noise, not a reason for a whole cent.
    return np.ceil(values * 100.0 - 1e-6).astype(np.int64)


def _down(values: Vector) -> Cents:
    return np.floor(values * 100.0 + 1e-6).astype(np.int64)
