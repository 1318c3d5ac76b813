"""Liquidity as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.liquidity.verdict import verdict
from margincover.model.liquidity import LiquidityResult, SupplyTable
from margincover.report.json import JsonDict

LIQUIDITY_SCHEMA = "margincover/liquidity/1"


def liquidity_to_dict(result: LiquidityResult) -> JsonDict:
    """Return a liquidity result as a JSON-able dictionary; amounts in USD, needs and losses positive, times in s."""
    provenance, found = result.provenance, verdict(result)
    return {
        "schema": LIQUIDITY_SCHEMA,
        "as_of": provenance.as_of,
        "version": provenance.version,
        "input_sha256": provenance.input_sha256,
        "seed": provenance.seed,
        "tolerance": result.tolerance,
        "horizon_s": result.horizon_s,
        "n_paths": result.n_paths,
        "level": found.level.name.lower(),
        "reasons": list(found.reasons),
        "survival_horizon": asdict(result.survival),
        "debt_coverage_ratio": result.debt_coverage_ratio,
        "ladder": [asdict(row) for row in result.ladder],
        "needs": [asdict(row) for row in result.needs],
        "debts": [asdict(row) for row in result.debts],
        "loans": [asdict(row) for row in result.loans],
        "liquid_stock": asdict(result.stock),
        "concentrations": [{**asdict(row), "shares": dict(row.shares)} for row in result.concentrations],
        "liquidity_at_risk_usd": None if result.calls is None else dict(asdict(result.calls)),
        "supply": _supply(result.supply),
        "settings": dict(provenance.settings),
        "warnings": list(provenance.warnings),
        "not_modelled": list(provenance.not_modelled),
        "scenario": dict(provenance.scenario),
    }


def _supply(supply: SupplyTable) -> JsonDict:
    return {
        "until_s": list(supply.buckets_s),
        "places": list(supply.accounts),
        "sources": [
            {
                **asdict(source),
                "usable_by_usd": supply.total_usd[:, number].tolist(),
                "reached_usd": {
                    place: supply.way_usd[:, number, column].tolist()
                    for column, place in enumerate(supply.accounts)
                    if supply.way_usd[-1, number, column] > 0.0
                },
            }
            for number, source in enumerate(supply.sources)
        ],
        "left_out": list(supply.notes),
    }
