"""European options on a forward: Black (1976), vectorised, with a plain twin.

References
----------
Black (1976), The pricing of commodity contracts, Journal of Financial Economics 3:167-179,
doi:10.1016/0304-405X(76)90024-6.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError

# Below this total deviation an option is worth its intrinsic value to rounding.
_SMALLEST_DEVIATION = 1e-12


def price(
    *,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Return option values in the quote asset.

    Parameters
    ----------
    forward, strike : array
        > 0, in the quote asset.
    years : array
        Time to expiry in years of 365 days, >= 0; at 0 the value is the intrinsic one.
    volatility : array
        Annual, as a fraction, >= 0.
    is_call : array of bool
    discount : array
        Discount factor to expiry, > 0.

    Raises
    ------
    InputError
        If a forward or strike is not > 0, or a time or volatility is negative or NaN.

    Notes
    -----
    d1 = ln(F / K) / s + s / 2, d2 = d1 - s, s = volatility * sqrt(years);
    call = D (F N(d1) - K N(d2)), put = D (K N(-d2) - F N(-d1)). All arguments broadcast.

    Examples
    --------
    >>> round(float(price(forward=100.0, strike=100.0, years=1.0, volatility=0.2, is_call=True)), 6)
    7.965567
    """
    from scipy.special import ndtr

    f, k, t, v = (np.asarray(a, dtype=np.float64) for a in (forward, strike, years, volatility))
    if not (np.all(f > 0) and np.all(k > 0) and np.all(t >= 0) and np.all(v >= 0)):
        raise InputError(
            "forward, strike, time or volatility was out of range",
            field="option",
            allowed="forward and strike > 0, time and volatility >= 0",
        )
    deviation = v * np.sqrt(t)
    safe = np.maximum(deviation, _SMALLEST_DEVIATION)
    d1 = np.log(f / k) / safe + 0.5 * safe
    d2 = d1 - safe
    side = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    value = side * (f * ndtr(side * d1) - k * ndtr(side * d2))
    intrinsic = np.maximum(side * (f - k), 0.0)
    return np.asarray(
        np.where(deviation > _SMALLEST_DEVIATION, np.maximum(value, 0.0), intrinsic) * discount, dtype=np.float64
    )


def price_reference(
    *, forward: float, strike: float, years: float, volatility: float, is_call: bool, discount: float = 1.0
) -> float:
    """Return the value of one option in plain floats: the twin of ``price``."""
    side = 1.0 if is_call else -1.0
    deviation = volatility * math.sqrt(years)
    if deviation <= _SMALLEST_DEVIATION:
        return max(side * (forward - strike), 0.0) * discount
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    d2 = d1 - deviation

    def normal(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    return max(side * (forward * normal(side * d1) - strike * normal(side * d2)), 0.0) * discount


def delta(
    *, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, volatility: ArrayLike, is_call: ArrayLike
) -> NDArray[np.float64]:
    """Return the derivative of the undiscounted value by the forward, in [-1, 1]."""
    from scipy.special import ndtr

    f, k = np.asarray(forward, dtype=np.float64), np.asarray(strike, dtype=np.float64)
    deviation = np.maximum(np.asarray(volatility) * np.sqrt(np.asarray(years)), _SMALLEST_DEVIATION)
    d1 = np.log(f / k) / deviation + 0.5 * deviation
    call = ndtr(d1)
    return np.asarray(np.where(np.asarray(is_call, dtype=bool), call, call - 1.0), dtype=np.float64)
