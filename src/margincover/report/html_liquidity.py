"""Liquidity as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

from margincover.model.liquidity import LiquidityResult
from margincover.report import format as fmt
from margincover.report import liquidity_words as words
from margincover.report.chart_liquidity import ladder_figure, survival_figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.html_size import SizePage
from margincover.report.liquidity_tables import TextTable, liquidity_tables
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, Tile


def liquidity_html(result: LiquidityResult) -> str:
    """Return a page with the answer, the ladder and survival charts, and the tables behind them.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability is not one.
    """
    from markupsafe import Markup

    page = _page(result)
    environment = page_environment()
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in page.figures}
    # The page of one answer, its charts and its tables: the same as that of a sizing.
    return environment.get_template("size.html.j2").render(
        page=page,
        css=source_of(environment, "report.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js()),
    )


def _page(result: LiquidityResult) -> SizePage:
    provenance = result.provenance
    return SizePage(
        title="Liquidity",
        subtitle=f"As of {provenance.as_of} · {result.n_paths:,} paths · nothing was sent, drawn or sold",
        headline=words.headline(result),
        tone=words.tone(result),
        warnings=provenance.warnings,
        tiles=_tiles(result),
        tables=[_table(table) for table in reversed(liquidity_tables(result))],
        figures=[ladder_figure(result), survival_figure(result)],
        notes=words.notes(result),
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


def _table(table: TextTable) -> Table:
    return Table(
        caption=table.title,
        headers=table.headers,
        rows=[[Cell(text=cell) for cell in row] for row in table.rows],
        n_words=table.n_words,
        empty="None.",
    )


def _tiles(result: LiquidityResult) -> list[Tile]:
    survival, ratio = result.survival, result.debt_coverage_ratio
    horizon, share = fmt.duration_words(result.horizon_s), fmt.percent(result.tolerance, decimals=4)
    is_short = survival.at_least_s < result.horizon_s
    by_then = next(row for row in result.ladder if row.until_s == result.horizon_s)
    tiles = [
        Tile(
            label="Survival horizon",
            value=words.horizon_text(survival),
            note=f"95 %: {words.horizon_interval(result)}; wanted {horizon} at {share}",
            tone="breach" if is_short else "warning" if survival.low_s < result.horizon_s else "covered",
        ),
        Tile(
            label="Debt coverage",
            value=words.debt_text(result),
            note=f"least ratio of usable to due over {horizon}",
            tone="" if ratio is None else "breach" if ratio < 1.0 else "covered",
        ),
        Tile(
            label=f"Need within {horizon}",
            value=fmt.usd(by_then.need_gross_usd, rounding=Rounding.UP),
            note=f"usable by then {fmt.usd(by_then.supply_usd, rounding=Rounding.DOWN)}",
        ),
        Tile(label="Liquid stock / outflow", value=fmt.ratio(result.stock.ratio), note="after the caps; floor 1.2"),
    ]
    if result.calls is not None:
        tiles.append(
            Tile(
                label="Liquidity at risk",
                value=fmt.usd(result.calls.gross.var.value, rounding=Rounding.UP),
                note=f"gross across venues; net {fmt.usd(result.calls.net.var.value, rounding=Rounding.UP)}",
            )
        )
    return tiles
