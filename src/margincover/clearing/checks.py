"""Checks of amounts, once, at the entrance: the message names the field, the place and what was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError


def amounts(values: ArrayLike, *, name: str, infinite: bool = False) -> NDArray[np.float64]:
    """Return amounts >= 0 as float64.

    Parameters
    ----------
    values : array_like
    name : str
        Field, for the message.
    infinite : bool
        Whether infinity is allowed, for a limit that is none.

    Raises
    ------
    InputError
        If a value is NaN, negative or, where not allowed, infinite; the message gives the first place.
    """
    array = np.asarray(values, dtype=np.float64)
    wrong = np.isnan(array) | (array < 0.0) | (np.zeros(array.shape, bool) if infinite else np.isinf(array))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = "figures >= 0, infinity for no limit" if infinite else "finite figures >= 0"
        where = f"{name}{list(place)}" if place else name
        raise InputError(f"was {array[place]}", field=where, allowed=allowed)
    return array


def numbers(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Return finite numbers of any sign as float64; raise InputError with the first place that holds none."""
    array = np.asarray(values, dtype=np.float64)
    wrong = ~np.isfinite(array)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"was {array[place]}", field=f"{name}{list(place)}" if place else name, allowed="finite figures"
        )
    return array


def probability(value: float, *, name: str) -> float:
    """Return a probability strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise InputError(f"was {value}", field=name, allowed="above 0, below 1")
    return float(value)


def same_length(**columns: NDArray[np.float64]) -> int:
    """Return the common length of the first axis; raise InputError where columns differ or are empty."""
    lengths = {name: int(column.shape[0]) if column.ndim else 0 for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"lengths {found}", field="accounts", allowed="the same length above 0")
    return next(iter(lengths.values()))
