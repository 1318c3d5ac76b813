"""Tables of the statement as CSV text, full precision, one text a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from margincover.model.statement import StatementResult
from margincover.report.statement_tables import statement_tables


def statement_csv(result: StatementResult) -> Mapping[str, str]:
    """Return every table as CSV text by name: the first line names the columns, an absent value is empty."""
    return {table.key: _csv([[c.key for c in table.columns], *table.rows]) for table in statement_tables(result)}


def _csv(rows: list[object]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]  # rows of plain values
    return stream.getvalue()
