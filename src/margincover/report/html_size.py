"""A sizing as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.sizing import Bound, SizeCurve, SizingResult
from margincover.report import format as fmt
from margincover.report import size_words as words
from margincover.report.chart_size import size_figure
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePage:
    """Everything that the template prints."""

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


def sizing_html(result: SizingResult) -> str:
    """Return a page with the answer, the curve of size against tolerance, and the table behind it.

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


def _page(result: SizingResult) -> SizePage:
    provenance = result.provenance
    figures = [
        size_figure(result, curve, figure_id=f"size-{number}") for number, curve in enumerate(result.curves, start=1)
    ]
    return SizePage(
        title="Position sizing",
        subtitle=f"As of {provenance.as_of} · {result.account_id} · {result.n_paths:,} paths · nothing was traded",
        headline=words.sizing_headline(result),
        tone=_tone(result),
        warnings=provenance.warnings,
        tiles=_tiles(result),
        tables=[_table(result, curve) for curve in result.curves],
        figures=[figure for figure in figures if figure is not None],
        notes=[*result.notes, *words.initial_notes(result), words.NOTE],
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


def _tone(result: SizingResult) -> str:
    if any(c.present > 0.0 and c.present_probability.value > result.tolerance for c in result.curves):
        return "breach"
    return "warning" if any(curve.stated.bound is not Bound.FOUND for curve in result.curves) else "covered"


def _tiles(result: SizingResult) -> list[Tile]:
    capital = "as stated" if result.is_capital_stated else "equity after haircut now"
    tiles = [
        Tile(label="Capital", value=fmt.usd(result.capital_usd, rounding=Rounding.DOWN), note=capital),
        Tile(
            label="Tolerance",
            value=fmt.percent(result.tolerance, decimals=4),
            note=f"liquidation within {fmt.duration_words(result.horizon_s)}",
        ),
    ]
    for curve in result.curves:
        named = "Largest scale" if result.symbol is None else f"Largest {curve.side}"
        found = curve.stated.bound is not Bound.NONE
        note = f"{words.amount(result, curve)}; {words.present_text(result, curve)}"
        tiles.append(
            Tile(
                label=named,
                value=f"{words.size_text(curve.stated)} x capital" if found else "none",
                note=note if found else words.present_text(result, curve),
                tone="" if found else "breach",
            )
        )
    return tiles


def _table(result: SizingResult, curve: SizeCurve) -> Table:
    what = "all cross positions" if result.symbol is None else f"{curve.side} {result.symbol}"
    return Table(
        caption=f"Largest notional over capital, {what}",
        headers=("Horizon", "Tolerance", "Size / capital", "Error (95 %)", "P(liquidation)", "Kept - not kept"),
        rows=[
            [
                Cell(text=fmt.duration_words(point.horizon_s)),
                Cell(text=fmt.percent(point.tolerance, decimals=4)),
                Cell(text=words.size_text(point)),
                Cell(text=words.interval_text(point)),
                Cell(text=fmt.probability(point.probability)),
                Cell(text=words.bracket_text(point)),
            ]
            for point in curve.points
        ],
        empty="Nothing was searched.",
    )
