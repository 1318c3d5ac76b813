"""Paradex cross margin: perpetuals with resting orders, dated options, option groups of one expiry.

All amounts are USD, quantities are signed coins (> 0 is long), requirements >= 0. The account value already holds the
unrealised profit and loss of every leg, an option's mark included. Axes are [leg, path]; scalars broadcast.

References
----------
docs.paradex.trade, risk/cross-margin-requirement and dated-options/margin-requirements (2026-08-20,
read again 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.venues.registry_fields import Place


class PutCapBasis(Enum):
    """What the cap of a short put multiplies; the venue lists the cap without saying so."""

    NONE = "none"
    STRIKE = "strike"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexPerpetualParameters:
    """Cross-margin parameters of a perpetual.

    ``initial_base_fraction`` is the initial margin fraction at the market's maximum leverage, ``maintenance_factor``
    the share of it that maintenance asks. The size-dependent part (factor, shift) is zero at every market of
    2026; its formula is not published, so other values are refused.
    """

    initial_base_fraction: float
    initial_factor: float
    initial_shift: float
    maintenance_factor: float
    taker_fee_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ParadexPerpetualParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is no fraction.
        NotSupportedError
            If the initial fraction depends on size.
        """
        place = Place(dict(data), source, "parameters")
        place.only([f.name for f in fields(cls)])
        if place.number("initial_factor") != 0.0 or place.number("initial_shift") != 0.0:
            raise NotSupportedError(
                "initial margin depends on size", source=source, field="initial_factor", allowed="factor and shift 0"
            )
        names = ("initial_base_fraction", "maintenance_factor", "taker_fee_fraction")
        return cls(initial_factor=0.0, initial_shift=0.0, **{name: fraction(place, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexOptionFactors:
    """Factors of one requirement (initial or maintenance) of dated options, all fractions."""

    premium_fraction: float
    long_itm_fraction: float
    short_itm_fraction: float
    short_otm_fraction: float
    short_put_cap_fraction: float

    @classmethod
    def from_place(cls, place: Place) -> ParadexOptionFactors:
        """Return the factors of one table; see ``ParadexOptionParameters.from_mapping`` for the errors."""
        names = [f.name for f in fields(cls)]
        place.only(names)
        return cls(**{name: fraction(place, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexOptionParameters:
    """Initial and maintenance factors of dated options of one underlying, and how the cap of a short put enters."""

    initial: ParadexOptionFactors
    maintenance: ParadexOptionFactors
    short_put_cap_basis: PutCapBasis

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ParadexOptionParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is no fraction.
        """
        place = Place(dict(data), source, "parameters")
        place.only([f.name for f in fields(cls)])
        return cls(
            initial=ParadexOptionFactors.from_place(place.within("initial")),
            maintenance=ParadexOptionFactors.from_place(place.within("maintenance")),
            short_put_cap_basis=place.choice("short_put_cap_basis", PutCapBasis),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexGroupParameters:
    """Multiples of spot reserved for each unpaired short call of an option group, >= 0 (1.2 is 120 % of spot)."""

    unpaired_initial_factor: float
    unpaired_maintenance_factor: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ParadexGroupParameters:
        """Return the parameters of a rule table; see ``ParadexOptionParameters.from_mapping`` for the errors."""
        place = Place(dict(data), source, "parameters")
        names = [f.name for f in fields(cls)]
        place.only(names)
        return cls(**{name: fraction(place, name, largest=2.0) for name in names})


def fraction(place: Place, key: str, *, largest: float = 1.0) -> float:
    """Return a number from 0 to ``largest`` of a rule table; more looks like a percentage and is refused."""
    value = place.number(key)
    if not 0.0 <= value <= largest:
        raise place.error(f"was {value}", key=key, allowed=f"a fraction from 0 to {largest:g} (0.02 is 2 %)")
    return value


def open_sizes(
    *, position: ArrayLike, buy_orders: ArrayLike, sell_orders: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest long and the largest short that resting orders can lead to, both >= 0.

    Parameters
    ----------
    position : array
        Signed coins.
    buy_orders, sell_orders : array
        Total resting size of each side, >= 0.
    """
    held, buys, sells = _array(position), _array(buy_orders), _array(sell_orders)
    if np.any(buys < 0) or np.any(sells < 0):
        raise InputError("held a negative size", field="orders", allowed="sizes >= 0 on each side")
    return np.maximum(0.0, buys + held), np.maximum(0.0, sells - held)


def perpetual_net_initial_usd(
    *, position: ArrayLike, buy_orders: ArrayLike, sell_orders: ArrayLike, mark_price: ArrayLike, fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return the larger open size at the mark times the initial fraction, without fee provision and open loss.

    Parameters
    ----------
    fraction : array
        The base fraction, or 1 / the user's own lower leverage.
    """
    buy, sell = open_sizes(position=position, buy_orders=buy_orders, sell_orders=sell_orders)
    return np.asarray(np.maximum(buy, sell) * _array(mark_price) * _array(fraction), dtype=np.float64)


def perpetual_fee_provision_usd(
    *, position: ArrayLike, buy_orders: ArrayLike, sell_orders: ArrayLike, mark_price: ArrayLike, taker_fee: ArrayLike
) -> NDArray[np.float64]:
    """Return the fee provision inside the initial requirement.

    Notes
    -----
    Without orders it is taker fee times position value, confirmed on a live account. For orders the venue says only
    that entry and exit are provided for: here the worse side pays the entry of its orders and the exit of its open
    size, all as taker, which is the most that can fall due.
    """
    buy, sell = open_sizes(position=position, buy_orders=buy_orders, sell_orders=sell_orders)
    size = np.maximum(buy + _array(buy_orders), sell + _array(sell_orders))
    # A position whose closing orders are larger than itself still has its own exit to pay.
    size = np.maximum(size, np.abs(_array(position)))
    return np.asarray(size * _array(mark_price) * _array(taker_fee), dtype=np.float64)


def open_loss_usd(*, order_size: ArrayLike, order_price: ArrayLike, mark_price: ArrayLike) -> NDArray[np.float64]:
    """Return the loss that each order would show at the mark as soon as it is filled, >= 0, [order, path].

    Parameters
    ----------
    order_size : array
        Signed, a buy > 0.
    """
    gain = _array(order_size) * (_array(mark_price) - _array(order_price))
    return np.asarray(np.maximum(0.0, -gain), dtype=np.float64)


def perpetual_maintenance_usd(
    *, position: ArrayLike, mark_price: ArrayLike, fraction: ArrayLike, parameters: ParadexPerpetualParameters
) -> NDArray[np.float64]:
    """Return ``value * (fraction * maintenance factor + taker fee)``; resting orders do not enter."""
    value = np.abs(_array(position)) * _array(mark_price)
    rate = _array(fraction) * parameters.maintenance_factor + parameters.taker_fee_fraction
    return np.asarray(value * rate, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexOptions:
    """Option legs in a state; every field broadcasts to [leg, path].

    Parameters
    ----------
    quantity : array
        Signed coins.
    strike, spot_price : array
        > 0, USD.
    mark_price : array
        Option marks, USD per coin, >= 0.
    is_call : array of bool
    """

    quantity: ArrayLike
    strike: ArrayLike
    is_call: ArrayLike
    mark_price: ArrayLike
    spot_price: ArrayLike

    def __post_init__(self) -> None:
        for name in ("strike", "spot_price"):
            if not np.all(_array(getattr(self, name)) > 0):
                raise InputError("held a value that is not above 0", field=name, allowed="numbers > 0")
        if not np.all(_array(self.mark_price) >= 0):
            raise InputError("held a negative value or a NaN", field="mark_price", allowed="numbers >= 0")
        if not np.all(np.isfinite(_array(self.quantity))):
            raise InputError("held a NaN or an infinity", field="quantity", allowed="finite numbers")


def option_requirement_usd(
    *, options: ParadexOptions, factors: ParadexOptionFactors, put_cap_basis: PutCapBasis
) -> NDArray[np.float64]:
    """Return the requirement of each leg by itself, without fee provision, [leg, path].

    Notes
    -----
    Long: ``min(premium * mark, long_itm * S)``. Short: ``max(short_itm * S - otm, short_otm * S)``, and for a put,
    where the cap is applied, at most ``cap * strike`` or ``cap * spot``; otm is ``max(0, K - S)`` of a call,
    ``max(0, S - K)`` of a put. The mark of a short is a loss in the account value, not part of the requirement.
    """
    q, strike, spot = _array(options.quantity), _array(options.strike), _array(options.spot_price)
    calls = np.asarray(options.is_call, dtype=bool)
    long = np.minimum(factors.premium_fraction * _array(options.mark_price), factors.long_itm_fraction * spot)
    otm = np.maximum(0.0, np.where(calls, strike - spot, spot - strike))
    short = np.maximum(factors.short_itm_fraction * spot - otm, factors.short_otm_fraction * spot)
    if put_cap_basis is not PutCapBasis.NONE:
        base = strike if put_cap_basis is PutCapBasis.STRIKE else spot
        short = np.where(calls, short, np.minimum(short, factors.short_put_cap_fraction * base))
    return np.asarray(np.abs(q) * np.where(q >= 0, long, short), dtype=np.float64)


def option_group_requirement_usd(
    *, options: ParadexOptions, isolated_usd: ArrayLike, unpaired_factor: float
) -> NDArray[np.float64]:
    """Return the requirement of options of one underlying and one expiry taken together, [path].

    Parameters
    ----------
    isolated_usd : array [leg, path]
        Requirements of the legs by themselves.
    unpaired_factor : float
        Multiple of spot reserved for each call left short after longs and shorts are netted.

    Notes
    -----
    ``min(sum of legs, greatest loss at settlement + factor * net short calls * S)``; the loss is measured from the mark
    value, at zero and at every strike, where alone the payoff bends. A group without a short keeps the sum of its legs.
    """
    q = np.atleast_1d(_array(options.quantity))
    strike = np.atleast_1d(_array(options.strike))
    calls = np.atleast_1d(np.asarray(options.is_call, dtype=bool))
    if not (q.ndim == strike.ndim == calls.ndim == 1):
        raise InputError("had more than a leg axis", field="option group", allowed="quantity, strike, is_call of [leg]")
    legs = np.atleast_1d(_array(isolated_usd))
    total = sum_of_legs(legs)
    if not np.any(q < 0):
        return np.asarray(total, dtype=np.float64)
    points = np.concatenate(([0.0], strike))[:, np.newaxis]
    settled = (q * np.maximum(0.0, np.where(calls, points - strike, strike - points))).sum(axis=1)
    value = sum_of_legs(q.reshape(-1, *([1] * (np.ndim(options.mark_price) - 1))) * _array(options.mark_price))
    loss = np.maximum(0.0, value - settled.min())
    net_short_calls = max(0.0, -float(q[calls].sum()))
    reserve = unpaired_factor * net_short_calls * _array(options.spot_price)
    return np.asarray(np.minimum(total, loss + reserve), dtype=np.float64)


def sum_of_legs(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over the leg axis, added leg by leg: its bits do not depend on the number of paths."""
    total = np.zeros(rows.shape[1:])
    for row in rows:
        total = total + row
    return np.asarray(total, dtype=np.float64)


def _array(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
