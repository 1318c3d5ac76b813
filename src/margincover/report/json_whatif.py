"""What-if results and comparisons of modes as dictionaries for JSON."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.model.results import StatusResult
from margincover.model.whatif import CellState, ModeComparison, ModeRow, PoolGrid, WhatIfGrid, WhatIfResult
from margincover.report.json import JsonDict, JsonValue, status_to_dict

WHATIF_SCHEMA = "margincover/whatif/2"
MODES_SCHEMA = "margincover/modes/1"

_STATE_WORDS = {CellState.FINE: "fine", CellState.CALLED: "called", CellState.LIQUIDATED: "liquidated"}


def whatif_to_dict(result: WhatIfResult) -> JsonDict:
    """Return a what-if as a JSON-able dictionary: status before and after, and the grids.

    Every table of a pool is [day][volatility][spot]; a coverage ratio is None where nothing is required.
    """
    return {
        "schema": WHATIF_SCHEMA,
        "changed": result.changed,
        "before": status_to_dict(result.before),
        "after": status_to_dict(result.after),
        "grid_before": _grid(result.grid_before),
        "grid_after": _grid(result.grid_after),
    }


def _grid(grid: WhatIfGrid) -> JsonDict:
    return {
        "spot_fractions": list(grid.spot_fractions),
        "volatility_fractions": list(grid.volatility_fractions),
        "days": list(grid.days),
        "pools": {pool.pool_id: _pool(pool) for pool in grid.pools},
    }


def _pool(pool: PoolGrid) -> JsonDict:
    return {
        "has_options": pool.has_options,
        "state": [[[_STATE_WORDS[CellState(x)] for x in row] for row in day] for day in pool.state.tolist()],
        "coverage_ratio": _table(pool.coverage_ratio),
        "equity_usd": _table(pool.equity_usd),
        "maintenance_usd": _table(pool.maintenance_usd),
        "headroom_usd": _table(pool.headroom_usd),
    }


def _table(values: NDArray[np.float64]) -> JsonValue:
    return [[[x if np.isfinite(x) else None for x in row] for row in day] for day in values.tolist()]


def modes_to_dict(result: ModeComparison) -> JsonDict:
    """Return a comparison of modes as a JSON-able dictionary; a mode without pools carries its error."""
    return {
        "schema": MODES_SCHEMA,
        "account_id": result.account_id,
        "venue": result.venue,
        "present_mode": result.present_mode,
        "modes": [_mode(row, result) for row in result.rows],
        "notes": list(result.notes),
    }


def _mode(row: ModeRow, result: ModeComparison) -> JsonDict:
    if row.error:
        return {"mode": row.mode, "is_present": row.is_present, "error": row.error}
    status = status_to_dict(StatusResult(pools=row.pools, reconciliation=(), provenance=result.provenance))
    return {
        "mode": row.mode,
        "is_present": row.is_present,
        "error": None,
        "equity_usd": row.equity_usd,
        "maintenance_usd": row.maintenance_usd,
        "initial_usd": row.initial_usd,
        "headroom_usd": row.headroom_usd,
        "pools": status["pools"],
    }
