"""Tables of the daily statement: every output (page, workbook, CSV, JSON) is made from these."""

from __future__ import annotations

import math
from collections.abc import Sequence

from margincover.model import statement
from margincover.model.results import PoolCoverage
from margincover.model.statement import ChangeRow, StatementResult
from margincover.report.format import finite
from margincover.report.parts import at_horizon
from margincover.report.statement_appendix import appendix_tables
from margincover.report.statement_cells import Column, DataTable, Value
from margincover.report.statement_words import PART_WORDS, VERDICT_WORDS
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

NO_CHANGE = "No earlier report was given, so no change is explained."
TIER_WORDS = {
    1: "cash and the stable coin of the venue, on venues",
    2: "the same in own custody or at a bank",
    3: "coins",
    4: "counted in no liquid stock",
}


def statement_tables(result: StatementResult) -> tuple[DataTable, ...]:
    """Return all tables in reading order.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    tables = (
        _headline(result),
        _breaches(result),
        _pools(result),
        _obligations(result),
        _ladder(result),
        _needs(result),
        _loans(result),
        _tiers(result),
        _sources(result),
        _concentration(result),
        _stress(result),
        _stress_accounts(result),
        *_changes(result),
        *appendix_tables(result),
    )
    for table in tables:
        for row in table.rows:
            for column, value in zip(table.columns, row, strict=True):
                if isinstance(value, float):
                    finite(value, field=f"{table.key}.{column.key}")
    return tables


def _headline(result: StatementResult) -> DataTable:
    return DataTable(
        key="headline",
        title="Headline figures",
        note="Each figure with its 95 % interval and its limit; exact figures have no interval.",
        columns=(
            Column("figure", "Figure"),
            Column("where", "Where"),
            Column("unit", "Unit"),
            Column("value", "Value", "figure"),
            Column("low", "Low (95 %)", "figure"),
            Column("high", "High (95 %)", "figure"),
            Column("side", "Limit is"),
            Column("limit", "Limit", "figure"),
            Column("limit_from", "Limit from"),
            Column("verdict", "Verdict"),
            Column("note", "Note"),
        ),
        rows=tuple(
            (
                figure.label,
                figure.where,
                "h" if figure.unit == "s" else figure.unit,
                _hours(figure.value) if figure.unit == "s" else figure.value,
                _hours(figure.low) if figure.unit == "s" else figure.low,
                _hours(figure.high) if figure.unit == "s" else figure.high,
                "" if figure.limit is None else "at most" if figure.is_upper else "at least",
                _hours(figure.limit) if figure.unit == "s" else figure.limit,
                "none" if figure.limit is None else "book" if figure.is_stated else "default",
                VERDICT_WORDS[figure.verdict],
                figure.note,
            )
            for figure in result.figures
        ),
    )


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / SECONDS_PER_HOUR


def _breaches(result: StatementResult) -> DataTable:
    return DataTable(
        key="breaches",
        title="Breaches and warnings",
        note="Breaches first. A warning is within its limit, but not with its error bar.",
        columns=(
            Column("what", "What"),
            Column("verdict", "Verdict"),
            Column("where", "Where"),
            Column("found", "Found"),
            Column("allowed", "Allowed"),
        ),
        rows=tuple(
            (each.what, VERDICT_WORDS[each.verdict], each.where, each.found, each.allowed) for each in result.breaches
        ),
        empty="Nothing is in breach, and no figure is within the error bar of its limit.",
    )


def _pools(result: StatementResult) -> DataTable:
    return DataTable(
        key="accounts",
        title="Accounts",
        note="Pools worst first. Gap = required - available: above 0 it must be added.",
        columns=(
            Column("pool", "Pool"),
            Column("verdict", "Verdict"),
            Column("state", "State now", is_on_page=False),
            Column("equity_usd", "Equity", "usd_down"),
            Column("maintenance_usd", "Maintenance", "usd_up"),
            Column("coverage_ratio", "Coverage ratio", "ratio"),
            Column("required_usd", "Required", "usd_up"),
            Column("gap_usd", "Gap", "usd_up"),
            Column("required_coverage_ratio", "Required coverage ratio", "ratio"),
            Column("liquidation_probability_24h", "P(liquidation) 24 h", "fraction"),
            Column("liquidation_probability_24h_low", "low (95 %)", "fraction"),
            Column("liquidation_probability_24h_high", "high (95 %)", "fraction"),
            Column("margin_call_probability_24h", "P(margin call) 24 h", "fraction"),
        ),
        rows=tuple(_pool_row(pool) for pool in result.coverage.pools),
        empty="The book holds no margin account.",
    )


def _pool_row(pool: PoolCoverage) -> tuple[Value, ...]:
    status, entry = pool.status, at_horizon(pool.probabilities, SECONDS_PER_DAY)
    chance = None if entry is None else entry.liquidation
    return (
        status.pool_id,
        pool.verdict,
        status.state,
        status.equity_usd,
        status.maintenance_usd,
        status.coverage_ratio,
        pool.required_usd,
        pool.gap_usd,
        pool.required_coverage_ratio,
        None if chance is None else chance.value,
        None if chance is None else chance.low,
        None if chance is None else chance.high,
        None if entry is None else entry.margin_call.value,
    )


def _obligations(result: StatementResult) -> DataTable:
    return DataTable(
        key="obligations",
        title="Obligations by due time",
        note="What falls due within the horizon, margin calls at the tolerance among it, and what can be used by then.",
        columns=(
            Column("obligation", "Obligation"),
            Column("due_h", "Due within", "hours"),
            Column("due_usd", "Due", "usd_up"),
            Column("cumulative_due_usd", "Due so far", "usd_up"),
            Column("usable_usd", "Usable by then", "usd_down"),
            Column("debt_coverage_ratio", "Debt coverage", "ratio"),
        ),
        rows=tuple(
            (row.label, _hours(row.due_s), row.due_usd, row.cumulative_due_usd, row.usable_usd, row.ratio)
            for row in result.liquidity.debts
        ),
        empty="Nothing falls due within the horizon, and no margin call reaches the tolerance.",
    )


def _ladder(result: StatementResult) -> DataTable:
    return DataTable(
        key="ladder",
        title="Liquidity ladder",
        note="Needs at the tolerance against what can be used; a need may come at the start of its bucket.",
        columns=(
            Column("until_h", "Until", "hours"),
            Column("opening_usd", "Usable at the start", "usd_down"),
            Column("supply_usd", "Usable at the end", "usd_down"),
            Column("need_gross_usd", "Need, gross", "usd_up"),
            Column("need_gross_standard_error_usd", "its standard error", "usd_up"),
            Column("need_net_usd", "Need, net across venues", "usd_up"),
            Column("gap_usd", "Gap", "usd_up"),
            Column("shortfall_probability", "P(some need unmet)", "fraction"),
            Column("shortfall_probability_low", "low (95 %)", "fraction"),
            Column("shortfall_probability_high", "high (95 %)", "fraction"),
        ),
        rows=tuple(
            (
                _hours(row.until_s),
                row.opening_usd,
                row.supply_usd,
                row.need_gross_usd,
                row.need_gross_standard_error_usd,
                row.need_net_usd,
                row.gap_usd,
                row.shortfall.value,
                row.shortfall.low,
                row.shortfall.high,
            )
            for row in result.liquidity.ladder
        ),
    )


def _needs(result: StatementResult) -> DataTable:
    return DataTable(
        key="needs",
        title="Needs by place",
        note="Beyond its own equity, at the tolerance, over the horizon; reachable when nobody else calls.",
        columns=(
            Column("place", "Place"),
            Column("need_usd", "Need", "usd_up"),
            Column("reachable_usd", "Reachable", "usd_down"),
            Column("need_probability", "P(need)", "fraction"),
            Column("unmet_probability", "P(need unmet)", "fraction"),
            Column("unmet_probability_low", "low (95 %)", "fraction"),
            Column("unmet_probability_high", "high (95 %)", "fraction"),
        ),
        rows=tuple(
            (
                row.id,
                row.need_usd,
                row.reachable_usd,
                row.p_need.value,
                row.p_unmet.value,
                row.p_unmet.low,
                row.p_unmet.high,
            )
            for row in result.liquidity.needs
        ),
    )


def _loans(result: StatementResult) -> DataTable:
    return DataTable(
        key="loans",
        title="Loans",
        note="Falls are common falls of the collateral's coins; probabilities within the horizon when nobody pays.",
        columns=(
            Column("loan", "Loan"),
            Column("lender", "Lender"),
            Column("debt_usd", "Debt", "usd_up"),
            Column("collateral_usd", "Collateral", "usd_down"),
            Column("loan_to_value", "Loan to value", "fraction"),
            Column("health_factor", "Health factor", "ratio"),
            Column("fall_to_call_fraction", "Fall to the call", "fraction"),
            Column("fall_to_liquidation_fraction", "Fall to liquidation", "fraction"),
            Column("call_probability", "P(call)", "fraction"),
            Column("liquidation_probability", "P(liquidation)", "fraction"),
        ),
        rows=tuple(
            (
                row.id,
                row.lender,
                row.debt_usd,
                row.collateral_usd,
                row.ltv,
                row.health_factor,
                row.fall_to_call,
                row.fall_to_liquidation,
                row.p_call.value,
                row.p_liquidation.value,
            )
            for row in result.liquidity.loans
        ),
        empty="The book holds no loan.",
    )


def _tiers(result: StatementResult) -> DataTable:
    rows: list[tuple[Value, ...]] = []
    for tier, words in TIER_WORDS.items():
        sources = [each for each in result.liquidity.supply.sources if each.tier == tier]
        gross, usable = (sum(getattr(each, name) for each in sources) for name in ("gross_usd", "usable_usd"))
        rows.append((f"{tier}: {words}", tier, len(sources), float(gross), float(usable)))
    return DataTable(
        key="tiers",
        title="Liquid assets by tier",
        note="After haircut, price impact of selling in stress and cost.",
        columns=(
            Column("what", "Tier"),
            Column("tier", "Tier number", "count", is_on_page=False),
            Column("sources", "Sources", "count"),
            Column("gross_usd", "Gross", "usd_down"),
            Column("usable_usd", "Usable", "usd_down"),
        ),
        rows=tuple(rows),
    )


def _sources(result: StatementResult) -> DataTable:
    return DataTable(
        key="sources",
        title="Liquid assets, one by one",
        note="Gross = haircut + impact + cost + usable. Ready: the delay until it is cash, before any way.",
        columns=(
            Column("source", "Source"),
            Column("kind", "Kind"),
            Column("custodian", "Custodian"),
            Column("asset", "Asset"),
            Column("tier", "Tier", "count"),
            Column("gross_usd", "Gross", "usd_down"),
            Column("haircut_usd", "Haircut", "usd_up"),
            Column("impact_usd", "Impact", "usd_up"),
            Column("cost_usd", "Cost", "usd_up"),
            Column("usable_usd", "Usable", "usd_down"),
            Column("ready_p50_h", "Ready, median", "hours"),
            Column("ready_p99_h", "Ready, 99 %", "hours"),
        ),
        rows=tuple(
            (
                each.id,
                each.kind,
                each.custodian,
                each.asset,
                each.tier,
                each.gross_usd,
                each.haircut_usd,
                each.impact_usd,
                each.cost_usd,
                each.usable_usd,
                _hours(each.ready_p50_s),
                _hours(each.ready_p99_s),
            )
            for each in sorted(result.liquidity.supply.sources, key=lambda each: each.tier)
        ),
        empty="The book holds no resource.",
    )


def _concentration(result: StatementResult) -> DataTable:
    return DataTable(
        key="concentration",
        title="Concentration",
        note="Shares of what stands there; the limit is the book's.",
        columns=(
            Column("by", "By"),
            Column("name", "Name"),
            Column("share_fraction", "Share", "fraction"),
            Column("amount_usd", "Amount", "usd"),
            Column("limit_fraction", "Limit", "fraction"),
            Column("herfindahl", "Herfindahl index", "ratio"),
        ),
        rows=tuple(
            (table.by, name, share, share * table.total_usd, result.share_limits.get(table.by), table.herfindahl)
            for table in result.liquidity.concentrations
            for name, share in sorted(table.shares.items(), key=lambda pair: (-pair[1], pair[0]))
        ),
        empty="Nothing stands anywhere.",
    )


def _stress(result: StatementResult) -> DataTable:
    return DataTable(
        key="stress",
        title="Stress episodes",
        note="Worst first. Cash is summed over pools: one cannot help another. Nobody acts.",
        columns=(
            Column("episode", "Episode"),
            Column("title", "What"),
            Column("liquidated_pools", "Pools liquidated", "count"),
            Column("pools", "of", "count"),
            Column("lowest_coverage_ratio", "Lowest coverage ratio", "ratio"),
            Column("cash_usd", "Cash needed", "usd_up"),
            Column("blocked_usd", "Blocked by halts", "usd_up"),
            Column("loss_usd", "Loss", "usd_up"),
        ),
        rows=tuple(
            (
                each.scenario.name,
                each.scenario.title,
                each.n_liquidated,
                len(each.pools),
                min((pool.coverage_ratio for pool in each.pools if pool.coverage_ratio is not None), default=None),
                float(each.cash_usd),
                float(each.blocked_usd),
                float(each.loss_usd),
            )
            for each in result.stress.scenarios
        ),
    )


def _stress_accounts(result: StatementResult) -> DataTable:
    return DataTable(
        key="stress_accounts",
        title="Worst episode of each account",
        note="The episode that needs most cash there, or comes nearest to a need.",
        columns=(
            Column("account", "Account"),
            Column("pool", "Pool"),
            Column("episode", "Episode"),
            Column("state", "State"),
            Column("liquidated_by_h", "Liquidated by", "hours"),
            Column("coverage_ratio", "Coverage ratio then", "ratio"),
            Column("cash_usd", "Cash needed", "usd_up"),
            Column("headroom_usd", "Headroom then", "usd_down"),
        ),
        rows=tuple(_worst_rows(result)),
        empty="The book holds no margin account.",
    )


def _worst_rows(result: StatementResult) -> list[tuple[Value, ...]]:
    worst: dict[str, tuple[tuple[float, float], tuple[Value, ...]]] = {}
    for each in result.stress.scenarios:
        for pool in each.pools:
            # Where no cash is needed, the shortfall nearest to a need decides.
            key = (pool.cash_usd, pool.shortfall_usd)
            if pool.account_id in worst and key <= worst[pool.account_id][0]:
                continue
            hour = None if pool.liquidated_hour is None else float(pool.liquidated_hour)
            name, state = each.scenario.name, pool.state.name.lower()
            row = (pool.account_id, pool.pool_id, name, state, hour, pool.coverage_ratio, pool.cash_usd)
            worst[pool.account_id] = key, (*row, -pool.shortfall_usd)
    return [row for _, row in sorted(worst.values(), key=lambda pair: (-pair[0][0], -pair[0][1], str(pair[1][0])))]


def _changes(result: StatementResult) -> tuple[DataTable, DataTable]:
    change = result.change
    if change is None:
        # The tables are there all the same, so that a file of an earlier run never stands in for them.
        return (
            _change("change_equity", "Change of equity and reserves", "", ()),
            _change("change_maintenance", "Change of maintenance margin", "", ()),
        )
    note = f"Since the report of {change.previous_as_of}; the parts sum to the change."
    return (
        _change("change_equity", "Change of equity and reserves", note, change.equity),
        _change("change_maintenance", "Change of maintenance margin", "The same parts.", change.maintenance),
    )


def _change(key: str, title: str, note: str, rows: Sequence[ChangeRow]) -> DataTable:
    columns = [Column("place", "Place"), Column("before_usd", "Before", "usd")]
    columns += [Column(f"{part}_usd", PART_WORDS[part].capitalize(), "usd") for part in statement.PARTS]
    shown = [*rows, change_total(rows)] if rows else []
    return DataTable(
        key=key,
        title=title,
        note=note,
        columns=(*columns, Column("now_usd", "Now", "usd")),
        rows=tuple(
            (row.place, row.before_usd, *(row.parts[part] for part in statement.PARTS), row.now_usd) for row in shown
        ),
        empty=NO_CHANGE,
    )


def change_total(rows: Sequence[ChangeRow]) -> ChangeRow:
    """Return the sum of the rows under the name ``total``."""
    return ChangeRow(
        place="total",
        before_usd=math.fsum(row.before_usd for row in rows),
        now_usd=math.fsum(row.now_usd for row in rows),
        parts={part: math.fsum(row.parts[part] for row in rows) for part in statement.PARTS},
    )
