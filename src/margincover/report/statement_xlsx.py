"""The statement as a workbook: one sheet a table, numbers as numbers, units in the headers, always the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from margincover.model.statement import StatementResult
from margincover.report.statement_cells import Column, DataTable, Value
from margincover.report.statement_tables import statement_tables
from margincover.units import parse_utc

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook

_FORMATS = {
    "usd": "#,##0.00",
    "usd_up": "#,##0.00",
    "usd_down": "#,##0.00",
    "ratio": "0.000",
    "fraction": "0.000%",
    "hours": "#,##0.00",
    "days": "0",
    "count": "0",
}
_TONES = {"BREACH": "#F8D7D4", "breach": "#F8D7D4", "WARNING": "#FCEBC8", "warning": "#FCEBC8"}
_WIDEST = 60


def statement_xlsx(result: StatementResult) -> bytes:
    """Return the workbook as bytes.

    Text cells are written as text, so that nothing in a book is ever run as a formula. The times inside the file are
    ``as_of``: equal statements give equal bytes.
    """
    import xlsxwriter

    stream = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    workbook = xlsxwriter.Workbook(stream, options)
    as_of = parse_utc(result.provenance.as_of, field="as_of").replace(tzinfo=None)
    workbook.set_properties({"title": f"margincover report {result.provenance.as_of}", "created": as_of})
    formats = _formats(workbook)
    for table in statement_tables(result):
        _sheet(workbook, formats, table)
    workbook.close()
    return stream.getvalue()


# The library states no types for its formats.
def _formats(workbook: Workbook) -> dict[tuple[str, str], Any]:
    """Return cell formats by kind and tone."""
    found = {("header", ""): workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})}
    found["title", ""] = workbook.add_format({"bold": True, "font_size": 14})
    found["note", ""] = workbook.add_format({"italic": True, "font_color": "#555555"})
    for kind, pattern in (*_FORMATS.items(), ("text", "@")):
        for tone in ("", *_TONES):
            colour = {"bg_color": _TONES[tone]} if tone else {}
            found[kind, tone] = workbook.add_format({"num_format": pattern, "valign": "top", **colour})
    return found


def _sheet(workbook: Workbook, formats: dict[tuple[str, str], Any], table: DataTable) -> None:
    sheet = workbook.add_worksheet(table.key)
    sheet.write_string(0, 0, table.title, formats["title", ""])
    sheet.write_string(1, 0, table.note if table.rows else table.empty, formats["note", ""])
    for number, column in enumerate(table.columns):
        sheet.write_string(3, number, column.header, formats["header", ""])
        sheet.set_column(number, number, _width(table, column, number))
    for line, row in enumerate(table.rows, start=4):
        for number, column in enumerate(table.columns):
            _cell(sheet, (line, number), row[number], formats, kind=table.unit_of(column, row))
    sheet.freeze_panes(4, 1)
    if table.rows:
        sheet.autofilter(3, 0, 3 + len(table.rows), len(table.columns) - 1)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _cell(sheet: Any, place: tuple[int, int], value: Value, formats: dict[tuple[str, str], Any], *, kind: str) -> None:
    tone = str(value) if str(value) in _TONES else ""
    if value is None:
        sheet.write_blank(*place, None, formats["text", ""])
    elif isinstance(value, str):
        sheet.write_string(*place, value, formats["text", tone])
    else:
        sheet.write_number(*place, value, formats[kind, ""])


def _width(table: DataTable, column: Column, number: int) -> int:
    texts = [str(row[number]) for row in table.rows if isinstance(row[number], str)]
    longest = max((len(text) for text in texts), default=0)
    return min(_WIDEST, max(12, longest + 2, min(len(column.header) + 2, 18)))
