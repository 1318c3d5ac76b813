"""A read book as plain JSON and back: what a report keeps of its book, so that a later one can value it again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum

from pydantic import TypeAdapter, ValidationError

from margincover.errors import InputError
from margincover.model.book import BookInput


def book_snapshot(book: BookInput) -> dict[str, object]:
    """Return everything of a book as JSON-able values: the file's own and that of the files that it names."""
    return {field.name: _plain(getattr(book, field.name)) for field in dataclasses.fields(book)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise AssertionError(f"Invariant: a book holds plain values only, not {type(value).__name__}")


def book_of_snapshot(snapshot: object, *, source: str) -> BookInput:
    """Return the book that ``book_snapshot`` described.

    Raises
    ------
    InputError
        If it is not such a description.
    """
    try:
        return TypeAdapter(BookInput).validate_json(json.dumps(snapshot))
    except InputError as error:
        raise error.located(source=source, field="book.snapshot") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{first['msg'].lower()} ({error.error_count()} problems)",
            source=source,
            field=f"book.snapshot.{place}".rstrip("."),
            allowed="a report as margincover report wrote it",
        ) from None
