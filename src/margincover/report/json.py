"""Results as dictionaries for JSON, and as flat rows for data frames: full precision, no rounding, no NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from margincover.model.announcement import AccountEffect, RuleAnnouncement
from margincover.model.explain import ExplainNode
from margincover.model.provenance import Provenance
from margincover.model.results import (
    CoverageResult,
    Estimate,
    HorizonProbability,
    LiquidationLevel,
    PoolCoverage,
    PoolStatus,
    Reconciliation,
    StatusResult,
)
from margincover.report.add_ons import add_ons_to_dict
from margincover.report.format import check_probability, difference_bps, finite
from margincover.report.parts import at_horizon
from margincover.units import format_duration, format_utc

STATUS_SCHEMA = "margincover/status/1"
COVERAGE_SCHEMA = "margincover/coverage/1"

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonDict: TypeAlias = dict[str, JsonValue]


def status_to_dict(result: StatusResult) -> JsonDict:
    """Return a status as a JSON-able dictionary.

    Parameters
    ----------
    result : StatusResult

    Returns
    -------
    dict
        Keys in a fixed order, ``schema`` first. Money carries ``_native`` (in the pool's ``unit``) or ``_usd``,
        ratios are decimals, what is absent is None.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    return {
        "schema": STATUS_SCHEMA,
        "pools": [_status(pool) for pool in result.pools],
        "reconciliation": [comparison_to_dict(line) for line in result.reconciliation],
        "announcements": [_announcement(each) for each in result.announcements],
        "provenance": _provenance(result.provenance),
    }


def coverage_to_dict(result: CoverageResult) -> JsonDict:
    """Return a coverage result as a JSON-able dictionary.

    Parameters
    ----------
    result : CoverageResult

    Returns
    -------
    dict
        As ``status_to_dict``; every estimate is ``{value, standard_error, low, high}`` with a 95 % interval. The
        simulated paths themselves are left out, the worst of each pool are named.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability outside 0 to 1.
    """
    paths = result.paths
    return {
        "schema": COVERAGE_SCHEMA,
        "tolerance_probability": finite(result.tolerance, field="tolerance"),
        "horizon_s": result.horizon_s,
        "measure": result.measure,
        "required_usd": finite(result.required_usd, field="required_usd"),
        "available_usd": finite(result.available_usd, field="available_usd"),
        "gap_usd": finite(result.gap_usd, field="gap_usd"),
        "surplus_usd": finite(result.surplus_usd, field="surplus_usd"),
        "any_pool_probabilities": [_horizon(entry, "any pool") for entry in result.any_liquidation],
        "pools": [_coverage(pool) for pool in result.pools],
        **({"add_ons": add_ons_to_dict(result.add_ons)} if result.add_ons is not None else {}),
        "reconciliation": [comparison_to_dict(line) for line in result.reconciliation],
        "simulation": {
            "n_paths": result.n_paths,
            "seed": paths.seed,
            "step_s": paths.step_s,
            "n_steps": paths.n_steps,
            "n_horizon_steps": paths.n_horizon_steps,
        },
        "provenance": _provenance(result.provenance),
    }


def rows(result: StatusResult | CoverageResult) -> list[JsonDict]:
    """Return one flat row per pool, in the order of the result, for a data frame.

    Every row has the same columns. A coverage row adds to the status columns the capital figures and, per horizon,
    ``liquidation_probability_24h`` with ``_low`` and ``_high``, and the same for ``margin_call_probability``.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    if isinstance(result, StatusResult):
        return [_flat_status(pool) for pool in result.pools]
    horizons = sorted({entry.horizon_s for pool in result.pools for entry in pool.probabilities})
    return [_flat_coverage(pool, horizons) for pool in result.pools]


def _optional(value: float | None, *, field: str, account: str) -> float | None:
    return None if value is None else finite(value, field=field, account=account)


def _estimate(estimate: Estimate, *, field: str, account: str) -> JsonDict:
    return {
        "value": finite(estimate.value, field=field, account=account),
        "standard_error": finite(estimate.standard_error, field=f"{field}.standard_error", account=account),
        "low": finite(estimate.low, field=f"{field}.low", account=account),
        "high": finite(estimate.high, field=f"{field}.high", account=account),
    }


def _horizon(entry: HorizonProbability, account: str) -> JsonDict:
    for name, estimate in (("liquidation", entry.liquidation), ("margin_call", entry.margin_call)):
        check_probability(estimate, field=f"{account}: {name}_probability")
    return {
        "horizon_s": entry.horizon_s,
        "liquidation_probability": _estimate(entry.liquidation, field="liquidation_probability", account=account),
        "margin_call_probability": _estimate(entry.margin_call, field="margin_call_probability", account=account),
    }


_STATUS_FIGURES = (
    "unit_usd",
    "equity_native",
    "maintenance_native",
    "initial_native",
    "headroom_native",
    "equity_usd",
    "maintenance_usd",
    "initial_usd",
    "headroom_usd",
    "gross_notional_usd",
    "coverage_ratio",
    "margin_call_coverage_ratio",
)
_STATUS_NAMES = ("pool_id", "account_id", "venue", "mode", "margin_mode", "unit", "state")


def _flat_status(pool: PoolStatus) -> JsonDict:
    flat: JsonDict = {name: str(getattr(pool, name)) for name in _STATUS_NAMES}
    for name in _STATUS_FIGURES:
        flat[name] = _optional(getattr(pool, name), field=name, account=pool.pool_id)
    down, up = pool.common_move_down, pool.common_move_up
    flat["common_move_down_fraction"] = _optional(down, field="common_move_down", account=pool.pool_id)
    flat["common_move_up_fraction"] = _optional(up, field="common_move_up", account=pool.pool_id)
    return flat


def _status(pool: PoolStatus) -> JsonDict:
    return {
        **_flat_status(pool),
        "liquidation_prices": [_level(level, pool.pool_id) for level in pool.levels],
        "notes": list(pool.notes),
        **({"explain": [_explain(node, pool.pool_id) for node in pool.explain]} if pool.explain else {}),
    }


def _explain(node: ExplainNode, account: str) -> JsonDict:
    return {
        "label": node.label,
        "value": finite(node.value, field=node.label, account=account),
        "unit": node.unit,
        "detail": node.detail,
        "parts": [_explain(child, account) for child in node.children],
    }


def _level(level: LiquidationLevel, account: str) -> JsonDict:
    names = ("mark_price", "down", "up", "venue_price", "reported")
    figures = {name: _optional(getattr(level, name), field=f"{level.symbol}.{name}", account=account) for name in names}
    return {"symbol": level.symbol, **figures}


_COVERAGE_FIGURES = (
    "required_native",
    "available_native",
    "gap_native",
    "gap_standard_error_native",
    "required_usd",
    "available_usd",
    "gap_usd",
    "required_coverage_ratio",
    "time_to_liquidation_p50_s",
)


def _capital(pool: PoolCoverage) -> JsonDict:
    name = pool.status.pool_id
    return {figure: _optional(getattr(pool, figure), field=figure, account=name) for figure in _COVERAGE_FIGURES}


def _coverage(pool: PoolCoverage) -> JsonDict:
    name = pool.status.pool_id
    return {
        "verdict": pool.verdict,
        "measure": pool.measure,
        "unit": pool.status.unit,
        **_capital(pool),
        "rc_native": _estimate(pool.rc, field="rc", account=name),
        "rces_native": _estimate(pool.rces, field="rces", account=name),
        "contributions_native": {
            part: finite(value, field=f"contributions.{part}", account=name)
            for part, value in pool.contributions.items()
        },
        "probabilities": [_horizon(entry, name) for entry in pool.probabilities],
        "worst_paths": [
            {
                "path": int(path),
                "maximum_native": finite(maximum, field="worst_paths", account=name),
                "hour": finite(hour, field="worst_paths", account=name),
            }
            for path, maximum, hour in pool.worst_paths
        ],
        "status": _status(pool.status),
    }


def _flat_coverage(pool: PoolCoverage, horizons: list[int]) -> JsonDict:
    flat = _flat_status(pool.status)
    flat.update(verdict=pool.verdict, measure=pool.measure, **_capital(pool))
    for measure, estimate in (("rc", pool.rc), ("rces", pool.rces)):
        figures = _estimate(estimate, field=measure, account=pool.status.pool_id)
        flat.update({f"{measure}_native" + ("" if k == "value" else f"_{k}"): v for k, v in figures.items()})
    for horizon_s in horizons:
        entry = at_horizon(pool.probabilities, horizon_s)
        for level in ("liquidation", "margin_call"):
            estimate_or_none = getattr(entry, level) if entry is not None else None
            name = f"{level}_probability_{format_duration(horizon_s)}"
            for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high")):
                value = getattr(estimate_or_none, part) if estimate_or_none is not None else None
                flat[name + suffix] = _optional(value, field=name, account=pool.status.pool_id)
    return flat


def comparison_to_dict(line: Reconciliation) -> JsonDict:
    """Return one comparison with a venue as a JSON-able dictionary; the difference is None against a figure of 0."""
    return {
        "pool_id": line.pool_id,
        "figure": line.figure,
        "unit": line.unit,
        "ours": finite(line.ours, field=line.figure, account=line.pool_id),
        "venue": finite(line.venue, field=line.figure, account=line.pool_id),
        "difference_bps": difference_bps(line),
    }


def _announcement(announcement: RuleAnnouncement) -> JsonDict:
    return {
        "venue": announcement.venue,
        "valid_from": format_utc(announcement.valid_from),
        "rules": list(announcement.rules),
        "editions": list(announcement.editions),
        "seen_after_as_of": announcement.seen_after_as_of,
        "effects": [_effect(effect) for effect in announcement.effects],
        "problems": list(announcement.problems),
    }


_EFFECT_FIGURES = (
    "equity_before_usd",
    "equity_after_usd",
    "maintenance_before_usd",
    "maintenance_after_usd",
    "initial_before_usd",
    "initial_after_usd",
)


def _effect(effect: AccountEffect) -> JsonDict:
    name = effect.account_id
    figures = {figure: _optional(getattr(effect, figure), field=figure, account=name) for figure in _EFFECT_FIGURES}
    return {
        "account_id": name,
        **figures,
        "liquidatable": list(effect.liquidatable),
        "called": list(effect.called),
    }


def _texts(mapping: Mapping[str, str]) -> JsonDict:
    return {key: str(value) for key, value in mapping.items()}


def _provenance(provenance: Provenance) -> JsonDict:
    return {
        "version": provenance.version,
        "as_of": provenance.as_of,
        "input_sha256": provenance.input_sha256,
        "seed": provenance.seed,
        "settings": _texts(provenance.settings),
        "editions": [
            {
                "venue": use.venue,
                "edition": use.edition,
                "valid_from": use.valid_from,
                "source": use.source,
                "retrieved": use.retrieved,
                "age_days": use.age_days,
            }
            for use in provenance.editions
        ],
        "scenario": _texts(provenance.scenario),
        "warnings": list(provenance.warnings),
        "not_modelled": list(provenance.not_modelled),
    }
