"""The tables of a liquidity result as plain text cells, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.liquidity import LiquidityResult, SupplySource
from margincover.model.risk import LiquidityAtRisk
from margincover.report import format as fmt
from margincover.report import liquidity_words as words
from margincover.report.format import Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """Title, headers and cells; the first ``n_words`` columns hold words; ``priority`` as in ``report.fitted``."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    priority: Sequence[int]
    n_words: int = 1


def liquidity_tables(result: LiquidityResult) -> list[TextTable]:
    """Return the tables, the ladder last: a terminal shows the end."""
    parts = [
        source_table(result),
        concentration_table(result),
        stock_table(result),
        *([] if result.calls is None else [calls_table(result, result.calls)]),
        *([loan_table(result)] if result.loans else []),
        *([debt_table(result)] if result.debts else []),
        need_table(result),
        ladder_table(result),
    ]
    return parts


def ladder_table(result: LiquidityResult) -> TextTable:
    """Return the ladder by bucket."""
    return TextTable(
        title=f"Liquidity ladder, cumulative, needs at {fmt.percent(result.tolerance, decimals=4)}",
        headers=("Until", "Usable at start", "Usable by end", "Need", "Gap", "P(shortfall)", "Need, netted"),
        rows=[
            (
                fmt.duration(row.until_s),
                _down(row.opening_usd),
                _down(row.supply_usd),
                _up(row.need_gross_usd),
                words.gap_text(row),
                fmt.probability(row.shortfall),
                _up(row.need_net_usd),
            )
            for row in result.ladder
        ],
        priority=(0, 0, 2, 0, 0, 1, 3),
    )


def need_table(result: LiquidityResult) -> TextTable:
    """Return needs by account, loan and what falls due."""
    return TextTable(
        title=f"Needs over {fmt.duration_words(result.horizon_s)}",
        headers=("Of", "Need", "Can reach it", "P(need)", "P(unmet)"),
        rows=[
            (
                row.id,
                _up(row.need_usd),
                _down(row.reachable_usd),
                fmt.probability(row.p_need),
                fmt.probability(row.p_unmet),
            )
            for row in result.needs
        ],
        priority=(0, 0, 2, 1, 0),
    )


def debt_table(result: LiquidityResult) -> TextTable:
    """Return debts by due time with their coverage."""
    return TextTable(
        title=f"Debt coverage over {fmt.duration_words(result.horizon_s)}",
        headers=("Due in", "What", "Falls due", "Due by then", "Usable by then", "Coverage"),
        rows=[
            (
                fmt.duration(row.due_s),
                row.label,
                _up(row.due_usd),
                _up(row.cumulative_due_usd),
                _down(row.usable_usd),
                fmt.ratio(row.ratio),
            )
            for row in result.debts
        ],
        priority=(0, 0, 1, 0, 0, 0),
        n_words=2,
    )


def loan_table(result: LiquidityResult) -> TextTable:
    """Return loans now and along the paths."""
    return TextTable(
        title=f"Loans; call and liquidation within {fmt.duration_words(result.horizon_s)} when nobody pays",
        headers=(
            "Loan", "Lender", "Debt", "LTV", "Health", "Fall to call", "P(call)", "Fall to liquidation",
            "P(liquidation)",
        ),
        rows=[
            (
                row.id,
                row.lender,
                _up(row.debt_usd),
                words.ltv_text(row),
                fmt.ratio(row.health_factor),
                words.fall_text(row.fall_to_call),
                fmt.probability(row.p_call),
                words.fall_text(row.fall_to_liquidation),
                fmt.probability(row.p_liquidation),
            )
            for row in result.loans
        ],
        priority=(0, 5, 4, 0, 0, 2, 1, 3, 0),
        n_words=2,
    )  # fmt: skip


def stock_table(result: LiquidityResult) -> TextTable:
    """Return the liquid stock over the outflow."""
    stock = result.stock
    return TextTable(
        title="Liquid stock after the caps, over the need of the horizon (1.2 is the floor)",
        headers=("Of", "Bank and venue", "Own custody", "BTC and ETH", "Stock", "Outflow", "Ratio"),
        rows=[
            (
                "all sources",
                _down(stock.level_1_usd),
                _down(stock.level_2a_usd),
                _down(stock.level_2b_usd),
                _down(stock.stock_usd),
                _up(stock.outflow_usd),
                fmt.ratio(stock.ratio),
            )
        ],
        priority=(0, 2, 2, 2, 0, 0, 0),
    )


def calls_table(result: LiquidityResult, calls: LiquidityAtRisk) -> TextTable:
    """Return liquidity at risk: cash calls from the first dollar, before the equity that stands behind them."""
    rows = [("gross across venues", calls.gross.var), ("net across venues", calls.net.var)]
    rows += [("gross less net", calls.cross_exchange), *((name, pair.var) for name, pair in calls.venues.items())]
    return TextTable(
        title=f"Liquidity at risk: cash calls within {fmt.duration_words(result.horizon_s)}",
        headers=("Of", "At the tolerance", "95 %"),
        rows=[(name, _up(row.value), f"{_down(row.low)} to {_up(row.high)}") for name, row in rows],
        priority=(0, 0, 1),
    )


def concentration_table(result: LiquidityResult) -> TextTable:
    """Return where money stands."""
    return TextTable(
        title="Concentration",
        headers=("Of", "Shares", "Total", "Herfindahl"),
        rows=[
            (
                words.CONCENTRATION_TITLES[row.by],
                words.shares_text(row),
                _down(row.total_usd),
                fmt.number(row.herfindahl, digits=2),
            )
            for row in result.concentrations
        ],
        priority=(0, 0, 1, 2),
        n_words=2,
    )


def source_table(result: LiquidityResult) -> TextTable:
    """Return every source: what it is worth, what it brings, when."""
    return TextTable(
        title="What can be drawn on",
        headers=("Source", "Kind", "Asset", "Held by", "Worth", "Haircut", "Impact", "Cost", "Usable", "p50", "p99"),
        rows=[_source(source) for source in result.supply.sources],
        priority=(0, 1, 3, 7, 2, 4, 5, 6, 0, 3, 0),
        n_words=4,
    )


def _source(source: SupplySource) -> tuple[str, ...]:
    return (
        source.id,
        source.kind,
        source.asset,
        source.custodian,
        _down(source.gross_usd),
        _up(source.haircut_usd),
        _up(source.impact_usd),
        _up(source.cost_usd),
        _down(source.usable_usd),
        fmt.duration(source.ready_p50_s),
        fmt.duration(source.ready_p99_s),
    )


def _up(value: float) -> str:
    return fmt.usd(value, rounding=Rounding.UP)


def _down(value: float) -> str:
    return fmt.usd(value, rounding=Rounding.DOWN)
