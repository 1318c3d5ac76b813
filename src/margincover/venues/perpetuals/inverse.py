"""Margin of coin-margined (inverse) perpetuals whose whole rule is a rate on the present or the entry coin value.

Contracts N are signed and worth a fixed amount of quote each, already multiplied in: N is in quote units. The coin
value at price p is |N| / p. Axes are [leg, path]; scalars broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError


def unrealised_pnl_coin(*, notional: ArrayLike, entry_price: ArrayLike, mark_price: ArrayLike) -> NDArray[np.float64]:
    """Return ``N (1 / entry - 1 / mark)`` in coins; > 0 is a gain."""
    n = _array(notional)
    return np.asarray(n * (1.0 / _array(entry_price) - 1.0 / _array(mark_price)), dtype=np.float64)


def requirement_coin(*, notional: ArrayLike, price: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """Return ``rate |N| / p`` in coins, p mark or entry as the venue measures it."""
    return np.asarray(np.abs(_array(notional)) * _array(rate) / _array(price), dtype=np.float64)


def liquidation_price(
    *, notional: ArrayLike, mark_price: ArrayLike, equity_coin: ArrayLike, rate: ArrayLike
) -> NDArray[np.float64]:
    """Return the mark at which equity falls to maintenance on the value at that very mark.

    Parameters
    ----------
    notional : array
        Signed, quote units, not zero.
    equity_coin : array
        At the present mark: margin plus unrealised profit and loss, in coins.
    rate : array
        Maintenance rate including a closing fee where the venue counts one, in [0, 1).

    Returns
    -------
    array
        > 0, possibly infinite. A long is liquidatable below it, a short above it: infinite means always for a long,
        never for a short.

    Notes
    -----
    ``e + N / P - N / p = rate |N| / p`` gives ``p = (N + rate |N|) / (e + N / P)``. With maintenance held at its
    size at entry Kraken's published example would give 7,477 instead of the 7,481 that the venue states.
    """
    n = _array(notional)
    rates = _array(rate)
    if np.any(n == 0) or not np.all((rates >= 0) & (rates < 1)):
        raise InputError("notional or rate was out of range", field="inverse", allowed="notional not 0, rate in [0, 1)")
    top = n + rates * np.abs(n)
    bottom = _array(equity_coin) + n / _array(mark_price)
    top, bottom = np.broadcast_arrays(top, bottom)
    # Numerator and denominator have the sign of the position unless there is no root.
    reachable = bottom * np.sign(top) > 0
    return np.asarray(np.where(reachable, top / np.where(reachable, bottom, 1.0), np.inf), dtype=np.float64)


def bankruptcy_price(*, notional: ArrayLike, mark_price: ArrayLike, equity_coin: ArrayLike) -> NDArray[np.float64]:
    """Return the mark at which equity is zero: the liquidation price at rate 0."""
    return liquidation_price(notional=notional, mark_price=mark_price, equity_coin=equity_coin, rate=0.0)


def _array(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
