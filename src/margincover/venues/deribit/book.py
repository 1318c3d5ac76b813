"""The book of a Deribit risk matrix: tables of delta-one and of option legs, and profit by cell.

Each table is checked once, here; the rules trust it. Axes ``[leg, path]``, path last; quantity > 0 is long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.pricing import black76

Array = NDArray[np.float64]


class Settlement(Enum):
    """In what the profit of a leg is paid."""

    COIN = "coin"  # inverse contracts: coin at the shocked price
    USD = "usd"  # linear contracts: USDC or USDT


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOneLegs:
    """Perpetuals and dated futures of one pair.

    Parameters
    ----------
    size_coin : array [leg, path]
        Signed base coins; an inverse contract's USD amount divided by its mark.
    mark_usd : array [leg, path]
        > 0; used only for linear legs.
    expiry : array of int [leg]
        Number of the expiry; the perpetual is an expiry of its own. Legs of one expiry net in the roll shock.
    years : array [leg]
        Time to expiry in years of 365 days, >= 0; 0 for the perpetual.
    """

    size_coin: Array
    mark_usd: Array
    expiry: NDArray[np.int64]
    years: Array

    def __post_init__(self) -> None:
        _check_legs(self.size_coin, (self.expiry, self.years), (self.mark_usd,), "delta-one legs")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLegs:
    """European options of one pair.

    Parameters
    ----------
    quantity_coin : array [leg]
        Signed coins: contracts times multiplier.
    forward_usd, volatility : array [leg, path]
        Forward of the option's expiry, > 0, and its annual volatility as a fraction, >= 0.
    strike_usd, years : array [leg]
    is_call : array of bool [leg]
    expiry : array of int [leg]
        Same numbering as that of the delta-one legs.
    """

    quantity_coin: Array
    forward_usd: Array
    volatility: Array
    strike_usd: Array
    years: Array
    is_call: NDArray[np.bool_]
    expiry: NDArray[np.int64]

    def __post_init__(self) -> None:
        vectors = (self.quantity_coin, self.strike_usd, self.years, self.is_call, self.expiry)
        _check_legs(self.forward_usd, vectors, (self.volatility,), "option legs")
        if not ((self.strike_usd > 0).all() and (self.forward_usd > 0).all() and (self.volatility >= 0).all()):
            raise InputError(
                "a strike, forward or volatility was out of range",
                field="option legs",
                allowed="strike and forward > 0, volatility >= 0",
            )

    def delta_coin(self) -> Array:
        """Return the position's delta in coins by the forward, [leg, path]."""
        values = black76.delta(
            forward=self.forward_usd,
            strike=self.strike_usd[:, None],
            years=self.years[:, None],
            volatility=self.volatility,
            is_call=self.is_call[:, None],
        )
        return np.asarray(values * self.quantity_coin[:, None], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Profit by cell: ``standard`` [bucket x volatility, path] and ``extended`` [outer move, path]."""

    standard: Array
    extended: Array

    def __add__(self, other: Vectors) -> Vectors:
        return Vectors(standard=self.standard + other.standard, extended=self.extended + other.extended)


def _check_legs(states: Array, vectors: tuple[NDArray[np.generic], ...], others: tuple[Array, ...], where: str) -> None:
    if states.ndim != 2 or any(a.shape != states.shape for a in others):
        raise InputError(f"had the shape {states.shape}", field=where, allowed="equal tables [leg, path]")
    if any(v.shape != (states.shape[0],) for v in vectors):
        raise InputError("had columns of unequal length", field=where, allowed=f"{states.shape[0]} legs in each")
    if not all(np.isfinite(a).all() for a in (states, *others, *(v for v in vectors if v.dtype.kind == "f"))):
        raise InputError("held a NaN or an infinity", field=where, allowed="finite numbers")
