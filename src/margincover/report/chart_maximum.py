"""The distribution of the capital that each path needs, as a Plotly figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from margincover.model.results import CoverageResult, PoolCoverage
from margincover.numeric.arrays import Vector
from margincover.report import format as fmt
from margincover.report.figure import DIGITS, Figure, PlotlyDict, checked, layout_of, numbers, pool_index
from margincover.report.format import Rounding

_BINS = 60


def maximum_figure(result: CoverageResult, pool: PoolCoverage, *, figure_id: str) -> Figure | None:
    """Return the distribution of the capital that each path needs, None where the pool has no simulated paths.

    The capital that a path needs is what is available plus the path maximum of the shortfall; a path that needs more
    than is available is liquidated. RC and RCES stand on the same axis.
    """
    paths, index = result.paths, pool_index(result.paths, pool)
    if index is None or paths.maximum.shape[1] == 0:
        return None
    unit, available = pool.status.unit, pool.available_native
    needs = available + checked(paths.maximum[index], field="maximum", account=pool.status.pool_id)
    marks = [
        ("available", available, "--equity", "solid"),
        ("RC", available + pool.rc.value, "--ink", "dot"),
        ("RCES", available + pool.rces.value, "--breach", "dash"),
    ]
    edges, counts, beyond = _bins(needs, available=available, marks=[mark[1] for mark in marks])
    shares = counts / needs.size
    n_liquidated = int((needs >= available).sum())
    data = _bars(edges, shares, available=available)
    above = f" {beyond:,} paths need more than the chart shows." if beyond else ""
    caption = (
        f"Largest capital that each of {needs.size:,} paths needs within {fmt.duration_words(result.horizon_s)}, "
        f"on a log scale. Available: {fmt.native(available, unit, rounding=Rounding.DOWN)}; RC (quantile): "
        f"{fmt.native(marks[1][1], unit, rounding=Rounding.UP)}; RCES (mean of the worst "
        f"{fmt.percent(result.tolerance, decimals=4)}): {fmt.native(marks[2][1], unit, rounding=Rounding.UP)}. "
        f"{n_liquidated:,} paths need what is available or more and are liquidated.{above}"
    )
    shapes, notes = _vertical_lines(marks, span=(edges[0], edges[-1]))
    layout = layout_of(
        x_title=f"capital needed, {unit}",
        y_title="share of paths",
        barmode="overlay",
        bargap=0.04,
        hovermode="closest",
        shapes=shapes,
        annotations=notes,
        margin={"l": 56, "r": 16, "t": 64, "b": 48},
        xaxis={"range": numbers([edges[0], edges[-1]])},
        yaxis=_share_axis(shares, n_paths=needs.size),
    )
    return Figure(id=figure_id, title="Capital that each path needs", caption=caption, data=data, layout=layout)


def _bins(needs: Vector, *, available: float, marks: Sequence[float]) -> tuple[Vector, Vector, int]:
    """Return bin edges with one edge at ``available``, counts, and how many paths lie above the last edge."""
    low = min(float(needs.min()), *marks)
    high = max(float(np.quantile(needs, 0.9995)), *marks)
    span = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-12)
    low, high = low - 0.03 * span, high + 0.06 * span
    width = (high - low) / _BINS
    first, last = math.floor((low - available) / width), math.ceil((high - available) / width)
    edges: Vector = available + width * np.arange(first, last + 1, dtype=np.float64)
    counts, _ = np.histogram(needs, bins=edges)
    return edges, counts.astype(np.float64), int((needs > edges[-1]).sum())


def _bars(edges: Vector, shares: Vector, *, available: float) -> list[PlotlyDict]:
    centre, width = (edges[1:] + edges[:-1]) / 2, float(edges[1] - edges[0])
    traces = []
    for name, keep, colour in (
        ("enough is there", centre < available, "--equity"),
        ("liquidated", centre >= available, "--breach"),
    ):
        keep = keep & (shares > 0)
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": numbers(centre[keep]),
                "y": numbers(shares[keep]),
                "width": float(f"{width:.{DIGITS}g}"),
                "marker": {"color": colour, "opacity": 0.75},
                "hovertemplate": "%{x:,.5g}: %{y:.3%} of paths<extra></extra>",
            }
        )
    return traces


def _share_axis(shares: Vector, *, n_paths: int) -> PlotlyDict:
    # One path must be visible above the foot of the axis.
    least = math.log10(0.5 / n_paths)
    top = math.log10(max(float(shares.max(initial=0.0)), 1.0 / n_paths) * 1.6)
    decades = [10.0**power for power in range(math.floor(least), 1) if least <= power <= top]
    texts = [fmt.percent(share) for share in decades]
    return {"type": "log", "range": [round(least, 4), round(top, 4)], "tickvals": decades, "ticktext": texts}


def _vertical_lines(
    marks: Sequence[tuple[str, float, str, str]], *, span: tuple[float, float]
) -> tuple[list[PlotlyDict], list[PlotlyDict]]:
    """Return the lines and their labels, one above the other so that no label crosses a line."""
    ordered = sorted(marks, key=lambda mark: mark[1])
    to_left = ordered[len(ordered) // 2][1] > (span[0] + span[1]) / 2
    # A label that runs to the left passes over the lines left of it: those must end lower, and the other way round.
    ordered = ordered if to_left else ordered[::-1]
    shapes, notes = [], []
    for row, (label, x, colour, dash) in enumerate(ordered):
        at, y_top = float(f"{x:.{DIGITS}g}"), 1.04 + 0.08 * row
        # Near an edge the label must run inwards whatever the others do.
        place = (x - span[0]) / (span[1] - span[0])
        inward_left = place > 0.35 and (to_left or place > 0.65)
        value = fmt.number(x, rounding=Rounding.DOWN if label == "available" else Rounding.UP)
        line = {"color": colour, "width": 2, "dash": dash}
        shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": y_top} | {"line": line}
        )
        notes.append(
            {
                "x": at,
                "y": y_top,
                "xref": "x",
                "yref": "paper",
                "text": f"{label} {value}",
                "showarrow": False,
                "xanchor": "right" if inward_left else "left",
                "yanchor": "middle",
                "xshift": -4 if inward_left else 4,
                "font": {"color": "--ink", "size": 11},
            }
        )
    return shapes, notes
