"""A volatility assessment as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.model.volatility import CoinVolatility, ModelVolatility, VolatilityResult
from margincover.report.json import JsonDict

VOL_SCHEMA = "margincover/vol/1"


def volatility_to_dict(result: VolatilityResult) -> JsonDict:
    """Return an assessment as a JSON-able dictionary; volatilities are annual fractions (0.6 is 60 %)."""
    return {
        "schema": VOL_SCHEMA,
        "as_of": result.provenance.as_of,
        "version": result.provenance.version,
        "input_sha256": result.provenance.input_sha256,
        "settings": dict(result.provenance.settings),
        "warnings": list(result.provenance.warnings),
        "coins": {coin.coin: _coin(coin) for coin in result.coins},
        "failed": dict(result.failed),
    }


def _coin(coin: CoinVolatility) -> JsonDict:
    return {
        "end_utc": coin.end_utc,
        "step_s": coin.step_s,
        "n_days": coin.n_days,
        "best_by_qlike": coin.best or None,
        "models": [_model(model) for model in coin.models],
        "range_annual": {measure: dict(windows) for measure, windows in coin.range_annual.items()},
        "season_weekday": None if coin.season is None else coin.season[:24].tolist(),
        "season_weekend": None if coin.season is None else coin.season[24:].tolist(),
        "notes": list(coin.notes),
    }


def _model(model: ModelVolatility) -> JsonDict:
    return {
        "name": model.name,
        "level_annual": model.level_annual,
        "one_day_annual": model.one_day_annual,
        "five_days_annual": model.five_days_annual,
        "scores": None if model.scores is None else asdict(model.scores),
        "fallback_now": model.fallback_now or None,
        "fallback_days": dict(model.fallback_days),
    }
