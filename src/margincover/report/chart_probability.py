"""Probability of liquidation and of a margin call by horizon, as a Plotly figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from margincover.model.results import Estimate, HorizonProbability
from margincover.report import format as fmt
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.units import SECONDS_PER_HOUR, format_duration

_PROBABILITY_FLOOR_PERCENT = 1e-4


def probability_figure(
    entries: Sequence[HorizonProbability], *, figure_id: str, tolerance: float, name: str
) -> Figure | None:
    """Return probability by horizon for liquidation and margin call, with 95 % bands, on two log axes.

    A horizon without a hit has no point on a log axis: an open triangle stands at the upper end of its interval.
    None where there is no horizon.
    """
    if not entries:
        return None
    ordered = sorted(entries, key=lambda entry: entry.horizon_s)
    hours = [entry.horizon_s / SECONDS_PER_HOUR for entry in ordered]
    floor = _floor_percent(ordered, tolerance)
    data: list[PlotlyDict] = []
    levels = (("margin call", "--warning", "dash"), ("liquidation", "--breach", "solid"))
    for word, colour, dash in levels:
        estimates = [entry.liquidation if word == "liquidation" else entry.margin_call for entry in ordered]
        for estimate in estimates:
            fmt.check_probability(estimate, field=f"{name}: {word} probability")
        data += _curve(hours, estimates, word=word, colour=colour, dash=dash, floor=floor)
    first, last = ordered[0], ordered[-1]
    caption = (
        f"Probability of a liquidation: {fmt.probability(first.liquidation)} within "
        f"{fmt.duration_words(first.horizon_s)}, {fmt.probability(last.liquidation)} within "
        f"{fmt.duration_words(last.horizon_s)}. Of a margin call: {fmt.probability(first.margin_call)} and "
        f"{fmt.probability(last.margin_call)}. Bands are 95 % intervals; the dotted line is the tolerance."
    )
    return Figure(
        id=figure_id,
        title="Probability by horizon",
        caption=caption,
        data=data,
        layout=_probability_layout(hours, floor=floor, tolerance=tolerance, ordered=ordered),
    )


def _floor_percent(ordered: Sequence[HorizonProbability], tolerance: float) -> float:
    """Foot of the log axis in per cent: below every figure that is not zero, below the tolerance."""
    seen = [tolerance]
    for entry in ordered:
        for estimate in (entry.liquidation, entry.margin_call):
            seen += [part for part in (estimate.value, estimate.low or estimate.high) if part > 0]
    return max(_PROBABILITY_FLOOR_PERCENT, 100 * min(seen) / 2)


def _curve(
    hours: list[float], estimates: Sequence[Estimate], *, word: str, colour: str, dash: str, floor: float
) -> list[PlotlyDict]:
    common: PlotlyDict = {"type": "scatter", "mode": "lines", "legendgroup": word}
    band = {**common, "x": hours, "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    lows = [max(floor, 100 * estimate.low) for estimate in estimates]
    highs = [max(floor, 100 * estimate.high) for estimate in estimates]
    traces = [
        {**band, "y": numbers(lows)},
        {**band, "y": numbers(highs), "fill": "tonexty", "fillcolor": f"{colour}-90"},
    ]
    pairs = list(zip(hours, estimates, strict=True))
    hit = [pair for pair in pairs if 100 * pair[1].value >= floor]
    # On a log axis a zero has no place: what is known is the upper end of its interval.
    bounded = [pair for pair in pairs if 100 * pair[1].value < floor <= 100 * pair[1].high]
    if hit:
        style = {"line": {"color": colour, "width": 2, "dash": dash}, "marker": {"size": 6}}
        points = _points(hit, [100 * estimate.value for _, estimate in hit])
        traces.append({**common, **points, **style, "mode": "lines+markers", "name": word})
    if bounded:
        style = {"marker": {"symbol": "triangle-down-open", "size": 9, "color": colour}}
        points = _points(bounded, [100 * estimate.high for _, estimate in bounded])
        traces.append({**common, **points, **style, "mode": "markers", "name": f"{word}, no hit: upper limit"})
    return traces


def _points(pairs: Sequence[tuple[float, Estimate]], percents: Sequence[float]) -> PlotlyDict:
    return {
        "x": [hour for hour, _ in pairs],
        "y": numbers(percents),
        "text": [fmt.probability(estimate) for _, estimate in pairs],
        "hovertemplate": "%{text}",
    }


def _probability_layout(
    hours: list[float], *, floor: float, tolerance: float, ordered: Sequence[HorizonProbability]
) -> PlotlyDict:
    top = 100 * max([tolerance, *(max(e.liquidation.high, e.margin_call.high) for e in ordered)])
    decades = [10.0**power for power in range(math.floor(math.log10(floor)), 3)]
    line = {"color": "--muted", "width": 1.5, "dash": "dot"}
    return layout_of(
        x_title="within",
        y_title="probability",
        xaxis={
            "type": "log",
            "tickvals": hours,
            "ticktext": [format_duration(entry.horizon_s) for entry in ordered],
        },
        yaxis={
            "type": "log",
            "range": [round(math.log10(floor), 4), round(math.log10(top * 1.4), 4)],
            "tickvals": decades,
            "ticktext": [fmt.percent(value / 100) for value in decades],
        },
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "line": line}
            | {"y0": 100 * tolerance, "y1": 100 * tolerance}
        ],
        annotations=[
            {
                "xref": "paper",
                "x": 0,
                "yref": "y",
                # Positions on a log axis are given as logarithms in annotations, but not in shapes.
                "y": math.log10(100 * tolerance),
                "text": f"tolerance {fmt.percent(tolerance, decimals=4)}",
                "showarrow": False,
                "xanchor": "left",
                "yanchor": "bottom",
                "font": {"size": 11, "color": "--muted"},
            }
        ],
    )
