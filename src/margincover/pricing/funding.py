"""Perpetual funding: the periodic payment between longs and shorts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accrual(*, signed_notional: ArrayLike, rate_per_hour: ArrayLike, hours: float) -> NDArray[np.float64]:
    """Return the cash flow to the holder over a time, < 0 is a payment.

    Parameters
    ----------
    signed_notional : array
        Position value in the settle asset, > 0 for a long.
    rate_per_hour : array
        Funding as a fraction of notional per hour; > 0 means that longs pay shorts.
    hours : float
        Length of the accrual, >= 0.

    Examples
    --------
    >>> round(float(accrual(signed_notional=10_000.0, rate_per_hour=0.0001 / 8, hours=24.0)), 6)
    -3.0
    """
    return -np.asarray(signed_notional, dtype=np.float64) * np.asarray(rate_per_hour, dtype=np.float64) * hours
