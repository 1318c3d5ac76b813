"""A fund's size and policies side by side as dictionaries for JSON; money in USD, parts as decimals."""

from __future__ import annotations

import math
from dataclasses import asdict

from margincover.clearing.fund_report import FundSizeData, PolicyOutcome, PresentFund, WaterfallData
from margincover.model.provenance import Provenance
from margincover.numeric.pareto_intervals import TailEstimate, TailRisk
from margincover.report.json import JsonDict, JsonValue

FUND_SIZE_SCHEMA = "margincover/fund-size/1"
WATERFALL_SCHEMA = "margincover/fund-waterfall/1"


def fund_size_to_dict(data: FundSizeData) -> JsonDict:
    """Return a fund's size as a JSON-able dictionary; null stands for no bound, no finite mean or never."""
    size = data.size
    return {
        "schema": FUND_SIZE_SCHEMA,
        **_origin(data.provenance),
        "venue": data.venue,
        "market_usd": data.market_usd,
        "paths": data.n_paths,
        "horizon_days": data.horizon_days,
        "mean_deficit_usd": data.mean_deficit_usd,
        "share_of_paths_with_deficit": data.share_with_deficit,
        "recommended_usd": size.recommended_usd,
        "binding": size.binding,
        "newsvendor": _estimate(size.newsvendor_usd, *size.newsvendor_interval_usd),
        "cover_usd": {str(n): value for n, value in size.cover_usd.items()},
        "tails": {f"{1.0 - tail:g}": _tail(risk) for tail, risk in size.tails.items()},
        "present": None if data.present is None else _present(data.present),
        "maintenance": [asdict(case) for case in data.maintenance],
        "notes": list(size.notes),
    }


def waterfall_to_dict(data: WaterfallData) -> JsonDict:
    """Return policies on one shock as a JSON-able dictionary."""
    return {
        "schema": WATERFALL_SCHEMA,
        **_origin(data.provenance),
        "venue": data.venue,
        "market": data.market,
        "shock": data.shock,
        "market_usd": data.market_usd,
        "accounts": data.n_accounts,
        "accounts_failed": data.n_failed,
        "accounts_examined_for_splits": data.n_split,
        "loss_usd": data.loss_usd,
        "deficit_usd": data.deficit_usd,
        "fund_usd": data.fund_usd,
        "policies": {each.name: _outcome(each) for each in data.outcomes},
    }


def _outcome(outcome: PolicyOutcome) -> JsonDict:
    return {
        "is_the_venues_own": outcome.is_own,
        "layers": [
            {"name": layer.name, "kind": layer.kind.value, "paid_usd": paid}
            for layer, paid in zip(outcome.layers, outcome.paid_usd, strict=True)
        ],
        "residual_usd": outcome.residual_usd,
        "difference_usd": outcome.difference_usd,
        "payers": outcome.payers,
        **asdict(outcome.measures),
        "split_gain_fraction": outcome.split_gain_fraction,
    }


def _present(present: PresentFund) -> JsonDict:
    return {
        "fund_usd": present.fund_usd,
        "covers_fraction": present.covers_fraction,
        "depletion": _estimate(*present.depletion),
        "drawn": _estimate(*present.drawn),
        "refill_days": None if present.refill_days is None else [_finite(days) for days in present.refill_days],
        "expected_residual_usd": present.expected_residual_usd,
    }


def _tail(risk: TailRisk) -> JsonDict:
    return {
        "exceedances": risk.exceedances,
        "shape": risk.tail.shape,
        "threshold_usd": risk.tail.threshold,
        "var": _tail_estimate(risk.var),
        "es": None if risk.es is None else _tail_estimate(risk.es),
    }


def _tail_estimate(estimate: TailEstimate) -> JsonDict:
    return _estimate(estimate.value, estimate.low, estimate.high)


def _estimate(value: float, low: float, high: float) -> JsonDict:
    return {"value": value, "low": low, "high": _finite(high)}


def _finite(value: float) -> JsonValue:
    return value if math.isfinite(value) else None


def _origin(provenance: Provenance) -> JsonDict:
    return {
        "version": provenance.version,
        "input_sha256": provenance.input_sha256,
        "seed": provenance.seed,
        "settings": dict(provenance.settings),
        "inputs": dict(provenance.scenario),
        "warnings": list(provenance.warnings),
        "not_modelled": list(provenance.not_modelled),
    }
