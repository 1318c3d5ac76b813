"""Deribit standard margin: futures and perpetuals of both regimes, short options, resting option orders, equity.

Requirements of positions are added without netting: a hedge adds margin, a vertical margins its short leg alone.
Arrays are ``[leg, path]`` or ``[path]`` and broadcast; every margin is >= 0. Unit: coin for inverse, USDC for linear.

References
----------
support.deribit.com articles 25944811317149, 25944738177565, 25944750999581, 25944826427293 (January 2022 change); the
digits of account and position payloads of 2021 to 2026. See ``docs/reference/rules-deribit.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.venues.deribit.parameters import FutureCurveParameters, FutureIncrementParameters, OptionParameters

Array = NDArray[np.float64]


class UnknownCurve(Enum):
    """What to do where the leverage curve between its two known ends is not published."""

    REFUSE = "refuse"
    PESSIMISTIC = "pessimistic"  # the lowest leverage of the curve: never less than the venue asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Initial and maintenance margin of the same legs and unit, both >= 0."""

    initial: Array
    maintenance: Array


def increment_margin(
    size_coin: ArrayLike,
    *,
    parameters: FutureIncrementParameters,
    unit_price: ArrayLike = 1.0,
    chosen_leverage: float | None = None,
) -> Requirement:
    """Return the margin of futures and perpetuals under the rates that grow linearly with size.

    Parameters
    ----------
    size_coin : array
        Signed position in the base coin; an inverse contract's USD amount divided by its mark.
    parameters : FutureIncrementParameters
    unit_price : array
        1 for an inverse contract (margin in coin); for a linear one the index in USDC, as the venue documents it (a
        payload of 2024-01-19 fits the mark it prints). > 0.
    chosen_leverage : float or None
        Leverage set by the account; it can only raise initial margin.

    Raises
    ------
    InputError
        If a size, price or leverage is not finite or out of range.

    Notes
    -----
    ``IM = (im0 + c |N|) |N| P`` and ``MM = (mm0 + c |N|) |N| P``.

    Examples
    --------
    >>> rates = FutureIncrementParameters(
    ...     initial_base_fraction=0.02, maintenance_base_fraction=0.01, increase_per_coin=0.00005
    ... )
    >>> round(float(increment_margin(25.0, unit_price=100_000.0, parameters=rates).initial), 9)
    53125.0
    """
    size = np.abs(_finite(size_coin, "size_coin"))
    value = size * _positive(unit_price, "unit_price")
    growth = parameters.increase_per_coin * size
    initial = _floor_of_leverage(parameters.initial_base_fraction + growth, chosen_leverage)
    return Requirement(initial=initial * value, maintenance=(parameters.maintenance_base_fraction + growth) * value)


def curve_margin(
    size_coin: ArrayLike,
    *,
    parameters: FutureCurveParameters,
    unknown_curve: UnknownCurve,
    unit_price: ArrayLike = 1.0,
    chosen_leverage: float | None = None,
) -> Requirement:
    """Return the margin of futures and perpetuals under the leverage curve of 2026.

    Parameters
    ----------
    size_coin : array
        Signed position in the underlying, with the account's open orders on that side.
    parameters : FutureCurveParameters
    unknown_curve : UnknownCurve
        What to do for sizes above ``small_position_fraction * max_position_coin``, where the shape of the curve is not
        published. PESSIMISTIC takes the curve's lowest leverage.
    unit_price, chosen_leverage
        As for ``increment_margin``.

    Raises
    ------
    NotSupportedError
        If a size lies where the curve is not known and it is to be refused, or its lowest leverage is not known.
    InputError
        As for ``increment_margin``.

    Notes
    -----
    ``IM = |N| P / L(N)``, ``MM = k IM`` with k = 2/3. A leverage chosen by the account lowers L for IM only.
    """
    size = np.abs(_finite(size_coin, "size_coin"))
    value = size * _positive(unit_price, "unit_price")
    limit = parameters.max_position_coin
    known = 0.0 if limit is None else parameters.small_position_fraction * limit
    beyond = size > known
    rate = np.full_like(size, 1.0 / parameters.small_position_leverage)
    if beyond.any():
        lowest = parameters.large_position_leverage
        if unknown_curve is UnknownCurve.REFUSE or lowest is None:
            raise NotSupportedError(
                f"{int(beyond.sum())} sizes, the largest {float(size.max()):g} coin, lie above {known:g} coin, "
                "where the leverage curve is not published",
                field="size_coin",
                allowed=f"at most {known:g} coin; or the pessimistic bound where the lowest leverage is known",
            )
        rate = np.where(beyond, 1.0 / lowest, rate)
    initial = _floor_of_leverage(rate, chosen_leverage)
    return Requirement(initial=initial * value, maintenance=parameters.maintenance_of_initial_fraction * rate * value)


