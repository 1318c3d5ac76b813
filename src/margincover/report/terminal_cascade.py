"""A cascade on a terminal: markets, shocks, money, and the answer last."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.clearing.cascade_report import CascadeReportData
from margincover.report import cascade_words as words
from margincover.report.fitted import Column, FittedTable


def cascade_tables(data: CascadeReportData) -> RenderableType:
    """Return warnings, tables of markets, shocks and money, and the answer."""
    notes = data.provenance.warnings
    return Group(
        *(Text(f"warning: {note}", style="yellow") for note in notes),
        Text(words.population_text(data)),
        Text(""),
        _table("Markets", words.MARKET_HEADERS, words.market_rows(data), priority=(0, 1, 0, 1, 0, 0, 2, 3, 0)),
        Text(words.GAIN_NOTE, style="dim"),
        Text(""),
        _table("By size of the shock", words.LEVEL_HEADERS, words.level_rows(data), priority=(0,) * 5),
        Text(words.LEVEL_NOTE, style="dim"),
        Text(""),
        _table("Money", ("", "USD"), words.ledger_rows(data), priority=(0, 0)),
        Text(words.timing_text(data)),
        Text(""),
        Text(words.headline(data), style="bold"),
    )


def _table(
    title: str, headers: Sequence[str], rows: Sequence[tuple[str, ...]], *, priority: Sequence[int]
) -> FittedTable:
    return FittedTable(
        title=title,
        columns=[
            Column(title=header, cells=[row[k] for row in rows], justify="left" if k == 0 else "right", priority=rank)
            for k, (header, rank) in enumerate(zip(headers, priority, strict=True))
        ],
    )
