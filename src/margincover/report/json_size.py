"""A sizing as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.model.sizing import SizeCurve, SizePoint, SizingResult
from margincover.report.json import JsonDict
from margincover.report.size_words import initial_notes

SIZE_SCHEMA = "margincover/size/1"


def sizing_to_dict(result: SizingResult) -> JsonDict:
    """Return a sizing as a JSON-able dictionary; sizes are notional over capital."""
    return {
        "schema": SIZE_SCHEMA,
        "as_of": result.provenance.as_of,
        "version": result.provenance.version,
        "input_sha256": result.provenance.input_sha256,
        "seed": result.provenance.seed,
        "account_id": result.account_id,
        "symbol": result.symbol,
        "capital_usd": result.capital_usd,
        "is_capital_stated": result.is_capital_stated,
        "present_contracts": None if result.symbol is None else result.present_contracts,
        "tolerance": result.tolerance,
        "horizon_s": result.horizon_s,
        "n_paths": result.n_paths,
        "sides": [_curve(curve) for curve in result.curves],
        "notes": [*result.notes, *initial_notes(result)],
        "warnings": list(result.provenance.warnings),
        "not_modelled": list(result.provenance.not_modelled),
        "scenario": dict(result.provenance.scenario),
    }


def _curve(curve: SizeCurve) -> JsonDict:
    return {
        "side": curve.side,
        "largest": curve.contracts,
        "largest_at": _point(curve.stated),
        "contracts_or_multiples_per_size": curve.per_size,
        "present_size": curve.present,
        "present_probability": asdict(curve.present_probability),
        "curve": [_point(point) for point in curve.points],
        "pools_at_largest": [
            {
                "pool_id": pool.pool_id,
                "equity_usd": pool.equity_usd,
                "maintenance_usd": pool.maintenance_usd,
                "initial_usd": pool.initial_usd,
                "gross_notional_usd": pool.gross_notional_usd,
            }
            for pool in curve.pools
        ],
    }


def _point(point: SizePoint) -> JsonDict:
    return {
        "tolerance": point.tolerance,
        "horizon_s": point.horizon_s,
        "bound": point.bound.value,
        "size": point.size,
        "next_size": point.next_size,
        "standard_error": point.standard_error,
        "low": point.low,
        "high": point.high,
        "probability": asdict(point.probability),
    }
