"""Largest size against tolerance, one line a horizon, as a Plotly figure."""

from __future__ import annotations

from margincover.model.sizing import Bound, SizeCurve, SizePoint, SizingResult
from margincover.report import format as fmt
from margincover.report import size_words as words
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers

_STYLES = (("--equity", "solid"), ("--maintenance", "dash"), ("--covered", "dot"), ("--warning", "dashdot"))


def size_figure(result: SizingResult, curve: SizeCurve, *, figure_id: str) -> Figure | None:
    """Return the largest size by tolerance with 95 % error bars; None where no size was found.

    A point without a size has no place on the log axis and stands in the table alone.
    """
    found = [point for point in curve.points if point.bound is Bound.FOUND]
    if not found:
        return None
    horizons = sorted({point.horizon_s for point in found})
    data = [
        _line([p for p in found if p.horizon_s == horizon], colour=colour, dash=dash)
        for horizon, (colour, dash) in zip(horizons, _STYLES, strict=False)
    ]
    stated = curve.stated
    if curve.present > 0.0:
        data.append(_present(curve, sorted({p.tolerance for p in found})))
    what = "the whole account" if result.symbol is None else f"{curve.side} {result.symbol}"
    caption = (
        f"Largest size of {what} as a multiple of capital: at {fmt.percent(stated.tolerance, decimals=4)} over "
        f"{fmt.duration_words(stated.horizon_s)} {words.size_text(stated)}; "
        f"{words.present_text(result, curve)}. Bars are 95 % intervals from the sampling of paths."
    )
    tolerances = sorted({point.tolerance for point in found})
    layout = layout_of(
        x_title="tolerance: accepted probability of liquidation",
        y_title="notional / capital",
        xaxis={
            "type": "log",
            "tickvals": [100 * t for t in tolerances],
            "ticktext": [fmt.percent(t, decimals=4) for t in tolerances],
        },
        yaxis={"rangemode": "tozero"},
        hovermode="closest",
    )
    return Figure(id=figure_id, title=f"Size against tolerance, {what}", caption=caption, data=data, layout=layout)


def _line(points: list[SizePoint], *, colour: str, dash: str) -> PlotlyDict:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": fmt.duration_words(points[0].horizon_s),
        "x": numbers([100 * point.tolerance for point in points]),
        "y": numbers([point.size for point in points]),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": numbers([point.high - point.size for point in points]),
            "arrayminus": numbers([point.size - point.low for point in points]),
            "color": colour,
            "thickness": 1.5,
        },
        "text": [
            f"{fmt.duration_words(p.horizon_s)}, {fmt.percent(p.tolerance, decimals=4)}: {words.size_text(p)} times"
            for p in points
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"size": 7},
    }


def _present(curve: SizeCurve, tolerances: list[float]) -> PlotlyDict:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "now",
        "x": numbers([100 * tolerances[0], 100 * tolerances[-1]]),
        "y": numbers([curve.present, curve.present]),
        "line": {"color": "--muted", "width": 1.5, "dash": "dot"},
        "hovertemplate": f"now: {curve.present:.2f} times<extra></extra>",
    }
