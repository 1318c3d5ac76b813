"""Linear contracts: margined and settled in the quote asset (USDT, USDC)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def notional(*, size: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    """Return position value in the quote asset: ``size * price``.

    Parameters
    ----------
    size : array
        Base units, >= 0.
    price : array
        Quote per base unit, > 0.
    """
    return np.asarray(size, dtype=np.float64) * np.asarray(price, dtype=np.float64)


def profit(*, signed_size: ArrayLike, entry_price: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    """Return unrealised profit in the quote asset, > 0 is a gain: ``signed_size * (price - entry)``.

    Examples
    --------
    >>> float(profit(signed_size=-2.0, entry_price=100.0, price=90.0))
    20.0
    """
    return np.asarray(signed_size, dtype=np.float64) * (
        np.asarray(price, dtype=np.float64) - np.asarray(entry_price, dtype=np.float64)
    )
