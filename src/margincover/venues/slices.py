"""Marginal slices: each part of an amount takes the rate of the slice it lies in, like an income tax.

Collateral discounts (Bybit, OKX) and charges that grow with size (OKX MR7, MR9) have this shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import checked


def sliced_total(amount: ArrayLike, *, edges: Sequence[float], rates: Sequence[float]) -> NDArray[np.float64]:
    """Return the sum over slices of (part of the amount in the slice) * rate.

    Parameters
    ----------
    amount : array [..., path]
        >= 0, in the unit of the edges.
    edges : sequence
        Lower edge of each slice; the first is 0, they rise; the last slice has no upper end.
    rates : sequence
        One per slice.

    Raises
    ------
    InputError
        If an amount is negative or not finite.

    Examples
    --------
    >>> float(sliced_total(30_000.0, edges=(0.0, 10_000.0, 70_000.0), rates=(1.0, 2.0, 4.0)))
    50000.0
    """
    x = checked(amount, name="amount", least=0.0)
    total = np.zeros_like(x)
    upper = (*tuple(edges[1:]), np.inf)
    for low, high, rate in zip(edges, upper, rates, strict=True):
        total = total + np.clip(x - low, 0.0, high - low) * rate
    return total


def sliced_total_reference(amount: float, *, edges: Sequence[float], rates: Sequence[float]) -> float:
    """Return the total of one amount with exact rational arithmetic: the twin of ``sliced_total``."""
    left, total = Fraction(amount), Fraction(0)
    widths = [Fraction(b) - Fraction(a) for a, b in pairwise(edges)]
    for i, rate in enumerate(rates):
        part = min(left, widths[i]) if i < len(widths) else left
        total += part * Fraction(rate)
        left -= part
    return float(total)
