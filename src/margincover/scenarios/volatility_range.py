"""Variance from open, high, low and close: Parkinson, Garman-Klass, Rogers-Satchell, Yang-Zhang.

All take log prices [bar] and give variances per bar. They assume continuous paths that are watched continuously: a high
and a low read from few trades are too near each other, and the measures then too small.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.volatility import parkinson_variance

_Array = NDArray[np.float64]


def parkinson(log_high: _Array, log_low: _Array) -> _Array:
    """Return (high - low)^2 / (4 ln 2) [bar]; right without drift only.

    References
    ----------
    Parkinson (1980), Journal of Business 53:61-65, doi:10.1086/296071.
    """
    return parkinson_variance(log_high - log_low)


def garman_klass(log_open: _Array, log_high: _Array, log_low: _Array, log_close: _Array) -> _Array:
    """Return (high - low)^2 / 2 - (2 ln 2 - 1) (close - open)^2 [bar]; right without drift only, never negative.

    References
    ----------
    Garman, Klass (1980), Journal of Business 53:67-78, doi:10.1086/296072, the practical estimator.
    """
    squares = 0.5 * (log_high - log_low) ** 2 - (2.0 * math.log(2.0) - 1.0) * (log_close - log_open) ** 2
    # |close - open| <= high - low makes it >= 0; rounding may not
    return np.asarray(np.maximum(squares, 0.0), dtype=np.float64)


def rogers_satchell(log_open: _Array, log_high: _Array, log_low: _Array, log_close: _Array) -> _Array:
    """Return (high - close)(high - open) + (low - close)(low - open) [bar]; right for any drift.

    References
    ----------
    Rogers, Satchell (1991), Annals of Applied Probability 1:504-512, doi:10.1214/aoap/1177005835.
    """
    up = (log_high - log_close) * (log_high - log_open)
    down = (log_low - log_close) * (log_low - log_open)
    return np.asarray(np.maximum(up + down, 0.0), dtype=np.float64)


def yang_zhang(log_open: _Array, log_high: _Array, log_low: _Array, log_close: _Array, log_before: _Array) -> float:
    """Return the variance per bar of a window; right for any drift and for jumps between close and open.

    Parameters
    ----------
    log_open, log_high, log_low, log_close : array [bar]
        At least 2 bars.
    log_before : array [bar]
        Close before each bar.

    Notes
    -----
    var(open - before) + k var(close - open) + (1 - k) mean(Rogers-Satchell), k = 0.34 / (1.34 + (n + 1) / (n - 1)).

    References
    ----------
    Yang, Zhang (2000), Journal of Business 73:477-491, doi:10.1086/209650.
    """
    n = log_open.size
    if n < 2:
        raise InputError(f"{n} bars", field="yang_zhang", allowed="at least 2 bars")
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    jumps = float(np.var(log_open - log_before, ddof=1))
    inside = float(np.var(log_close - log_open, ddof=1))
    satchell = float(rogers_satchell(log_open, log_high, log_low, log_close).mean())
    return jumps + k * inside + (1.0 - k) * satchell
