"""An allocation on a terminal: the moves first, then rules, comparisons, frozen places; the answer last."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.allocation import AllocationResult, OutageCell
from margincover.report import allocate_words as words
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding
from margincover.report.heatmap import short_usd


def allocation_tables(result: AllocationResult) -> RenderableType:
    """Return all tables, notes and the answer.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    parts: list[RenderableType] = []
    tables = [_capital(result), _moves(result)] if result.status != "infeasible" else [_capital(result)]
    if result.status != "infeasible":
        tables.append(_rules(result))
    if result.comparisons:
        tables.append(_comparisons(result))
    if result.alternatives:
        tables.append(_alternatives(result))
    if result.outages:
        tables.append(_outages(result))
    if result.frontier:
        tables.append(_frontier(result))
    for table in tables:
        parts += [table, Text("")]
    lines = [*words.extras(result), *words.values(result), words.proof(result)]
    parts += [Text(f"{line[0].upper()}{line[1:]}") for line in lines]
    parts += [Text(f"note: {note}", style="yellow") for note in result.notes]
    parts += [Text(""), Text(words.headline(result), style="bold"), Text(words.NEVER_MOVED, style="bold")]
    return Group(*parts)


def _capital(result: AllocationResult) -> FittedTable:
    pools = result.pools
    return FittedTable(
        title="Capital by pool, equity after haircut in USD",
        columns=[
            Column(title="Pool", cells=[pool.pool_id for pool in pools], justify="left", name=True),
            Column(title="Now", cells=[fmt.usd(pool.held_usd, rounding=Rounding.DOWN) for pool in pools]),
            Column(title="Change", cells=[words.change(pool) for pool in pools]),
            Column(
                title="Planned", cells=[fmt.usd(pool.planned_usd, rounding=Rounding.UP) for pool in pools], priority=2
            ),
            Column(title="P(liq) now", cells=[fmt.probability(pool.p_now) for pool in pools], priority=1),
            Column(title="Until it arrives", cells=[words.until_there(pool) for pool in pools], priority=4),
            Column(title="P(liq) planned", cells=[fmt.probability(pool.p_planned) for pool in pools], priority=3),
        ],
    )


def _moves(result: AllocationResult) -> FittedTable:
    moves = result.transfers
    return FittedTable(
        title="Transfers now",
        columns=[
            Column(title="From", cells=[move.origin for move in moves], justify="left", name=True),
            Column(title="To", cells=[move.destination for move in moves], justify="left"),
            Column(title="Worth", cells=[words.cents(move.amount_cents) for move in moves]),
            Column(title="In", cells=[move.asset for move in moves], justify="left", priority=1),
            Column(title="Arrives 50 % / 99 %", cells=[words.arrival(move) for move in moves], priority=2),
            Column(title="Fee", cells=[words.cents(move.fee_cents) for move in moves], priority=3),
        ],
        empty="nothing moves",
        note=(
            f"Reserve: {words.cents(result.reserve_before_cents)} now, {words.cents(result.reserve_cents)} after. "
            f"Capital and reserve cost {fmt.usd(result.cost_per_year_usd, rounding=Rounding.UP)} a year."
        ),
    )


def _rules(result: AllocationResult) -> FittedTable:
    pools = result.pools
    return FittedTable(
        title="Standing rules and the value of speed",
        columns=[
            Column(title="Pool", cells=[pool.pool_id for pool in pools], justify="left", name=True),
            Column(title="Trigger", cells=[words.trigger(pool) for pool in pools]),
            Column(title="x hourly sd", cells=[words.multiple(pool.trigger_multiple) for pool in pools]),
            Column(title="x maint.", cells=[words.multiple(pool.trigger_of_maintenance) for pool in pools], priority=3),
            Column(title="Delay 99 %", cells=[fmt.duration(pool.delay_s) for pool in pools], priority=2),
            Column(title="An hour less", cells=[words.hour(pool) for pool in pools], priority=1),
            Column(title="A dollar more", cells=[f"{pool.marginal_value:.3f} a year" for pool in pools], priority=4),
        ],
        note=words.RULE_NOTE,
    )


def _comparisons(result: AllocationResult) -> FittedTable:
    rows = result.comparisons
    return FittedTable(
        title="Ways to size",
        columns=[
            Column(title="Sized", cells=[row.name for row in rows], justify="left", name=True),
            Column(title="Capital", cells=[fmt.usd(row.capital_usd, rounding=Rounding.UP) for row in rows]),
            Column(title="To alone", cells=[words.share(row.to_bonferroni) for row in rows]),
            Column(title="P(any liq)", cells=[fmt.probability(row.probability) for row in rows], priority=1),
        ],
        note=words.COMPARE_NOTE,
    )


def _alternatives(result: AllocationResult) -> FittedTable:
    rows = result.alternatives
    return FittedTable(
        title="Beside cash",
        columns=[
            Column(title="Change", cells=[row.name for row in rows], justify="left", name=True),
            Column(title="Saves", cells=[words.saving(row.capital_before_usd, row.capital_after_usd) for row in rows]),
            Column(
                title="Costs once",
                cells=[fmt.usd(row.cost_usd, rounding=Rounding.UP) if row.cost_usd else "not known" for row in rows],
                priority=1,
            ),
        ],
        note=words.SHIFT_NOTE,
    )


def _outages(result: AllocationResult) -> FittedTable:
    rows, pools = words.places(result)
    cells = {(cell.place, cell.pool_id): cell for cell in result.outages}
    columns = [Column(title="Frozen", cells=rows, justify="left")]
    # On a narrow screen the pools that suffer most stay.
    worst = sorted(pools, key=lambda pool: -max(cells[row, pool].probability.value for row in rows))
    columns += [
        Column(
            title=pool,
            cells=[_outage(cells[row, pool]) for row in rows],
            priority=worst.index(pool),
        )
        for pool in pools
    ]
    return FittedTable(title="One place frozen: P(liquidation), and the extra buffer that prevents it", columns=columns)


def _outage(cell: OutageCell) -> str:
    text = words.short_probability(cell.probability)
    return f"{text} +{short_usd(cell.extra_usd, rounding=Rounding.UP)}" if cell.extra_usd > 0.0 else text


def _frontier(result: AllocationResult) -> FittedTable:
    rows = result.frontier
    return FittedTable(
        title="Frontier: capital against P(any liquidation)",
        columns=[
            Column(title="P(any liq), fresh paths", cells=[fmt.probability(row.probability) for row in rows]),
            Column(title="Capital", cells=[fmt.usd(row.capital_usd, rounding=Rounding.UP) for row in rows]),
            Column(title="In reserve", cells=[fmt.usd(row.reserve_usd) for row in rows], priority=1),
            Column(title="Cost a year", cells=[fmt.usd(row.cost_per_year_usd) for row in rows], priority=2),
        ],
    )
