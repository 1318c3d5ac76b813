"""Hour of the day and weekend: the regular part of hourly volatility."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

N_BUCKETS = 48  # 24 hours of a weekday, 24 hours of a weekend day, UTC
# Fewer moves than this in a bucket say more about single days than about the hour.
MIN_MOVES_PER_BUCKET = 30
_NS = 1_000_000_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


def hour_buckets(*, start_utc_ns: int, step_s: int, n_steps: int) -> NDArray[np.int64]:
    """Return the bucket [step] of steps that open at ``start_utc_ns`` and every ``step_s`` after it.

    Examples
    --------
    >>> hour_buckets(start_utc_ns=0, step_s=3600, n_steps=3)
    array([0, 1, 2])
    """
    seconds = start_utc_ns // _NS + step_s * np.arange(n_steps, dtype=np.int64)
    weekday = (seconds // SECONDS_PER_DAY + _EPOCH_WEEKDAY) % 7
    hour = seconds % SECONDS_PER_DAY // SECONDS_PER_HOUR
    return np.asarray(hour + 24 * (weekday >= 5), dtype=np.int64)


def bucket_factors(moves: Vector, buckets: NDArray[np.int64]) -> Vector:
    """Return the factor [bucket] on sigma: mean absolute move of the bucket over that of all, mean square 1 over bars.

    Notes
    -----
    Absolute moves, not squares: one crash bar must not mark its hour for ever. A bucket with fewer than 30 moves, or
    without any movement, has the factor 1. Missing moves (NaN) are left out.
    """
    present = np.isfinite(moves)
    size, where = np.abs(moves[present]), buckets[present]
    counts = np.bincount(where, minlength=N_BUCKETS)
    sums = np.bincount(where, weights=size, minlength=N_BUCKETS)
    known = (counts >= MIN_MOVES_PER_BUCKET) & (sums > 0.0)
    factors = np.ones(N_BUCKETS)
    factors[known] = sums[known] / counts[known] / size.mean()
    factors[known] /= np.sqrt((factors**2 * counts)[known].sum() / max(counts[known].sum(), 1))
    return factors
