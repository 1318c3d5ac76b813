"""A table that fits its screen: it leaves out whole columns, least important first, and never wraps a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_PADDING = 2  # cells between two columns: one of padding, one of the box
_MIN_NAME = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: title, cells (one per row) and how much it matters.

    ``priority`` 0 is always shown; of the others the lower number stays longer. ``styles`` holds one rich style per
    row; it repeats what a word already says. The only column that may be shortened is one with ``name`` set.
    """

    title: str
    cells: Sequence[str]
    priority: int = 0
    justify: Literal["left", "right"] = "right"
    styles: Sequence[str] = ()
    name: bool = False

    @property
    def width(self) -> int:
        """Cells of the widest entry."""
        return max([cell_len(self.title), *(cell_len(cell) for cell in self.cells)])


def chosen_columns(columns: Sequence[Column], *, width: int) -> list[Column]:
    """Return the columns that fit into ``width`` cells, in their order; those of priority 0 always."""
    kept = {index for index, column in enumerate(columns) if column.priority == 0}
    used = sum(columns[index].width + _PADDING for index in kept)
    for index in sorted(set(range(len(columns))) - kept, key=lambda i: columns[i].priority):
        used += columns[index].width + _PADDING
        if used > width:
            break
        kept.add(index)
    return [column for index, column in enumerate(columns) if index in kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTable:
    """A rich renderable: a sentence, the columns that fit, and which ones were left out."""

    title: str
    columns: Sequence[Column]
    headline: str = ""
    empty: str = "nothing to show"
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the headline, the table and the notes for the width of this console."""
        if self.headline:
            yield Text(self.headline, style="bold")
            yield Text("")
        if not self.columns or not self.columns[0].cells:
            yield Text(f"{self.title}: {self.empty}")
            return
        columns = chosen_columns(self.columns, width=options.max_width)
        yield Text(self.title, style="bold")
        yield _table(columns, width=options.max_width)
        left_out = [column.title for column in self.columns if column not in columns]
        if left_out:
            yield Text(f"Not shown at this width: {', '.join(left_out)}.", style="dim")
        if self.note:
            yield Text(self.note, style="dim")


def _table(columns: Sequence[Column], *, width: int) -> Table:
    spare = width - sum(column.width + _PADDING for column in columns if not column.name)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        room = max(_MIN_NAME, spare - _PADDING) if column.name else None
        fixed = column.width if not column.name else min(column.width, room or column.width)
        table.add_column(
            Text(column.title),
            justify=column.justify,
            no_wrap=True,
            min_width=fixed,
            max_width=fixed,
            overflow="ellipsis",
        )
    for row in range(len(columns[0].cells)):
        table.add_row(*(_cell(column, row) for column in columns))
    return table


def _cell(column: Column, row: int) -> Text:
    style = column.styles[row] if column.styles else ""
    # Text, never markup: a name such as "[red]" is a name.
    return Text(column.cells[row], style=style)
