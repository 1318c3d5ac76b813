"""OKX options outside portfolio margin: short positions, coin- or USD-margined, and resting orders.

Source: OKX help "Option Margin" (rev. 2026-05-01), https://www.okx.com/help/ii-option-margin, read 2026-11-22.
One formula serves both margins: ``margin_unit`` is 1 for coin-margined options (all amounts in coin) and the index
price for USD-margined ones (all amounts in USD). Figures are per coin of size, then times the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import ParameterFields, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionParameters:
    """The venue's a, b, c and smallest opening-order margin, fractions of the margin unit."""

    minimum_initial_fraction: float
    initial_fraction: float
    maintenance_fraction: float
    minimum_order_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> OptionParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is not a fraction.
        """
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFeeParameters:
    """Fees: a fraction of the underlying, at most a fraction of the premium."""

    taker_fee_fraction: float
    maker_fee_fraction: float
    fee_cap_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> OptionFeeParameters:
        """Return parameters from a table; RulebookError as for ``OptionParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationFeeParameters:
    """Fee of closing a position in liquidation: a fraction of the underlying, at most a fraction of the mark."""

    taker_fee_fraction: float
    fee_cap_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> LiquidationFeeParameters:
        """Return parameters from a table; RulebookError as for ``OptionParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionState:
    """State of option legs, arrays [leg, path] or [leg, 1].

    ``forward_price`` is the mark of the same expiry's future and ``strike`` is > 0, both in USD. ``mark_price`` >= 0
    and ``margin_unit`` > 0 are in the margin asset per coin. ``margin_factor`` >= 1 is the option tier's
    (``optMgnFactor``), chosen by all short positions and sell orders of the family.
    """

    forward_price: ArrayLike
    strike: ArrayLike
    is_call: ArrayLike
    mark_price: ArrayLike
    margin_unit: ArrayLike
    margin_factor: ArrayLike


def initial_per_coin(state: OptionState, parameters: OptionParameters) -> NDArray[np.float64]:
    """Return the initial margin of a short option per coin of size [leg, path], >= 0.

    Notes
    -----
    ``max(a, b - OTM / F) * factor * unit + mark``.

    Raises
    ------
    InputError
        If a value is not finite or out of range.
    """
    forward = checked(state.forward_price, name="forward_price", above=0.0)
    distance = checked(state.strike, name="strike", above=0.0) - forward
    otm = np.maximum(np.where(np.asarray(state.is_call, dtype=bool), distance, -distance), 0.0)
    share = np.maximum(parameters.minimum_initial_fraction, parameters.initial_fraction - otm / forward)
    scale = checked(state.margin_factor, name="margin_factor", least=1.0)
    scale = scale * checked(state.margin_unit, name="margin_unit", above=0.0)
    return np.asarray(share * scale + checked(state.mark_price, name="mark_price", least=0.0), dtype=np.float64)


def maintenance_per_coin(state: OptionState, parameters: OptionParameters) -> NDArray[np.float64]:
    """Return the maintenance margin of a short option per coin of size [leg, path], >= 0.

    Notes
    -----
    Call ``c * factor * unit + mark``; put ``max(c * unit, c * mark) * factor + mark``.
    """
    unit = checked(state.margin_unit, name="margin_unit", above=0.0)
    mark = checked(state.mark_price, name="mark_price", least=0.0)
    base = np.where(np.asarray(state.is_call, dtype=bool), unit, np.maximum(unit, mark))
    factor = checked(state.margin_factor, name="margin_factor", least=1.0)
    return np.asarray(parameters.maintenance_fraction * base * factor + mark, dtype=np.float64)


def position_margins(
    quantity: ArrayLike, *, state: OptionState, parameters: OptionParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (initial, maintenance) of positions [leg, path] in the margin asset; 0 for a long.

    Parameters
    ----------
    quantity : array [leg, path] or [leg, 1]
        In coins (contracts times multiplier), < 0 is short.
    """
    short = np.maximum(-checked(quantity, name="quantity"), 0.0)
    initial = initial_per_coin(state, parameters) * short
    return np.asarray(initial), np.asarray(maintenance_per_coin(state, parameters) * short)


