"""An allocation as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.allocation import AllocationResult
from margincover.report import allocate_words as words
from margincover.report import format as fmt
from margincover.report.chart_allocate import flow_figure, frontier_figure, outage_figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.html_size import SizePage
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, Tile


def allocation_html(result: AllocationResult) -> str:
    """Return a page with the plan, the frontier, the flows, the matrix of frozen places and the tables behind them.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability is not one.
    """
    from markupsafe import Markup

    page = _page(result)
    environment = page_environment()
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in page.figures}
    return environment.get_template("size.html.j2").render(
        page=page,
        css=source_of(environment, "report.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js() if figures else ""),
    )


def _page(result: AllocationResult) -> SizePage:
    provenance = result.provenance
    figures = [
        flow_figure(result, figure_id="flows"),
        frontier_figure(result, figure_id="frontier"),
        outage_figure(result, figure_id="outages"),
    ]
    tables = [_capital(result), _comparisons(result), _alternatives(result)]
    if result.status != "infeasible":
        tables[1:1] = [_moves(result), _rules(result)]
    shifts = [words.SHIFT_NOTE] if result.alternatives else []
    lines = [words.NEVER_MOVED, *words.extras(result), *words.values(result), words.proof(result)]
    return SizePage(
        title="Allocation",
        subtitle=f"As of {provenance.as_of} · tolerance {fmt.percent(result.tolerance, decimals=4)} over "
        f"{fmt.duration_words(result.horizon_s)} · {result.n_paths:,} fresh paths · nothing was moved",
        headline=words.headline(result),
        tone=_tone(result),
        warnings=provenance.warnings,
        tiles=_tiles(result),
        tables=tables,
        figures=[figure for figure in figures if figure is not None],
        notes=[*lines, words.RULE_NOTE, words.COMPARE_NOTE, *shifts, *result.notes],
        not_modelled=provenance.not_modelled,
        provenance=[
            ("Program", f"margincover {provenance.version}"),
            ("Input SHA-256", provenance.input_sha256 or fmt.ABSENT),
            ("Seed", str(provenance.seed)),
            *((f"Setting: {key}", value) for key, value in provenance.settings.items()),
            *((f"Scenarios: {key}", value or fmt.ABSENT) for key, value in provenance.scenario.items()),
        ],
        editions=editions_table(provenance),
    )


def _tone(result: AllocationResult) -> str:
    if result.status == "infeasible" or result.p_now.value > result.tolerance:
        return "breach"
    return "warning" if result.status == "fallback" or result.message else "covered"


def _tiles(result: AllocationResult) -> list[Tile]:
    above = result.p_now.value > result.tolerance
    tiles = [
        Tile(
            label="Any liquidation now",
            value=fmt.probability(result.p_now),
            note=f"tolerance {fmt.percent(result.tolerance, decimals=4)}",
            tone="breach" if above else "covered",
        )
    ]
    if result.status == "infeasible":
        return [*tiles, Tile(label="Plan", value="none", note="the limits exclude each other", tone="breach")]
    held = sum(pool.held_usd for pool in result.pools) + result.reserve_before_cents / 100
    planned = sum(pool.planned_usd for pool in result.pools) + result.reserve_cents / 100
    kept = result.p_planned.value <= result.tolerance
    return [
        *tiles,
        Tile(
            label="With plan and rules",
            value=fmt.probability(result.p_planned),
            note="on fresh paths, run without the solver",
            tone="covered" if kept else "breach",
        ),
        Tile(
            label="Capital and reserve",
            value=fmt.usd(planned, rounding=Rounding.UP),
            note=f"now {fmt.usd(held, rounding=Rounding.DOWN)}; costs {fmt.usd(result.cost_per_year_usd)} a year",
        ),
        Tile(
            label="New capital",
            value=words.cents(result.fresh_cents),
            note=f"{words.cents(result.returned_cents)} is not needed any more"
            if result.returned_cents
            else "of the reserve nothing is left over",
            tone="breach" if result.fresh_cents else "covered",
        ),
    ]


def _rows(lines: Sequence[Sequence[str]]) -> list[list[Cell]]:
    return [[Cell(text=text) for text in line] for line in lines]


def _capital(result: AllocationResult) -> Table:
    return Table(
        caption="Capital by pool: equity after haircut in USD, and P(liquidation)",
        headers=("Pool", "Now", "Change", "Planned", "P now", "P until it arrives", "P planned"),
        rows=_rows(
            [
                (
                    pool.pool_id,
                    fmt.usd(pool.held_usd, rounding=Rounding.DOWN),
                    words.change(pool),
                    fmt.usd(pool.planned_usd, rounding=Rounding.UP),
                    fmt.probability(pool.p_now),
                    words.until_there(pool),
                    fmt.probability(pool.p_planned),
                )
                for pool in result.pools
            ]
        ),
    )


def _moves(result: AllocationResult) -> Table:
    return Table(
        caption=f"Transfers now. Reserve {words.cents(result.reserve_before_cents)} before, "
        f"{words.cents(result.reserve_cents)} after",
        headers=("From", "To", "In", "Worth", "Arrives 50 % / 99 %", "Fee"),
        rows=_rows(
            [
                (
                    move.origin,
                    move.destination,
                    move.asset,
                    words.cents(move.amount_cents),
                    words.arrival(move),
                    words.cents(move.fee_cents),
                )
                for move in result.transfers
            ]
        ),
        n_words=3,
        empty="Nothing moves.",
    )


def _rules(result: AllocationResult) -> Table:
    return Table(
        caption="Standing rules, and what speed and a dollar more are worth",
        headers=(
            "Pool",
            "Trigger",
            "x hourly sd",
            "x maintenance",
            "Delay 99 %",
            "An hour less saves",
            "A dollar more",
        ),
        rows=_rows(
            [
                (
                    pool.pool_id,
                    words.trigger(pool),
                    words.multiple(pool.trigger_multiple),
                    words.multiple(pool.trigger_of_maintenance),
                    fmt.duration(pool.delay_s),
                    words.hour(pool),
                    f"{pool.marginal_value:.3f} a year",
                )
                for pool in result.pools
            ]
        ),
    )


def _comparisons(result: AllocationResult) -> Table:
    return Table(
        caption="Ways to size",
        headers=("Sized", "Capital", "To alone", "P(any liquidation)"),
        rows=_rows(
            [
                (
                    row.name,
                    fmt.usd(row.capital_usd, rounding=Rounding.UP),
                    words.share(row.to_bonferroni),
                    fmt.probability(row.probability),
                )
                for row in result.comparisons
            ]
        ),
        empty="Nothing was compared.",
    )


def _alternatives(result: AllocationResult) -> Table:
    return Table(
        caption="Beside cash",
        headers=("Change", "Capital before", "Capital after", "Saves", "Costs once"),
        rows=_rows(
            [
                (
                    row.name,
                    fmt.usd(row.capital_before_usd, rounding=Rounding.UP),
                    fmt.usd(row.capital_after_usd, rounding=Rounding.UP),
                    words.saving(row.capital_before_usd, row.capital_after_usd),
                    fmt.usd(row.cost_usd, rounding=Rounding.UP) if row.cost_usd else "not known",
                )
                for row in result.alternatives
            ]
        ),
        empty="Nothing beside cash was weighed.",
    )
