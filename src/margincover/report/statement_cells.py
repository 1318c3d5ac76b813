"""What a table of the statement is: columns with units, rows of plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "str | int | float | None"

# What a header says of its numbers; "figure" takes the row's own column "unit".
UNIT_WORDS = {
    "usd": "USD",
    "usd_up": "USD",
    "usd_down": "USD",
    "ratio": "ratio",
    "fraction": "%",
    "hours": "h",
    "days": "days",
    "count": "",
    "text": "",
    "figure": "",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in data, its label on screen, and what stands in it.

    ``kind``: ``text``, ``usd`` (``usd_up`` and ``usd_down`` are rounded that way on screen), ``ratio``, ``fraction``,
    ``hours``, ``days``, ``count``, or ``figure`` (the row's column ``unit`` says which). Not every column has room on
    the page (``is_on_page``); files hold them all.
    """

    key: str
    label: str
    kind: str = "text"
    is_on_page: bool = True

    @property
    def header(self) -> str:
        """The label with the unit of the numbers below it."""
        unit = UNIT_WORDS[self.kind]
        return f"{self.label} ({unit})" if unit and unit != "ratio" else self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """A table of full-precision values; fractions are decimals, None is absent."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""
    empty: str = "Nothing to show."

    def unit_of(self, column: Column, row: tuple[Value, ...]) -> str:
        """Return what stands in a cell: the kind of its column, or that of the row."""
        if column.kind != "figure":
            return column.kind
        stated = row[next(number for number, each in enumerate(self.columns) if each.key == "unit")]
        return {"h": "hours", "pools": "count"}.get(str(stated), str(stated))
