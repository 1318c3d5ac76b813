"""Options that expire along a path: in which step, and what they pay there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.units import HOURS_PER_DAY
from margincover.venues.revalue import DAYS_PER_YEAR, settlement

Array = NDArray[np.float64]


def expiry_steps(pool: MarginPool, *, hours: float, n_steps: int) -> NDArray[np.int64]:
    """Return the first step at whose end an option has expired, [option]; -1 for one that outlives the paths."""
    elapsed = np.arange(n_steps + 1) * hours / HOURS_PER_DAY / DAYS_PER_YEAR
    dead = pool.options.years[:, None] - elapsed[None, :] <= 0.0
    return np.where(dead.any(axis=1), dead.argmax(axis=1), -1)


def settled(pool: MarginPool, node: Array, *, hours: float) -> Array:
    """Return what options have paid by each node, [node, asset, path], in the asset; node 0 is the start.

    Parameters
    ----------
    node : array [node, factor of the pool, path]
        Ratios at the ends of the steps. An option that expires inside a step is paid at the step's end.
    """
    n_nodes, _, n_paths = node.shape
    paid = np.zeros((n_nodes, pool.assets.count, n_paths))
    steps = expiry_steps(pool, hours=hours, n_steps=n_nodes - 1)
    for step in np.unique(steps[steps >= 0]):
        paid[step:] += settlement(pool, node[step], steps == step)[None]
    return paid
