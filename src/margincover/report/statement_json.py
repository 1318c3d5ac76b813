"""The statement as a dictionary for JSON: tables of full precision, and the book, which the next statement reads."""

from __future__ import annotations

from margincover.model.statement import StatementResult
from margincover.report.format import finite
from margincover.report.statement_tables import statement_tables

STATEMENT_SCHEMA = "margincover/report/1"


def statement_to_dict(result: StatementResult) -> dict[str, object]:
    """Return a statement as a JSON-able dictionary.

    ``tables`` hold columns and rows by name; fractions are decimals, what is absent is None. ``values`` and ``book``
    are what the next statement explains its change from.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    return {
        "schema": STATEMENT_SCHEMA,
        "as_of": result.provenance.as_of,
        "verdict": result.verdict.name.lower(),
        "exit_code": int(result.verdict),
        "tables": {
            table.key: {
                "title": table.title,
                "note": table.note,
                "columns": [
                    {"name": column.key, "label": column.label, "kind": column.kind} for column in table.columns
                ],
                "rows": [
                    {column.key: value for column, value in zip(table.columns, row, strict=True)} for row in table.rows
                ],
            }
            for table in statement_tables(result)
        },
        "values": [
            {
                "place": each.place,
                "kind": each.kind,
                "equity_usd": finite(each.equity_usd, field="equity_usd", account=each.place),
                "maintenance_usd": finite(each.maintenance_usd, field="maintenance_usd", account=each.place),
            }
            for each in result.values
        ],
        "book": {
            "source": result.book_source,
            "input_sha256": result.provenance.input_sha256,
            "snapshot": dict(result.book_snapshot),
        },
    }
