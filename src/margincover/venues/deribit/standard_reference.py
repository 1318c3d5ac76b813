"""Deribit standard margin in Decimal, one leg at a time: the twin of ``deribit_standard``."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from margincover.errors import NotSupportedError
from margincover.venues.deribit.parameters import FutureCurveParameters, FutureIncrementParameters, OptionParameters

ZERO = Decimal(0)


class ExactRequirement(NamedTuple):
    """Initial and maintenance margin of one leg."""

    initial: Decimal
    maintenance: Decimal


class ShortOption(NamedTuple):
    """One option position: signed quantity in coins, prices in USD, the mark in the unit of its margin."""

    quantity: Decimal
    index_usd: Decimal
    strike_usd: Decimal
    is_call: bool
    mark: Decimal

    @property
    def out_of_the_money(self) -> Decimal:
        """Distance of the strike from the index on the side where the option is worthless, in USD."""
        return max(self.strike_usd - self.index_usd if self.is_call else self.index_usd - self.strike_usd, ZERO)


def _exact(value: float) -> Decimal:
    # repr keeps the digits of the parameter file: 0.02 is two hundredths, not its binary neighbour.
    return Decimal(repr(float(value)))


def increment_margin(size: Decimal, *, unit_price: Decimal, parameters: FutureIncrementParameters) -> ExactRequirement:
    """Return the margin of one future under rates that grow linearly with size."""
    size = abs(size)
    growth = _exact(parameters.increase_per_coin) * size
    initial = (_exact(parameters.initial_base_fraction) + growth) * size * unit_price
    maintenance = (_exact(parameters.maintenance_base_fraction) + growth) * size * unit_price
    return ExactRequirement(initial, maintenance)


def curve_margin(size: Decimal, *, unit_price: Decimal, parameters: FutureCurveParameters) -> ExactRequirement:
    """Return the margin of one future under the leverage curve, pessimistic where the curve is not published."""
    size = abs(size)
    leverage: float | None = parameters.small_position_leverage
    if parameters.max_position_coin is None:
        inside = size == 0
    else:
        inside = size <= _exact(parameters.small_position_fraction) * _exact(parameters.max_position_coin)
    if not inside:
        leverage = parameters.large_position_leverage
    if leverage is None:
        raise NotSupportedError("lies where the leverage curve is not published", field="size_coin")
    initial = size * unit_price / _exact(leverage)
    return ExactRequirement(initial, initial * _exact(parameters.maintenance_of_initial_fraction))


def inverse_option_margin(option: ShortOption, *, parameters: OptionParameters) -> ExactRequirement:
    """Return the margin in coin of one coin-settled option."""
    if option.quantity >= 0:
        return ExactRequirement(ZERO, ZERO)
    rate = _exact(parameters.maintenance_fraction)
    share = _exact(parameters.initial_fraction) - option.out_of_the_money / option.index_usd
    initial = max(share, _exact(parameters.initial_floor_fraction)) + option.mark
    maintenance = rate + option.mark
    if not option.is_call:
        maintenance = max(rate, rate * option.mark) + option.mark
        initial = max(initial, maintenance)
    return ExactRequirement(-option.quantity * initial, -option.quantity * maintenance)


def inverse_option_order_margin(amount: Decimal, *, option: ShortOption, parameters: OptionParameters) -> Decimal:
    """Return the initial margin in coin of one resting sell order; the mark and quantity of ``option`` do not count."""
    share = _exact(parameters.initial_fraction) - option.out_of_the_money / option.index_usd
    return amount * (max(share, _exact(parameters.initial_floor_fraction)) + _exact(parameters.order_fee_fraction))


def linear_option_margin(option: ShortOption, *, parameters: OptionParameters) -> ExactRequirement:
    """Return the margin in USDC of one USDC-settled option."""
    if option.quantity >= 0:
        return ExactRequirement(ZERO, ZERO)
    share = _exact(parameters.initial_fraction) * option.index_usd - option.out_of_the_money
    floor = _exact(parameters.initial_floor_fraction)
    rate = _exact(parameters.maintenance_fraction)
    if option.is_call:
        initial, maintenance = max(share, floor * option.index_usd), rate * option.index_usd
    else:
        initial, maintenance = max(share, floor * option.strike_usd), rate * min(option.index_usd, option.strike_usd)
    return ExactRequirement(-option.quantity * (initial + option.mark), -option.quantity * (maintenance + option.mark))
