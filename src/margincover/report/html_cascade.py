"""A cascade as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.clearing.cascade_report import CascadeReportData
from margincover.report import cascade_words as words
from margincover.report import format as fmt
from margincover.report.chart_cascade import flow_figure, gain_figure, heat_figure, map_figure, price_figure
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePage:
    """Everything that the template prints; the template is that of a sizing, which has the same parts."""

    title: str
    subtitle: str
    headline: str
    tone: str
    warnings: Sequence[str]
    tiles: Sequence[Tile]
    tables: Sequence[Table]
    figures: Sequence[Figure]
    notes: Sequence[str]
    not_modelled: Sequence[str]
    provenance: Sequence[tuple[str, str]]
    editions: Table


def cascade_html(data: CascadeReportData) -> str:
    """Return a page with the answer, five charts, and the tables behind them.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    from markupsafe import Markup

    page = cascade_page(data)
    environment = page_environment()
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in page.figures}
    return environment.get_template("size.html.j2").render(
        page=page,
        css=source_of(environment, "report.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js()),
    )


def cascade_page(data: CascadeReportData) -> CascadePage:
    """Return the content of the page."""
    provenance, ledger = data.provenance, data.result.ledger
    pairs = [("Program", f"margincover {provenance.version}"), ("Population", data.population.source)]
    pairs += [
        ("Input SHA-256", provenance.input_sha256),
        ("Seed", "-" if provenance.seed is None else str(provenance.seed)),
    ]
    pairs += [(f"Setting: {name}", text) for name, text in provenance.settings.items()]
    pairs += [(name.capitalize(), text) for name, text in provenance.scenario.items()]
    return CascadePage(
        title="Cascade",
        subtitle=words.population_text(data),
        headline=words.headline(data),
        tone="breach" if ledger.residual_usd >= 0.01 else "warning" if ledger.paid_usd >= 0.01 else "covered",
        warnings=provenance.warnings,
        tiles=_tiles(data),
        tables=_tables(data),
        figures=(price_figure(data), flow_figure(data), map_figure(data), gain_figure(data), heat_figure(data)),
        notes=(words.timing_text(data), words.GAIN_NOTE, words.LEVEL_NOTE),
        not_modelled=provenance.not_modelled,
        provenance=pairs,
        editions=editions_table(provenance),
    )


def _tiles(data: CascadeReportData) -> list[Tile]:
    result, ledger = data.result, data.result.ledger
    lowest = [
        (float(result.record.low[:, m].min()) / each.mark - 1.0, each.name) for m, each in enumerate(result.markets)
    ]
    move, name = min(lowest)
    return [
        Tile(
            label="Liquidated",
            value=fmt.usd(float(result.liquidated_usd.sum())),
            note=f"{int(result.record.n_closed.sum()):,} of {result.n_accounts:,} accounts closed",
        ),
        Tile(label="Lowest price", value=f"{move:+.1%}", note=f"{name}, from its mark before the event"),
        Tile(
            label="Paid by funds",
            value=fmt.usd(ledger.paid_usd, rounding=Rounding.UP),
            note=f"{fmt.usd(float(result.record.fund[-1].sum()), rounding=Rounding.DOWN)} left at the end, all venues",
            tone="warning" if ledger.paid_usd >= 0.01 else "covered",
        ),
        Tile(
            label="Not paid",
            value=fmt.usd(ledger.residual_usd, rounding=Rounding.UP),
            note="falls on the winners: auto-deleveraging or socialised loss",
            tone="breach" if ledger.residual_usd >= 0.01 else "covered",
        ),
    ]


def _tables(data: CascadeReportData) -> list[Table]:
    return [
        _table("Markets", words.MARKET_HEADERS, words.market_rows(data)),
        _table(f"By size of the shock. {words.LEVEL_NOTE}", words.LEVEL_HEADERS, words.level_rows(data)),
        _table("Money: what was lost and who paid", ("", "USD"), words.ledger_rows(data)),
    ]


def _table(caption: str, headers: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(caption=caption, headers=headers, rows=[[Cell(text=text) for text in row] for row in rows], n_words=1)
