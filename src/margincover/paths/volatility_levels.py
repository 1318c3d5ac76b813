"""Which residual level of implied volatility each path draws: stratified, and the same for all pools of a run."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def level_key(seed: int) -> int:
    """Return the 64-bit key of the draws of one run."""
    digest = hashlib.sha256(f"{seed}/implied volatility".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def path_levels(key: int, *, first_path: int, n_paths: int, n_levels: int) -> NDArray[np.int64]:
    """Return the number of the level of each path, [path], 0 to ``n_levels`` - 1.

    Notes
    -----
    Among any ``n_levels`` paths in a row that start at a multiple of it, every level comes once, in an order turned by
    a hash: the levels are stratified and know nothing of how a generator pairs or orders its paths. The level of a
    path depends on its number alone, not on how paths are grouped into blocks.

    Examples
    --------
    >>> sorted(path_levels(level_key(1), first_path=8, n_paths=4, n_levels=4).tolist())
    [0, 1, 2, 3]
    """
    path = np.uint64(first_path) + np.arange(n_paths, dtype=np.uint64)
    group = path // np.uint64(n_levels)
    with np.errstate(over="ignore"):
        z = np.uint64(key) + group
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
        z = z ^ (z >> np.uint64(31))
    # One bit turns the order round, the others say where it starts.
    place = path % np.uint64(n_levels)
    place = np.where(z & np.uint64(1), np.uint64(n_levels - 1) - place, place)
    return ((place + (z >> np.uint64(1)) % np.uint64(n_levels)) % np.uint64(n_levels)).astype(np.int64)
