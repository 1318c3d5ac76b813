"""Parameters of rules that are more than tiers and haircuts: option factors, scan grids, contingencies, curves.

They stand in ``data/parameters/<venue>.toml`` as dated editions by account mode and underlying. This module chooses the
edition in force; the rule module that uses the values checks them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from types import MappingProxyType

from margincover.errors import RulebookError
from margincover.model.parameter_edition import ParameterEdition

# As for tier tables: an edition may be used this long before its validity, with a warning, when no earlier one exists.
LOOK_AHEAD = timedelta(days=366)
ANY_UNDERLYING = "*"
_REQUIRED = ("id", "mode", "valid_from", "observed", "source", "retrieved", "confidence", "parameters")
_OPTIONAL = ("underlying", "valid_to", "note")
_CONFIDENCES = ("CONFIRMED", "INFERRED", "SECONDARY", "UNCONFIRMED")


def parameters(venue: str, *, mode: str, underlying: str, at: datetime) -> ParameterEdition:
    """Return the packaged edition of a mode and underlying in force at an instant.

    An edition for the underlying wins over one for any underlying (``"*"``).

    Raises
    ------
    RulebookError
        If there is none, or the first one begins more than 366 days later.
    """
    return parameter_edition(in_force(venue, at=at), venue, mode=mode, underlying=underlying, at=at)


def in_force(
    venue: str, *, at: datetime, own: Sequence[ParameterEdition] = ()
) -> Mapping[tuple[str, str], ParameterEdition]:
    """Return the editions of a venue in force at an instant, by (mode, underlying).

    A key whose first edition begins at most 366 days later is used early. ``own`` are the user's editions: where one is
    in force it wins over the packaged one.
    """
    chosen: dict[tuple[str, str], ParameterEdition] = {}
    for layer in (packaged(venue), own):
        for key in dict.fromkeys((edition.mode, edition.underlying) for edition in layer):
            found = _of_key([e for e in layer if (e.mode, e.underlying) == key], at)
            early = found is not None and found.valid_from > at
            if found is not None and not (early and key in chosen):
                chosen[key] = found
    return MappingProxyType(chosen)


def _of_key(matching: Sequence[ParameterEdition], at: datetime) -> ParameterEdition | None:
    begun = [e for e in matching if e.valid_from <= at and (e.valid_to is None or at < e.valid_to)]
    if begun:
        return max(begun, key=lambda e: e.valid_from)
    early = [e for e in matching if at < e.valid_from <= at + LOOK_AHEAD]
    if early and not any(e.valid_from <= at for e in matching):
        return min(early, key=lambda e: e.valid_from)
    return None


def parameter_edition(
    editions: Mapping[tuple[str, str], ParameterEdition], venue: str, *, mode: str, underlying: str, at: datetime
) -> ParameterEdition:
    """Return the edition of a mode and underlying among those in force.

    Raises
    ------
    RulebookError
        If there is none.
    """
    for name in (underlying, ANY_UNDERLYING):
        if (mode, name) in editions:
            return editions[(mode, name)]
    known = sorted(f"{a} {b}" for a, b in editions)
    raise RulebookError(
        f"no parameters of mode {mode} for {underlying} in force at {at:%Y-%m-%d}",
        source=f"rules of {venue}",
        field="parameters",
        allowed=f"{'; '.join(known) or 'none are packaged'}; others by [[parameters]] in a rule file (--rules DIR)",
    )


def parameter_venues() -> tuple[str, ...]:
    """Return the venues that have packaged parameter editions, sorted."""
    folder = resources.files("margincover.venues").joinpath("data/parameters")
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def parameter_problems() -> list[str]:
    """Return what is wrong with packaged parameter files; empty means nothing."""
    problems = []
    for venue in parameter_venues():
        try:
            packaged(venue)
        except RulebookError as error:
            problems.append(str(error))
    return problems


@cache
def packaged(venue: str) -> tuple[ParameterEdition, ...]:
    """Return all packaged parameter editions of a venue; empty when it has none.

    Raises
    ------
    RulebookError
        If the file has an unknown or missing key, or two editions of a mode and underlying overlap.
    """
    file = resources.files("margincover.venues").joinpath(f"data/parameters/{venue}.toml")
    if not file.is_file():
        return ()
    return parse_parameters(file.read_text(encoding="utf-8"), venue=venue, source=f"{venue}.toml")


def parse_parameters(text: str, *, venue: str, source: str) -> tuple[ParameterEdition, ...]:
    """Return the editions in a TOML text; see ``packaged`` for the errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(f"was not TOML ({error})", source=source) from error
    unknown = sorted(set(data) - {"venue", "edition"})
    if unknown:
        raise RulebookError(f"unknown key {', '.join(unknown)}", source=source, allowed="venue, edition")
    return parse_editions(data.get("edition", ()), venue=venue, source=source)


def parse_editions(rows: object, *, venue: str, source: str) -> tuple[ParameterEdition, ...]:
    """Return the editions of an array of tables; see ``packaged`` for the errors."""
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise RulebookError(f"was {rows!r}", source=source, field="parameters", allowed="[[parameters]] tables")
    editions = tuple(_edition(row, venue, source) for row in rows)
    _check_overlaps(editions, source)
    return editions


def _edition(row: Mapping[str, object], venue: str, source: str) -> ParameterEdition:
    name = str(row.get("id", "without id"))
    unknown = sorted(set(row) - {*_REQUIRED, *_OPTIONAL})
    missing = [key for key in _REQUIRED if key not in row]
    if unknown or missing:
        raise RulebookError(
            f"unknown key {', '.join(unknown)}" if unknown else f"{', '.join(missing)} was missing",
            source=source,
            field=f"edition {name}",
            allowed=", ".join((*_REQUIRED, *_OPTIONAL)),
        )
    values, confidence = row["parameters"], str(row["confidence"])
    if not isinstance(values, Mapping) or confidence not in _CONFIDENCES:
        raise RulebookError(
            f"confidence was {confidence} or parameters no table",
            source=source,
            field=f"edition {name}",
            allowed=", ".join(_CONFIDENCES),
        )
    return ParameterEdition(
        id=name,
        venue=venue,
        mode=str(row["mode"]),
        underlying=str(row.get("underlying", ANY_UNDERLYING)),
        valid_from=_instant(row["valid_from"], name, source),
        valid_to=_instant(row["valid_to"], name, source) if "valid_to" in row else None,
        observed=_instant(row["observed"], name, source),
        source=str(row["source"]),
        retrieved=str(row["retrieved"]),
        confidence=confidence,
        note=str(row.get("note", "")),
        values=MappingProxyType(dict(values)),
    )


def _instant(value: object, name: str, source: str) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise RulebookError(f"was {value!r}", source=source, field=f"edition {name}", allowed="a UTC date or time")


def _check_overlaps(editions: tuple[ParameterEdition, ...], source: str) -> None:
    for first in editions:
        for second in editions:
            same = (first.mode, first.underlying) == (second.mode, second.underlying) and first is not second
            if not same or first.valid_from > second.valid_from:
                continue
            # Without an end an edition lasts until the next one; a stated end may not reach beyond it.
            if first.valid_from == second.valid_from or (first.valid_to and first.valid_to > second.valid_from):
                raise RulebookError(
                    f"{first.id} and {second.id} overlap", source=source, field=f"{first.mode} {first.underlying}"
                )
