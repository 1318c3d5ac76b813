"""Parameters of Derive's margin rules: the standard manager (SM) and the portfolio manager (PM2).

The numbers stand in ``data/parameters/derive.toml``. ``from_mapping`` is the door for such a table: it refuses unknown
and missing keys, NaN and fractions that look like percent. The classes themselves accept any finite number, so that a
rule can be studied at values no venue would publish.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from types import MappingProxyType

from margincover.errors import RulebookError


class VolatilityShock(Enum):
    """How a PM2 scenario moves implied volatility."""

    UP = "up"
    STATIC = "static"
    DOWN = "down"
    SKEW_LINEAR = "skew_linear"
    SKEW_ABSOLUTE = "skew_absolute"


class PerpPrice(Enum):
    """Price on which the standard manager measures a perpetual's margin."""

    MARK = "mark"
    INDEX = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardParameters:
    """Parameters of the standard manager for one underlying.

    ``*_fraction`` are fractions of a price (0.05 = 5 %). ``unpaired_*_factor`` multiply the forward per net short call,
    ``put_initial_over_maintenance_factor`` bounds the initial margin of a short put by a multiple of its maintenance,
    ``base_initial_scale`` multiplies the maintenance credit of base collateral. ``perp_price`` says on which price the
    margin of a perpetual is measured; its profit is always that of the mark.
    """

    perp_initial_fraction: float
    perp_maintenance_fraction: float
    option_initial_max_fraction: float
    option_initial_min_fraction: float
    call_maintenance_fraction: float
    put_maintenance_fraction: float
    put_maintenance_value_fraction: float
    put_initial_over_maintenance_factor: float
    unpaired_initial_factor: float
    unpaired_maintenance_factor: float
    base_margin_fraction: float
    base_initial_scale_fraction: float
    depeg_threshold_fraction: float
    depeg_factor: float
    confidence_threshold_fraction: float
    oracle_factor: float
    perp_price: PerpPrice = PerpPrice.MARK

    def __post_init__(self) -> None:
        _check_finite(self, "StandardParameters")

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> StandardParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is no finite number or looks like a percentage.
        """
        names = [f.name for f in fields(cls)]
        _check_keys(data, names, source)
        prices = {price.value: price for price in PerpPrice}
        if data["perp_price"] not in prices:
            raise RulebookError(
                f"was {data['perp_price']!r}", source=source, field="perp_price", allowed=", ".join(prices)
            )
        numbers = {name: _number(data, name, source) for name in names if name != "perp_price"}
        return cls(perp_price=prices[str(data["perp_price"])], **numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRate:
    """Interest rate that stands in where an expiry has none, as a fraction per year."""

    rate_per_year: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> StaticRate:
        """Return the rate of a rule table; RulebookError for a wrong key or value."""
        return cls(**checked_numbers(data, [f.name for f in fields(cls)], source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pm2Scenario:
    """One PM2 scenario: spot is multiplied by ``spot_factor``, its profit and loss by ``dampening_factor``."""

    spot_factor: float
    volatility: VolatilityShock
    dampening_factor: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spot_factor) and self.spot_factor > 0 and math.isfinite(self.dampening_factor)):
            raise RulebookError(
                f"was {self.spot_factor} and {self.dampening_factor}",
                field="scenario",
                allowed="a spot factor > 0 and a finite dampening factor",
            )

    @property
    def is_skew(self) -> bool:
        """Return whether the scenario turns the smile instead of moving it."""
        return self.volatility in (VolatilityShock.SKEW_LINEAR, VolatilityShock.SKEW_ABSOLUTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralHaircut:
    """Haircuts of one collateral; ``extra_initial_haircut_fraction`` comes on top of the maintenance one."""

    maintenance_haircut_fraction: float
    extra_initial_haircut_fraction: float
    is_risk_cancelling: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pm2Parameters:
    """Parameters of the portfolio manager PM2 for one underlying.

    The ``*_extra_initial_*`` fractions are what initial margin adds to maintenance, as the contract stores them.
    ``*_per_year`` are added to a rate, ``*_power`` are exponents of (30 days / time to expiry).
    """

    volatility_up_fraction: float
    volatility_down_fraction: float
    volatility_up_floor: float
    short_term_power: float
    long_term_power: float
    days_floor: float
    linear_cap_base: float
    linear_cap_slope: float
    absolute_cap_base: float
    absolute_cap_slope: float
    skew_width_floor: float
    skew_width_scale: float
    skew_volatility_base: float
    skew_volatility_slope: float
    maintenance_loss_factor: float
    initial_loss_factor: float
    positive_discount_factor: float
    positive_rate_scale: float
    positive_rate_add_per_year: float
    negative_discount_factor: float
    negative_rate_scale: float
    negative_rate_add_per_year: float
    basis_up_factor: float
    basis_down_factor: float
    basis_add_factor: float
    basis_factor_per_year: float
    peg_threshold_fraction: float
    peg_factor: float
    confidence_threshold_fraction: float
    oracle_factor: float
    perp_maintenance_fraction: float
    perp_extra_initial_fraction: float
    option_maintenance_fraction: float
    option_extra_initial_fraction: float
    scenarios: tuple[Pm2Scenario, ...]
    haircuts: Mapping[str, CollateralHaircut]

    def __post_init__(self) -> None:
        _check_finite(self, "Pm2Parameters")
        if not self.scenarios:
            raise RulebookError("was empty", field="scenarios", allowed="at least one scenario")
        if (
            self.basis_up_factor <= 0
            or self.basis_down_factor <= 0
            or self.days_floor <= 0
            or self.skew_width_floor <= 0
        ):
            raise RulebookError(
                "a basis factor, the floor of days or the floor of the skew width was not > 0",
                field="Pm2Parameters",
                allowed="basis_up_factor, basis_down_factor, days_floor, skew_width_floor > 0",
            )

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> Pm2Parameters:
        """Return the parameters of a rule table; ``scenarios`` and ``haircuts`` are lists of tables.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is no finite number or looks like a percentage.
        """
        names = [f.name for f in fields(cls)]
        _check_keys(data, names, source)
        numbers = [name for name in names if name not in ("scenarios", "haircuts")]
        haircuts = dict(_haircut(row, source) for row in _rows(data, "haircuts", source))
        return cls(
            scenarios=tuple(_scenario(row, source) for row in _rows(data, "scenarios", source)),
            haircuts=MappingProxyType(haircuts),
            **{name: _number(data, name, source) for name in numbers},
        )


def checked_numbers(data: Mapping[str, object], names: list[str], source: str) -> dict[str, float]:
    """Return exactly the named numbers of a table.

    Raises
    ------
    RulebookError
        If a key is unknown or missing, or a value is no finite number or looks like a percentage.
    """
    _check_keys(data, names, source)
    return {name: _number(data, name, source) for name in names}


def _check_finite(item: StandardParameters | Pm2Parameters, where: str) -> None:
    for field in fields(item):
        value = getattr(item, field.name)
        if isinstance(value, (int, float)) and not math.isfinite(value):
            raise RulebookError(f"was {value}", source=where, field=field.name, allowed="a finite number")


def _check_keys(data: Mapping[str, object], allowed: list[str], source: str, field: str = "parameters") -> None:
    unknown, missing = sorted(set(data) - set(allowed)), [name for name in allowed if name not in data]
    if unknown or missing:
        found = f"unknown key {', '.join(unknown)}" if unknown else f"{', '.join(missing)} was missing"
        raise RulebookError(found, source=source, field=field, allowed=", ".join(allowed))


def _number(data: Mapping[str, object], key: str, source: str) -> float:
    """Return a finite number; a name that ends in ``_fraction`` allows 0 to 1 only, so that 5 for 5 % is refused."""
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RulebookError(f"was {value!r}", source=source, field=key, allowed="a finite number")
    if key.endswith("_fraction") and not 0.0 <= value <= 1.0:
        raise RulebookError(f"was {value}", source=source, field=key, allowed="a fraction from 0 to 1 (0.05 is 5 %)")
    # Slopes and caps of the skew may be negative; nothing else may.
    if value < 0 and not key.endswith(("_slope", "_base")):
        raise RulebookError(f"was {value}", source=source, field=key, allowed="a number >= 0")
    return float(value)


def _rows(data: Mapping[str, object], key: str, source: str) -> list[Mapping[str, object]]:
    rows = data[key]
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise RulebookError(f"was {rows!r}", source=source, field=key, allowed="a list of tables")
    return list(rows)


def _scenario(row: Mapping[str, object], source: str) -> Pm2Scenario:
    _check_keys(row, [f.name for f in fields(Pm2Scenario)], source, "scenarios")
    kinds = {kind.value: kind for kind in VolatilityShock}
    if row["volatility"] not in kinds:
        found = f"volatility was {row['volatility']!r}"
        raise RulebookError(found, source=source, field="scenarios", allowed=", ".join(kinds))
    return Pm2Scenario(
        spot_factor=_number(row, "spot_factor", source),
        volatility=kinds[str(row["volatility"])],
        dampening_factor=_number(row, "dampening_factor", source),
    )


def _haircut(row: Mapping[str, object], source: str) -> tuple[str, CollateralHaircut]:
    _check_keys(row, ["asset", *(f.name for f in fields(CollateralHaircut))], source, "haircuts")
    if not isinstance(row["is_risk_cancelling"], bool):
        found = f"is_risk_cancelling was {row['is_risk_cancelling']!r}"
        raise RulebookError(found, source=source, field="haircuts", allowed="true or false")
    return str(row["asset"]), CollateralHaircut(
        maintenance_haircut_fraction=_number(row, "maintenance_haircut_fraction", source),
        extra_initial_haircut_fraction=_number(row, "extra_initial_haircut_fraction", source),
        is_risk_cancelling=row["is_risk_cancelling"],
    )
