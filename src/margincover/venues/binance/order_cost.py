"""Binance USD-M: the cost of an order before it is placed, initial margin plus open loss.

Source: Binance FAQ 87fa7ee33b574f7084d42bd2ce2e463b, revisions until November 2024 and of 2026 (stored copies, read
2026-11-22). All amounts in the quote asset. The assuming price of a market order is not published: state the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import ParameterFields, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCostParameters:
    """Markup on the last price at which a sell order is margined at least, as a fraction."""

    sell_markup_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> OrderCostParameters:
        """Return parameters from a table; RulebookError for an unknown, missing or unusable value."""
        fields = ParameterFields(data, source=source, names=("sell_markup_fraction",))
        return cls(sell_markup_fraction=fields.fraction("sell_markup_fraction"))


def assuming_price(
    *,
    signed_size: ArrayLike,
    order_price: ArrayLike,
    mark: ArrayLike,
    last: ArrayLike,
    parameters: OrderCostParameters,
) -> NDArray[np.float64]:
    """Return the price that the initial margin is taken on since November 2024.

    Notes
    -----
    A buy order counts at its own price, a sell order (size < 0) at ``max(last * (1 + markup), mark, order price)``.
    """
    own = checked(order_price, name="order_price", above=0.0)
    floor = checked(last, name="last", above=0.0) * (1.0 + parameters.sell_markup_fraction)
    sell = np.maximum(np.maximum(floor, checked(mark, name="mark", above=0.0)), own)
    return np.asarray(np.where(checked(signed_size, name="signed_size") < 0.0, sell, own), dtype=np.float64)


def initial_margin(*, signed_size: ArrayLike, price: ArrayLike, leverage: ArrayLike) -> NDArray[np.float64]:
    """Return ``|size| * price / leverage``, >= 0.

    Parameters
    ----------
    price : array
        The order price under the rule until November 2024, ``assuming_price`` since then.
    """
    value = np.abs(checked(signed_size, name="signed_size")) * checked(price, name="price", above=0.0)
    return np.asarray(value / checked(leverage, name="leverage", above=0.0), dtype=np.float64)


def open_loss(*, signed_size: ArrayLike, order_price: ArrayLike, mark: ArrayLike) -> NDArray[np.float64]:
    """Return what the order loses at the mark the moment it fills, >= 0: ``max(0, size * (order price - mark))``.

    Parameters
    ----------
    signed_size : array
        In coins; > 0 is a buy order.

    Raises
    ------
    InputError
        If a value is not finite or a price is not > 0.
    """
    gap = checked(order_price, name="order_price", above=0.0) - checked(mark, name="mark", above=0.0)
    return np.asarray(np.maximum(checked(signed_size, name="signed_size") * gap, 0.0), dtype=np.float64)


def order_cost_reference(*, signed_size: float, order_price: float, mark: float, leverage: float) -> float:
    """Return margin plus open loss of one order by exact fractions, rule until November 2024: the slow twin."""
    size, order = Fraction(signed_size), Fraction(order_price)
    loss = size * (order - Fraction(mark))
    return float(abs(size) * order / Fraction(leverage) + (loss if loss > 0 else 0))
