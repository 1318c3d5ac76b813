"""The backtest as one self-contained HTML file: score tables, rates, requirements over time, crisis days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from margincover.coverage.backtest_scores import ModelScore
from margincover.numeric.arrays import Vector
from margincover.report.backtest import (
    CRISIS_CAPTION,
    HEADERS,
    CrisisLine,
    crisis_cells,
    crisis_headers,
    score_cells,
)
from margincover.report.figure import Figure, PlotlyDict, layout_of, numbers
from margincover.report.html import page_environment, plotly_js, script_json, source_of
from margincover.report.page_parts import Cell, Table

_COLOURS = ("--equity", "--maintenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Requirement and outcome of one series over time, fractions of notional; ``rc`` by model."""

    series_id: str
    times: Sequence[str]
    came: Vector
    rc: Mapping[str, Vector]
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPage:
    """Everything that the template prints."""

    title: str
    subtitle: str
    headline: str
    tables: Sequence[Table]
    figures: Sequence[Figure]
    notes: Sequence[str]


def backtest_html(
    *,
    subtitle: str,
    headline: str,
    models: Mapping[float, Sequence[ModelScore]],
    tracks: Sequence[Track],
    crisis: Table,
    notes: Sequence[str],
) -> str:
    """Return a complete page; it loads nothing from elsewhere."""
    from markupsafe import Markup

    tables = [_score_table(rows) for rows in models.values()]
    figures = [
        *(_rate_figure(rows, figure_id=f"rate-{k}") for k, rows in enumerate(models.values())),
        *(_track_figure(track, figure_id=f"track-{k}") for k, track in enumerate(tracks)),
    ]
    page = BacktestPage(
        title="Backtest", subtitle=subtitle, headline=headline, tables=[*tables, crisis], figures=figures, notes=notes
    )
    environment = page_environment()
    return environment.get_template("backtest.html.j2").render(
        page=page,
        css=source_of(environment, "report.css"),
        script=source_of(environment, "report.js"),
        figures=Markup(script_json({f.id: {"data": f.data, "layout": f.layout} for f in figures})),
        plotly_js=Markup(plotly_js()),
    )


def _score_table(rows: Sequence[ModelScore]) -> Table:
    first = rows[0]
    return Table(
        caption=f"Tolerance {100 * first.tolerance:g} %, {first.windows:,} windows (coin x side)",
        headers=HEADERS,
        rows=[[Cell(text=text) for text in score_cells(row)] for row in rows],
    )


def _rate_figure(rows: Sequence[ModelScore], *, figure_id: str) -> Figure:
    tail = rows[0].tolerance
    names = [row.model for row in rows]
    data: list[PlotlyDict] = [
        {"type": "bar", "name": word, "x": names, "y": numbers([100 * value for value in values])}
        | {"marker": {"color": colour}}
        for word, values, colour in (
            ("calm third", [row.rate_calm for row in rows], _COLOURS[0]),
            ("stressed third", [row.rate_stress for row in rows], _COLOURS[1]),
        )
    ]
    data.append(
        {"type": "scatter", "mode": "lines", "name": "stated", "x": names, "y": [100 * tail] * len(names)}
        | {"line": {"color": "--ink", "dash": "dot"}}
    )
    worst = max(rows, key=lambda row: abs(row.rate / tail - 1.0))
    return Figure(
        id=figure_id,
        title=f"Realised rate at {100 * tail:g} %",
        caption=f"Share of windows in which more was needed than forecast, in the calm and the stressed third of days. "
        f"Furthest from what it states is {worst.model} with {100 * worst.rate:.2f} %.",
        data=data,
        layout=layout_of(x_title="", y_title="per cent of windows"),
    )


def _track_figure(track: Track, *, figure_id: str) -> Figure:
    data: list[PlotlyDict] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": model,
            "x": list(track.times),
            "y": numbers(100 * values),
            "line": {"color": colour, "width": 1},
        }
        for (model, values), colour in zip(track.rc.items(), _COLOURS, strict=False)
    ]
    first = next(iter(track.rc.values()))
    over = track.came > first
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "came, above the requirement",
            "x": [time for time, hit in zip(track.times, over, strict=True) if hit],
            "y": numbers(100 * track.came[over]),
            "marker": {"color": "--ink", "size": 5},
        }
    )
    name = next(iter(track.rc))
    return Figure(
        id=figure_id,
        title=f"{track.series_id} at {100 * track.tolerance:g} %",
        caption=f"Requirement in per cent of notional, and the days on which more was needed: {int(over.sum())} of "
        f"{over.size} for {name}, {100 * over.mean():.2f} %.",
        data=data,
        layout=layout_of(x_title="", y_title="per cent of notional"),
    )


def crisis_table(rows: Sequence[CrisisLine], tolerances: Sequence[float]) -> Table:
    """Return the crisis days: what came, and the requirement of each model at each tolerance."""
    return Table(
        caption=CRISIS_CAPTION,
        headers=crisis_headers(rows, tolerances),
        rows=[[Cell(text=text) for text in crisis_cells(row)] for row in rows],
        n_words=4,
        empty="No crisis day of the list lies in the windows.",
    )