def order_fee(
    *, size: ArrayLike, premium: ArrayLike, margin_unit: ArrayLike, fee_fraction: ArrayLike, fee_cap_fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return a fee [leg, path] in the margin asset: ``min(fee * unit, cap * premium) * size``, size >= 0 in coins."""
    rate = checked(fee_fraction, name="fee_fraction", least=0.0) * checked(margin_unit, name="margin_unit", above=0.0)
    cap = checked(fee_cap_fraction, name="fee_cap_fraction", least=0.0) * checked(premium, name="premium", least=0.0)
    return np.asarray(np.minimum(rate, cap) * checked(size, name="size", least=0.0), dtype=np.float64)


def buy_to_open_margin(*, size: ArrayLike, price: ArrayLike, fee_per_coin: ArrayLike) -> NDArray[np.float64]:
    """Return the margin of an opening buy order [leg, path]: ``(price + fee) * size``, size >= 0 in coins."""
    cost = checked(price, name="price", least=0.0) + checked(fee_per_coin, name="fee_per_coin", least=0.0)
    return np.asarray(cost * checked(size, name="size", least=0.0), dtype=np.float64)


def sell_to_open_margin(
    *, size: ArrayLike, price: ArrayLike, fee_per_coin: ArrayLike, state: OptionState, parameters: OptionParameters
) -> NDArray[np.float64]:
    """Return the margin of an opening sell order [leg, path], in the margin asset.

    Notes
    -----
    ``max(position IM - price + fee, smallest order margin * unit) * size``, per coin. The page of 2026 leaves the fee
    out (state 0), the worked example of 2020 adds it.
    """
    floor = parameters.minimum_order_fraction * checked(state.margin_unit, name="margin_unit", above=0.0)
    net = initial_per_coin(state, parameters) - checked(price, name="price", least=0.0)
    net = net + checked(fee_per_coin, name="fee_per_coin", least=0.0)
    return np.asarray(np.maximum(net, floor) * checked(size, name="size", least=0.0), dtype=np.float64)


def sell_to_close_margin(*, size: ArrayLike, price: ArrayLike, fee_per_coin: ArrayLike) -> NDArray[np.float64]:
    """Return the margin of a closing sell order [leg, path]: ``max(fee - price, 0) * size``."""
    net = checked(fee_per_coin, name="fee_per_coin", least=0.0) - checked(price, name="price", least=0.0)
    return np.asarray(np.maximum(net, 0.0) * checked(size, name="size", least=0.0), dtype=np.float64)


def buy_to_close_margin(
    *, size: ArrayLike, price: ArrayLike, fee_per_coin: ArrayLike, position_initial_per_coin: ArrayLike
) -> NDArray[np.float64]:
    """Return the margin of a closing buy order [leg, path]: ``max(price - position IM + fee, 0) * size``."""
    net = checked(price, name="price", least=0.0) + checked(fee_per_coin, name="fee_per_coin", least=0.0)
    net = net - checked(position_initial_per_coin, name="position_initial_per_coin", least=0.0)
    return np.asarray(np.maximum(net, 0.0) * checked(size, name="size", least=0.0), dtype=np.float64)


def position_reference(
    quantity: float, *, state: tuple[float, float, bool, float, float, float], parameters: OptionParameters
) -> tuple[float, float]:
    """Return (initial, maintenance) of one leg by exact fractions; ``state`` in the order of ``OptionState``."""
    if quantity >= 0:
        return 0.0, 0.0
    forward, strike, is_call, mark, unit, factor = state
    f, k, m, u, t = (Fraction(value) for value in (forward, strike, mark, unit, factor))
    otm = max(k - f, Fraction(0)) if is_call else max(f - k, Fraction(0))
    a, b = Fraction(parameters.minimum_initial_fraction), Fraction(parameters.initial_fraction)
    c = Fraction(parameters.maintenance_fraction)
    initial = max(a, b - otm / f) * t * u + m
    maintenance = c * t * u + m if is_call else max(c * u, c * m) * t + m
    return float(initial * -Fraction(quantity)), float(maintenance * -Fraction(quantity))
