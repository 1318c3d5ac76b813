"""An emergency plan as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from margincover.model.rescue import ContingencyResult, RescueAction, RescueResult
from margincover.report.json import JsonDict
from margincover.units import format_utc

RESCUE_SCHEMA = "margincover/rescue/1"


def rescue_to_dict(result: RescueResult) -> JsonDict:
    """Return an emergency plan as a JSON-able dictionary; costs and buffers are positive, in USD, times in seconds."""
    return {
        "schema": RESCUE_SCHEMA,
        "as_of": result.provenance.as_of,
        "version": result.provenance.version,
        "input_sha256": result.provenance.input_sha256,
        "seed": result.provenance.seed,
        "state": result.state,
        "tolerance": result.tolerance,
        "horizon_s": result.horizon_s,
        "n_paths": result.n_paths,
        "meets_tolerance": result.meets,
        "cost_usd": result.cost_usd,
        "any_liquidation": {
            "before": asdict(result.any_before),
            "after": asdict(result.any_after),
            "check_on_fresh_paths": asdict(result.any_check),
        },
        "actions": [_action(action) for action in result.actions],
        "accounts": [{**asdict(account), "is_kept": account.is_kept} for account in result.accounts],
        "rejected": [asdict(row) for row in result.rejected],
        "contingency": None if result.contingency is None else _contingency(result.contingency),
        "settings": dict(result.provenance.settings),
        "scenario": dict(result.provenance.scenario),
        "warnings": list(result.provenance.warnings),
        "not_modelled": list(result.provenance.not_modelled),
    }


def _action(action: RescueAction) -> JsonDict:
    return {**asdict(action), "cost_usd": action.cost.total_usd}


def _contingency(standing: ContingencyResult) -> JsonDict:
    data = dict(asdict(standing))
    for use in data["uses"]:
        tested: datetime | None = use["tested_at"]
        use["tested_at"] = None if tested is None else format_utc(tested)
    return data
