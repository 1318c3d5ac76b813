"""Parameters of Deribit's margin rules, one frozen record per rule, checked at construction.

The values stand in ``data/parameters/deribit.toml``. A name ends in its unit: ``_fraction`` (0.02 is 2 %),
``_per_coin``, ``_coin``, ``_usd``, ``_days``, ``_leverage``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from margincover.errors import NotSupportedError, RulebookError

Record = TypeVar("Record", bound="_Checked")


class FutureRegime(Enum):
    """How the rate of a future or perpetual grows with the position."""

    INCREMENT = "increment"  # rate = base + increase factor x size
    LEVERAGE_CURVE = "leverage_curve"  # rate = 1 / L(size), maintenance a fraction of initial


class EquitySideImpact(Enum):
    """On which side of the price moves the equity held in a currency moves with the shock."""

    BOTH = "both"
    NONE = "none"


class _Checked:
    """Base of the records: builds one from a mapping and checks every value by the unit in its name."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for entry in fields(self):  # type: ignore[arg-type]  # only frozen dataclasses derive from this base
            _check(entry.name, getattr(self, entry.name))

    @classmethod
    def from_mapping(cls: type[Record], data: Mapping[str, object], *, source: str) -> Record:
        """Return the record of a table as read.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is not a finite number in the range of its unit.
        """
        known = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]  # as above
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise RulebookError("unknown key", source=source, field=", ".join(unknown), allowed=", ".join(known))
        missing = [name for name, entry in known.items() if name not in data and entry.default is MISSING]
        if missing:
            raise RulebookError("was missing", source=source, field=", ".join(missing), allowed="a value")
        try:
            return cls(**{name: _plain(name, value) for name, value in data.items()})
        except RulebookError as error:
            raise error.located(source=source) from error


