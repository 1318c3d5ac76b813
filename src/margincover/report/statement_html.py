"""The daily statement as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.results import Estimate
from margincover.model.statement import HeadlineFigure, StatementResult, Verdict
from margincover.report import format as fmt
from margincover.report.chart_liquidity import ladder_figure, survival_figure
from margincover.report.chart_statement import change_figure, concentration_figure, tier_figure
from margincover.report.chart_stress import cash_figure
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.page_parts import Cell, Table, Tile
from margincover.report.statement_cells import Column, DataTable, Value
from margincover.report.statement_tables import statement_tables
from margincover.report.statement_words import (
    PART_NOTES,
    TONES,
    VERDICT_WORDS,
    interval_text,
    limit_text,
    value_text,
)

_ROUNDING = {"usd": Rounding.NEAREST, "usd_up": Rounding.UP, "usd_down": Rounding.DOWN}
_CELL_TONES = {
    "BREACH": "breach",
    "breach": "breach",
    "liquidated": "breach",
    "liquidatable": "breach",
    "WARNING": "warning",
    "warning": "warning",
    "called": "warning",
    "within": "covered",
    "covered": "covered",
}
_SECTIONS = (
    ("accounts", "Accounts", ("accounts",), ()),
    ("obligations", "Obligations", ("obligations", "ladder", "needs", "loans"), ("ladder", "survival")),
    ("assets", "Liquid assets", ("tiers", "sources"), ("tiers",)),
    ("concentration", "Concentration", ("concentration",), ("shares",)),
    ("stress", "Stress", ("stress_accounts", "stress"), ("cash",)),
    ("change", "What changed since the previous report", ("change_equity", "change_maintenance"), ("change",)),
    ("appendix", "Appendix", ("data_ages", "rulebooks", "run"), ()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: charts, then tables."""

    anchor: str
    title: str
    figures: Sequence[Figure]
    tables: Sequence[Table]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPage:
    """Everything that the template prints."""

    title: str
    subtitle: str
    headline: str
    tone: str
    warnings: Sequence[str]
    not_modelled: Sequence[str]
    tiles: Sequence[Tile]
    headline_table: Table
    breaches: Table
    sections: Sequence[Section]