def inverse_option_margin(
    quantity: ArrayLike,
    *,
    index_usd: ArrayLike,
    strike_usd: ArrayLike,
    is_call: ArrayLike,
    mark_coin: ArrayLike,
    parameters: OptionParameters,
) -> Requirement:
    """Return the margin in coin of coin-settled options; long options need none.

    Parameters
    ----------
    quantity : array
        Signed contracts of one coin each; > 0 is long.
    index_usd, strike_usd : array
        > 0. The out-of-the-money amount is measured from the index.
    is_call : array of bool
    mark_coin : array
        Mark of one option in coin, >= 0.
    parameters : OptionParameters

    Raises
    ------
    InputError
        If a value is not finite or out of range.

    Notes
    -----
    With ``a = max(0.15 - otm / S, 0.10)`` and the mark ``m``, per short contract:
    call ``IM = a + m``, ``MM = 0.075 + m``; put ``MM = max(0.075, 0.075 m) + m``, ``IM = max(a + m, MM)``.
    """
    short = np.maximum(-_finite(quantity, "quantity"), 0.0)
    mark = _not_negative(mark_coin, "mark_coin")
    call = np.asarray(is_call, dtype=bool)
    share = inverse_option_share(index_usd=index_usd, strike_usd=strike_usd, is_call=call, parameters=parameters)
    rate = parameters.maintenance_fraction
    put_maintenance = np.maximum(rate, rate * mark) + mark
    maintenance = np.where(call, rate + mark, put_maintenance)
    initial = np.where(call, share + mark, np.maximum(share + mark, put_maintenance))
    return Requirement(initial=short * initial, maintenance=short * maintenance)


def inverse_option_share(
    *, index_usd: ArrayLike, strike_usd: ArrayLike, is_call: ArrayLike, parameters: OptionParameters
) -> Array:
    """Return ``max(0.15 - otm / S, 0.10)``: initial margin of a short coin-settled option before its mark."""
    index = _positive(index_usd, "index_usd")
    otm = _out_of_the_money(index, _positive(strike_usd, "strike_usd"), np.asarray(is_call, dtype=bool))
    return np.maximum(parameters.initial_fraction - otm / index, parameters.initial_floor_fraction)


def inverse_option_order_margin(
    amount: ArrayLike,
    *,
    index_usd: ArrayLike,
    strike_usd: ArrayLike,
    is_call: ArrayLike,
    parameters: OptionParameters,
) -> Array:
    """Return the initial margin in coin of resting SELL orders of coin-settled options.

    It stands outside the position's initial and maintenance margin and holds the fee in place of the mark.

    Notes
    -----
    ``amount * (max(0.15 - otm / S, 0.10) + 0.0003)``; two payloads.
    """
    share = inverse_option_share(index_usd=index_usd, strike_usd=strike_usd, is_call=is_call, parameters=parameters)
    return _not_negative(amount, "amount") * (share + parameters.order_fee_fraction)


def linear_option_margin(
    quantity_coin: ArrayLike,
    *,
    index_usd: ArrayLike,
    strike_usd: ArrayLike,
    is_call: ArrayLike,
    mark_usd: ArrayLike,
    parameters: OptionParameters,
) -> Requirement:
    """Return the margin in USDC of USDC-settled options; long options need none.

    Parameters
    ----------
    quantity_coin : array
        Signed coins: contracts times the contract multiplier.
    index_usd, strike_usd, is_call
        As for ``inverse_option_margin``.
    mark_usd : array
        Mark of one coin's option in USDC, >= 0.

    Notes
    -----
    Per short coin: call ``IM = max(0.15 S - otm, 0.10 S) + M``, ``MM = 0.075 S + M``; put
    ``IM = max(0.15 S - otm, 0.10 K) + M``, ``MM = 0.075 min(S, K) + M``.
    """
    short = np.maximum(-_finite(quantity_coin, "quantity_coin"), 0.0)
    index, strike = _positive(index_usd, "index_usd"), _positive(strike_usd, "strike_usd")
    mark, call = _not_negative(mark_usd, "mark_usd"), np.asarray(is_call, dtype=bool)
    floor = parameters.initial_floor_fraction * np.where(call, index, strike)
    share = parameters.initial_fraction * index - _out_of_the_money(index, strike, call)
    base = parameters.maintenance_fraction * np.where(call, index, np.minimum(index, strike))
    return Requirement(initial=short * (np.maximum(share, floor) + mark), maintenance=short * (base + mark))


def segregated_equity(
    *, balance: ArrayLike, futures_session_upl: ArrayLike, session_rpl: ArrayLike, options_value: ArrayLike
) -> Array:
    """Return the equity of one currency; the session profit of options is inside ``options_value`` already."""
    parts = (balance, futures_session_upl, session_rpl, options_value)
    names = ("balance", "futures_session_upl", "session_rpl", "options_value")
    return np.asarray(sum(_finite(p, n) for p, n in zip(parts, names, strict=True)), dtype=np.float64)


def standard_margin_balance(*, equity: ArrayLike, options_value: ArrayLike) -> Array:
    """Return what supports margin in segregated standard margin: equity without the options' value.

    The requirement of a short option holds its mark, so its value must not be taken twice.
    """
    return _finite(equity, "equity") - _finite(options_value, "options_value")


def _out_of_the_money(index: Array, strike: Array, call: NDArray[np.bool_]) -> Array:
    return np.maximum(np.where(call, strike - index, index - strike), 0.0)


def _floor_of_leverage(rate: Array, chosen_leverage: float | None) -> Array:
    if chosen_leverage is None:
        return rate
    return np.maximum(rate, 1.0 / float(_positive(chosen_leverage, "chosen_leverage")))


def _finite(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("held a NaN or an infinity", field=name, allowed="finite numbers")
    return array


def _positive(values: ArrayLike, name: str) -> Array:
    array = _finite(values, name)
    if not (array > 0.0).all():
        raise InputError(f"was {float(array.min()):g}", field=name, allowed="numbers > 0")
    return array


def _not_negative(values: ArrayLike, name: str) -> Array:
    array = _finite(values, name)
    if not (array >= 0.0).all():
        raise InputError(f"was {float(array.min()):g}", field=name, allowed="numbers >= 0")
    return array
