"""The slice of a liquidation: how much must go to restore maintenance, what it costs, what it leaves unpaid.

Signs: ``side`` +1 long, -1 short; sizes, prices, fees and bad debt are >= 0; equity may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing.checks import amounts, numbers
from margincover.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """``wanted`` restores maintenance, infinite where no size does; ``size`` is what there is to close of it."""

    wanted: NDArray[np.float64]
    size: NDArray[np.float64]


def _sides(side: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(side, dtype=np.float64)
    if not np.isin(array, (-1.0, 1.0)).all():
        raise InputError(f"was {array.tolist()}", field="side", allowed="+1 for long, -1 for short")
    return array


def restoring_slice(
    *,
    quantity: ArrayLike,
    side: ArrayLike,
    equity_usd: ArrayLike,
    mark: ArrayLike,
    execution: ArrayLike,
    terms: tuple[float, float],
) -> Slice:
    """Return the size whose close at ``execution`` restores maintenance on the rest.

    Parameters
    ----------
    quantity, side, equity_usd, mark, execution : array [position]
    terms : (float, float)
        Maintenance fraction and fee fraction, both of notional at the mark.

    Notes
    -----
    slice = (m p q - e) / (b (p_exec - p) - fee p + m p): the maintenance that is missing over what a unit closed frees
    (its maintenance) less what it costs (slippage and fee). Where a unit costs at least as much as it frees, no size
    restores maintenance: ``wanted`` is infinite and the whole position goes. Where nothing is missing, both are 0.

    References
    ----------
    Chitra et al., arXiv:2512.01112, appendix on liquidations.
    """
    maintenance, fee = (float(amounts(term, name="terms")) for term in terms)
    held, price, traded = (
        amounts(quantity, name="quantity"), amounts(mark, name="mark"), amounts(execution, name="execution"),
    )  # fmt: skip
    missing = maintenance * price * held - numbers(equity_usd, name="equity_usd")
    freed = _sides(side) * (traded - price) - fee * price + maintenance * price
    wanted = np.where(missing <= 0.0, 0.0, np.inf)
    np.divide(missing, freed, out=wanted, where=(missing > 0.0) & (freed > 0.0))
    return Slice(wanted=wanted, size=np.minimum(wanted, held))


def slice_price(*, size: ArrayLike, side: ArrayLike, mark: ArrayLike, impact: float) -> NDArray[np.float64]:
    """Return the average price of a slice under linear impact: mark -+ impact size / 2, minus for a long that sells.

    A price never falls below 0.
    """
    moved = 0.5 * float(amounts(impact, name="impact")) * amounts(size, name="size")
    return np.maximum(amounts(mark, name="mark") - _sides(side) * moved, 0.0)


def bankruptcy_price(
    *, quantity: ArrayLike, side: ArrayLike, equity_usd: ArrayLike, mark: ArrayLike
) -> NDArray[np.float64]:
    """Return the price at which a linear position has no equity: mark - side equity / quantity, not below 0."""
    held = amounts(quantity, name="quantity")
    if not (held > 0.0).all():
        raise InputError("held a position of size 0", field="quantity", allowed="figures > 0")
    price = amounts(mark, name="mark") - _sides(side) * numbers(equity_usd, name="equity_usd") / held
    return np.maximum(price, 0.0)


def slice_fee(
    *, size: ArrayLike, mark: ArrayLike, execution: ArrayLike, mark_fraction: float, execution_fraction: float
) -> NDArray[np.float64]:
    """Return the fee of a slice: a fraction of its value at the mark and one of its value at execution."""
    closed = amounts(size, name="size")
    rates = amounts([mark_fraction, execution_fraction], name="fractions")
    value = rates[0] * amounts(mark, name="mark") + rates[1] * amounts(execution, name="execution")
    return np.asarray(closed * value, dtype=np.float64)


def slice_bad_debt(
    *, size: ArrayLike, side: ArrayLike, bankruptcy: ArrayLike, execution: ArrayLike
) -> NDArray[np.float64]:
    """Return what a slice traded beyond the bankruptcy price leaves unpaid: size (side (bankruptcy - execution))+."""
    beyond = _sides(side) * (amounts(bankruptcy, name="bankruptcy") - amounts(execution, name="execution"))
    return np.asarray(amounts(size, name="size") * np.maximum(beyond, 0.0), dtype=np.float64)
