"""Bybit options under cross margin of the unified account: short positions and orders; a long option needs no margin.

Sources: Bybit help 000001546 (2023-12-04), spread article 000001735 (2024-10-23), read 2026-11-22.
All amounts are in the settle coin (USDC or USDT); quantity is signed, < 0 is short.
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
    """Factors of a short option, fractions of the index price (maintenance: of the index or of the mark)."""

    initial_fraction: float
    minimum_initial_fraction: float
    maintenance_fraction: float
    liquidation_fee_fraction: float

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
    """Trading fee: a fraction of the index price, at most a fraction of the option's price."""

    taker_fee_fraction: float
    fee_cap_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> OptionFeeParameters:
        """Return parameters from a table; RulebookError as for ``OptionParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortOption:
    """State of option legs: arrays [leg, path], or [leg, 1] where a value is the same on all paths.

    ``entry_price`` is the average price of a position, or the limit price of a sell order. Prices > 0, mark and entry
    >= 0, in the settle coin per unit of the underlying.
    """

    index_price: ArrayLike
    strike: ArrayLike
    is_call: ArrayLike
    mark_price: ArrayLike
    entry_price: ArrayLike


def out_of_the_money(*, reference_price: ArrayLike, strike: ArrayLike, is_call: ArrayLike) -> NDArray[np.float64]:
    """Return how far an option is out of the money, >= 0: call ``max(K - S, 0)``, put ``max(S - K, 0)``."""
    distance = checked(strike, name="strike", above=0.0) - checked(reference_price, name="reference_price", above=0.0)
    return np.asarray(np.maximum(np.where(np.asarray(is_call, dtype=bool), distance, -distance), 0.0))


def position_maintenance(
    *, quantity: ArrayLike, index_price: ArrayLike, mark_price: ArrayLike, parameters: OptionParameters
) -> NDArray[np.float64]:
    """Return maintenance margin [leg, path], >= 0; 0 for a long position.

    Notes
    -----
    ``MM = (max(f * index, f * mark) + mark + liquidation fee * index) * |q|`` for q < 0.

    Raises
    ------
    InputError
        If a value is not finite or a price is out of range.

    Examples
    --------
    >>> factors = OptionParameters(
    ...     initial_fraction=0.15,
    ...     minimum_initial_fraction=0.10,
    ...     maintenance_fraction=0.03,
    ...     liquidation_fee_fraction=0.002,
    ... )
    >>> round(float(position_maintenance(quantity=-1, index_price=30_000, mark_price=300, parameters=factors)), 6)
    1260.0
    """
    index = checked(index_price, name="index_price", above=0.0)
    mark = checked(mark_price, name="mark_price", least=0.0)
    short = np.maximum(-checked(quantity, name="quantity"), 0.0)
    base = parameters.maintenance_fraction * np.maximum(index, mark)
    return np.asarray((base + mark + parameters.liquidation_fee_fraction * index) * short, dtype=np.float64)


def position_initial(*, quantity: ArrayLike, option: ShortOption, parameters: OptionParameters) -> NDArray[np.float64]:
    """Return initial margin [leg, path], >= 0 and never below maintenance; 0 for a long position.

    Notes
    -----
    ``IM = max((max(a * index - OTM, b * index) + max(entry, mark)) * |q|, MM)`` for q < 0.
    """
    index = checked(option.index_price, name="index_price", above=0.0)
    mark = checked(option.mark_price, name="mark_price", least=0.0)
    entry = checked(option.entry_price, name="entry_price", least=0.0)
    short = np.maximum(-checked(quantity, name="quantity"), 0.0)
    otm = out_of_the_money(reference_price=index, strike=option.strike, is_call=option.is_call)
    base = np.maximum(parameters.initial_fraction * index - otm, parameters.minimum_initial_fraction * index)
    maintenance = position_maintenance(quantity=quantity, index_price=index, mark_price=mark, parameters=parameters)
    return np.asarray(np.maximum((base + np.maximum(entry, mark)) * short, maintenance), dtype=np.float64)


def order_fee(
    *, size: ArrayLike, price: ArrayLike, index_price: ArrayLike, parameters: OptionFeeParameters
) -> NDArray[np.float64]:
    """Return the fee of an order [leg, path]: ``min(taker * index, cap * price) * size``, size >= 0."""
    per_unit = np.minimum(
        parameters.taker_fee_fraction * checked(index_price, name="index_price", above=0.0),
        parameters.fee_cap_fraction * checked(price, name="price", least=0.0),
    )
    return np.asarray(per_unit * checked(size, name="size", least=0.0), dtype=np.float64)


def buy_order_cost(*, size: ArrayLike, price: ArrayLike, fee: ArrayLike) -> NDArray[np.float64]:
    """Return the cost of a buy order [leg, path]: premium ``size * price`` plus fee."""
    premium = checked(size, name="size", least=0.0) * checked(price, name="price", least=0.0)
    return np.asarray(premium + checked(fee, name="fee", least=0.0), dtype=np.float64)


def sell_order_initial(
    *, size: ArrayLike, option: ShortOption, fee: ArrayLike, parameters: OptionParameters
) -> NDArray[np.float64]:
    """Return the initial margin of a sell order [leg, path]: margin of the position it opens + fee - premium received.

    Notes
    -----
    ``option.entry_price`` is the order's price. The position margin holds max(price, mark), so the result is >= 0.
    """
    amount = checked(size, name="size", least=0.0)
    opened = position_initial(quantity=-amount, option=option, parameters=parameters)
    premium = amount * checked(option.entry_price, name="entry_price", least=0.0)
    return np.asarray(opened + checked(fee, name="fee", least=0.0) - premium, dtype=np.float64)


def position_reference(
    *, quantity: float, option: tuple[float, float, bool, float, float], parameters: OptionParameters
) -> tuple[float, float]:
    """Return (initial, maintenance) of one leg by exact fractions; ``option`` in the order of ``ShortOption``."""
    index, strike, is_call, mark, entry = option
    if quantity >= 0:
        return 0.0, 0.0
    i, k, m, e = Fraction(index), Fraction(strike), Fraction(mark), Fraction(entry)
    f = Fraction(parameters.maintenance_fraction)
    maintenance = (max(f * i, f * m) + m + Fraction(parameters.liquidation_fee_fraction) * i) * -Fraction(quantity)
    otm = max(k - i, Fraction(0)) if is_call else max(i - k, Fraction(0))
    base = max(Fraction(parameters.initial_fraction) * i - otm, Fraction(parameters.minimum_initial_fraction) * i)
    initial = max((base + max(e, m)) * -Fraction(quantity), maintenance)
    return float(initial), float(maintenance)
