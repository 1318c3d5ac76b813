"""Figures of stress: cash needed by scenario, coverage along the worst episodes, distance of liquidating moves."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.stress import ScenarioResult, StressResult
from margincover.report import format as fmt
from margincover.report import stress_words as words
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.report.format import Rounding

_MAX_BARS = 24
_MAX_POOLS = 8
_COLOURS = ("--equity", "--maintenance", "--covered", "--breach", "--warning", "--muted", "--link", "--ink")
_DASHES = ("solid", "dash", "dot", "dashdot")
_LABEL = 24  # characters: on a narrow screen a longer label leaves no room for its bar


def cash_figure(result: StressResult) -> Figure | None:
    """Return cash needed by scenario as bars stacked by pool; None where no scenario needs any."""
    rows = [each for each in result.scenarios if each.cash_usd > 0.0][:_MAX_BARS]
    if not rows:
        return None
    # The worst stands on top.
    rows = rows[::-1]
    worst = rows[-1]
    caption = (
        "Cash that, placed beforehand, would have kept every pool at maintenance. Most is needed in "
        f"{worst.scenario.name} ({worst.scenario.title}): {fmt.usd(worst.cash_usd, rounding=Rounding.UP)}. "
        f"{len(result.scenarios) - len(rows)} "
        "further scenarios are not shown: they need none, or less."
    )
    layout = layout_of(
        x_title="USD",
        y_title="",
        barmode="stack",
        hovermode="y unified",
        height=180 + 24 * len(rows),
        yaxis={"type": "category"},
        legend={"y": -48 / (80 + 24 * len(rows))},
    )
    return Figure(
        id="stress-cash", title="Cash needed by scenario", caption=caption, data=_cash_bars(rows), layout=layout
    )


def _cash_bars(rows: Sequence[ScenarioResult]) -> list[PlotlyDict]:
    pools = sorted({pool.pool_id for each in rows for pool in each.pools if pool.cash_usd > 0.0})
    names = [_short(each.scenario.name) for each in rows]
    data: list[PlotlyDict] = []
    for k, pool_id in enumerate(pools):
        cash = [sum(pool.cash_usd for pool in each.pools if pool.pool_id == pool_id) for each in rows]
        data.append(
            {
                "type": "bar",
                "name": pool_id,
                "orientation": "h",
                "y": names,
                "x": numbers(cash),
                "marker": {"color": _COLOURS[k % len(_COLOURS)]},
                "text": [fmt.usd(value, rounding=Rounding.UP) if value else "none" for value in cash],
                "textposition": "none",
                "hovertemplate": "%{text}",
            }
        )
    return data


def _short(name: str) -> str:
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"


def path_figure(each: ScenarioResult, *, figure_id: str) -> Figure | None:
    """Return the lowest headroom of each hour by pool, in USD; None for a shock, or without pools."""
    scenario = each.scenario
    shown = each.pools[:_MAX_POOLS]
    if scenario.start is None or not shown:
        return None
    hours = list(range(1, scenario.n_hours + 1))
    data: list[PlotlyDict] = []
    for k, pool in enumerate(shown):
        line = {"width": 2, "color": _COLOURS[k % len(_COLOURS)], "dash": _DASHES[k % len(_DASHES)]}
        trace: PlotlyDict = {"type": "scatter", "mode": "lines", "name": pool.pool_id, "x": hours}
        data.append({**trace, "y": numbers(pool.path_headroom_usd), "line": line})
    first = min((pool.liquidated_hour for pool in each.pools if pool.liquidated_hour is not None), default=None)
    fall = "No pool is liquidated." if first is None else f"The first pool is liquidated in hour {first}."
    left_out = f" {len(each.pools) - len(shown)} further pools are not drawn." if len(shown) < len(each.pools) else ""
    caption = (
        f"Lowest headroom (equity - maintenance) of each hour in USD. {fall} Below the dotted line the venue "
        "liquidates; a pool is followed beyond it as if nobody acted, so that its lowest point is the cash that was "
        f"missing.{left_out}"
    )
    layout = layout_of(
        x_title=f"hours from {scenario.start:%Y-%m-%d %H:%M} UTC",
        y_title="headroom, USD",
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": 0, "y1": 0}
            | {"line": {"color": "--breach", "width": 1.5, "dash": "dot"}}
        ],
    )
    title = f"Headroom during {scenario.name}"
    return Figure(id=figure_id, title=title, caption=caption, data=data, layout=layout)


def reverse_figure(result: StressResult) -> Figure | None:
    """Return the distance of the nearest liquidating move of each set of accounts; None where there is none."""
    rows = [each for each in result.reverse if each.distance is not None][:_MAX_BARS]
    if not rows:
        return None
    # The nearest stands on top; ranks keep names apart that are cut alike.
    names = [_short(f"{rank}. {' + '.join(each.accounts)}") for rank, each in enumerate(rows, start=1)][::-1]
    rows = rows[::-1]
    trace: PlotlyDict = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": numbers([float(each.distance or 0.0) for each in rows]),
        "marker": {"color": ["--breach" if len(each.accounts) == 1 else "--maintenance" for each in rows]},
        "text": [f"{words.moves_text(each)}; chance {words.chance_text(each.half_space_student)}" for each in rows],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }
    near = rows[-1]
    caption = (
        "Distance of the least extreme move that liquidates all accounts named, in standard deviations of the joint "
        f"law. Nearest: {' + '.join(near.accounts)}, {words.moves_text(near)}, {words.distance_text(near)}. Single "
        "accounts are drawn in the first colour, sets in the second."
    )
    layout = layout_of(
        x_title="standard deviations",
        y_title="",
        showlegend=False,
        hovermode="closest",
        height=max(260, 60 + 26 * len(rows)),
        yaxis={"type": "category"},
    )
    return Figure(id="stress-reverse", title="How far is a liquidation?", caption=caption, data=[trace], layout=layout)
