"""What-if results as dictionaries for JSON."""

from __future__ import annotations

from margincover.model.results import SpotGrid, WhatIfResult
from margincover.report.json import JsonDict, status_to_dict

WHATIF_SCHEMA = "margincover/whatif/1"


def whatif_to_dict(result: WhatIfResult) -> JsonDict:
    """Return a what-if as a JSON-able dictionary: status before and after, and the coverage ratios over spot."""
    return {
        "schema": WHATIF_SCHEMA,
        "before": status_to_dict(result.before),
        "after": status_to_dict(result.after),
        "grid_before": _grid(result.grid_before),
        "grid_after": _grid(result.grid_after),
    }


def _grid(grid: SpotGrid) -> JsonDict:
    return {
        "move_fractions": list(grid.move_fractions),
        "coverage_ratios": {
            name: list(ratios) for name, ratios in zip(grid.pool_ids, grid.coverage_ratios, strict=True)
        },
    }
