"""Find and read the report that the present one is explained from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from margincover.app.report_change import ACCOUNT, IN_TRANSIT, RESERVE, PreviousReport
from margincover.errors import InputError
from margincover.io.book_snapshot import book_of_snapshot
from margincover.io.text import parse_json, read_text
from margincover.model.book import BookInput
from margincover.model.statement import PlaceValue
from margincover.report.statement_json import STATEMENT_SCHEMA
from margincover.units import format_utc, parse_utc

FILE_PREFIX = "margincover-report-"
_FILE_NAME = re.compile(re.escape(FILE_PREFIX) + r"(\d{8}T\d{6}Z)\.json")
_KINDS = (ACCOUNT, RESERVE, IN_TRANSIT)
_ALLOWED = "the JSON file of an earlier margincover report"


def file_stem(as_of: datetime) -> str:
    """Return the name, without its end, of the files of a report.

    Examples
    --------
    >>> from datetime import UTC
    >>> file_stem(datetime(2026, 1, 1, 8, tzinfo=UTC))
    'margincover-report-20260101T080000Z'
    """
    return f"{FILE_PREFIX}{as_of:%Y%m%dT%H%M%SZ}"


def last_report(folder: Path, *, before: datetime) -> Path | None:
    """Return the latest report of a folder that is earlier than ``before`` by its name, None without one."""
    if not folder.is_dir():
        return None
    # The names sort as the times do.
    limit = f"{before:%Y%m%dT%H%M%SZ}"
    matches = [match for path in folder.iterdir() if (match := _FILE_NAME.fullmatch(path.name))]
    found = sorted(match[0] for match in matches if match[1] < limit)
    return folder / found[-1] if found else None


def read_previous(path: Path, *, book: BookInput) -> PreviousReport:
    """Return what an earlier report kept of its book and its values.

    Raises
    ------
    InputError
        If the file cannot be read, is no such report, is of later than the book, or shares no account with it.
    """
    source = str(path)
    data = parse_json(read_text(path), source)
    if not isinstance(data, Mapping) or data.get("schema") != STATEMENT_SCHEMA:
        shown = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
        raise InputError(f"schema was {shown!r}", source=source, field="schema", allowed=f"'{STATEMENT_SCHEMA}'")
    kept = data.get("book")
    if not isinstance(kept, Mapping):
        raise InputError("was missing", source=source, field="book", allowed=_ALLOWED)
    previous = book_of_snapshot(kept.get("snapshot"), source=source)
    stated = parse_utc(str(data.get("as_of")), field=f"{source}: as_of")
    if stated != previous.as_of:
        raise InputError(
            f"was {format_utc(stated)}, its book is of {format_utc(previous.as_of)}",
            source=source,
            field="as_of",
            allowed=_ALLOWED,
        )
    if previous.as_of > book.as_of:
        raise InputError(
            f"is of {format_utc(previous.as_of)}, later than the book of {format_utc(book.as_of)}",
            source=source,
            field="as_of",
            allowed="a report that is not later than the book",
        )
    ours, theirs = ([account.id for account in each.accounts] for each in (book, previous))
    if not set(ours) & set(theirs):
        raise InputError(
            f"is of other accounts: {', '.join(theirs)}",
            source=source,
            field="book.accounts",
            allowed=f"a report on at least one of {', '.join(ours)}",
        )
    return PreviousReport(source=source, book=previous, values=_values(data.get("values"), source))


def _values(rows: object, source: str) -> tuple[PlaceValue, ...]:
    if not isinstance(rows, list) or not rows:
        raise InputError("held no rows", source=source, field="values", allowed=_ALLOWED)
    return tuple(_value(row, f"values[{number}]", source) for number, row in enumerate(rows))


def _value(row: object, field: str, source: str) -> PlaceValue:
    if not isinstance(row, Mapping) or row.get("kind") not in _KINDS or not isinstance(row.get("place"), str):
        raise InputError(f"was {row!r}", source=source, field=field, allowed=f"place, and kind {', '.join(_KINDS)}")
    amounts = []
    for name in ("equity_usd", "maintenance_usd"):
        amount = row.get(name)
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not math.isfinite(amount):
            raise InputError(f"was {amount!r}", source=source, field=f"{field}.{name}", allowed="a finite number")
        amounts.append(float(amount))
    return PlaceValue(place=str(row["place"]), kind=str(row["kind"]), equity_usd=amounts[0], maintenance_usd=amounts[1])
