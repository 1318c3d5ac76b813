"""Dated rules in TOML: reading, checking of keys, dates and overlaps, and what is in force at a time."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from typing import Protocol, TypeVar

from margincover.errors import RulebookError

CONFIDENCES = ("CONFIRMED", "SECONDARY", "UNCONFIRMED")
ORIGIN_KEYS = ("id", "valid_from", "source", "retrieved", "confidence")
OPTIONAL_KEYS = ("valid_to", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a rule comes from and when it holds: from ``valid_from`` up to, not including, ``valid_to``."""

    id: str
    valid_from: datetime
    valid_to: datetime | None
    source: str
    retrieved: str
    confidence: str
    note: str


class Dated(Protocol):
    """A rule with an origin."""

    @property
    def origin(self) -> Origin:
        """Where it comes from."""


D = TypeVar("D", bound=Dated)


def packaged_text(name: str) -> str:
    """Return the text of a packaged rule file."""
    return resources.files("margincover.clearing").joinpath(f"data/{name}").read_text(encoding="utf-8")


def tables(text: str, *, key: str, source: str) -> list[Mapping[str, object]]:
    """Return the array of tables ``[[key]]``; raise RulebookError where the text holds anything else."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(f"was not TOML ({error})", source=source) from error
    rows = data.pop(key, None)
    if data or not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise RulebookError(
            f"keys {', '.join(sorted(data)) or 'none'} beside [[{key}]]", source=source, allowed=f"[[{key}]] only"
        )
    return rows


def check_keys(row: Mapping[str, object], *, needed: Sequence[str], optional: Sequence[str], where: str) -> None:
    """Raise RulebookError for an unknown or a missing key."""
    unknown, missing = sorted(set(row) - {*needed, *optional}), [key for key in needed if key not in row]
    if unknown or missing:
        found = f"unknown key {', '.join(unknown)}" if unknown else f"{', '.join(missing)} was missing"
        raise RulebookError(found, source=where, allowed=", ".join((*needed, *optional)))


def origin(row: Mapping[str, object], *, where: str) -> Origin:
    """Return the origin that a table states."""
    name = str(row["id"])
    start, end = _instant(row["valid_from"], where, name), None
    if "valid_to" in row:
        end = _instant(row["valid_to"], where, name)
        if end <= start:
            raise RulebookError(
                f"{name} ends {end:%Y-%m-%d}", source=where, field="valid_to", allowed="after valid_from"
            )
    if row["confidence"] not in CONFIDENCES:
        raise RulebookError(
            f"{name}: was {row['confidence']}", source=where, field="confidence", allowed=", ".join(CONFIDENCES)
        )
    return Origin(
        id=name,
        valid_from=start,
        valid_to=end,
        source=str(row["source"]),
        retrieved=str(row["retrieved"]),
        confidence=str(row["confidence"]),
        note=str(row.get("note", "")),
    )


def in_force(rules: Sequence[D], *, at: datetime, what: str) -> D:
    """Return the latest rule in force at a time; RulebookError where none is.

    Parameters
    ----------
    rules : sequence
        Of one venue.
    at : datetime
        With a zone.
    what : str
        For the message.
    """
    held = [
        rule
        for rule in rules
        if rule.origin.valid_from <= at and (rule.origin.valid_to is None or at < rule.origin.valid_to)
    ]
    if not held:
        starts = ", ".join(f"{rule.origin.id} from {rule.origin.valid_from:%Y-%m-%d}" for rule in rules)
        raise RulebookError(f"none in force at {at:%Y-%m-%d}", source=what, allowed=starts or "no edition is packaged")
    return max(held, key=lambda rule: rule.origin.valid_from)


def check_overlaps(rules: Sequence[D], *, where: str) -> None:
    """Raise RulebookError where two editions of one venue start together or one's stated end lies beyond the next."""
    ordered = sorted(rules, key=lambda rule: rule.origin.valid_from)
    for first, second in itertools.pairwise(ordered):
        a, b = first.origin, second.origin
        if a.valid_from == b.valid_from or (a.valid_to is not None and a.valid_to > b.valid_from):
            raise RulebookError(f"{a.id} and {b.id} overlap", source=where, allowed="one edition at a time")


def _instant(value: object, where: str, name: str) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise RulebookError(f"{name}: was {value!r}", source=where, field="date", allowed="a UTC date or time")
