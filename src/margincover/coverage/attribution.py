"""Contributions: which factor makes the required coverage, in parts that sum."""

from __future__ import annotations

import numpy as np

from margincover.model.pool import MarginPool
from margincover.model.results import PathSummary
from margincover.numeric.arrays import Vector
from margincover.numeric.quantile import tail_weights


def contributions(pool: MarginPool, paths: PathSummary, row: int, tail: float) -> dict[str, float]:
    """Return the parts of RCES of one pool, in the pool's unit; they sum to RCES.

    Parameters
    ----------
    pool : MarginPool
    paths : PathSummary
    row : int
        Row of the pool in ``paths``.
    tail : float
        Tolerance, as a tail probability.

    Notes
    -----
    Euler allocation of Expected Shortfall: the mean, over the worst share ``tail`` of the paths, of each factor's
    change of the shortfall at the path maximum. ``"start"`` is the shortfall at ``as_of`` (negative while there is
    headroom), ``"funding"`` what perpetual funding paid, ``"basis"`` what marks off their index and quotes cost, where
    they move, ``"remainder"`` what no factor explains alone. A stable coin is a factor of its venue, ``USDE@binance``.

    References
    ----------
    Tasche (2000), Risk contributions and performance measurement, section on Expected Shortfall.
    """
    record = paths.tails[row]
    weights = tail_weights(paths.maximum.shape[1], tail)
    assert weights.size <= record.path.size, "Invariant: the tail that was kept holds the tail that is needed"
    return named_parts(pool, paths, row, weights)


def named_parts(pool: MarginPool, paths: PathSummary, row: int, weights: Vector) -> dict[str, float]:
    """Return the weighted mean of the first rows of the tail record of a pool; ``weights`` [row] sum to 1."""
    record = paths.tails[row]
    parts = weights @ record.contribution[: weights.size]
    result = {"start": float(paths.start_shortfall[row])}
    for index, factor in enumerate(pool.factors):
        result[factor] = float(parts[index])
    if parts.size > len(pool.factors) + 2:
        result["basis"] = float(parts[len(pool.factors) + 2])
    result["funding"] = float(parts[len(pool.factors)])
    result["remainder"] = float(parts[len(pool.factors) + 1])
    # The weights sum to 1, so that the parts sum to the weighted maxima; what rounding leaves goes to the remainder.
    exact = float(np.dot(weights, record.maximum[: weights.size]))
    result["remainder"] += exact - sum(result.values())
    return result
