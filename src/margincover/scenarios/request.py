"""What every generator checks and does alike: the request for a block, the factor list, the correlated normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, StepFactorPath


def require_request(*, n_steps: int, n_paths: int) -> None:
    """Raise InputError unless n_steps >= 0 and n_paths >= 1."""
    if n_steps < 0:
        raise InputError(f"was {n_steps}", field="n_steps", allowed="an integer >= 0")
    if n_paths < 1:
        raise InputError(f"was {n_paths}", field="n_paths", allowed="an integer >= 1")


def require_factors(factors: Sequence[str]) -> tuple[str, ...]:
    """Return the factors as a tuple; raise InputError for an empty list or a factor that stands twice."""
    names = tuple(factors)
    if not names:
        raise InputError("no factor was asked for", field="factors", allowed="at least one coin")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} stood {names.count(name)} times", field="factors", allowed="each coin once")
    return names


def correlate(normals: StepFactorPath, root: FactorFactor) -> StepFactorPath:
    """Return root @ normals along the factor axis.

    Element by element and not by a matrix library, so that the bits depend on no thread count and no array size.
    """
    out = np.zeros((normals.shape[0], root.shape[0], normals.shape[2]))
    for i, row in enumerate(root):
        for j, weight in enumerate(row):
            if weight != 0.0:
                out[:, i] += weight * normals[:, j]
    return out