def statement_html(result: StatementResult) -> str:
    """Return a complete page with tiles, charts and tables; it loads nothing.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    from markupsafe import Markup

    page = statement_page(result)
    environment = page_environment()
    charts = [figure for section in page.sections for figure in section.figures]
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in charts}
    return environment.get_template("statement.html.j2").render(
        page=page,
        css=source_of(environment, "report.css") + source_of(environment, "statement.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js()),
    )


def statement_page(result: StatementResult) -> StatementPage:
    """Return the content of the page."""
    tables = {table.key: table for table in statement_tables(result)}
    coverage = result.coverage
    return StatementPage(
        title="Daily statement",
        subtitle=f"As of {result.provenance.as_of} · tolerance {fmt.percent(coverage.tolerance, decimals=4)} over "
        f"{fmt.duration_words(coverage.horizon_s)} · {coverage.n_paths:,} paths · nothing was traded or sent",
        headline=_headline(result),
        tone=TONES[result.verdict],
        warnings=[str(row[0]) for row in tables["warnings"].rows],
        not_modelled=[str(row[0]) for row in tables["not_modelled"].rows],
        tiles=[_tile(figure) for figure in result.figures],
        headline_table=_headline_table(result.figures),
        breaches=page_table(tables["breaches"]),
        sections=[_section(result, tables, *section) for section in _SECTIONS],
    )


def _headline(result: StatementResult) -> str:
    counts = [sum(each.verdict is verdict for each in result.breaches) for verdict in (Verdict.BREACH, Verdict.WARNING)]
    if result.verdict is Verdict.WITHIN:
        return "Every figure is within its limit, every account is covered, and every obligation can be met in time."
    parts = [
        f"{count} {word}{'' if count == 1 else plural}"
        for count, word, plural in zip(counts, ("breach", "warning"), ("es", "s"), strict=True)
        if count
    ]
    first = result.breaches[0]
    return f"{' and '.join(parts)}. First: {first.what}, {first.where}: {first.found}; allowed {first.allowed}."


def _tile(figure: HeadlineFigure) -> Tile:
    interval = interval_text(figure)
    value = value_text(figure)
    first = figure.note if figure.value is None else figure.where
    parts = [first, "" if figure.value is None or interval == "exact" else f"95 %: {interval}"]
    limit = "no limit stated" if figure.limit is None else f"limit {limit_text(figure)}"
    return Tile(
        label=figure.label,
        value=value,
        note=" · ".join(part for part in (*parts, limit) if part),
        tone="" if figure.limit is None and figure.verdict is Verdict.WITHIN else TONES[figure.verdict],
    )


def _headline_table(figures: Sequence[HeadlineFigure]) -> Table:
    return Table(
        caption="Headline figures against their limits. Below a least, or above a most, is a breach; an interval that "
        "reaches beyond the limit is a warning.",
        headers=("Figure", "Verdict", "Where", "What it is", "Value", "95 % interval", "Limit"),
        rows=[
            [
                Cell(text=figure.label),
                Cell(text=VERDICT_WORDS[figure.verdict], tone=TONES[figure.verdict])
                if figure.limit is not None or figure.verdict is not Verdict.WITHIN
                else Cell(text="no limit"),
                Cell(text=figure.where),
                Cell(text=figure.note),
                Cell(text=value_text(figure)),
                Cell(text=interval_text(figure)),
                Cell(text=limit_text(figure)),
            ]
            for figure in figures
        ],
        n_words=4,
    )


def _section(
    result: StatementResult,
    tables: dict[str, DataTable],
    anchor: str,
    title: str,
    keys: Sequence[str],
    charts: Sequence[str],
) -> Section:
    figures = [figure for name in charts if (figure := _chart(result, name)) is not None]
    return Section(
        anchor=anchor,
        title=title,
        figures=figures,
        tables=[page_table(tables[key]) for key in keys if tables[key].rows or key != "change_maintenance"],
        notes=_notes(result) if anchor == "change" else (),
    )


def _notes(result: StatementResult) -> tuple[str, ...]:
    return () if result.change is None else (*PART_NOTES, *result.change.notes)


def _chart(result: StatementResult, name: str) -> Figure | None:
    if name == "ladder":
        return ladder_figure(result.liquidity)
    if name == "survival":
        return survival_figure(result.liquidity)
    if name == "tiers":
        return tier_figure(result)
    if name == "shares":
        return concentration_figure(result)
    if name == "cash":
        return cash_figure(result.stress)
    return None if result.change is None else change_figure(result.change)


def page_table(table: DataTable) -> Table:
    """Return a table as text: the ends of an interval stand behind their figure, not in columns of their own."""
    keys = [column.key for column in table.columns]
    ends = {f"{key}{end}" for key in keys for end in ("_low", "_high") if f"{key}_low" in keys}
    shown = [
        (number, column) for number, column in enumerate(table.columns) if column.is_on_page and column.key not in ends
    ]
    words = 0
    for _, column in shown:
        if column.kind != "text":
            break
        words += 1
    return Table(
        caption=f"{table.title}. {table.note}".strip(),
        headers=[column.label for _, column in shown],
        rows=[[_cell(table, row, number, column) for number, column in shown] for row in table.rows],
        n_words=max(1, words),
        empty=table.empty,
    )


def _cell(table: DataTable, row: tuple[Value, ...], number: int, column: Column) -> Cell:
    value = row[number]
    keys = [each.key for each in table.columns]
    if isinstance(value, str):
        return Cell(text=value or fmt.ABSENT, tone=_CELL_TONES.get(value, ""))
    if value is None:
        return Cell(text=fmt.ABSENT)
    if f"{column.key}_low" in keys:
        low, high = (row[keys.index(f"{column.key}{end}")] for end in ("_low", "_high"))
        if low is not None and high is not None:
            ends = Estimate(value=float(value), standard_error=0.0, low=float(low), high=float(high))
            return Cell(text=fmt.probability(ends, field=column.key))
    return Cell(text=_text(float(value), column.kind))


def _text(value: float, kind: str) -> str:
    if kind in _ROUNDING:
        return fmt.usd(value, rounding=_ROUNDING[kind])
    if kind == "ratio":
        return fmt.ratio(value)
    if kind == "fraction":
        return fmt.percent(value)
    if kind == "hours":
        is_short = 0.0 <= value < 1.0 or value > 48.0
        return fmt.duration(value * 3_600.0) if is_short else f"{fmt.number(value)} h"
    return fmt.number(value)
