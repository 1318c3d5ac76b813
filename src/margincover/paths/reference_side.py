"""The plain twin of ``paths.charges``: one leg at a time, from prices and not from notionals.

It looks rows up by name in every step and shares no table with the fast way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.venues import margin

Array = NDArray[np.float64]
BASE_QUOTE = "USDT"


def _level(info: ScenarioInfo, block: ScenarioBlock, name: str, node: int) -> Array:
    """Return a factor over its start at a node, [path]; 1 for a factor that the generator does not make."""
    if node == 0 or name not in info.factors:
        return np.ones(block.close_log.shape[2])
    return np.asarray(np.exp(block.close_log[node - 1, info.factors.index(name)]), dtype=np.float64)


def funding_paid(pool: MarginPool, info: ScenarioInfo, block: ScenarioBlock, step: int, hours: float) -> Array:
    """Return funding paid in a step by the perpetuals whose rate varies, [asset, path]."""
    legs = pool.legs
    paid = np.zeros((pool.assets.count, block.close_log.shape[2]))
    for leg, name in enumerate(legs.instrument_ids):
        if name not in info.funding:
            continue
        assert block.funding_per_hour is not None, "Invariant: a row of funding comes with its block"
        price = _level(info, block, pool.factors[legs.factor_index[leg]], step)
        notional = margin.leg_notional(pool, leg, price)
        side = 1.0 if legs.signed_size[leg] > 0 else -1.0
        rate = block.funding_per_hour[step, info.funding.index(name)]
        paid[legs.asset_index[leg]] += side * notional * rate * hours
    return paid


def gained(pool: MarginPool, info: ScenarioInfo, block: ScenarioBlock, step: int) -> Array:
    """Return what marks off their index and quotes have added by the end of a step, [asset, path]."""
    legs, node = pool.legs, step + 1
    total = np.zeros((pool.assets.count, block.close_log.shape[2]))
    counts_in_usd = pool.unit == "USD" and not pool.options.count and f"{BASE_QUOTE}@{pool.venue}" in info.factors
    to_usd = _level(info, block, f"{BASE_QUOTE}@{pool.venue}", node)
    for leg in range(legs.count):
        coin = pool.factors[legs.factor_index[leg]]
        index = _level(info, block, coin, node)
        mark = index.copy()
        name = f"{coin}@{pool.venue}"
        if name in info.marks:
            assert block.mark_log is not None, "Invariant: a row of marks comes with its block"
            mark *= np.exp(block.mark_log[step, info.marks.index(name)])
        if counts_in_usd and legs.quotes[leg] != BASE_QUOTE:
            mark *= to_usd
            if legs.quotes[leg] != "USD":
                mark /= _level(info, block, f"{legs.quotes[leg]}@{pool.venue}", node)
        total[legs.asset_index[leg]] += margin.leg_profit(pool, leg, mark) - margin.leg_profit(pool, leg, index)
    for asset, factor in enumerate(pool.assets.factor_index):
        if counts_in_usd and factor >= 0 and "@" not in pool.factors[factor]:
            total[asset] += pool.assets.balance_native[asset] * (to_usd - 1.0)
    return total
