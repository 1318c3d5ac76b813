"""Builders of what-if results for tests of their reports: a short straddle revalued by hand, and pools without options.

The short straddle's value is a plain square-root-of-time rule; it only gives figures of the right size and shape.
"""

from __future__ import annotations

import numpy as np

from margincover.model.whatif import CellState, PoolGrid, WhatIfGrid, WhatIfResult
from tests.builders import status_result

SPOTS = tuple(float(x) for x in np.round(np.linspace(-0.3, 0.3, 13), 6))
LEVELS = tuple(float(x) for x in np.round(np.linspace(-0.3, 0.6, 7), 6))
DAYS = (0.0, 3.0, 7.0)
OPTION_POOL = "binance:main"


def pool_grid(pool_id: str, equity, maintenance, *, has_options: bool, call: float = 1.25) -> PoolGrid:
    """Return a pool's grid from its figures in USD, [day, volatility, spot]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        coverage = np.where(maintenance > 0, equity / maintenance, np.inf)
    state = np.where(coverage <= 1, CellState.LIQUIDATED, np.where(coverage <= call, CellState.CALLED, CellState.FINE))
    return PoolGrid(
        pool_id=pool_id,
        unit="USD",
        has_options=has_options,
        coverage_ratio=coverage,
        equity_usd=equity,
        maintenance_usd=maintenance,
        state=state.astype(np.int8),
    )


def short_straddle(pool_id: str, cash: float) -> PoolGrid:
    """Return the grid of one short straddle per 100,000 USD of notional, with 30 days to go."""
    days, levels, spots = np.meshgrid(DAYS, LEVELS, SPOTS, indexing="ij")
    spread = 0.6 * (1 + levels) * np.sqrt((30 - days) / 365)
    value = 1e5 * (np.abs(spots) + 0.8 * spread * np.exp(-((spots / spread) ** 2)))
    return pool_grid(pool_id, cash - value, 1e4 * (1 + spots) + 0.3 * value, has_options=True)


def whatif_result(*, changed: bool = True) -> WhatIfResult:
    """Return a what-if over three days: a straddle pool that gains cash, and the builders' other pools."""
    status = status_result()
    shape = (len(DAYS), len(LEVELS), len(SPOTS))

    def grid(cash: float) -> WhatIfGrid:
        pools = [short_straddle(OPTION_POOL, cash)]
        for pool in status.pools:
            if pool.pool_id != OPTION_POOL:
                moved = pool.equity_usd + 0.2 * pool.equity_usd * np.array(SPOTS)
                need = pool.maintenance_usd * (1 + np.array(SPOTS))
                pools.append(
                    pool_grid(
                        pool.pool_id, np.broadcast_to(moved, shape), np.broadcast_to(need, shape), has_options=False
                    )
                )
        return WhatIfGrid(spot_fractions=SPOTS, volatility_fractions=LEVELS, days=DAYS, pools=tuple(pools))

    before = grid(45_000.0)
    after = grid(60_000.0) if changed else before
    return WhatIfResult(before=status, after=status, grid_before=before, grid_after=after, changed=changed)
