"""Figures of liquidity: the ladder, and how long it lasts."""

from __future__ import annotations

from margincover.model.liquidity import LiquidityResult
from margincover.report import format as fmt
from margincover.report import liquidity_words as words
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.report.format import Rounding
from margincover.units import SECONDS_PER_HOUR


def ladder_figure(result: LiquidityResult) -> Figure:
    """Return cumulative usable resources at the start of each bucket against the need by its end."""
    rows = result.ladder
    labels = [_label(row.until_s) for row in rows]
    short = [row for row in rows if row.gap_usd > 0.0]
    worst = max(rows, key=lambda row: row.gap_usd)
    outcome = (
        f"It is short in {len(short)} of {len(rows)} buckets, most by {fmt.duration_words(worst.until_s)}: "
        f"{fmt.usd(worst.gap_usd, rounding=Rounding.UP)}."
        if short
        else f"It is least ahead by {fmt.duration_words(worst.until_s)}: {words.gap_text(worst)}."
    )
    data: list[PlotlyDict] = [
        {
            "type": "bar",
            "name": "usable at the start",
            "x": labels,
            "y": numbers([row.opening_usd for row in rows]),
            "marker": {"color": "--covered"},
            "hovertemplate": "usable at the start: %{y:,.0f}<extra></extra>",
        },
        {
            "type": "bar",
            "name": "comes within",
            "x": labels,
            "y": numbers([row.supply_usd - row.opening_usd for row in rows]),
            "marker": {"color": "--muted"},
            "hovertemplate": "comes within: %{y:,.0f}<extra></extra>",
        },
        _line("need", labels, [row.need_gross_usd for row in rows], colour="--breach", dash="solid"),
        _line("need, netted", labels, [row.need_net_usd for row in rows], colour="--maintenance", dash="dot"),
    ]
    caption = (
        "Cumulative resources that can be used by each time, against what accounts and debts need by then at "
        f"{fmt.percent(result.tolerance, decimals=4)} beyond their own equity, USD. {outcome}"
    )
    layout = layout_of(
        x_title="", y_title="USD", barmode="stack", xaxis={"type": "category"}, yaxis={"rangemode": "tozero"}
    )
    return Figure(id="liquidity-ladder", title="Liquidity ladder", caption=caption, data=data, layout=layout)


def _label(until_s: int) -> str:
    """Return a short time: on a narrow screen every bucket has some twenty pixels."""
    hours = until_s // SECONDS_PER_HOUR
    return f"{hours} h" if hours <= 24 or hours % 24 else f"{hours // 24} d"


def _line(name: str, labels: list[str], values: list[float], *, colour: str, dash: str) -> PlotlyDict:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": labels,
        "y": numbers(values),
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"size": 6},
        "hovertemplate": f"{name}: %{{y:,.0f}}<extra></extra>",
    }


def _band(x: list[float], low: list[float], high: list[float]) -> list[PlotlyDict]:
    edge: PlotlyDict = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        {**edge, "y": numbers(low), "showlegend": False},
        {**edge, "y": numbers(high), "fill": "tonexty", "fillcolor": "--equity-90", "name": "95 % interval"},
    ]


def survival_figure(result: LiquidityResult) -> Figure:
    """Return the probability that all needs so far were met, with its 95 % interval, against the tolerance."""
    rows = result.ladder
    hours = numbers([row.until_s / SECONDS_PER_HOUR for row in rows])
    kept = [100.0 * (1.0 - row.shortfall.value) for row in rows]
    low = [100.0 * (1.0 - row.shortfall.high) for row in rows]
    high = [100.0 * (1.0 - row.shortfall.low) for row in rows]
    wanted = 100.0 * (1.0 - result.tolerance)
    data: list[PlotlyDict] = [
        *_band(hours, low, high),
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "all needs met",
            "x": hours,
            "y": numbers(kept),
            "line": {"color": "--equity", "width": 2},
            "marker": {"size": 6},
            "hovertemplate": "%{y:.3f} %<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"wanted: {wanted:g} %",
            "x": [hours[0], hours[-1]],
            "y": numbers([wanted, wanted]),
            "line": {"color": "--breach", "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        },
    ]
    caption = (
        "Share of paths on which every need up to a time was met in time, with its 95 % interval. It stays at or above "
        f"{wanted:g} % for {words.horizon_text(result.survival)} (95 %: {words.horizon_interval(result)})."
    )
    layout = layout_of(
        x_title="",
        y_title="%",
        xaxis={"type": "log", "tickvals": hours, "ticktext": [_label(row.until_s) for row in rows]},
    )
    return Figure(id="liquidity-survival", title="Survival", caption=caption, data=data, layout=layout)
