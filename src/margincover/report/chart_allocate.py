"""Charts of an allocation: frontier, flows of money, and the matrix of frozen places."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.allocation import AllocationResult, FrontierEntry
from margincover.model.results import Estimate
from margincover.report import allocate_words as words
from margincover.report import format as fmt
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.report.format import Rounding
from margincover.report.heatmap import short_usd

_SANKEY_ROW = 46


def frontier_figure(result: AllocationResult, *, figure_id: str) -> Figure | None:
    """Return capital against P(any liquidation) with 95 % intervals; None without a frontier."""
    rows = [row for row in result.frontier if row.probability.value > 0.0]
    if not rows:
        return None
    data = [_curve(rows)]
    for number, row in enumerate(result.comparisons):
        if row.probability.value > 0.0:
            data.append(_point(row.name, row.probability.value, row.capital_usd, number))
    tolerance = 100 * result.tolerance
    least, most = rows[-1], rows[0]
    caption = (
        f"Capital from nothing held against P(any liquidation within {fmt.duration_words(result.horizon_s)}) on fresh "
        f"paths: from {fmt.usd(most.capital_usd, rounding=Rounding.UP)} at {fmt.probability(most.probability)} to "
        f"{fmt.usd(least.capital_usd, rounding=Rounding.UP)} at {fmt.probability(least.probability)}. The dotted line "
        f"is the tolerance, {fmt.percent(result.tolerance, decimals=4)}. Bars are 95 % intervals."
    )
    layout = layout_of(
        x_title="P(any liquidation), per cent",
        y_title="capital, USD",
        xaxis={"type": "log", "exponentformat": "none", "dtick": "D2"},
        yaxis={"rangemode": "tozero"},
        hovermode="closest",
        shapes=[
            {
                "type": "line",
                "x0": tolerance,
                "x1": tolerance,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": "--breach", "dash": "dot", "width": 1.5},
            }
        ],
    )
    return Figure(id=figure_id, title="Efficient frontier", caption=caption, data=data, layout=layout)


def _curve(rows: Sequence[FrontierEntry]) -> PlotlyDict:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "from nothing held",
        "x": numbers([100 * row.probability.value for row in rows]),
        "y": numbers([row.capital_usd for row in rows]),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": numbers([100 * (row.probability.high - row.probability.value) for row in rows]),
            "arrayminus": numbers([100 * (row.probability.value - row.probability.low) for row in rows]),
            "color": "--equity",
            "thickness": 1.2,
        },
        "text": [
            f"{fmt.usd(row.capital_usd, rounding=Rounding.UP)}: {fmt.probability(row.probability)}" for row in rows
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": "--equity", "width": 2},
        "marker": {"size": 7},
    }


def _point(name: str, probability: float, capital_usd: float, number: int) -> PlotlyDict:
    symbols, colours = ("diamond", "square", "star"), ("--maintenance", "--warning", "--covered")
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": numbers([100 * probability]),
        "y": numbers([capital_usd]),
        "marker": {"size": 11, "symbol": symbols[number % 3], "color": colours[number % 3]},
        "hovertemplate": f"{name}: {fmt.usd(capital_usd)}<extra></extra>",
    }


def flow_figure(result: AllocationResult, *, figure_id: str) -> Figure | None:
    """Return the transfers as flows from place to place; None when nothing moves."""
    if not result.transfers:
        return None
    # A place that sends and one that receives stand apart, also where they are the same.
    left = list(dict.fromkeys(move.origin for move in result.transfers))
    right = list(dict.fromkeys(move.destination for move in result.transfers))
    data: list[PlotlyDict] = [
        {
            "type": "sankey",
            "arrangement": "snap",
            "textfont": {"color": "--ink", "size": 12},
            "node": {
                "label": [*left, *right],
                "color": ["--maintenance"] * len(left) + ["--equity"] * len(right),
                "pad": 18,
                "thickness": 14,
                "line": {"width": 0},
            },
            "link": {
                "source": [left.index(move.origin) for move in result.transfers],
                "target": [len(left) + right.index(move.destination) for move in result.transfers],
                "value": numbers([move.amount_cents / 100.0 for move in result.transfers]),
                "color": ["--equity-50"] * len(result.transfers),
                "customdata": [
                    f"{words.cents(move.amount_cents)} in {move.asset}, {words.arrival(move)}"
                    for move in result.transfers
                ],
                "hovertemplate": "%{source.label} to %{target.label}: %{customdata}<extra></extra>",
            },
        }
    ]
    listed = "; ".join(
        f"{move.origin} to {move.destination} {words.cents(move.amount_cents)}" for move in result.transfers
    )
    height = 120 + _SANKEY_ROW * max(len(left), len(right))
    layout = layout_of(x_title="", y_title="", height=height, showlegend=False, margin={"l": 8, "r": 8, "b": 16})
    return Figure(id=figure_id, title="Transfers now", caption=f"{listed}.", data=data, layout=layout)


def outage_figure(result: AllocationResult, *, figure_id: str) -> Figure | None:
    """Return P(liquidation) of every pool with every place frozen, as a heat map; None without cases."""
    if not result.outages:
        return None
    data = [_heat(result)]
    layout = layout_of(
        x_title="pool",
        y_title="frozen place",
        height=170 + 40 * len(words.places(result)[0]),
        showlegend=False,
        hovermode="closest",
        xaxis={"type": "category", "tickangle": -40, "showgrid": False},
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
    )
    caption = (
        f"P(liquidation within {fmt.duration_words(result.horizon_s)}), per cent, of each pool (columns) with one "
        f"venue or custodian frozen (rows), plan and rules in place. {' '.join(words.extras(result)[:6])}"
    )
    return Figure(id=figure_id, title="One place frozen (N-1)", caption=caption, data=data, layout=layout)


def _heat(result: AllocationResult) -> PlotlyDict:
    rows, pools = words.places(result)
    cells = {(cell.place, cell.pool_id): cell for cell in result.outages}
    # Twice the tolerance and more has the deepest colour; the tolerance itself stands in the middle.
    share = [[min(cells[row, pool].probability.value / result.tolerance, 2.0) for pool in pools] for row in rows]
    return {
        "type": "heatmap",
        "x": pools,
        "y": rows,
        "z": [numbers(line) for line in share],
        "zmin": 0,
        "zmax": 2,
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
        "colorscale": [
            [0, "--covered-soft"],
            [0.49, "--covered-soft"],
            [0.5, "--warning-soft"],
            [1, "--breach-90"],
        ],
        # Without the unit: a cell of a narrow screen has no room for it.
        "text": [[_figure(cells[row, pool].probability) for pool in pools] for row in rows],
        "texttemplate": "%{text}",
        "textfont": {"color": "--ink", "size": 10},
        "customdata": [[_extra(cells[row, pool].extra_usd) for pool in pools] for row in rows],
        "hovertemplate": "%{y} frozen, %{x}: %{text} %%{customdata}<extra></extra>",
    }


def _figure(estimate: Estimate) -> str:
    return words.short_probability(estimate).replace(" %", "").replace("< ", "<")


def _extra(usd: float) -> str:
    return f", {short_usd(usd, rounding=Rounding.UP)} USD more prevents it" if usd > 0.0 else ""
