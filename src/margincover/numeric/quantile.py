"""Quantile and Expected Shortfall of a sample, with standard errors and intervals.

Convention: losses positive. The quantile at tail probability a is the smallest sample value x with at most a share a of
the sample above it (no interpolation); Expected Shortfall is the mean of the worst share a, the boundary value counted
with the part that makes the share exact: (1/a) * integral from 0 to a of q(1-u) du.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

_Z95 = 1.959963984540054


def tail_quantile(values: NDArray[np.float64], tail: float) -> float:
    """Return inf{x : share of values <= x is at least 1 - tail}.

    Parameters
    ----------
    values : array [path]
        Finite numbers.
    tail : float
        Tail probability in (0, 1).

    Examples
    --------
    >>> tail_quantile(np.arange(1.0, 101.0), 0.05)
    95.0
    """
    _check(values, tail)
    return float(np.partition(values, _quantile_index(values.size, tail))[_quantile_index(values.size, tail)])


def expected_shortfall(values: NDArray[np.float64], tail: float) -> float:
    """Return the mean of the worst share ``tail`` of the sample.

    Examples
    --------
    >>> expected_shortfall(np.arange(1.0, 101.0), 0.05)
    98.0
    """
    _check(values, tail)
    index = _quantile_index(values.size, tail)
    ordered = np.partition(values, index)
    boundary, above = float(ordered[index]), ordered[index + 1 :]
    mass = tail * values.size
    return (float(above.sum()) + (mass - above.size) * boundary) / mass


def tail_weights(count: int, tail: float) -> NDArray[np.float64]:
    """Return weights of the largest values (largest first) whose weighted sum is the Expected Shortfall."""
    mass = tail * count
    above = count - 1 - _quantile_index(count, tail)
    weights = np.full(above + 1, 1.0 / mass)
    weights[-1] = (mass - above) / mass
    return weights


def quantile_interval(values: NDArray[np.float64], tail: float) -> tuple[float, float, float]:
    """Return (standard error, low, high) of the tail quantile by order statistics, 95 %.

    Notes
    -----
    The number of values above the true quantile is binomial(n, tail); the order statistics at its 2.5 % and 97.5 %
    points (normal approximation, widened outward to whole ranks) enclose the quantile whatever the distribution. The
    standard error is the width divided by 2 * 1.96. With fewer than one expected value above, high is the maximum.
    """
    _check(values, tail)
    n = values.size
    spread = _Z95 * math.sqrt(n * tail * (1.0 - tail))
    low_rank = int(np.clip(math.floor(n * (1.0 - tail) - spread) - 1, 0, n - 1))
    high_rank = int(np.clip(math.ceil(n * (1.0 - tail) + spread), 0, n - 1))
    ordered = np.partition(values, sorted({low_rank, high_rank}))
    low, high = float(ordered[low_rank]), float(ordered[high_rank])
    return (high - low) / (2.0 * _Z95), low, high


def shortfall_error(values: NDArray[np.float64], tail: float) -> float:
    """Return the standard error of the Expected Shortfall of an independent sample.

    Notes
    -----
    Asymptotic: sqrt((var(X | tail) + (1 - a) (ES - q)^2) / (n a)).

    References
    ----------
    Manistre, Hancock (2005), Variance of the CTE estimator, North American Actuarial Journal 9(2):129-156.
    """
    _check(values, tail)
    quantile = tail_quantile(values, tail)
    worst = values[values >= quantile]
    mean = expected_shortfall(values, tail)
    variance = float(worst.var()) + (1.0 - tail) * (mean - quantile) ** 2
    return math.sqrt(variance / (values.size * tail))


def _quantile_index(count: int, tail: float) -> int:
    # The guard keeps 1 - 0.05 of 100 values at the 95th although 0.95 * 100 is not exact in binary.
    return min(count - 1, max(0, math.ceil(count * (1.0 - tail) - 1e-9) - 1))


def _check(values: NDArray[np.float64], tail: float) -> None:
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("sample was empty or held NaN", field="values", allowed="finite numbers")
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a probability in (0, 1)")