def _plain(name: str, value: object) -> object:
    if name == "equity_side_impact":
        try:
            return EquitySideImpact(value)
        except ValueError as error:
            raise RulebookError(f"was {value!r}", field=name, allowed="both, none") from error
    if isinstance(value, Mapping):
        return MappingProxyType({str(k): _number(f"{name}.{k}", v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_number(name, v) for v in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return _number(name, value)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RulebookError(f"was {value!r}", field=name, allowed="a finite number")
    return float(value)


def _check(name: str, value: object) -> None:
    if value is None or isinstance(value, EquitySideImpact):
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_fraction(f"{name}.{key}", _number(f"{name}.{key}", part))
        return
    if isinstance(value, tuple):
        if not value or any(not math.isfinite(v) or v <= -1.0 or v == 0.0 for v in value):
            raise RulebookError(f"was {value}", field=name, allowed="moves above -1, none of them 0")
        return
    number = _number(name, value)
    if name.endswith("_fraction"):
        _check_fraction(name, number)
    elif name.endswith(("_count", "_decimals")):
        if number != int(number) or number < 1:
            raise RulebookError(f"was {value}", field=name, allowed="a whole number >= 1")
    elif name.endswith(("_leverage", "_days", "max_position_coin")):
        if number <= 0.0:
            raise RulebookError(f"was {value}", field=name, allowed="a number > 0")
    elif number < 0.0:
        raise RulebookError(f"was {value}", field=name, allowed="a number >= 0")


def _check_fraction(name: str, number: float) -> None:
    if not 0.0 <= number <= 1.0:
        raise RulebookError(f"was {number}", field=name, allowed="a fraction from 0 to 1 (0.02 is 2 %)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureIncrementParameters(_Checked):
    """Futures and perpetuals until 2026: ``rate = base_fraction + increase_per_coin * |size|``."""

    initial_base_fraction: float
    maintenance_base_fraction: float
    increase_per_coin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureCurveParameters(_Checked):
    """Futures and perpetuals of 2026: ``initial = |size| / L(size)``, maintenance a fraction of it.

    Parameters
    ----------
    maintenance_of_initial_fraction : float
    small_position_leverage : float
        L up to ``small_position_fraction * max_position_coin`` (the venue's C1 and C3).
    small_position_fraction : float
    large_position_leverage, large_position_fraction : float or None
        The venue's C2 and C4; None where they are not known.
    max_position_coin : float or None
        The instrument's largest position; None where it must be read from the venue.
    """

    maintenance_of_initial_fraction: float
    small_position_leverage: float
    small_position_fraction: float
    large_position_leverage: float | None = None
    large_position_fraction: float | None = None
    max_position_coin: float | None = None

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.large_position_leverage is not None and self.large_position_leverage > self.small_position_leverage:
            raise RulebookError(
                f"was {self.large_position_leverage}",
                field="large_position_leverage",
                allowed="at most small_position_leverage",
            )


def future_parameters(data: Mapping[str, object], *, source: str) -> FutureIncrementParameters | FutureCurveParameters:
    """Return the record of the regime that a table of a future or perpetual names under ``regime``.

    Raises
    ------
    RulebookError
        If the regime is missing or unknown, or a key or value is refused by its record.
    """
    rest = {key: value for key, value in data.items() if key != "regime"}
    try:
        regime = FutureRegime(data.get("regime"))
    except ValueError as error:
        allowed = ", ".join(r.value for r in FutureRegime)
        raise RulebookError(f"was {data.get('regime')!r}", source=source, field="regime", allowed=allowed) from error
    if regime is FutureRegime.INCREMENT:
        return FutureIncrementParameters.from_mapping(rest, source=source)
    return FutureCurveParameters.from_mapping(rest, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionParameters(_Checked):
    """Short options in standard margin, as fractions of one coin (inverse) or of the index or strike (linear)."""

    initial_fraction: float
    initial_floor_fraction: float
    maintenance_fraction: float
    order_fee_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixParameters(_Checked):
    """Extended risk matrix of one currency pair and settlement currency.

    Parameters
    ----------
    price_range_fraction, buckets_per_side_count
        Outer move of the standard table and the number of equal buckets on each side of 0.
    volatility_up_fraction, volatility_down_fraction, volatility_up_floor_fraction
        Relative shocks of an option's volatility; the shocked-up volatility is at least the floor.
    short_term_vega_power, long_term_vega_power, vega_reference_days, vega_floor_days
        The shocks scale by ``(reference / max(days, floor)) ** power``, the short-term power below the reference.
    extended_moves : tuple of float
    extended_table_factor, extended_dampener_usd
    pnl_offset_fraction, max_offsetable_pnl_usd
        Share of a gain that counts, and its cap.
    min_annualised_move_fraction, annualised_move_risk_fraction
        Roll shock by expiry.
    delta_shock_per_coin, delta_shock_threshold_usd, max_delta_shock_fraction
    maintenance_factor_fraction
        Maintenance over the risk matrix margin.
    worst_case_decimals : int
        Decimals to which the venue rounds the worst case (and initial margin).
    equity_side_impact : EquitySideImpact
    """

    price_range_fraction: float
    buckets_per_side_count: int
    volatility_up_fraction: float
    volatility_down_fraction: float
    volatility_up_floor_fraction: float
    short_term_vega_power: float
    long_term_vega_power: float
    vega_reference_days: float
    vega_floor_days: float
    extended_moves: tuple[float, ...]
    extended_table_factor: float
    extended_dampener_usd: float
    pnl_offset_fraction: float
    max_offsetable_pnl_usd: float
    min_annualised_move_fraction: float
    annualised_move_risk_fraction: float
    delta_shock_per_coin: float
    delta_shock_threshold_usd: float
    max_delta_shock_fraction: float
    maintenance_factor_fraction: float
    worst_case_decimals: int
    equity_side_impact: EquitySideImpact

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if not 0.0 < self.price_range_fraction < 1.0:
            raise RulebookError(
                f"was {self.price_range_fraction}", field="price_range_fraction", allowed="a fraction inside (0, 1)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParameters(_Checked):
    """Haircuts of the cross-collateral pool by asset, as fractions of the USD value."""

    haircuts: Mapping[str, float]

    def haircut_fraction(self, asset: str) -> float:
        """Return the haircut of an asset.

        Raises
        ------
        NotSupportedError
            If none is known: an asset without a stated haircut is worth neither its price nor nothing.
        """
        try:
            return self.haircuts[asset]
        except KeyError as error:
            raise NotSupportedError(
                "had no known haircut", field=f"collateral.{asset}", allowed=", ".join(sorted(self.haircuts))
            ) from error
