"""Stress results as dictionaries for JSON, and as flat rows for data frames: full precision, no NaN."""

from __future__ import annotations

import math

from margincover.model.results import StatusResult
from margincover.model.stress import PoolStress, ReverseStress, ScenarioResult, StressResult
from margincover.model.whatif import CellState
from margincover.report.json import JsonDict, status_to_dict
from margincover.units import format_utc

STRESS_SCHEMA = "margincover/stress/1"
STATE_NAMES = {CellState.FINE: "open", CellState.CALLED: "called", CellState.LIQUIDATED: "liquidated"}


def stress_to_dict(result: StressResult) -> JsonDict:
    """Return a stress result as a JSON-able dictionary: scenarios worst first, reverse stress nearest first.

    ``cash_hour`` is the hour after which money can first reach the venue where a halt stands in the way: None where
    none does, ``"unknown"`` where the halt has no known end.
    """
    provenance = status_to_dict(StatusResult(pools=(), reconciliation=(), provenance=result.provenance))["provenance"]
    return {
        "schema": STRESS_SCHEMA,
        "scenarios": [_scenario(each) for each in result.scenarios],
        "reverse": {
            "horizon_s": result.reverse_horizon_s,
            "notes": list(result.reverse_notes),
            "moves": [_reverse(each) for each in result.reverse],
        },
        "provenance": provenance,
    }


def stress_rows(result: StressResult) -> list[JsonDict]:
    """Return one flat row per scenario and pool."""
    return [
        {"scenario": each.scenario.name, "kind": each.scenario.kind, **_figures(pool)}
        for each in result.scenarios
        for pool in each.pools
    ]


def _scenario(each: ScenarioResult) -> JsonDict:
    scenario = each.scenario
    return {
        "name": scenario.name,
        "title": scenario.title,
        "kind": scenario.kind,
        "start": None if scenario.start is None else format_utc(scenario.start),
        "hours": scenario.n_hours if scenario.is_path else 0,
        "state": STATE_NAMES[each.state],
        "pools_liquidated": each.n_liquidated,
        "cash_usd": each.cash_usd,
        "cash_blocked_usd": each.blocked_usd,
        "loss_usd": each.loss_usd,
        "pools": [{**_figures(pool), "path_headroom_usd": pool.path_headroom_usd.tolist()} for pool in each.pools],
        "fills": [{"pool_id": fill.pool_id, "factor": fill.factor, "rule": fill.rule} for fill in each.fills],
        "halts": [
            {
                "venue": halt.venue,
                "from_hour": halt.from_hour,
                "to_hour": halt.to_hour,
                "what": halt.what,
                "assets": list(halt.assets),
                "source": halt.source,
            }
            for halt in scenario.halts
        ],
        "notes": list(each.notes),
        "sources": list(scenario.sources),
    }


def _figures(pool: PoolStress) -> JsonDict:
    return {
        "pool_id": pool.pool_id,
        "account_id": pool.account_id,
        "venue": pool.venue,
        "unit": pool.unit,
        "state": STATE_NAMES[pool.state],
        "headroom_start_usd": pool.headroom_start_usd,
        "equity_native": pool.equity_native,
        "maintenance_native": pool.maintenance_native,
        "coverage_ratio": pool.coverage_ratio,
        "shortfall_native": pool.shortfall_native,
        "shortfall_usd": pool.shortfall_usd,
        "cash_native": pool.cash_native,
        "cash_usd": pool.cash_usd,
        "loss_usd": pool.loss_usd,
        "worst_hour": pool.worst_hour,
        "called_hour": pool.called_hour,
        "liquidated_hour": pool.liquidated_hour,
        "cash_hour": "unknown" if pool.cash_hour is not None and math.isinf(pool.cash_hour) else pool.cash_hour,
    }


def _reverse(each: ReverseStress) -> JsonDict:
    found = each.analogue
    return {
        "accounts": list(each.accounts),
        "pools": list(each.pools),
        "distance": each.distance,
        "moves": dict(each.moves),
        "volatility_fraction": each.volatility_fraction,
        "headroom_ratio_after": each.headroom_ratio,
        "tail_probability_normal": each.tail_normal,
        "tail_probability_student": each.tail_student,
        "direction_probability_student": each.half_space_student,
        "analogue": None
        if found is None
        else {
            "episode": found.episode,
            "title": found.title,
            "from_hour": found.from_hour,
            "to_hour": found.to_hour,
            "cosine": found.cosine,
            "size_ratio": found.size_ratio,
            "factors": list(found.factors),
        },
    }
