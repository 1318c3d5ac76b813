"""Automatic block length of a bootstrap of dependent data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector


class LagRule(Enum):
    """Where the correlogram is cut: ``FIRST_INSIGNIFICANT`` lag of a quiet run (usual code), or the one before it.

    The paper's wording is ``LAST_SIGNIFICANT``; the two differ by one lag and by a few per cent of the block length.
    """

    FIRST_INSIGNIFICANT = "first_insignificant"
    LAST_SIGNIFICANT = "last_significant"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLength:
    """Best expected block length of the stationary and best fixed length of the circular bootstrap, in observations."""

    stationary: float
    circular: float
    cut_lag: int


def best_block_length(values: Vector, *, rule: LagRule = LagRule.FIRST_INSIGNIFICANT) -> BlockLength:
    """Return the block lengths that minimise the mean squared error of the variance of the mean.

    Parameters
    ----------
    values : array [time]
        At least 10 figures that vary. For volatility clustering pass squared returns.
    rule : LagRule

    Notes
    -----
    The cut m is the start of the first run of K = max(5, ceil(log10 n)) lags whose autocorrelations are within
    2 sqrt(log10(n) / n). With flat-top weights over 2 m lags: G = sum w |k| R(k), D = 4/3 (circular) or 2 (stationary)
    times the squared long-run variance, length = (2 G^2 / D)^(1/3) n^(1/3), at most ceil(min(3 sqrt n, n / 3)).

    References
    ----------
    Politis, White (2004), Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23:53-70.
    Patton, Politis, White (2009), correction, Econometric Reviews 28:372-375.
    """
    n = values.size
    if n < 10 or not np.isfinite(values).all() or not float(np.ptp(values)) > 0.0:
        raise InputError(f"{n} values", field="values", allowed="at least 10 finite figures that vary")
    centred = values - values.mean()
    run = max(5, math.ceil(math.log10(n)))
    most = math.ceil(math.sqrt(n)) + run
    lags = min(most, n - 2)
    covariance = np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(lags + 1)])
    correlation = np.array([_correlation(centred, k) for k in range(lags + 1)])
    cut = _cut(correlation, 2.0 * math.sqrt(math.log10(n) / n), run, rule)
    band = min(2 * cut, lags)
    k = np.arange(1, band + 1)
    weight = np.minimum(1.0, 2.0 * (1.0 - k / band)) if band else np.zeros(0)
    slope = 2.0 * float((weight * k) @ covariance[1 : band + 1])
    long_run = float(covariance[0] + 2.0 * weight @ covariance[1 : band + 1])
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    lengths = [
        min(((2.0 * slope**2) / (factor * long_run**2)) ** (1.0 / 3.0) * n ** (1.0 / 3.0), longest)
        for factor in (2.0, 4.0 / 3.0)
    ]
    return BlockLength(stationary=max(lengths[0], 1.0), circular=max(lengths[1], 1.0), cut_lag=cut)


def _correlation(centred: Vector, lag: int) -> float:
    """Return the correlation of the two overlapping parts, each about the mean of the whole series."""
    first, second = centred[lag:], centred[: centred.size - lag]
    return float(first @ second) / math.sqrt(float(first @ first) * float(second @ second))


def _cut(correlation: Vector, bound: float, run: int, rule: LagRule) -> int:
    small = np.abs(correlation[1:]) < bound
    for start in range(small.size - run + 1):
        if small[start : start + run].all():
            # ``start`` counts from lag 1: it is the last significant lag, start + 1 the first quiet one
            return max(start, 1) if rule is LagRule.LAST_SIGNIFICANT else start + 1
    significant = np.flatnonzero(~small)
    return int(significant.max()) + 1 if significant.size else 1
