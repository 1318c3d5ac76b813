"""Inverse contracts: sized in quote units (USD), margined and settled in the base coin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def notional(*, size: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    """Return position value in coin: ``size / price``, size in quote units, >= 0."""
    return np.asarray(size, dtype=np.float64) / np.asarray(price, dtype=np.float64)


def profit(*, signed_size: ArrayLike, entry_price: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    """Return unrealised profit in coin, > 0 is a gain: ``signed_size * (1 / entry - 1 / price)``.

    Notes
    -----
    Concave in price for a long: the coin loss of a fall is larger than the coin gain of an equal rise, so an
    inverse long stands closer to liquidation than a linear one of the same leverage.

    Examples
    --------
    >>> round(float(profit(signed_size=10_000.0, entry_price=10_000.0, price=8_000.0)), 9)
    -0.25
    """
    return np.asarray(signed_size, dtype=np.float64) * (
        1.0 / np.asarray(entry_price, dtype=np.float64) - 1.0 / np.asarray(price, dtype=np.float64)
    )
