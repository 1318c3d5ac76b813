"""Seconds, fractions, basis points, UTC instants: the few conversions that every room needs."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from margincover.errors import InputError

SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400
HOURS_PER_DAY = 24.0
# Crypto trades every day: a year is 365 days of 24 hours.
SECONDS_PER_YEAR = 365 * SECONDS_PER_DAY
BPS_PER_UNIT = 10_000.0

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|min|h|d|w)\s*$")
_DURATION_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def years(seconds: float) -> float:
    """Return a time span in years of 365 days."""
    return seconds / SECONDS_PER_YEAR


def parse_duration_s(text: str, *, field: str = "duration") -> int:
    """Return the seconds in a text such as ``"90s"``, ``"30min"``, ``"24h"``, ``"5d"`` or ``"2w"``.

    Raises
    ------
    InputError
        If the text is not a positive whole number of seconds in one of these units.

    Examples
    --------
    >>> parse_duration_s("24h")
    86400
    """
    match = _DURATION.match(text)
    seconds = float(match.group(1)) * _DURATION_SECONDS[match.group(2)] if match else 0.0
    if seconds <= 0 or seconds != int(seconds):
        raise InputError(
            f"'{text}' was not a duration",
            field=field,
            allowed="a positive number with s, min, h, d or w, for example 24h or 5d",
        )
    return int(seconds)


def format_duration(seconds: float) -> str:
    """Return a short text for a time span: ``"24h"``, ``"5d"``, ``"90s"``.

    Examples
    --------
    >>> format_duration(432000)
    '5d'
    """
    for unit, size in (("d", SECONDS_PER_DAY), ("h", SECONDS_PER_HOUR), ("min", 60)):
        if seconds >= size and seconds % size == 0 and (unit != "d" or seconds >= 2 * size):
            return f"{int(seconds // size)}{unit}"
    # Six digits of :g would turn a long span into 1e+06s, which parse_duration_s cannot read back.
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds:g}s"


def parse_utc(text: str, *, field: str = "time") -> datetime:
    """Return an aware UTC instant from ISO-8601 text; a time zone is required.

    Raises
    ------
    InputError
        If the text is not ISO-8601 or carries no time zone.
    """
    value: datetime | None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise InputError(
            f"'{text}' was not a UTC time",
            field=field,
            allowed="ISO-8601 with a zone, for example 2026-11-20T12:00:00Z",
        )
    return value.astimezone(UTC)


def format_utc(instant: datetime) -> str:
    """Return ISO-8601 text with Z for an aware instant."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc_ns(instant: datetime) -> int:
    """Return nanoseconds since the Unix epoch for an aware instant."""
    delta = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * SECONDS_PER_DAY + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000
