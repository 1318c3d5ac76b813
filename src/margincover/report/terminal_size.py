"""A sizing on a terminal: the answer, and the largest size by tolerance and horizon."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.sizing import SizeCurve, SizingResult
from margincover.report import format as fmt
from margincover.report import size_words as words
from margincover.report.fitted import Column, FittedTable


def sizing_tables(result: SizingResult) -> RenderableType:
    """Return a table for each side, the notes, and the answer last."""
    parts: list[RenderableType] = []
    for curve in result.curves:
        parts += [_table(result, curve), Text(words.present_text(result, curve)), Text("")]
    notes = [*result.notes, *words.initial_notes(result)]
    parts += [Text(f"note: {note}", style="yellow") for note in notes]
    parts += [Text(words.NOTE, style="dim"), Text(""), Text(words.sizing_headline(result), style="bold")]
    return Group(*parts)


def _table(result: SizingResult, curve: SizeCurve) -> FittedTable:
    points = curve.points
    what = "all cross positions" if result.symbol is None else f"{curve.side} {result.symbol}"
    return FittedTable(
        title=f"Largest size of {result.account_id}, {what}",
        columns=[
            Column(title="Horizon", cells=[fmt.duration_words(p.horizon_s) for p in points], justify="left"),
            Column(title="Tolerance", cells=[fmt.percent(p.tolerance, decimals=4) for p in points]),
            Column(title="Size / capital", cells=[words.size_text(p) for p in points]),
            Column(title="Error (95 %)", cells=[words.interval_text(p) for p in points], priority=1),
            Column(title="P(liquidation)", cells=[fmt.probability(p.probability) for p in points], priority=2),
            Column(title="Kept-not kept", cells=[words.bracket_text(p) for p in points], priority=3),
        ],
    )
