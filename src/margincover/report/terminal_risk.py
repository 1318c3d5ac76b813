"""Risk measures on a terminal: VaR and ES by group, contributions, liquidity at risk, the answer last."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.results import Estimate
from margincover.model.risk import LiquidityAtRisk, RiskPair, RiskParts, RiskResult
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable

_INDENT = {"book": "", "venue": "", "account": "  ", "pool": "    "}
_NAMES = {
    "variation_margin_and_funding": "variation margin, funding",
    "maintenance_margin": "rise of maintenance margin",
}


def risk_tables(result: RiskResult) -> RenderableType:
    """Return the tables and the sentence that answers."""
    horizon = fmt.duration_words(result.horizon_s)
    notes = [
        f"+- is one standard error by batch means: {result.batches} batches of whole blocks of paths.",
        f"{result.quantile_rule}.",
        "Path: the largest loss at any time up to the horizon. P&L is in USD before haircuts, nobody acts.",
        f"Stressed: {result.stress}.",
    ]
    return Group(
        _parts_table(result.parts),
        Text(""),
        _liquidity_table(result),
        Text(""),
        _rows_table(result, horizon),
        *(Text(note, style="dim") for note in notes),
        Text(""),
        Text(risk_headline(result), style="bold"),
    )


def risk_headline(result: RiskResult) -> str:
    """Return the answer in two sentences."""
    book, calls = result.rows[0], result.liquidity
    share, horizon = fmt.percent(result.tolerance, decimals=4), fmt.duration_words(result.horizon_s)
    return (
        f"At {share} over {horizon} the book loses {_usd(book.at_horizon.var.value)} or more (VaR), "
        f"{_usd(book.at_horizon.es.value)} on average beyond (ES). Calls take {_usd(calls.gross.var.value)} of cash "
        f"gross across venues, {_usd(calls.net.var.value)} net: {_usd(calls.cross_exchange.value)} because cash does "
        "not move."
    )


def _rows_table(result: RiskResult, horizon: str) -> FittedTable:
    rows = result.rows
    columns = [
        Column(
            title="Of", cells=[f"{_INDENT[row.scope]}{row.scope} {row.id}" for row in rows], justify="left", name=True
        ),
        Column(title="VaR", cells=[_with_error(row.at_horizon.var) for row in rows]),
        Column(title="ES", cells=[_with_error(row.at_horizon.es) for row in rows]),
        Column(title="Path VaR", cells=[_usd(row.on_path.var.value) for row in rows], priority=3),
        Column(title="Path ES", cells=[_usd(row.on_path.es.value) for row in rows], priority=1),
        Column(title="Stressed VaR", cells=[_usd(row.stressed_at_horizon.var.value) for row in rows], priority=4),
        Column(title="Stressed ES", cells=[_usd(row.stressed_at_horizon.es.value) for row in rows], priority=2),
        Column(title="Path ES, stressed", cells=[_usd(row.stressed_on_path.es.value) for row in rows], priority=5),
        Column(title="Value", cells=[_usd(row.value_usd) for row in rows], priority=6),
    ]
    share = fmt.percent(result.tolerance, decimals=4)
    return FittedTable(title=f"Loss at {share} over {horizon}, USD", columns=columns)


def _parts_table(parts: tuple[RiskParts, ...]) -> FittedTable:
    lines = [(each.by, name, each.var[name], each.es[name]) for each in parts for name in each.es]
    shown = [line for line in lines if line[1] != "remainder" or max(abs(line[2]), abs(line[3])) >= 0.5]
    return FittedTable(
        title="Contributions to the loss of the book at the horizon, USD; they sum by pool, by venue and by factor",
        columns=[
            Column(title="By", cells=[line[0] for line in shown], justify="left"),
            Column(title="Part", cells=[line[1] for line in shown], justify="left", name=True),
            Column(title="VaR", cells=[_usd(line[2]) for line in shown]),
            Column(title="ES", cells=[_usd(line[3]) for line in shown]),
        ],
    )


def _liquidity_table(result: RiskResult) -> FittedTable:
    plain, stressed = result.liquidity, result.stressed_liquidity
    lines = [
        ("gross across venues", *_pair_cells(plain.gross), *_pair_cells(stressed.gross)),
        ("net across venues", *_pair_cells(plain.net), *_pair_cells(stressed.net)),
        ("gross less net", _with_error(plain.cross_exchange), "", _with_error(stressed.cross_exchange), ""),
    ]
    for venue, pair in plain.venues.items():
        lines.append((venue, *_pair_cells(pair), *_pair_cells(stressed.venues[venue])))
    return FittedTable(
        title="Liquidity at risk: largest cumulative cash calls up to the horizon, USD",
        columns=[
            Column(title="Of", cells=[line[0] for line in lines], justify="left", name=True),
            Column(title="LaR", cells=[line[1] for line in lines]),
            Column(title="Mean beyond", cells=[line[2] for line in lines], priority=2),
            Column(title="Stressed LaR", cells=[line[3] for line in lines], priority=1),
            Column(title="Stressed mean beyond", cells=[line[4] for line in lines], priority=3),
        ],
        note=_kinds(plain),
    )


def _kinds(figures: LiquidityAtRisk) -> str:
    parts = ", ".join(f"{_NAMES[name]} {_usd(value)}" for name, value in figures.kind_parts.items())
    return (
        f"Of the mean beyond, gross: {parts}. Calls are counted at the ends of the hours, pools of one venue net. "
        "Gross takes each venue's own largest call: gains elsewhere do not pay it, cash sent to a venue stays there."
    )


def _pair_cells(pair: RiskPair) -> tuple[str, str]:
    return _with_error(pair.var), _usd(pair.es.value)


def _with_error(estimate: Estimate) -> str:
    return f"{_usd(estimate.value)} +- {_usd(estimate.standard_error)}"


def _usd(value: float) -> str:
    return f"{value:,.0f}"
