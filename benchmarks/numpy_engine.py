"""The straightforward NumPy engine: what one writes first, and the baseline of ``engine_vs_numpy.py``.

Whole arrays [step, leg, path] of one block: price, profit, tier by ``searchsorted``, maintenance, then the running
maximum and the first passage per pool. Closes only, no bridge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool

Array = NDArray[np.float64]


def follow(pool: MarginPool, close_log: Array) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Return maximum of maintenance - equity, its step, and the step of first passage (-1 never), each [path].

    Parameters
    ----------
    pool : MarginPool
        One settle asset at weight 1, linear legs.
    close_log : array [step, factor, path]
        Log of price over price at the start; the factors are the pool's own.
    """
    legs = pool.legs
    ratio = np.exp(np.concatenate([np.zeros((1, *close_log.shape[1:])), close_log]))
    price = legs.mark_price[:, None] * ratio[:, legs.factor_index]
    profit = (legs.signed_size[:, None] * (price - legs.entry_price[:, None])).sum(axis=1)
    notional = np.abs(legs.signed_size)[:, None] * price
    maintenance = np.zeros_like(profit)
    for leg in range(legs.count):
        part = slice(legs.tier_start[leg], legs.tier_start[leg] + legs.tier_count[leg])
        value = notional[:, leg]
        tier = np.searchsorted(legs.tier_floor[part], value, side="right") - 1
        maintenance += legs.tier_fraction[part][tier] * value - legs.tier_deduction[part][tier]
        maintenance += legs.fee_on_notional_fraction[leg] * value
    shortfall = maintenance - (pool.assets.balance_native[0] + profit)
    touched = shortfall >= 0.0
    first = np.where(touched.any(axis=0), touched.argmax(axis=0), -1)
    return shortfall.max(axis=0), shortfall.argmax(axis=0), first
