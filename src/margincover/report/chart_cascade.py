"""Figures of a cascade: prices and liquidations by minute, levels as a map and as a heat map, loop gain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.cascade_report import CascadeReportData, by_minute
from margincover.clearing.cascade_systemic import LEVERAGE_EDGES
from margincover.report import format as fmt
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers

_MAX_MARKETS = 8
_COLOURS = ("--equity", "--maintenance", "--covered", "--breach", "--warning", "--muted", "--link", "--ink")
_SHOWN = 0.4  # levels beyond 40 % are in the JSON


def price_figure(data: CascadeReportData) -> Figure:
    """Return the lowest local price of each minute against the index, as moves from the mark before the event."""
    result, step = data.result, data.result.settings.step_s
    marks = np.array([market.mark for market in result.markets])
    deepest = np.argsort(result.record.low.min(axis=0) / marks)[:_MAX_MARKETS]
    chosen = sorted(int(m) for m in deepest)
    times = _minutes(data)
    traces: list[PlotlyDict] = []
    for k, m in enumerate(chosen):
        line = _style(k)
        low = _lowest_by_minute(result.record.low[:, m], step) / marks[m] - 1.0
        traces.append(_line(result.markets[m].name, times, 100.0 * low, line))
    # The index of the coin that moved most: where coins move alike it is the index of all.
    coin = int(np.argmax(np.abs(result.stage.index / result.stage.index[0] - 1.0).max(axis=0)))
    first = next(m for m, market in enumerate(result.markets) if market.coin == result.stage.coins[coin])
    index = _lowest_by_minute(result.stage.index[:, coin], step) / marks[first] - 1.0
    dotted = {"width": 2, "color": "--ink", "dash": "dot"}
    traces.append(_line(f"index {result.stage.coins[coin]}", times, 100.0 * index, dotted))
    left = len(result.markets) - len(chosen)
    caption = (
        "Lowest local price of each minute, as a move from the mark before the event. Where a line leaves the dotted "
        "index forced orders have used up the depth of that venue."
        + (f" {left} further markets are not drawn." if left else "")
    )
    layout = layout_of(x_title="minutes", y_title="move, per cent")
    return Figure(id="cascade-price", title="Local prices and the index", caption=caption, data=traces, layout=layout)


def flow_figure(data: CascadeReportData) -> Figure:
    """Return liquidated notional by minute, longs and shorts."""
    record, step = data.result.record, data.result.settings.step_s
    longs, shorts = (by_minute(each.sum(axis=1), step) for each in (record.sold_usd, record.bought_usd))
    total = longs + shorts
    peak = int(np.argmax(total))
    traces: list[PlotlyDict] = [
        {"type": "bar", "name": name, "x": _minutes(data), "y": numbers(values / 1e6), "marker": {"color": colour}}
        for name, values, colour in (("longs", longs, "--breach"), ("shorts", shorts, "--equity"))
    ]
    caption = (
        f"Liquidated notional by minute, {fmt.usd(float(total.sum()))} in all; the most in minute {peak + 1} with "
    )
    caption += f"{fmt.usd(float(total[peak]))}."
    layout = layout_of(x_title="minutes", y_title="million USD", barmode="stack")
    return Figure(id="cascade-flow", title="Liquidations by minute", caption=caption, data=traces, layout=layout)


def map_figure(data: CascadeReportData) -> Figure:
    """Return liquidated notional by level of the index, without feedback as a line and with it as points."""
    systemic = data.systemic
    shown = np.abs(systemic.level) <= _SHOWN + 1e-9
    level = 100.0 * systemic.level[shown]
    line = {"width": 2, "color": "--equity"}
    points = [each for each in data.levels if abs(each.shock) <= _SHOWN]
    traces = [_line("reached by the move alone", numbers(level), systemic.liquidated_usd[shown] / 1e9, line)]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "liquidated with feedback",
            "x": numbers([100.0 * each.shock for each in points]),
            "y": numbers([each.liquidated_usd / 1e9 for each in points]),
            "marker": {"color": "--breach", "size": 9},
        }
    )
    caption = (
        "Notional of all accounts that a move of the index reaches, and points: what a shock of that size liquidates "
        "once the prices that liquidations make are fed back. A point far above the line is a cascade."
    )
    layout = layout_of(x_title="move of the index, per cent", y_title="billion USD")
    return Figure(id="cascade-map", title="Systemic map", caption=caption, data=traces, layout=layout)


def gain_figure(data: CascadeReportData) -> Figure:
    """Return the loop gain of each market by level."""
    systemic, markets = data.systemic, data.result.markets
    shown = np.abs(systemic.level) <= _SHOWN + 1e-9
    order = np.argsort(-systemic.gain[shown].max(axis=0))[:_MAX_MARKETS]
    traces = [
        _line(markets[int(m)].name, numbers(100.0 * systemic.level[shown]), systemic.gain[shown, int(m)],
              _style(k))
        for k, m in enumerate(order)
    ]  # fmt: skip
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": 1, "y1": 1}
    layout = layout_of(
        x_title="move of the index, per cent",
        y_title="loop gain, logarithmic",
        yaxis={"type": "log", "range": [-2, 2], "tickvals": [0.01, 0.1, 1, 10, 100]},
        shapes=[shape | {"line": {"color": "--breach", "width": 1.5, "dash": "dot"}}],
    )
    caption = (
        "Net notional that a further 1 % forces to close, over the depth left for 1 % at that level. Above the dotted "
        "line a forced order forces a larger one before the book recovers."
    )
    return Figure(id="cascade-gain", title="Loop gain", caption=caption, data=traces, layout=layout)


def heat_figure(data: CascadeReportData) -> Figure:
    """Return where liquidations stand: notional by level and by leverage before the event."""
    systemic = data.systemic
    shown = np.abs(systemic.level) <= _SHOWN + 1e-9
    heat = systemic.heat_usd[:, shown] / 1e6
    labels = [
        f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}" for low, high in pairwise(LEVERAGE_EDGES)
    ]
    trace: PlotlyDict = {
        "type": "heatmap",
        "x": numbers(100.0 * systemic.level[shown]),
        "y": labels,
        "z": [numbers(row) for row in heat],
        "colorscale": [[0.0, "--paper"], [1.0, "--breach"]],
        # One very large account must not fade all others.
        "zmin": 0.0,
        "zmax": float(f"{max(np.percentile(heat[heat > 0.0], 98.0) if (heat > 0.0).any() else 1.0, 1e-6):.3g}"),
        "colorbar": {"title": {"text": "million USD"}, "thickness": 12},
        "hovertemplate": "%{x} %: %{z} million USD at leverage %{y}<extra></extra>",
    }
    place = np.unravel_index(int(np.argmax(heat)), heat.shape)
    caption = (
        "Notional of the accounts reached within each 1 % of the move, by their leverage before the event. The most "
        f"stands at {100.0 * systemic.level[shown][place[1]]:+.0f} % with leverage {labels[int(place[0])]}: "
        f"{fmt.usd(float(heat[place]) * 1e6)}."
    )
    layout = layout_of(
        x_title="move of the index, per cent", y_title="leverage", hovermode="closest", yaxis={"type": "category"}
    )
    return Figure(id="cascade-heat", title="Where liquidations stand", caption=caption, data=[trace], layout=layout)


def _style(k: int) -> PlotlyDict:
    # Some of the colours are close: the dash tells the second four from the first.
    return {"width": 2, "color": _COLOURS[k % len(_COLOURS)], "dash": "dash" if k >= 4 else "solid"}


def _line(name: str, x: list[float], y: Floats, line: PlotlyDict) -> PlotlyDict:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": numbers(y), "line": line}


def _minutes(data: CascadeReportData) -> list[float]:
    step = data.result.settings.step_s
    count = by_minute(np.ones(data.result.record.rounds.size), step).size
    return numbers(np.arange(1.0, count + 1.0, dtype=np.float64) * float(max(step, 60.0) / 60.0))


def _lowest_by_minute(values: Floats, step_s: float) -> Floats:
    if step_s >= 60.0:
        return values
    minute = np.floor(np.arange(values.size) * step_s / 60.0).astype(np.int64)
    lowest: Floats = np.minimum.reduceat(values, np.flatnonzero(np.diff(minute, prepend=-1)))
    return lowest
