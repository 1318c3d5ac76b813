"""A cascade as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.clearing.cascade_report import (
    CascadeReportData,
    LevelOutcome,
    by_minute,
    deepest_gap,
    share_of_worst_window,
)
from margincover.report.json import JsonDict

CASCADE_SCHEMA = "margincover/cascade/1"


def cascade_to_dict(data: CascadeReportData) -> JsonDict:
    """Return a cascade as a JSON-able dictionary; money in USD, moves and parts as decimals."""
    result, record, step = data.result, data.result.record, data.result.settings.step_s
    ledger = result.ledger
    return {
        "schema": CASCADE_SCHEMA,
        "version": data.provenance.version,
        "input_sha256": data.provenance.input_sha256,
        "seed": data.provenance.seed,
        "index": data.index_label,
        "step_s": step,
        "population": asdict(data.population),
        "ledger": {**asdict(ledger), "loss_usd": ledger.loss_usd, "difference_usd": ledger.difference_usd},
        "liquidated_usd": float(result.liquidated_usd.sum()),
        "longs_usd": float(record.sold_usd.sum()),
        "shorts_usd": float(record.bought_usd.sum()),
        "accounts_closed": int(record.n_closed.sum()),
        "liquidations": int(record.n_touched.sum()),
        "largest_rounds_in_a_step": int(record.rounds.max()),
        "steps_cut_at_the_bound": int(record.is_cut.sum()),
        "share_of_worst_40_minutes": share_of_worst_window(result.liquidated_usd, step, 2400.0),
        "fund_usd": {name: float(left) for name, left in zip(result.stage.venues, record.fund[-1], strict=True)},
        "markets": [*_markets(data)],
        "by_minute": {
            "liquidated_usd": by_minute(result.liquidated_usd, step).tolist(),
            "shortfall_usd": by_minute(record.shortfall, step).tolist(),
        },
        "levels": [_level(level) for level in data.levels],
        "systemic_map": {
            "moves": list(data.systemic.moving),
            "level": data.systemic.level.tolist(),
            "liquidated_usd": data.systemic.liquidated_usd.tolist(),
            "loop_gain": data.systemic.gain.tolist(),
        },
        "settings": dict(data.provenance.settings),
        "inputs": dict(data.provenance.scenario),
        "warnings": list(data.provenance.warnings),
        "not_modelled": list(data.provenance.not_modelled),
    }


def _level(level: LevelOutcome) -> JsonDict:
    return {**asdict(level), "furthest": list(level.furthest)}


def _markets(data: CascadeReportData) -> list[JsonDict]:
    result, record = data.result, data.result.record
    gap = deepest_gap(result)
    return [
        {
            "market": market.name,
            "mark": market.mark,
            "depth_usd": float(result.stage.depth_usd[m]),
            "lowest": float(record.low[:, m].min()),
            "highest": float(record.high[:, m].max()),
            "last": float(record.price[-1, m]),
            "deepest_gap_to_index": float(gap[m]),
            "least_depth_usd": float(record.depth[:, m].min()),
            "longs_usd": float(record.sold_usd[:, m].sum()),
            "shorts_usd": float(record.bought_usd[:, m].sum()),
            "unstable_from_fall": data.systemic.first_unstable(m, sign=-1.0),
            "unstable_from_rise": data.systemic.first_unstable(m, sign=1.0),
        }
        for m, market in enumerate(result.markets)
    ]
