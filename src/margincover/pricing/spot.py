"""Spot holdings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def value(*, amount: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    """Return ``amount * price``; a negative amount is a debt and counts at the full price."""
    return np.asarray(amount, dtype=np.float64) * np.asarray(price, dtype=np.float64)
