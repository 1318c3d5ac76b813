"""Derive's trading fees of one fill: perpetuals and options, maker and taker.

References
----------
docs.derive.xyz, fees (read 2026-03).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.venues.derive.parameters import checked_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeParameters:
    """Fractions of the notional, flat taker fees in USD, the cap of an option's fee as a fraction of its premium."""

    perp_taker_fraction: float
    perp_maker_fraction: float
    perp_taker_flat_usd: float
    option_taker_fraction: float
    option_maker_fraction: float
    option_taker_flat_usd: float
    option_premium_cap_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> FeeParameters:
        """Return the parameters of a rule table; RulebookError for a wrong key or value."""
        return cls(**checked_numbers(data, [f.name for f in fields(cls)], source))


def perp_fee(
    *, quantity: ArrayLike, price: ArrayLike, is_taker: ArrayLike, parameters: FeeParameters
) -> NDArray[np.float64]:
    """Return the fee of a perpetual fill, USD >= 0: |q| index price fraction, and a flat amount for the taker."""
    notional, taker = _notional(quantity, price), np.asarray(is_taker, dtype=bool)
    taken = parameters.perp_taker_flat_usd + notional * parameters.perp_taker_fraction
    return np.asarray(np.where(taker, taken, notional * parameters.perp_maker_fraction), dtype=np.float64)


def option_fee(
    *, quantity: ArrayLike, price: ArrayLike, premium_usd: ArrayLike, is_taker: ArrayLike, parameters: FeeParameters
) -> NDArray[np.float64]:
    """Return the fee of an option fill, USD >= 0.

    Parameters
    ----------
    quantity : array
        Contracts, either sign.
    price : array
        Index price of the underlying, > 0.
    premium_usd : array
        Premium paid for the whole fill, >= 0; the variable part of the fee is at most a fraction of it.
    is_taker : array of bool
    parameters : FeeParameters

    Raises
    ------
    InputError
        If a price is not > 0, a premium is negative, or a number is not finite.
    """
    notional, taker = _notional(quantity, price), np.asarray(is_taker, dtype=bool)
    premium = np.asarray(premium_usd, dtype=np.float64)
    if not (premium >= 0).all():
        raise InputError(f"was {premium.min()}", source="derive", field="premium_usd", allowed=">= 0")
    cap = premium * parameters.option_premium_cap_fraction
    taken = parameters.option_taker_flat_usd + np.minimum(notional * parameters.option_taker_fraction, cap)
    return np.asarray(
        np.where(taker, taken, np.minimum(notional * parameters.option_maker_fraction, cap)), dtype=np.float64
    )


def option_fee_reference(
    *, quantity: float, price: float, premium_usd: float, is_taker: bool, parameters: FeeParameters
) -> Fraction:
    """Return the fee of one option fill exactly: the twin of ``option_fee``."""
    p, notional = parameters, abs(Fraction(quantity)) * Fraction(price)
    cap = Fraction(premium_usd) * Fraction(p.option_premium_cap_fraction)
    if is_taker:
        return Fraction(p.option_taker_flat_usd) + min(notional * Fraction(p.option_taker_fraction), cap)
    return min(notional * Fraction(p.option_maker_fraction), cap)


def _notional(quantity: ArrayLike, price: ArrayLike) -> NDArray[np.float64]:
    size, level = np.abs(np.asarray(quantity, dtype=np.float64)), np.asarray(price, dtype=np.float64)
    if not (np.isfinite(size).all() and np.isfinite(level).all() and (level > 0).all()):
        raise InputError(
            "was not finite or a price was <= 0", source="derive", field="fill", allowed="finite, price > 0"
        )
    return np.asarray(size * level, dtype=np.float64)
