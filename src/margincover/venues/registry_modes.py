"""Read one account mode of a rule file: how equity, maintenance and initial margin are counted in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from margincover.model.rules import (
    ClosingFee,
    MaintenanceScale,
    ModelFor,
    ModeRule,
    PoolBy,
    PriceBasis,
    Product,
    TickRule,
)
from margincover.venues.registry_fields import Place

MARGIN_MODES = ("cross", "isolated")
# No venue charges more than 1 % per trade; 5 % leaves room and still catches a fee written in per cent.
LARGEST_TAKER_FEE = 0.05
# What tiers and haircuts would say; a mode with a model need not state it.
_MODEL_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "maintenance_basis": "mark",
        "initial_basis_cross": "mark",
        "initial_basis_isolated": "mark",
        "closing_fee": "none",
        "closing_fee_in_initial": False,
        "fee_in_reported_maintenance": False,
        "tick_rule": "none",
        "haircut_collateral": False,
    }
)
# Venues charge funding once a day at the least.
LONGEST_FUNDING_INTERVAL_HOURS = 24.0
_MODE_KEYS = frozenset(ModeRule.__dataclass_fields__) - {"name"}


def mode_rule(edition_place: Place, place: Place, name: str, products: Mapping[str, Product]) -> ModeRule:
    """Return the rule of one account mode.

    Raises
    ------
    RulebookError
        If a key is unknown or missing, a value is out of range, or the mode holds a product that nothing margins.
    """
    place.only(_MODE_KEYS)
    model = place.text("model", "")
    model_for = _model_for(place, model)
    if model and model_for is ModelFor.ALL:
        place.table = {**_MODEL_DEFAULTS, **place.table}
    chosen = place.texts("products", tuple(products))
    untiered = [p for p in chosen if not products[p].tier_key]
    if model and model_for is ModelFor.OPTIONS:
        untiered = [p for p in untiered if not products[p].is_option]
    if untiered and (not model or model_for is ModelFor.OPTIONS):
        raise place.error(
            f"held {', '.join(untiered)}, which has no tiers", key="products", allowed="a model in the mode, or tiers"
        )
    level = place.number("margin_call_coverage_ratio") if "margin_call_coverage_ratio" in place.table else None
    if level is not None and not 1.0 < level <= 100.0:
        raise place.error(f"was {level}", key="margin_call_coverage_ratio", allowed="equity / maintenance in (1, 100]")
    return ModeRule(
        name=name,
        products=chosen,
        pool_by=place.choice("pool_by", PoolBy),
        margin_modes=place.texts("margin_modes", MARGIN_MODES),
        maintenance_basis=place.choice("maintenance_basis", PriceBasis),
        initial_basis_cross=place.choice("initial_basis_cross", PriceBasis),
        initial_basis_isolated=place.choice("initial_basis_isolated", PriceBasis),
        closing_fee=place.choice("closing_fee", ClosingFee),
        closing_fee_in_initial=place.flag("closing_fee_in_initial"),
        fee_in_reported_maintenance=place.flag("fee_in_reported_maintenance"),
        default_taker_fee_fraction=_taker_fee(place),
        margin_call_coverage_ratio=level,
        tick_rule=place.choice("tick_rule", TickRule),
        haircut_collateral=place.flag("haircut_collateral"),
        confidence=place.text("confidence", edition_place.text("confidence")),
        source=f"{edition_place.text('id')}; {place.text('source', edition_place.text('source'))}",
        notes=place.text("notes", str(edition_place.table.get("note", "")) or "see the edition"),
        model=model,
        model_for=model_for,
        unit=place.text("unit", "USD"),
        uses_tiers=place.flag("uses_tiers", True),
        initial_closing_fee=_initial_closing_fee(place),
        maintenance_scale=_maintenance_scale(place),
        funding_in_maintenance_hours=_funding_hours(place),
        backstop_of_maintenance_fraction=_backstop(place),
    )


def _backstop(place: Place) -> float | None:
    key = "backstop_of_maintenance_fraction"
    if key not in place.table:
        return None
    share = place.number(key)
    if not 0.0 < share < 1.0:
        raise place.error(f"was {share}", key=key, allowed="equity / maintenance in (0, 1)")
    return share


def _model_for(place: Place, model: str) -> ModelFor:
    if "model_for" not in place.table:
        return ModelFor.ALL
    found = place.choice("model_for", ModelFor)
    if not model:
        raise place.error(f"was '{found.value}'", key="model_for", allowed="only beside a model")
    return found


def _taker_fee(place: Place) -> float:
    fee = place.number("default_taker_fee_fraction")
    if not 0.0 <= fee <= LARGEST_TAKER_FEE:
        raise place.error(
            f"was {fee}",
            key="default_taker_fee_fraction",
            allowed="a fraction from 0 to 0.05 (0.0005 is 5 basis points)",
        )
    return fee


def _maintenance_scale(place: Place) -> MaintenanceScale:
    absent = "maintenance_scale" not in place.table
    return MaintenanceScale.VALUE if absent else place.choice("maintenance_scale", MaintenanceScale)


def _initial_closing_fee(place: Place) -> ClosingFee | None:
    if "initial_closing_fee" not in place.table:
        return None
    found = place.choice("initial_closing_fee", ClosingFee)
    if not place.flag("closing_fee_in_initial"):
        raise place.error(
            f"was '{found.value}'", key="initial_closing_fee", allowed="only beside closing_fee_in_initial = true"
        )
    return found


def _funding_hours(place: Place) -> float:
    hours = place.number("funding_in_maintenance_hours", 0.0)
    if not 0.0 <= hours <= LONGEST_FUNDING_INTERVAL_HOURS:
        raise place.error(f"was {hours}", key="funding_in_maintenance_hours", allowed="hours from 0 to 24")
    return hours
