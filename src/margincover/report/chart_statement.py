"""Figures of the daily statement: what changed, where the liquid assets stand, how concentrated they are."""

from __future__ import annotations

from margincover.model import statement
from margincover.model.statement import ExplainedChange, StatementResult
from margincover.report import format as fmt
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.report.format import Rounding
from margincover.report.statement_tables import TIER_WORDS, change_total
from margincover.report.statement_words import PART_WORDS

_COLOURS = ("--equity", "--maintenance", "--covered", "--warning", "--muted", "--link", "--breach", "--ink")
_MAX_NAMES = 7


def change_figure(change: ExplainedChange) -> Figure:
    """Return the change of equity and reserves as a waterfall from the previous report to now."""
    total = change_total(change.equity)
    parts = [(PART_WORDS[part], total.parts[part]) for part in statement.PARTS]
    values = [total.before_usd, *(amount for _, amount in parts), total.now_usd]
    trace: PlotlyDict = {
        "type": "waterfall",
        "x": ["before", *(name for name, _ in parts), "now"],
        "y": numbers(values),
        "measure": ["absolute"] + ["relative"] * len(parts) + ["total"],
        "text": [_short_usd(value) for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "x+text",
        "increasing": {"marker": {"color": "--covered"}},
        "decreasing": {"marker": {"color": "--breach"}},
        "totals": {"marker": {"color": "--equity"}},
        "connector": {"line": {"color": "--line", "width": 1}},
    }
    # The parts are small against the whole: the axis shows what lies between the levels that are passed.
    levels = [total.before_usd, total.now_usd]
    for _, amount in parts:
        levels.append(levels[-1] + amount if len(levels) > 2 else total.before_usd + amount)
    room = 0.25 * ((max(levels) - min(levels)) or abs(total.now_usd) or 1.0)
    spoken = ", ".join(f"{name} {_signed(amount)}" for name, amount in parts if amount)
    spoken = f"Of the change: {spoken}" if spoken else "Nothing changed"
    caption = (
        f"Equity of all accounts with reserves and money in transit: {fmt.usd(total.before_usd)} in the report of "
        f"{change.previous_as_of}, {fmt.usd(total.now_usd)} now. {spoken}. The axis does not start "
        "at 0."
    )
    layout = layout_of(
        x_title="",
        y_title="USD",
        showlegend=False,
        hovermode="closest",
        yaxis={"range": numbers([min(levels) - room, max(levels) + room])},
    )
    return Figure(id="statement-change", title="What changed", caption=caption, data=[trace], layout=layout)


def _signed(amount: float) -> str:
    return f"{'+' if amount > 0 else ''}{fmt.usd(amount)}"


def _short_usd(value: float) -> str:
    """Return an amount that fits above a bar: thousands as k, millions as m."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{fmt.number(value / size, digits=3)}{letter}"
    return fmt.number(value, digits=3)


def tier_figure(result: StatementResult) -> Figure | None:
    """Return liquid assets by tier: usable, and what haircut, price impact and cost take; None without resources."""
    sources = result.liquidity.supply.sources
    if not sources:
        return None
    tiers = [tier for tier in TIER_WORDS if any(each.tier == tier for each in sources)][::-1]
    names = [f"tier {tier}" for tier in tiers]
    data: list[PlotlyDict] = []
    for field, word, colour in (
        ("usable_usd", "usable", "--covered"),
        ("haircut_usd", "haircut", "--warning"),
        ("impact_usd", "price impact", "--maintenance"),
        ("cost_usd", "cost", "--muted"),
    ):
        amounts = [sum(float(getattr(each, field)) for each in sources if each.tier == tier) for tier in tiers]
        if any(amounts):
            bar: PlotlyDict = {"type": "bar", "orientation": "h", "name": word, "y": names, "x": numbers(amounts)}
            data.append(
                {**bar, "marker": {"color": colour}, "hovertemplate": f"{word}: %{{x:,.0f}} USD<extra></extra>"}
            )
    usable = sum(each.usable_usd for each in sources)
    words = "; ".join(f"tier {tier}: {TIER_WORDS[tier]}" for tier in reversed(tiers))
    caption = (
        f"{fmt.usd(usable, rounding=Rounding.DOWN)} usable in all, after haircut, price impact in stress and cost, "
        f"whenever it arrives. {words[0].upper()}{words[1:]}."
    )
    layout = layout_of(x_title="USD", y_title="", barmode="stack", hovermode="closest", yaxis={"type": "category"})
    return Figure(id="statement-tiers", title="Liquid assets by tier", caption=caption, data=data, layout=layout)


def concentration_figure(result: StatementResult) -> Figure | None:
    """Return the shares by venue, custodian, asset and stable coin as full bars; None where nothing stands anywhere."""
    tables = [table for table in result.liquidity.concentrations if table.shares]
    if not tables:
        return None
    data: list[PlotlyDict] = []
    for table in reversed(tables):
        ranked = sorted(table.shares.items(), key=lambda pair: (-pair[1], pair[0]))
        shown = ranked[:_MAX_NAMES]
        if len(ranked) > _MAX_NAMES:
            shown.append((f"{len(ranked) - _MAX_NAMES} others", sum(share for _, share in ranked[_MAX_NAMES:])))
        for rank, (name, share) in enumerate(shown):
            bar: PlotlyDict = {"type": "bar", "orientation": "h", "name": name, "y": [table.by], "x": [100.0 * share]}
            data.append(
                {
                    **bar,
                    "marker": {"color": _COLOURS[rank], "line": {"color": "--paper", "width": 1}},
                    "text": [name if share >= 0.12 else ""],
                    "textposition": "inside",
                    "insidetextanchor": "middle",
                    "insidetextfont": {"color": "--paper"},
                    "textangle": 0,
                    "hovertemplate": f"{name}: %{{x:.1f}} %<extra></extra>",
                }
            )
    largest = "; ".join(
        f"{table.by} {name} {fmt.percent(share, decimals=1)}"
        for table in tables
        for name, share in [max(table.shares.items(), key=lambda pair: pair[1])]
    )
    layout = layout_of(
        x_title="%",
        y_title="",
        barmode="stack",
        hovermode="closest",
        showlegend=False,
        yaxis={"type": "category"},
        xaxis={"range": [0, 100]},
    )
    caption = f"Shares by venue (equity in accounts), custodian and asset (usable), stable coin. Largest: {largest}."
    return Figure(id="statement-shares", title="Concentration", caption=caption, data=data, layout=layout)
