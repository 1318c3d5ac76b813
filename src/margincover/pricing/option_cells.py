"""Profits of many options summed by cell of a scenario grid: moved forwards and volatilities, in many states at once.

``cell_profits`` is compiled; ``cell_profits_reference`` is its plain twin, with ``black76.price`` cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.pricing import black76
from margincover.pricing.option_kernel import add_profits

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionBook:
    """European options in many states.

    Parameters
    ----------
    weight : array [option, state]
        What one unit of value counts: signed coins, times the price of the settle asset where the total is in another.
    strike : array [option]
        > 0.
    is_call : array of bool [option]
    years : array [option, state] or [option, 1]
        >= 0.
    forward : array [option, state]
        > 0.
    residual : array [option]
        Added to every value of an option, which is never less than 0.
    base : array [option, state] or [option, 1]
        Taken off every value: the mark for a profit, 0 for a value.

    Raises
    ------
    InputError
        If a shape does not fit or a number is out of range.
    """

    weight: Array
    strike: Array
    is_call: NDArray[np.bool_]
    years: Array
    forward: Array
    residual: ArrayLike = 0.0
    base: ArrayLike = 0.0

    def __post_init__(self) -> None:
        n_options, n_states = self.forward.shape
        for name in ("weight", "years", "base"):
            array = np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), (n_options, n_states))
            object.__setattr__(self, name, np.ascontiguousarray(array))
        residual = np.broadcast_to(np.asarray(self.residual, dtype=np.float64), (n_options,))
        object.__setattr__(self, "residual", np.ascontiguousarray(residual))
        if self.strike.shape != (n_options,) or self.is_call.shape != (n_options,):
            raise InputError(f"had {self.strike.shape} strikes", field="strike", allowed=f"{n_options}, one an option")
        if not (np.all(self.forward > 0) and np.all(self.strike > 0) and np.all(np.asarray(self.years) >= 0)):
            raise InputError(
                "forward, strike or time was out of range", field="option", allowed="forward, strike > 0, time >= 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Cells of a grid: ``growth`` [cell] multiplies forwards, > 0; ``kind`` [cell] is the row of the volatilities."""

    growth: Vector
    kind: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.growth.shape != self.kind.shape or not np.all(self.growth > 0):
            raise InputError("cells did not fit", field="cells", allowed="a growth > 0 and a volatility for each")


def cell_profits(book: OptionBook, *, volatility: Array, cells: Cells, group: NDArray[np.int64] | None = None) -> Array:
    """Return the sums over options by cell, [group, cell, state]; without ``group`` there is one group.

    Parameters
    ----------
    book : OptionBook
    volatility : array [volatility, option, state]
        Annual, as a fraction, >= 0.
    cells : Cells
    group : array of int [option] or None
        Group of each option, from 0 on without a gap.

    Raises
    ------
    InputError
        If a volatility is negative or not a number.

    Notes
    -----
    ``weight * (max(V(forward * growth, volatility) + residual, 0) - base)`` with the undiscounted Black (1976) value V.
    """
    rows, totals = _prepared(book, volatility, cells, group)
    add_profits(
        book.weight,
        np.where(book.is_call, 1.0, -1.0),
        np.ascontiguousarray(book.strike),
        np.ascontiguousarray(book.forward),
        np.ascontiguousarray(volatility * np.sqrt(book.years)),
        np.asarray(book.residual),
        np.asarray(book.base),
        np.ascontiguousarray(cells.growth),
        np.ascontiguousarray(cells.kind),
        rows,
        totals,
    )
    return totals


def cell_profits_reference(
    book: OptionBook, *, volatility: Array, cells: Cells, group: NDArray[np.int64] | None = None
) -> Array:
    """Return the same as ``cell_profits``, cell by cell with ``black76.price``: its plain twin."""
    rows, totals = _prepared(book, volatility, cells, group)
    residual, base = np.asarray(book.residual)[:, None], np.asarray(book.base)
    for cell, (growth, kind) in enumerate(zip(cells.growth, cells.kind, strict=True)):
        value = black76.price(
            forward=book.forward * growth,
            strike=book.strike[:, None],
            years=book.years,
            volatility=volatility[kind],
            is_call=book.is_call[:, None],
        )
        profit = book.weight * (np.maximum(value + residual, 0.0) - base)
        for option, row in enumerate(rows):
            totals[row, cell] += profit[option]
    return totals


def _prepared(
    book: OptionBook, volatility: Array, cells: Cells, group: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], Array]:
    n_options, n_states = book.forward.shape
    if volatility.shape[1:] != (n_options, n_states) or not np.all(volatility >= 0.0):
        raise InputError("was out of range", field="volatility", allowed="numbers >= 0, [volatility, option, state]")
    if cells.kind.size and not 0 <= int(cells.kind.min()) <= int(cells.kind.max()) < len(volatility):
        raise InputError("named no volatility", field="kind", allowed=f"0 to {len(volatility) - 1}")
    rows = np.zeros(n_options, dtype=np.int64) if group is None else np.asarray(group, dtype=np.int64)
    n_groups = int(rows.max()) + 1 if rows.size else 1
    return rows, np.zeros((n_groups, cells.growth.size, n_states))
