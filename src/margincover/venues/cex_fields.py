"""Checks that the rules of the centralised exchanges share: parameter tables and input arrays.

A parameter table is refused as a whole when a key is unknown, missing, not a number, or looks like a per cent figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, RulebookError


class ParameterFields:
    """Read the values of one parameter table, with errors that name the table and the key.

    Parameters
    ----------
    data : mapping
        Values as written in the file.
    source : str
        File and edition, for the messages.
    names : sequence of str
        All keys that must be there; no other may be.

    Raises
    ------
    RulebookError
        If a key is unknown or missing.
    """

    def __init__(self, data: Mapping[str, object], *, source: str, names: Sequence[str]) -> None:
        self._data = data
        self._source = source
        unknown = sorted(set(data) - set(names))
        missing = sorted(set(names) - set(data))
        if unknown or missing:
            found = f"unknown key {', '.join(unknown)}" if unknown else f"{', '.join(missing)} was missing"
            key = (unknown or missing)[0]
            raise RulebookError(found, source=source, field=key, allowed=", ".join(names))

    def number(self, key: str, *, least: float, most: float = math.inf) -> float:
        """Return a finite number in [least, most]."""
        return self._number(self._data[key], key, least, most)

    def fraction(self, key: str) -> float:
        """Return a fraction in [0, 1]; 5 for 5 % is refused."""
        return self._number(self._data[key], key, 0.0, 1.0)

    def numbers(self, key: str, *, least: float, most: float = math.inf) -> tuple[float, ...]:
        """Return a list of at least one number, each in [least, most]."""
        values = self._data[key]
        if not isinstance(values, list | tuple) or not values:
            raise RulebookError(f"was {values!r}", source=self._source, field=key, allowed="a list of numbers")
        return tuple(self._number(value, key, least, most) for value in values)

    def ladder(self, key: str, *, most: float = 1.0) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return (edges, rates) of rows ``[lower edge, rate]``; edges start at 0 and rise, rates lie in [0, most]."""
        rows = self._data[key]
        shaped = isinstance(rows, list | tuple) and all(isinstance(row, list | tuple) and len(row) == 2 for row in rows)
        if not isinstance(rows, list | tuple) or not rows or not shaped:
            raise RulebookError(f"was {rows!r}", source=self._source, field=key, allowed="rows of [lower edge, rate]")
        edges = tuple(self._number(row[0], key, 0.0, math.inf) for row in rows)
        rates = tuple(self._number(row[1], key, 0.0, most) for row in rows)
        if edges[0] != 0.0 or any(b <= a for a, b in pairwise(edges)):
            raise RulebookError(
                f"edges were {list(edges)}", source=self._source, field=key, allowed="edges that start at 0 and rise"
            )
        return edges, rates

    def keyed(self, key: str, *, least: float, most: float) -> dict[str, float]:
        """Return a table of at least one name and number."""
        table = self._data[key]
        if not isinstance(table, Mapping) or not table:
            raise RulebookError(f"was {table!r}", source=self._source, field=key, allowed="a table of numbers")
        return {str(name): self._number(value, f"{key}.{name}", least, most) for name, value in table.items()}

    def _number(self, value: object, key: str, least: float, most: float) -> float:
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(value, int | float) or not real or not math.isfinite(value) or not least <= value <= most:
            hint = " (a fraction: 0.05 is 5 %)" if most == 1.0 else ""
            raise RulebookError(
                f"was {value!r}", source=self._source, field=key, allowed=f"a number from {least:g} to {most:g}{hint}"
            )
        return float(value)


def checked(
    value: ArrayLike, *, name: str, least: float | None = None, above: float | None = None
) -> NDArray[np.float64]:
    """Return a float64 array that holds only finite numbers, >= least and > above where these are given.

    Raises
    ------
    InputError
        If a value is NaN, infinite or outside the range.
    """
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("held a NaN or an infinity", field=name, allowed="finite numbers")
    low = bool(array.size) and (
        (least is not None and float(array.min()) < least) or (above is not None and float(array.min()) <= above)
    )
    if low:
        bound = f">= {least:g}" if least is not None else f"> {above:g}"
        raise InputError(f"held {float(array.min()):g}", field=name, allowed=f"numbers {bound}")
    return array


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Return numerator / denominator for a denominator >= 0; over 0 it is +inf, or -inf below a numerator of 0.

    Notes
    -----
    A coverage ratio without requirement: no requirement is covered without limit, except by a negative equity, which
    must never look safe.
    """
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    limit = np.where(top >= 0.0, np.inf, -np.inf)
    return np.asarray(np.divide(top, bottom, out=limit, where=bottom > 0.0), dtype=np.float64)


def utilisation(requirement: ArrayLike, equity: ArrayLike) -> NDArray[np.float64]:
    """Return requirement / equity; +inf for equity <= 0, except 0 when both are 0.

    Notes
    -----
    A venue that prints requirement over equity would show a negative, small figure for a bankrupt account; +inf keeps
    "bigger is worse" true.
    """
    top, bottom = np.broadcast_arrays(np.asarray(requirement, np.float64), np.asarray(equity, np.float64))
    limit = np.where((top == 0.0) & (bottom == 0.0), 0.0, np.inf)
    return np.asarray(np.divide(top, bottom, out=limit, where=bottom > 0.0), dtype=np.float64)


def truncated(value: ArrayLike, *, decimals: int) -> NDArray[np.float64]:
    """Return numbers cut towards zero to some decimals, as venues print rates.

    Notes
    -----
    A decimal that is whole at the cut (0.57 at two decimals) may lie one rounding error below in binary; within a few
    units in the last place the whole number is meant.
    """
    scaled = np.asarray(value, dtype=np.float64) * 10.0**decimals
    near = np.rint(scaled)
    whole = np.abs(scaled - near) <= 8.0 * np.finfo(np.float64).eps * np.abs(scaled)
    return np.asarray(np.where(whole, near, np.trunc(scaled)) / 10.0**decimals, dtype=np.float64)
