"""Liquidity on a terminal: what stands behind the ladder first, the ladder and the answer last."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.liquidity import LiquidityResult
from margincover.report import liquidity_words as words
from margincover.report.fitted import Column, FittedTable
from margincover.report.liquidity_tables import TextTable, liquidity_tables

_STYLES = {"covered": "bold green", "warning": "bold yellow", "breach": "bold red"}


def liquidity_view(result: LiquidityResult) -> RenderableType:
    """Return the tables, the notes and the sentence that answers."""
    parts: list[RenderableType] = [Text(note, style="dim") for note in words.notes(result)]
    parts.append(Text(""))
    for table in liquidity_tables(result):
        parts += [_fitted(table), Text("")]
    parts.append(Text(words.headline(result), style=_STYLES[words.tone(result)]))
    return Group(*parts)


def _fitted(table: TextTable) -> FittedTable:
    columns = [
        Column(
            title=title,
            cells=[row[number] for row in table.rows],
            priority=table.priority[number],
            justify="left" if number < table.n_words else "right",
            name=number == 0,
        )
        for number, title in enumerate(table.headers)
    ]
    return FittedTable(title=table.title, columns=columns)
