"""What every figure shares: type, layout, colours by name, and numbers thinned to what a screen can show.

A colour is written as the name of a CSS variable (``"--equity"``); the page replaces it when it draws, so that one
figure serves light, dark and paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from margincover.errors import InputError
from margincover.model.results import PathSummary, PoolCoverage
from margincover.numeric.arrays import Vector

# Plotly's own schema is a tree of free-form values.
PlotlyDict: TypeAlias = dict[str, Any]

DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A Plotly figure and the sentence that says the same in words."""

    id: str
    title: str
    caption: str
    data: list[PlotlyDict]
    layout: PlotlyDict


def numbers(values: Sequence[float] | Vector) -> list[float]:
    """Return chart data with six significant digits: finer than a pixel, and a fraction of the size."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


def checked(values: Vector, *, field: str, account: str) -> Vector:
    """Return the values, or raise InputError where one is not finite."""
    if not np.isfinite(values).all():
        raise InputError("held a NaN or an infinity", account=account, field=field, allowed="finite numbers")
    return values


def layout_of(*, x_title: str, y_title: str, **more: Any) -> PlotlyDict:
    """Return the common layout with the given parts merged in."""
    axis = {
        "gridcolor": "--grid",
        "linecolor": "--line",
        "zerolinecolor": "--line",
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
    }
    layout: PlotlyDict = {
        "paper_bgcolor": "--paper",
        "plot_bgcolor": "--paper",
        "font": {"color": "--ink", "family": "--font", "size": 12},
        "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
        "height": 340,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--line", "font": {"color": "--ink"}},
        "xaxis": {**axis, "title": {**axis["title"], "text": x_title}},  # type: ignore[dict-item]
        "yaxis": {**axis, "title": {**axis["title"], "text": y_title}},  # type: ignore[dict-item]
    }
    for key, value in more.items():
        layout[key] = {**layout[key], **value} if isinstance(value, dict) and key in layout else value
    return layout


def pool_index(paths: PathSummary, pool: PoolCoverage) -> int | None:
    """Return where a pool stands in the path summary, None where it was not simulated."""
    name = pool.status.pool_id
    return paths.pool_ids.index(name) if name in paths.pool_ids else None
