"""Expected Shortfall of a weighted sample with its tail weights, which are the slopes that cutting planes need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector


def tail_mass(
    values: PathVector, probability: PathVector | None, tail: float
) -> tuple[float, NDArray[np.int64], PathVector]:
    """Return the Expected Shortfall, the paths of the tail and their weights, which sum to 1.

    Parameters
    ----------
    values : array [path]
        Losses positive.
    probability : array [path] or None
        Probabilities that sum to 1. None means that all paths are equally likely.
    tail : float
        Tail probability in (0, 1]. 1 gives the mean.

    Notes
    -----
    The path at the boundary counts with the part that makes the mass exact (`numeric.quantile`). A tail lighter than
    the worst path gives the maximum.

    Examples
    --------
    >>> es, paths, weights = tail_mass(np.array([1.0, 5.0, 3.0, 9.0]), None, 0.5)
    >>> float(es), sorted(paths.tolist())
    (7.0, [1, 3])
    """
    if not 0.0 < tail <= 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a number in (0, 1]")
    if probability is None:
        return _equal(values, tail)
    order = np.argsort(-values, kind="stable")
    cumulative = np.cumsum(probability[order])
    count = min(int(np.searchsorted(cumulative, tail * (1.0 - 1e-12))) + 1, values.size)
    chosen = order[:count]
    weights = probability[chosen] / tail
    weights[-1] = 1.0 - weights[:-1].sum()
    return float(weights @ values[chosen]), chosen, weights


def _equal(values: PathVector, tail: float) -> tuple[float, NDArray[np.int64], PathVector]:
    mass = tail * values.size
    count = min(max(1, int(np.ceil(mass * (1.0 - 1e-12)))), values.size)
    chosen = np.argpartition(values, values.size - count)[values.size - count :]
    weights = np.full(count, min(1.0, 1.0 / mass))
    weights[int(np.argmin(values[chosen]))] = 1.0 - weights[0] * (count - 1)
    return float(weights @ values[chosen]), chosen, weights
