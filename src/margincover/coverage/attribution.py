"""Contributions: which factor makes the required coverage, in parts that sum."""

from __future__ import annotations

import numpy as np

from margincover.model.pool import MarginPool
from margincover.model.results import PathSummary
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
    headroom), ``"funding"`` what perpetual funding paid, ``"remainder"`` what no factor explains alone.

    References
    ----------
    Tasche (2000), Risk contributions and performance measurement, section on Expected Shortfall.
    """
    record = paths.tails[row]
    weights = tail_weights(paths.maximum.shape[1], tail)
    assert weights.size <= record.path.size, "Invariant: the tail that was kept holds the tail that is needed"
    parts = weights @ record.contribution[: weights.size]
    start = float(paths.start_shortfall[row])
    result = {"start": start}
    for index, factor in enumerate(pool.factors):
        result[factor] = float(parts[index])
    result["funding"] = float(parts[len(pool.factors)])
    result["remainder"] = float(parts[len(pool.factors) + 1])
    # The weights sum to 1, so that the parts sum to the weighted maxima; what rounding leaves goes to the remainder.
    exact = float(np.dot(weights, record.maximum[: weights.size]))
    result["remainder"] += exact - sum(result.values())
    return result
