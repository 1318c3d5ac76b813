"""Intervals of a probability estimated by counting."""

from __future__ import annotations

import math

from margincover.errors import InputError

_Z95 = 1.959963984540054


def wilson(hits: int, count: int) -> tuple[float, float, float, float]:
    """Return (estimate, standard error, low, high) of a probability, 95 % Wilson score interval.

    Parameters
    ----------
    hits, count : int
        0 <= hits <= count, count > 0.

    Notes
    -----
    Zero hits give an upper end of about 3.84 / count, not zero: an event that was not seen is not impossible.

    References
    ----------
    Wilson (1927), JASA 22:209-212, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> [round(x, 5) for x in wilson(0, 1000)]
    [0.0, 0.0, 0.0, 0.00383]
    """
    if count <= 0 or not 0 <= hits <= count:
        raise InputError(f"was {hits} of {count}", field="hits", allowed="0 <= hits <= count, count > 0")
    p = hits / count
    z2 = _Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == count else min(1.0, centre + half)
    return p, math.sqrt(p * (1 - p) / count), low, high
