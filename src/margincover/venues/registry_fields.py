"""Typed reading of one TOML table: each reader names the file, the place and the key when it refuses a value."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, date, datetime
from enum import Enum
from typing import TypeVar

from margincover.errors import RulebookError

E = TypeVar("E", bound=Enum)


class Place:
    """One table of a rule text, with the place to name in errors.

    Parameters
    ----------
    table : object
        What the TOML reader gave; anything but a table is refused.
    source, where : str
        File, and place inside it.

    Raises
    ------
    RulebookError
        By every reader below, when the key is missing or its value is not of the kind asked for.
    """

    def __init__(self, table: object, source: str, where: str) -> None:
        self.source, self.where = source, where
        if not isinstance(table, dict):
            raise self.error(f"was {table!r}", allowed="a table")
        self.table: dict[str, object] = table

    def error(self, found: str, *, key: str = "", allowed: str) -> RulebookError:
        """Return an error that names file, place and key."""
        field = f"{self.where}: {key}" if key and self.where else key or self.where
        return RulebookError(found, source=self.source, field=field or None, allowed=allowed)

    def only(self, allowed: Collection[str]) -> None:
        """Refuse keys that are not in ``allowed``."""
        for key in self.table:
            if key not in allowed:
                raise self.error("unknown key", key=key, allowed=", ".join(sorted(allowed)))

    def get(self, key: str) -> object:
        """Return the raw value of a key that must be there."""
        if key not in self.table:
            raise self.error("is missing", key=key, allowed="a value")
        return self.table[key]

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; an empty one only as default."""
        value = self.table.get(key, default) if default is not None else self.get(key)
        if not isinstance(value, str) or (not value and default is None):
            raise self.error(f"was {value!r}", key=key, allowed="text that is not empty")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a text, or None where the key is absent."""
        return self.text(key) if key in self.table else None

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self.table.get(key, default) if default is not None else self.get(key)
        if not isinstance(value, bool):
            raise self.error(f"was {value!r}", key=key, allowed="true or false")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self.table.get(key, default) if default is not None else self.get(key)
        return self.checked_number(value, key)

    def checked_number(self, value: object, key: str, *, open_end: bool = False) -> float:
        """Return ``value`` as a finite number; ``inf`` only where an end may stay open."""
        good = isinstance(value, int | float) and not isinstance(value, bool)
        number = float(value) if isinstance(value, int | float) else math.nan
        if not good or not (math.isfinite(number) or (open_end and number == math.inf)):
            raise self.error(f"was {value!r}", key=key, allowed="a finite number" + (" or inf" if open_end else ""))
        return number

    def choice(self, key: str, kind: type[E]) -> E:
        """Return the member of ``kind`` with this value."""
        value = self.text(key)
        for member in kind:
            if member.value == value:
                return member
        raise self.error(f"was '{value}'", key=key, allowed=", ".join(str(member.value) for member in kind))

    def texts(self, key: str, allowed: Collection[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts, each of ``allowed`` when given."""
        value = self.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.error(f"was {value!r}", key=key, allowed="a list of texts")
        for item in value:
            if allowed is not None and item not in allowed:
                raise self.error(f"'{item}' is not known", key=key, allowed=", ".join(allowed))
        return tuple(value)

    def instant(self, key: str) -> datetime:
        """Return a UTC instant; a plain date means midnight."""
        value = self.get(key)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        raise self.error(f"was {value!r}", key=key, allowed="a date, or a date and time with a zone, without quotes")

    def within(self, key: str, where: str | None = None) -> Place:
        """Return the table under a key."""
        return Place(self.get(key), self.source, where or f"{self.where}: {key}")

    def list_of_tables(self, key: str) -> list[object]:
        """Return the tables of an array of tables, empty when absent."""
        value = self.table.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"was {value!r}", key=key, allowed=f"[[{key}]] tables")
        return value
