"""Status: what each venue would say of each pool at ``as_of``, before any scenario."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.model.pool import MarginPool
from margincover.model.results import PoolStatus
from margincover.venues import liquidation_price, margin


def pool_statuses(pools: Sequence[MarginPool]) -> tuple[PoolStatus, ...]:
    """Return the status of each pool, in the order of ``pools``."""
    risk = margin.evaluate(pools)
    return tuple(
        _status(
            pool,
            float(risk.equity[row, 0]),
            float(risk.maintenance[row, 0]),
            float(risk.initial[row, 0]) if risk.initial_known[row] else None,
        )
        for row, pool in enumerate(pools)
    )


def severity(status: PoolStatus) -> tuple[float, float]:
    """Return a key that sorts pools worst first: by equity over maintenance, flat pools last."""
    ratio = float("inf") if status.coverage_ratio is None else status.coverage_ratio
    return ratio, -status.maintenance_usd


def _status(pool: MarginPool, equity: float, maintenance: float, initial: float | None) -> PoolStatus:
    headroom = equity - maintenance
    down, up = liquidation_price.common_move(pool)
    return PoolStatus(
        pool_id=pool.id,
        account_id=pool.account_id,
        venue=pool.venue,
        mode=pool.mode,
        margin_mode=pool.margin_mode,
        unit=pool.unit,
        unit_usd=pool.unit_usd,
        equity_native=equity,
        maintenance_native=maintenance,
        initial_native=initial,
        headroom_native=headroom,
        equity_usd=equity * pool.unit_usd,
        maintenance_usd=maintenance * pool.unit_usd,
        initial_usd=None if initial is None else initial * pool.unit_usd,
        headroom_usd=headroom * pool.unit_usd,
        gross_notional_usd=_gross_notional_usd(pool),
        coverage_ratio=equity / maintenance if maintenance > 0 else None,
        margin_call_coverage_ratio=pool.margin_call_coverage_ratio,
        common_move_down=down,
        common_move_up=up,
        levels=liquidation_price.instrument_levels(pool),
        state=_state(pool, equity, maintenance),
        notes=pool.notes,
    )


def _state(pool: MarginPool, equity: float, maintenance: float) -> str:
    if pool.is_flat and maintenance == 0.0:
        return "flat" if equity >= 0 else "liquidatable"
    if equity <= maintenance:
        return "liquidatable"
    return "called" if equity <= pool.margin_call_coverage_ratio * maintenance else "open"


def _gross_notional_usd(pool: MarginPool) -> float:
    total = 0.0
    for leg in range(pool.legs.count):
        asset = int(pool.legs.asset_index[leg])
        value = float(margin.leg_notional(pool, leg, np.ones(1))[0])
        total += value * float(pool.assets.price_unit[asset]) * pool.unit_usd
    options = pool.options
    for k in range(options.count):
        # Coins times index in the quote asset; an inverse option is worth its coins at the coin's own price.
        asset = int(options.asset_index[k])
        size = abs(float(options.quantity[k])) * (1.0 if options.inverse[k] else float(options.index[k]))
        total += size * float(pool.assets.price_unit[asset]) * pool.unit_usd
    return total
