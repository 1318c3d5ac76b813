"""Margin of perpetuals at venues whose whole rule is a rate on a value: one family, the differences as parameters.

Venues differ in which value carries the maintenance rate (mark or entry), in whether a closing fee belongs to the
requirement and on which value it is taken, in what the initial margin is measured on, and in what the published
liquidation price is. Tiers, rates and leverage belong to the position and are arguments; what belongs to the venue
stands in ``PerpetualParameters``. Linear contracts are valued in the quote asset; ``perpetuals_inverse`` holds the
coin-margined form. Axes are [leg, path]; scalars broadcast.

References
----------
Formulas held against captured payloads of the venues; see ``docs/reference/rules-perpetuals.md`` for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, RulebookError
from margincover.venues.registry_fields import Place


class ValueBasis(Enum):
    """The position value that a rate is applied to."""

    MARK = "mark"
    ENTRY = "entry"


class FeeBasis(Enum):
    """The position value that the closing fee inside a requirement is taken on."""

    NONE = "none"
    MARK = "mark"
    ENTRY = "entry"
    ENTRY_PLUS_INITIAL = "entry_plus_initial"  # entry value * (1 + 1 / leverage)


class RateScale(Enum):
    """What the maintenance rate multiplies: the value, or value / leverage (HTX's adjust factor)."""

    VALUE = "value"
    VALUE_OVER_LEVERAGE = "value_over_leverage"


class LiquidationForm(Enum):
    """What a venue publishes as liquidation price."""

    ROOT = "root"  # the price at which equity equals maintenance
    FROZEN = "frozen"  # mark - (equity - maintenance at the mark) / quantity: it moves with the mark


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualParameters:
    """What one venue's rule adds to rate, leverage and tier of a position.

    Parameters
    ----------
    maintenance_basis, initial_basis : ValueBasis
    maintenance_scale : RateScale
    maintenance_fee_basis, initial_fee_basis : FeeBasis
        ``NONE`` when the requirement holds no closing fee.
    closing_fee_fraction : float
        In [0, 1); 0 when neither requirement holds a fee.
    funding_in_maintenance : bool
        Whether the funding rate is added to the maintenance rate (KuCoin before October 2025).
    liquidation_form : LiquidationForm
    """

    maintenance_basis: ValueBasis
    initial_basis: ValueBasis
    maintenance_scale: RateScale
    maintenance_fee_basis: FeeBasis
    initial_fee_basis: FeeBasis
    closing_fee_fraction: float
    funding_in_maintenance: bool
    liquidation_form: LiquidationForm

    def __post_init__(self) -> None:
        if not 0.0 <= self.closing_fee_fraction < 0.1:
            raise RulebookError(
                f"was {self.closing_fee_fraction}",
                field="closing_fee_fraction",
                allowed="a fraction from 0 to below 0.1 (0.0006 is 0.06 %)",
            )
        has_fee = (self.maintenance_fee_basis, self.initial_fee_basis) != (FeeBasis.NONE, FeeBasis.NONE)
        if has_fee != (self.closing_fee_fraction > 0):
            raise RulebookError(
                f"was {self.closing_fee_fraction} with fee bases {self.maintenance_fee_basis.value} and "
                f"{self.initial_fee_basis.value}",
                field="closing_fee_fraction",
                allowed="above 0 exactly when a requirement holds a fee",
            )

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> PerpetualParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a choice is not known, or the fee is no fraction.
        """
        place = Place(dict(data), source, "parameters")
        place.only(cls.__dataclass_fields__)
        try:
            return cls(
                maintenance_basis=place.choice("maintenance_basis", ValueBasis),
                initial_basis=place.choice("initial_basis", ValueBasis),
                maintenance_scale=place.choice("maintenance_scale", RateScale),
                maintenance_fee_basis=place.choice("maintenance_fee_basis", FeeBasis),
                initial_fee_basis=place.choice("initial_fee_basis", FeeBasis),
                closing_fee_fraction=place.number("closing_fee_fraction"),
                funding_in_maintenance=place.flag("funding_in_maintenance"),
                liquidation_form=place.choice("liquidation_form", LiquidationForm),
            )
        except RulebookError as error:
            raise error.located(source=source) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPosition:
    """Positions of linear contracts, each field an array that broadcasts to [leg, path].

    Parameters
    ----------
    quantity : array
        Signed, in coins; > 0 is long.
    entry_price, mark_price : array
        > 0, quote per coin.
    leverage : array
        >= 1, chosen by the user.
    """

    quantity: ArrayLike
    entry_price: ArrayLike
    mark_price: ArrayLike
    leverage: ArrayLike

    def __post_init__(self) -> None:
        for name, least in (("entry_price", 0.0), ("mark_price", 0.0), ("leverage", 0.0)):
            if not np.all(np.asarray(getattr(self, name), dtype=np.float64) > least):
                raise InputError("held a value that is not above 0", field=name, allowed="numbers > 0")
        if not np.all(np.isfinite(np.asarray(self.quantity, dtype=np.float64))):
            raise InputError("held a NaN or an infinity", field="quantity", allowed="finite numbers")

    def value(self, basis: ValueBasis) -> NDArray[np.float64]:
        """Return the unsigned position value at mark or entry, in the quote asset."""
        price = self.mark_price if basis is ValueBasis.MARK else self.entry_price
        return np.abs(_array(self.quantity) * _array(price))

    def unrealised_pnl(self) -> NDArray[np.float64]:
        """Return quantity times (mark - entry), in the quote asset."""
        move = _array(self.mark_price) - _array(self.entry_price)
        return _array(_array(self.quantity) * move)


def initial(*, position: LinearPosition, parameters: PerpetualParameters) -> NDArray[np.float64]:
    """Return the initial requirement: value / leverage, plus the closing fee where the venue adds it."""
    value = position.value(parameters.initial_basis)
    fee = _fee_value(position, parameters.initial_fee_basis) * parameters.closing_fee_fraction
    return np.asarray(value / _array(position.leverage) + fee, dtype=np.float64)


def maintenance(
    *,
    position: LinearPosition,
    rate: ArrayLike,
    parameters: PerpetualParameters,
    deduction: ArrayLike = 0.0,
    funding_fraction: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Return the maintenance requirement at the mark, closing fee included where the venue counts it.

    Parameters
    ----------
    rate : array
        Maintenance rate of the tier, a fraction in [0, 1) (at HTX the adjust factor).
    deduction : array
        Of the tier, >= 0, in the quote asset.
    funding_fraction : array
        Current funding rate; used, and then expected, only where ``funding_in_maintenance``.
    """
    slope, fixed = _requirement_line(position, rate, parameters, deduction, funding_fraction)
    size = np.abs(_array(position.quantity))
    return np.asarray(slope * size * _array(position.mark_price) + fixed, dtype=np.float64)


def liquidation_price(
    *,
    position: LinearPosition,
    equity: ArrayLike,
    rate: ArrayLike,
    parameters: PerpetualParameters,
    deduction: ArrayLike = 0.0,
    funding_fraction: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Return the mark at which equity falls to maintenance, all else as it is: the true root.

    Parameters
    ----------
    equity : array
        At the present mark: margin or wallet plus unrealised profit and loss, in the quote asset. In a cross account:
        of the account, less the requirements of its other positions.

    Returns
    -------
    array
        >= 0. A long is liquidatable below it, a short above it: 0 means never for a long, always for a short.

    Notes
    -----
    With the requirement ``a |q| p + c``: ``p = (q P - e + c) / (q - a |q|)``.
    """
    slope, fixed = _requirement_line(position, rate, parameters, deduction, funding_fraction)
    q = _array(position.quantity)
    if np.any(q == 0):
        raise InputError("held 0", field="quantity", allowed="positions that are not zero")
    numerator = q * _array(position.mark_price) - _array(equity) + fixed
    return np.asarray(np.maximum(numerator / (q - slope * np.abs(q)), 0.0), dtype=np.float64)


def published_liquidation_price(
    *,
    position: LinearPosition,
    equity: ArrayLike,
    rate: ArrayLike,
    parameters: PerpetualParameters,
    deduction: ArrayLike = 0.0,
    funding_fraction: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Return what the venue prints as liquidation price, for reconciliation only.

    Notes
    -----
    The frozen form ``P - (e - maintenance at P) / q`` holds the requirement at its present size. It is further from the
    mark than the root for a short and nearer for a long, and it moves with the mark: never use it for coverage. At 0
    or below the venue prints none; here 0.
    """
    if parameters.liquidation_form is LiquidationForm.ROOT:
        return liquidation_price(
            position=position,
            equity=equity,
            rate=rate,
            parameters=parameters,
            deduction=deduction,
            funding_fraction=funding_fraction,
        )
    required = maintenance(
        position=position, rate=rate, parameters=parameters, deduction=deduction, funding_fraction=funding_fraction
    )
    headroom = _array(equity) - required
    price = _array(position.mark_price) - headroom / _array(position.quantity)
    return np.asarray(np.maximum(price, 0.0), dtype=np.float64)


def bankruptcy_price(*, position: LinearPosition, equity: ArrayLike) -> NDArray[np.float64]:
    """Return the mark at which equity is zero: ``P - e / q``, not below 0."""
    price = _array(position.mark_price) - _array(equity) / _array(position.quantity)
    return np.asarray(np.maximum(price, 0.0), dtype=np.float64)


def htx_risk_rate(*, equity: ArrayLike, position_margin: ArrayLike, adjust_fraction: ArrayLike) -> NDArray[np.float64]:
    """Return HTX's risk rate: equity / position margin - adjust factor; liquidation at 0 (bigger is safer)."""
    return _array(_array(equity) / _array(position_margin) - _array(adjust_fraction))


def netted_requirement(*, long_requirement: ArrayLike, short_requirement: ArrayLike) -> NDArray[np.float64]:
    """Return Kraken Futures' cross requirement of one underlying: the larger side of perpetual and dated contracts."""
    return np.asarray(np.maximum(_array(long_requirement), _array(short_requirement)), dtype=np.float64)


def isolated_loss(*, loss: ArrayLike, assigned_margin: ArrayLike) -> NDArray[np.float64]:
    """Return what an isolated position can lose (>= 0): the loss, at most the margin assigned to it."""
    return np.asarray(np.clip(_array(loss), 0.0, _array(assigned_margin)), dtype=np.float64)


def _array(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _fee_value(position: LinearPosition, basis: FeeBasis) -> NDArray[np.float64]:
    if basis is FeeBasis.NONE:
        return np.zeros_like(position.value(ValueBasis.MARK))
    if basis is FeeBasis.MARK:
        return position.value(ValueBasis.MARK)
    entry = position.value(ValueBasis.ENTRY)
    if basis is FeeBasis.ENTRY:
        return entry
    return np.asarray(entry * (1.0 + 1.0 / _array(position.leverage)), dtype=np.float64)


def _requirement_line(
    position: LinearPosition,
    rate: ArrayLike,
    parameters: PerpetualParameters,
    deduction: ArrayLike,
    funding_fraction: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope a and constant c of the requirement ``a |q| p + c`` as a function of the mark p."""
    rates = np.asarray(rate, dtype=np.float64)
    if not np.all((rates >= 0) & (rates < 1)):
        raise InputError("held a value outside 0 to 1", field="rate", allowed="fractions: 0.005 is 0.5 %")
    if parameters.maintenance_scale is RateScale.VALUE_OVER_LEVERAGE:
        rates = rates / _array(position.leverage)
    funding = np.asarray(funding_fraction, dtype=np.float64)
    if parameters.funding_in_maintenance:
        rates = rates + funding
    elif np.any(funding != 0):
        raise InputError("was given", field="funding_fraction", allowed="none: this rule does not use the funding rate")
    fee = parameters.closing_fee_fraction
    on_mark = parameters.maintenance_basis is ValueBasis.MARK
    slope = rates if on_mark else np.zeros_like(rates)
    fixed = -np.asarray(deduction, dtype=np.float64)
    if not on_mark:
        fixed = fixed + rates * position.value(ValueBasis.ENTRY)
    if parameters.maintenance_fee_basis is FeeBasis.MARK:
        slope = slope + fee
    elif parameters.maintenance_fee_basis is not FeeBasis.NONE:
        fixed = fixed + fee * _fee_value(position, parameters.maintenance_fee_basis)
    return np.asarray(slope, dtype=np.float64), np.asarray(fixed, dtype=np.float64)
