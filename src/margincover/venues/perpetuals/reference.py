"""The slow twin of ``perpetuals`` and ``perpetuals_inverse``: one position in Decimal arithmetic.

Written from the rule pages, not from the array code; a test ties the two to 1e-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from margincover.venues.perpetuals.linear import FeeBasis, LiquidationForm, PerpetualParameters, RateScale, ValueBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPosition:
    """One linear position: signed coins, prices and leverage > 0, rate, deduction and funding of its tier."""

    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: Decimal
    rate: Decimal
    deduction: Decimal
    funding_fraction: Decimal


def initial(position: ExactPosition, parameters: PerpetualParameters) -> Decimal:
    """Return the initial requirement."""
    price = position.mark_price if parameters.initial_basis is ValueBasis.MARK else position.entry_price
    required = abs(position.quantity) * price / position.leverage
    return required + _fee(position, parameters.initial_fee_basis, parameters, at=position.mark_price)


def maintenance(position: ExactPosition, parameters: PerpetualParameters, *, at: Decimal) -> Decimal:
    """Return the maintenance requirement if the mark were ``at``."""
    rate = position.rate
    if parameters.maintenance_scale is RateScale.VALUE_OVER_LEVERAGE:
        rate = rate / position.leverage
    if parameters.funding_in_maintenance:
        rate = rate + position.funding_fraction
    price = at if parameters.maintenance_basis is ValueBasis.MARK else position.entry_price
    required = abs(position.quantity) * price * rate - position.deduction
    return required + _fee(position, parameters.maintenance_fee_basis, parameters, at=at)


def headroom(position: ExactPosition, parameters: PerpetualParameters, *, equity: Decimal, at: Decimal) -> Decimal:
    """Return equity minus maintenance if the mark moved to ``at``; ``equity`` is at the present mark."""
    moved = equity + position.quantity * (at - position.mark_price)
    return moved - maintenance(position, parameters, at=at)


def liquidation_price(position: ExactPosition, parameters: PerpetualParameters, *, equity: Decimal) -> Decimal:
    """Return the mark at which headroom, a straight line in the mark, is zero: from its values at two prices."""
    at_zero = headroom(position, parameters, equity=equity, at=Decimal(0))
    at_mark = headroom(position, parameters, equity=equity, at=position.mark_price)
    root = -at_zero * position.mark_price / (at_mark - at_zero)
    return max(root, Decimal(0))


def published_liquidation_price(
    position: ExactPosition, parameters: PerpetualParameters, *, equity: Decimal
) -> Decimal:
    """Return the price in the form that the venue prints."""
    if parameters.liquidation_form is LiquidationForm.ROOT:
        return liquidation_price(position, parameters, equity=equity)
    room = headroom(position, parameters, equity=equity, at=position.mark_price)
    return max(position.mark_price - room / position.quantity, Decimal(0))


def inverse_liquidation_price(
    *, notional: Decimal, mark_price: Decimal, equity_coin: Decimal, rate: Decimal
) -> Decimal | None:
    """Return the mark at which an inverse position has no headroom, None when no price > 0 has that property.

    Notes
    -----
    With x = 1 / p headroom is the straight line ``e + N / P - N x - rate |N| x``.
    """
    start = equity_coin + notional / mark_price
    slope = notional + rate * abs(notional)
    x = start / slope
    return 1 / x if x > 0 else None


def _fee(position: ExactPosition, basis: FeeBasis, parameters: PerpetualParameters, *, at: Decimal) -> Decimal:
    size = abs(position.quantity)
    values = {
        FeeBasis.NONE: Decimal(0),
        FeeBasis.MARK: size * at,
        FeeBasis.ENTRY: size * position.entry_price,
        FeeBasis.ENTRY_PLUS_INITIAL: size * position.entry_price * (1 + 1 / position.leverage),
    }
    return values[basis] * Decimal(repr(parameters.closing_fee_fraction))
