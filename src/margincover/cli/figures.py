"""Figures as they are typed: 240M, 3%, BTC=116600."""

from __future__ import annotations

import math
from collections.abc import Sequence

from margincover.errors import UsageError

_UNITS = {"bn": 1e9, "M": 1e6, "k": 1e3, "%": 0.01}


def named_figures(texts: Sequence[str], *, option: str) -> dict[str, float]:
    """Return figures by name from ``NAME=FIGURE`` with k, M or bn after a figure, or % for a fraction.

    Raises
    ------
    UsageError
        If a text does not read, or a name stands twice.

    Examples
    --------
    >>> named_figures(["BTC=240M", "ETH@thin=6.5M"], option="--depth")
    {'BTC': 240000000.0, 'ETH@thin': 6500000.0}
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, figure = text.partition("=")
        if not equals or not name or name in found:
            raise UsageError(f"was '{text}'", field=option, allowed="NAME=FIGURE, each name once")
        found[name] = figure_of(figure, option=option)
    return found


def figure_of(text: str, *, option: str) -> float:
    """Return a figure with k, M, bn or % after it.

    Raises
    ------
    UsageError
        If the text is no figure.
    """
    body, factor = text.strip(), 1.0
    for unit, value in _UNITS.items():
        if body.endswith(unit):
            body, factor = body[: -len(unit)], value
            break
    try:
        result = float(body) * factor
    except ValueError:
        raise UsageError(f"was '{text}'", field=option, allowed="a figure, with k, M, bn or % where wanted") from None
    if not math.isfinite(result):
        raise UsageError(f"was '{text}'", field=option, allowed="a finite figure")
    return result
