"""Stress as one self-contained HTML file: scenarios, pools, charts and the least extreme liquidating moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.stress import PoolStress, ReverseStress, ScenarioResult, StressResult
from margincover.model.whatif import CellState
from margincover.report import format as fmt
from margincover.report import stress_words as words
from margincover.report.chart_stress import cash_figure, path_figure, reverse_figure
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, Tile, down

_CHARTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSection:
    """One scenario: what happened, to which pool, what is known and what was filled in."""

    anchor: str
    title: str
    subtitle: str
    tone: str
    state: str
    table: Table
    notes: Sequence[str]
    sources: Sequence[str]
    figure: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StressPage:
    """Everything that the template prints."""

    title: str
    subtitle: str
    headline: str
    tone: str
    warnings: Sequence[str]
    tiles: Sequence[Tile]
    summary: Table
    matrix: Table
    figures: Sequence[Figure]
    reverse: Table
    reverse_notes: Sequence[str]
    sections: Sequence[ScenarioSection]
    not_modelled: Sequence[str]
    editions: Table


def stress_html(result: StressResult) -> str:
    """Return a page with scenarios worst first, reverse stress and charts; it loads nothing.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    from markupsafe import Markup

    page = stress_page(result)
    environment = page_environment()
    charts = [*page.figures, *(section.figure for section in page.sections if section.figure is not None)]
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in charts}
    return environment.get_template("stress.html.j2").render(
        page=page,
        css=source_of(environment, "report.css") + source_of(environment, "stress.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js() if figures else ""),
    )


def stress_page(result: StressResult) -> StressPage:
    """Return the content of the page."""
    figures = [figure for figure in (cash_figure(result), reverse_figure(result)) if figure is not None]
    charted = [each.scenario.name for each in result.scenarios if each.scenario.is_path][:_CHARTED]
    worst = max((each.state for each in result.scenarios), default=CellState.CALLED)
    return StressPage(
        title="Stress",
        subtitle=f"As of {result.provenance.as_of} · {len(result.scenarios)} scenarios · nothing was traded or sent",
        headline=words.stress_headline(result),
        tone=words.TONES[worst],
        warnings=result.provenance.warnings,
        tiles=_tiles(result),
        summary=_summary(result),
        matrix=_matrix(result),
        figures=figures,
        reverse=_reverse(result),
        reverse_notes=result.reverse_notes,
        sections=[
            _section(each, number, is_charted=each.scenario.name in charted)
            for number, each in enumerate(result.scenarios, start=1)
        ],
        not_modelled=result.provenance.not_modelled,
        editions=editions_table(result.provenance),
    )


def _tiles(result: StressResult) -> list[Tile]:
    tiles = []
    if result.scenarios:
        worst = result.scenarios[0]
        hit = sum(each.n_liquidated > 0 for each in result.scenarios)
        tiles += [
            Tile(
                label="Scenarios with a liquidation",
                value=f"{hit} of {len(result.scenarios)}",
                note="at least one pool",
                tone="breach" if hit else "covered",
            ),
            Tile(
                label="Cash for the worst",
                value=fmt.usd(worst.cash_usd, rounding=Rounding.UP),
                note=f"{worst.scenario.name}, {worst.scenario.title}",
                tone=words.TONES[worst.state],
            ),
        ]
    near = next((each for each in result.reverse if each.distance is not None), None)
    if near is not None:
        tiles.append(
            Tile(
                label="Nearest liquidation",
                value=f"{words.distance_text(near)} sd",
                note=f"{' + '.join(near.accounts)}: {words.moves_text(near)}",
                tone="warning",
            )
        )
    return tiles


def _summary(result: StressResult) -> Table:
    return Table(
        caption="All scenarios, worst first. Cash needed is summed over pools: one cannot help another.",
        headers=(
            "Scenario",
            "State",
            "What",
            "Pools liquidated",
            "Lowest ratio",
            "Cash needed",
            "Blocked by halts",
            "Loss",
        ),
        rows=[
            [
                Cell(text=each.scenario.name, link=f"#scenario-{number}"),
                Cell(text=words.STATE_WORDS[each.state], tone=words.TONES[each.state]),
                Cell(text=each.scenario.title),
                Cell(text=f"{each.n_liquidated} of {len(each.pools)}"),
                Cell(text=words.lowest_ratio(each)),
                Cell(text=fmt.usd(each.cash_usd, rounding=Rounding.UP)),
                Cell(text=fmt.usd(each.blocked_usd, rounding=Rounding.UP)),
                Cell(text=fmt.usd(each.loss_usd, rounding=Rounding.UP)),
            ]
            for number, each in enumerate(result.scenarios, start=1)
        ],
        n_words=3,
        empty="No scenario was run.",
    )


def _matrix(result: StressResult) -> Table:
    pool_ids = sorted({pool.pool_id for each in result.scenarios for pool in each.pools})
    rows = []
    for each in result.scenarios:
        by_id = {pool.pool_id: pool for pool in each.pools}
        rows.append([Cell(text=each.scenario.name), *(_ratio_cell(by_id[name]) for name in pool_ids)])
    return Table(
        caption="Lowest coverage ratio by scenario and pool; below 1 the venue liquidates",
        headers=("Scenario", *pool_ids),
        rows=rows,
        n_words=1,
        empty="The book holds no margin account.",
    )


def _ratio_cell(pool: PoolStress) -> Cell:
    mark = {CellState.LIQUIDATED: "x ", CellState.CALLED: "! ", CellState.FINE: ""}[pool.state]
    return Cell(text=f"{mark}{fmt.ratio(pool.coverage_ratio)}", tone=words.TONES[pool.state])


def _reverse(result: StressResult) -> Table:
    return Table(
        caption="The least extreme joint move that liquidates every account named, nearest first",
        headers=(
            "Accounts",
            "Move",
            "Nearest in history",
            "Distance",
            "Chance (t, this way)",
            "Chance (t, any way)",
            "Chance (normal)",
        ),
        rows=[_reverse_row(each) for each in result.reverse],
        n_words=3,
        empty="Reverse stress was not asked for, or no account holds a position.",
    )


def _reverse_row(each: ReverseStress) -> list[Cell]:
    return [
        Cell(text=" + ".join(each.accounts)),
        Cell(text=words.moves_text(each)),
        Cell(text=words.analogue_text(each.analogue)),
        Cell(text=words.distance_text(each)),
        Cell(text=words.chance_text(each.half_space_student)),
        Cell(text=words.chance_text(each.tail_student)),
        Cell(text=words.chance_text(each.tail_normal)),
    ]


def _section(each: ScenarioResult, number: int, *, is_charted: bool) -> ScenarioSection:
    scenario = each.scenario
    when = (
        "one state" if scenario.start is None else f"{scenario.n_hours} hours from {scenario.start:%Y-%m-%d %H:%M} UTC"
    )
    fills = [f"{fill.factor} in {fill.pool_id}: {fill.rule}" for fill in each.fills]
    halts = [f"halt at {halt.venue}: {halt.what}" for halt in scenario.halts]
    return ScenarioSection(
        anchor=f"scenario-{number}",
        title=f"{scenario.name}: {scenario.title}",
        subtitle=when,
        tone=words.TONES[each.state],
        state=words.STATE_WORDS[each.state],
        table=_pool_table(each),
        notes=list(dict.fromkeys([*fills, *halts, *each.notes])),
        sources=scenario.sources,
        figure=path_figure(each, figure_id=f"stress-path-{number}") if is_charted else None,
    )


def _pool_table(each: ScenarioResult) -> Table:
    is_path = each.scenario.is_path
    return Table(
        caption="Pools, worst first; equity and ratio in the state with the largest shortfall",
        headers=(
            "Pool",
            "State",
            "Liquidated by",
            "Money can arrive",
            "Cash needed",
            "Ratio",
            "Equity",
            "Maintenance",
            "Loss",
        ),
        rows=[
            [
                Cell(text=pool.pool_id),
                Cell(text=words.STATE_WORDS[pool.state], tone=words.TONES[pool.state]),
                Cell(text=words.hour_text(pool.liquidated_hour, is_path=is_path)),
                Cell(text=words.blocked_text(pool)),
                Cell(text=words.cash_text(pool)),
                Cell(text=fmt.ratio(pool.coverage_ratio)),
                Cell(text=down(pool.equity_native, pool.unit)),
                Cell(text=fmt.native(pool.maintenance_native, pool.unit, rounding=Rounding.UP)),
                Cell(text=fmt.usd(pool.loss_usd, rounding=Rounding.UP)),
            ]
            for pool in each.pools
        ],
        n_words=4,
        empty="The book holds no margin account.",
    )
