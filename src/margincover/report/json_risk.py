"""Risk measures as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.model.risk import LiquidityAtRisk, RiskResult
from margincover.report.json import JsonDict

RISK_SCHEMA = "margincover/risk/1"


def risk_to_dict(result: RiskResult) -> JsonDict:
    """Return risk measures as a JSON-able dictionary; losses and calls are positive, in USD."""
    return {
        "schema": RISK_SCHEMA,
        "as_of": result.provenance.as_of,
        "version": result.provenance.version,
        "input_sha256": result.provenance.input_sha256,
        "seed": result.provenance.seed,
        "tolerance": result.tolerance,
        "horizon_s": result.horizon_s,
        "n_paths": result.n_paths,
        "batches": result.batches,
        "quantile_rule": result.quantile_rule,
        "stress": result.stress,
        "rows": [asdict(row) for row in result.rows],
        "contributions_usd": [asdict(part) for part in result.parts],
        "liquidity_at_risk_usd": _liquidity(result.liquidity),
        "stressed_liquidity_at_risk_usd": _liquidity(result.stressed_liquidity),
        "warnings": list(result.provenance.warnings),
        "not_modelled": list(result.provenance.not_modelled),
        "scenario": dict(result.provenance.scenario),
    }


def _liquidity(figures: LiquidityAtRisk) -> JsonDict:
    return dict(asdict(figures))
